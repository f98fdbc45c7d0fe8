#!/usr/bin/env bash
# The widget in real sites of MkDocs, Docusaurus and VitePress, built as docs/widget.md says; the generators are installed into build/tools
# the first time (Docusaurus brings 760 packages). usage: sites.sh [--short]: MkDocs and plain HTML only
# The last line is "web: N passed, N failed". FOOTNOTE_BIN is where the programs are.
set -u
cd "$(dirname "$0")/../.." || exit 2
all=(mkdocs docusaurus vitepress)
[ "${1:-}" != --short ] || all=(mkdocs)
FOOTNOTE_SITES=
for name in "${all[@]}"; do
    where=$PWD/$(tests/clients/install.sh "$name") ||
        { echo "SKIPPED: $name could not be had with pip or npm: is there a package index?"; echo "web: 0 passed, 0 failed"; exit 0; }
    FOOTNOTE_SITES+=" $name=$where"
done
export FOOTNOTE_SITES
exec tests/kit/run_py.sh tests/web/sites.py
