#!/usr/bin/env bash
# Run libFuzzer programs for a while each, as many at once as there are processors; a line per target, exit 1 on any finding.
# usage: fuzz.sh SECONDS PROGRAM…   corpora are kept in build/fuzz/NAME.corpus; tests/fuzz/NAME.seeds begin them,
# tests/fuzz/NAME.dict has words of that grammar; both may be missing
set -u
one() { # one SECONDS PROGRAM
    local t=$2 name seeds words rc runs
    name=$(basename "$t"); seeds=tests/fuzz/${name%_fuzz}.seeds words=tests/fuzz/${name%_fuzz}.dict
    mkdir -p "$t.corpus"
    [ -d "$seeds" ] || seeds=
    [ -f "$words" ] || words=
    "$t" -max_total_time="$1" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$t.finding-" "$t.corpus" ${seeds:+"$seeds"} ${words:+-dict="$words"} \
        > "$t.log" 2>&1
    rc=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$t.log")
    if [ $rc -eq 0 ]; then echo "$name $runs runs, 0 findings ok"
    else tail -40 "$t.log"; echo "$name finding SHORT"; fi
    return $rc
}
if [ "$1" = --one ]; then one "$2" "$3"; exit; fi
seconds=$1; shift
printf '%s\0' "$@" | xargs -0 -n1 -P "$(nproc)" "$0" --one "$seconds" || exit 1
