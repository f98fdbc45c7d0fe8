#!/usr/bin/env bash
# Writes migrations.inc, or the file that is named, one C string a migration, from the numbered .sql files beside this script.
# Run it after adding a file; `make lint` finds when the two differ. usage: generate.sh [FILE]
set -eu
to=$(realpath -m "${1:-$(dirname "$0")/migrations.inc}")
cd "$(dirname "$0")"
for f in [0-9][0-9][0-9][0-9]_*.sql; do
    n=$((10#${f%%_*})) name=${f#*_}
    printf 'MIGRATION(%d, "%s",\n' "$n" "${name%.sql}"
    sed -e 's/\\/\\\\/g; s/"/\\"/g; s/.*/    "&\\n"/' "$f"
    printf ')\n'
done >"$to"
