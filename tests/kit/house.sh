#!/usr/bin/env bash
# `make house`: what the tree looks like, a line a folder: files, lines, longest file, circles of files by linked symbols (nm on the objects),
# includes of what stands above (lint.sh has the order of the rooms), headers that declare what another folder's files do. Then the bars, "name measured bar ok|SHORT"; exit 1 when one is SHORT.
# A few seconds on a built tree. usage: house.sh [BUILD-FOLDER]
set -eu
cd "$(dirname "$0")/../.."
out=${1:-build/release}
folders=$(make --no-print-directory -s source-folders)
objects=()
for d in $folders; do while read -r f; do o=$out/obj/${f%.c}.o; [ -e "$o" ] && objects+=("$o"); done < <(find "$d" -name '*.c' | sort); done
[ ${#objects[@]} -gt 0 ] || { echo "house: nothing is built in $out: make build" >&2; exit 2; }
nm -A "${objects[@]}" | PYTHONDONTWRITEBYTECODE=1 python3 tests/kit/house.py "$out/obj" "$folders"
