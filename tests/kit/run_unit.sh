#!/usr/bin/env bash
# Run unit test programs one after the other, each with a time limit of its own; end with the sum of their tests.
# usage: run_unit.sh PROGRAM…
set -u
passed=0 failed=0
for t in "$@"; do
    out=$(timeout -k 5 120 "$t" 2>&1); rc=$?
    ok=$(grep -c '^\[       OK \]' <<<"$out"); bad=$(grep -c '^\[  FAILED  \] [^0-9]' <<<"$out")
    passed=$((passed + ok))
    if [ $rc -ne 0 ]; then
        [ "$bad" -gt 0 ] || bad=1
        failed=$((failed + bad))
        [ $rc -eq 124 ] && echo "HANG: $t"
        echo "--- $t (exit $rc)"; printf '%s\n' "$out" | tail -60
    fi
done
echo "unit: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
