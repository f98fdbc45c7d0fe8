#!/usr/bin/env bash
# Writes migrations.inc, one C string a migration, from the numbered .sql files beside this script.
# Run it after adding a file; tests/unit/store/migrate.c fails when the two differ.
set -eu
cd "$(dirname "$0")"
for f in [0-9][0-9][0-9][0-9]_*.sql; do
    n=$((10#${f%%_*})) name=${f#*_}
    printf 'MIGRATION(%d, "%s",\n' "$n" "${name%.sql}"
    sed -e 's/\\/\\\\/g; s/"/\\"/g; s/.*/    "&\\n"/' "$f"
    printf ')\n'
done >migrations.inc
