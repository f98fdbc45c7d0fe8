#!/usr/bin/env bash
# `make test-upgrade`: builds the store and the janitor of the previous release from git and runs them on this release's schema,
# alone and beside this release's. usage: run.sh [COMMIT]      FOOTNOTE_BIN: this release's programs
set -eu
cd "$(dirname "$0")/../.."
ref=${1:-$(tests/upgrade/previous.sh)}
old=build/upgrade/$ref
if [ ! -x "$old/build/release/footnote-janitor" ]; then
    rm -rf "$old"
    mkdir -p "$old"
    git archive "$ref" | tar -x -C "$old"
    nice make -s -C "$old" BUILD_ID="${ref:0:7}" -j"$(nproc)" build/release/footnote-store build/release/footnote-janitor
fi
echo "previous release: $(git log -1 --format='%h %s' "$ref" | cut -c1-100)"
FOOTNOTE_OLD=$old tests/kit/run_py.sh tests/upgrade/test_upgrade.py
