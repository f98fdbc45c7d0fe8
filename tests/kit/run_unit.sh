#!/usr/bin/env bash
# Run unit test programs, UNIT_JOBS of them at a time (default: two a processor, since many wait), each with a time limit of its own; end with the
# sum of their tests. usage: run_unit.sh PROGRAM…
set -u
if [ "${1:-}" = --one ]; then # one program: what it printed when it failed, then "TALLY passed failed"
    t=$2
    out=$(timeout -k 5 120 "$t" 2>&1); rc=$?
    ok=$(grep -c '^\[       OK \]' <<<"$out"); bad=$(grep -c '^\[  FAILED  \] [^0-9]' <<<"$out")
    if [ $rc -ne 0 ]; then
        [ "$bad" -gt 0 ] || bad=1
        [ $rc -eq 124 ] && echo "HANG: $t"
        printf -- '--- %s (exit %s)\n%s\n' "$t" "$rc" "$(tail -60 <<<"$out")"
    else
        bad=0
    fi
    echo "TALLY $ok $bad"
    exit 0
fi
out=$(mktemp); trap 'rm -f "$out"' EXIT
printf '%s\0' "$@" | xargs -0 -r -n 1 -P "${UNIT_JOBS:-$(($(nproc) * 2))}" "$0" --one >"$out"
grep -v '^TALLY ' "$out"
read -r passed failed < <(awk '/^TALLY / { p += $2; f += $3; n++ } END { print p + 0, f + 0 }' "$out")
[ "$(grep -c '^TALLY ' "$out")" -eq $# ] || { echo "--- a test program left no result"; failed=$((failed + 1)); }
echo "unit: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
