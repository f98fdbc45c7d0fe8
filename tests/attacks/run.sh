#!/usr/bin/env bash
# `make attacks`: what strangers try (rows A01 to A37), a line per bar: "NAME MEASURED BAR ok|SHORT"; exit 1 when one is SHORT.
# All traffic stays on loopback. usage: run.sh [FILE or ROW…], such as `run.sh A09 A18` or `run.sh tests/attacks/guesses.py`
#   ATTACKS_SHORT=1   the short form, for `make test`: only files that have one; times are shown, not judged
#   ATTACKS_SEED=1    which random bytes are sent
#
# An attack is a file of this folder, NAME.py or NAME.sh (what ends with _kit.py, and bars.py, are helpers). It is run from the
# top of the tree, with FOOTNOTE_BIN set and tests/kit and tests/attacks on PYTHONPATH; it starts its own suite and ends it. It prints
# its bar lines, whose names begin with the row (A07_slow_headers_failed), by bars.py, and exits with 1 when one is SHORT. One
# comment among its first 20 lines says its rows and how long it may take, in seconds; `short` is for `make test`, and a file without is
# left out there:
#   # attack: A07 A08; limit 300; short 40
# A file that takes longer, breaks, or prints no bar line is SHORT by its name, and its last lines are shown.
# Rows that tests of `make test` hold already stand in rows.tbl; the short form leaves them out, since they run there anyway.
set -u
cd "$(dirname "$0")/../.." || exit 2
exec </dev/null
export FOOTNOTE_BIN=${FOOTNOTE_BIN:-build/release} ATTACKS_SEED=${ATTACKS_SEED:-1} ATTACKS_SHORT=${ATTACKS_SHORT:-0}
export PYTHONPATH=tests/kit:tests/attacks PYTHONDONTWRITEBYTECODE=1 FAULTS_LONG=1 FAULTS_TIMED=1
ok=0 short=0 wanted=("$@")
log=$(mktemp); trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM

# asked NAME ROWS: nothing was named, or this file or one of its rows was
asked() {
    local w
    [ ${#wanted[@]} -gt 0 ] || return 0
    for w in "${wanted[@]}"; do [[ " $1 $2 " != *" $w "* ]] || return 0; done
    return 1
}
# broke NAME HOW: one more bar that is short
broke() { short=$((short + 1)); printf '%-44s %-18s %-12s %s\n' "$1" "$2" '-' SHORT; tail -40 "$log" | cut -c1-300 | sed 's/^/    /'; }
# timed LIMIT COMMAND…: what was started is stopped
timed() { tests/kit/contained.py "$1" 60 "${@:2}" >"$log" 2>&1; }

# skips: what could not run here
skips() { grep -E '^[[:space:]]*SKIPPED(:| \[)' "$log"; }

# attack FILE: run it, show and count its bar lines
attack() {
    local file=$1 name head rows limit rc n
    name=$(basename "${file%.*}")
    head=$(sed -n '1,20s/^.*attack: //p' "$file")
    rows=${head%%;*}
    asked "$file" "$rows" || return 0
    limit=$(sed -nE 's/.*limit ([0-9]+).*/\1/p' <<<"$head"); limit=${limit:-300}
    if [ "$ATTACKS_SHORT" = 1 ]; then
        limit=$(sed -nE 's/.*short ([0-9]+).*/\1/p' <<<"$head")
        [ -n "$limit" ] || return 0
    fi
    limit=$((limit * ${FOOTNOTE_STRETCH:-1}))
    if [[ $file == *.py ]]; then timed "$limit" /usr/bin/python3 "$file"; else timed "$limit" bash "$file"; fi
    rc=$?
    grep -E ' (ok|slow|SHORT)$' "$log"
    skips
    n=$(grep -cE ' (ok|slow)$' "$log"); ok=$((ok + n))
    if [ $rc -eq 124 ]; then
        broke "${name}_hangs" ">${limit}s"
    elif grep -q ' SHORT$' "$log"; then
        short=$((short + $(grep -c ' SHORT$' "$log")))
        grep -vE ' (ok|slow|SHORT)$' "$log" | tail -40 | cut -c1-300 | sed 's/^/    /'
    elif [ $rc -ne 0 ] || [ "$n" -eq 0 ]; then
        broke "${name}_broke" "exit_$rc"
    fi
}

# row ROWS NAME TESTS: rows that tests hold; the bar is that none of them fails
row() {
    local name="${1// /_}_$2" rc line
    asked "$2" "$1" || return 0
    case $3 in
    'py '*) timed 900 bash -c "exec tests/kit/run_py.sh ${3#py }" ;;
    'unit '*) timed 900 bash -c "exec tests/kit/run_unit.sh $FOOTNOTE_BIN/unit/${3#unit }" ;;
    *) echo "rows.tbl: $3?" > "$log"; false ;;
    esac
    rc=$?
    skips
    line=$(grep -oE '[0-9]+ passed, [0-9]+ failed$' "$log" | tail -1)
    if [ $rc -eq 0 ] && [[ $line != "0 passed"* ]]; then
        ok=$((ok + 1)); printf '%-44s %-18s %-12s %s\n' "$name" "${line// /_}" 0_failed ok
    else
        broke "$name" "${line:-exit $rc}"
    fi
}
for f in tests/attacks/*.py tests/attacks/*.sh; do
    case $f in */run.sh | */bars.py | *_kit.py | */conftest.py) continue ;; esac
    attack "$f"
done
[ "$ATTACKS_SHORT" = 1 ] || while IFS='|' read -r rows name tests; do
    [[ $rows != A* ]] || row "$(xargs <<<"$rows")" "$(xargs <<<"$name")" "${tests# }"
done < tests/attacks/rows.tbl
echo "attacks: $ok passed, $short failed"
[ "$short" -eq 0 ]
