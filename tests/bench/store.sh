#!/usr/bin/env bash
# `make bench-store`: the store's bars (store_bench.py says which). Makes the baseline's venv under build/ when it is missing.
#   ONLY=turn,cost,history,users,faults,janitor,import,months     BENCH_SHORT=1: under two minutes, to try things
set -eu
cd "$(dirname "$0")/../.."
venv=build/bench/venv wanted=tests/bench/baselines/sqlalchemy/requirements.txt
# the rival is needed by the parts that have one
if [[ -z ${ONLY:-} || $ONLY =~ turn|history|users ]] && ! cmp -s "$wanted" "$venv/installed.txt"; then
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv"
    "$venv/bin/pip" -q install --disable-pip-version-check -r "$wanted"
    cp "$wanted" "$venv/installed.txt"
fi
export PYTHONDONTWRITEBYTECODE=1 FOOTNOTE_BIN=${FOOTNOTE_BIN:-build/release}
exec /usr/bin/python3 tests/bench/store_bench.py
