#!/usr/bin/env bash
# Run libFuzzer programs for a while each; a line per target, exit 1 on any finding.
# usage: fuzz.sh SECONDS PROGRAM…   corpora are kept in build/fuzz/NAME.corpus
set -u
seconds=$1; shift
failed=0
for t in "$@"; do
    mkdir -p "$t.corpus"
    if "$t" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$t.finding-" "$t.corpus" > "$t.log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$t.log")
        echo "$(basename "$t") $runs runs, 0 findings ok"
    else
        tail -40 "$t.log"; echo "$(basename "$t") finding SHORT"; failed=1
    fi
done
exit $failed
