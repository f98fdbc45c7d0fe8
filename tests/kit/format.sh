#!/usr/bin/env bash
# `make format`: the C sources in the style of .clang-format. With --check it changes nothing, names each file that differs and exits 1;
# with 2 when the formatter fails.
# The formatter is one version for everybody, since each version breaks some lines differently: a Python package, installed by pip into
# build/tools. usage: format.sh [--check] [FILE …]
set -eu
cd "$(dirname "$0")/../.."
version=19.1.7
dir=build/tools/clang-format-$version
if [ ! -x "$dir/bin/clang-format" ]; then
    python3 -m venv "$dir.new" >&2
    "$dir.new/bin/python" -m pip install -q --disable-pip-version-check "clang-format==$version" >&2 ||
        { echo "format: clang-format $version could not be installed with pip: is there a package index?" >&2; exit 2; }
    mv "$dir.new" "$dir"
fi
format=$dir/lib/$(cd "$dir/lib" && ls)/site-packages/clang_format/data/bin/clang-format # a venv that moved: its own script names the old place
[ "${1:-}" = --check ] && { check=1; shift; }
[ $# -gt 0 ] || mapfile -t files < <(git ls-files --cached --others --exclude-standard -- '*.c' '*.h')
[ $# -eq 0 ] || files=("$@")
if [ "${check:-0}" = 0 ]; then
    printf '%s\0' "${files[@]}" | xargs -0 -P 2 -n 40 "$format" -i
    exit 0
fi
rc=0 # of the formatter: 0 also where a file differs
said=$(printf '%s\0' "${files[@]}" | xargs -0 -P 2 -n 40 "$format" --dry-run 2>&1) || rc=$?
[ $rc -eq 0 ] || { tail -5 <<<"$said"; echo "format: clang-format failed"; exit 2; }
found=$(sed -nE 's/^([^:]+):([0-9]+):.*clang-format-violations.*/\1:\2/p' <<<"$said" | sort -u -t: -k1,1)
[ -z "$found" ] || { sed 's/$/: not in the style of .clang-format: make format/' <<<"$found"; exit 1; }
