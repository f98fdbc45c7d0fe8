#!/usr/bin/env bash
# `make faults`: the long forms. A line per bar, "name measured bar ok|SHORT seed=N"; exit 1 when one is short or a test broke.
# usage: run.sh [test file or name…]   without any: the simulator, the model, the fuzz targets of hub and messages, then every row
#   FAULTS_SEED=N   another seed        FAULTS_LONG=0   short forms        FUZZ_SECONDS=N   (600)
set -u
cd "$(dirname "$0")/../.." || exit 2
export FAULTS_SEED=${FAULTS_SEED:-1} FAULTS_LONG=${FAULTS_LONG:-1} FOOTNOTE_BIN=${FOOTNOTE_BIN:-build/release}
export PYTHONPATH=tests/kit PYTHONDONTWRITEBYTECODE=1
FAULTS_BARS=$(mktemp); export FAULTS_BARS
trap 'rm -f "$FAULTS_BARS"' EXIT
trap 'exit 130' INT TERM
bad=0 files=("$@")
echo "seed $FAULTS_SEED, $(nproc) processors, $(uname -sr)"
if [ ${#files[@]} -eq 0 ]; then
    if [ "$FAULTS_LONG" = 1 ]; then tests/sim/run.sh 1000000 100000; else tests/sim/run.sh 20000 20000; fi || bad=1
    make --no-print-directory model-check || bad=1
    make --no-print-directory fuzz FUZZ="hub decode" FUZZ_SECONDS="${FUZZ_SECONDS:-$([ "$FAULTS_LONG" = 1 ] && echo 600 || echo 30)}" | grep -E ' (ok|SHORT)$'
    [ "${PIPESTATUS[0]}" -eq 0 ] || bad=1
    files=(tests/faults/test_*.py)
fi
for f in "${files[@]}"; do
    : > "$FAULTS_BARS"
    log=$(mktemp)
    tests/kit/contained.py 3000 40 /usr/bin/python3 -m pytest -p no:cacheprovider --rootdir=. -q --tb=short -rfs "$f" </dev/null >"$log" 2>&1
    rc=$?
    cat "$FAULTS_BARS"
    if [ $rc -ne 0 ]; then
        bad=1
        grep -q ' SHORT ' "$FAULTS_BARS" || { echo "$(basename "$f" .py) broke: SHORT"; grep -nE "^(E  |tests/)" "$log" | head -20; tail -60 "$log" | cut -c1-300; }
    fi
    grep -E '^SKIPPED' "$log"
    rm -f "$log"
done
exit $bad
