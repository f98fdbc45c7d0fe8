#!/usr/bin/env bash
# `make model-check`: spin checks the rules of the bus; then each rule is switched off, and spin must find the fault; as many at once as
# there are processors. A line per bar; exit 1 when one is short. MODEL_TIMED=0: the time is shown and not judged.
# usage: run.sh   (run.sh --bug NAME FOLDER: one of them)
set -u
check() { # check DEFINES, in a folder of its own: 0 no error, 1 error found, 2 did not finish
    # shellcheck disable=SC2086 # defines are a list
    spin $1 -a hub.pml > spin.log 2>&1 || { cat spin.log; return 2; }
    gcc -O2 -DSAFETY -DVECTORSZ=2048 -DMEMLIM=8192 -DCOLLAPSE -o pan pan.c 2> gcc.log || { cat gcc.log; return 2; }
    timeout 300 ./pan -m200000 -w26 > pan.log 2>&1
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.log)
    grep -q 'errors: 0' pan.log && ! grep -qE 'max search depth too small|out of memory' pan.log && return 0
    grep -qE 'errors: [1-9]' pan.log && return 1
    tail -5 pan.log; return 2
}
if [ "${1:-}" = --bug ]; then
    mkdir "$3/$2" && cp "$3/hub.pml" "$3/$2" && cd "$3/$2" || exit 1
    check "-D$2"; rc=$?
    if [ $rc -eq 1 ]; then echo "model_finds_$2 found ok"; exit 0; fi
    echo "model_finds_$2 not found (exit $rc) SHORT"
    exit 1
fi
cd "$(dirname "$0")" || exit 2
out=$(mktemp -d); trap 'rm -rf "$out"' EXIT
self=$PWD/$(basename "$0")
cp hub.pml "$out"; cd "$out" || exit 2
short=0 begun=$SECONDS
check ""; rc=$?
took=$((SECONDS - begun))
if [ $rc -eq 0 ] && { [ $took -lt 60 ] || [ "${MODEL_TIMED:-1}" = 0 ]; }; then echo "model_errors 0 in ${took} s, $states states, bar 0 in 60 s ok"; else echo "model_errors (exit $rc) in ${took} s, bar 0 in 60 s SHORT"; short=1; fi
bugs=(NO_FINAL NO_DEDUP NO_DEADLINE NO_ATTEMPT NO_SLOT NO_DRAIN_RULE NO_LIMIT NO_ONCE)
printf '%s\n' "${bugs[@]}" | xargs -P "$(nproc)" -I{} "$self" --bug {} "$out" || short=1
exit $short
