#!/usr/bin/env bash
# Run the Python tests of a folder (or of the files that are named): every test has its own time limit (conftest.py), all
# of them together FOOTNOTE_PART_LIMIT seconds (default 900). A hang fails with the name of the test that hung.
# With FOOTNOTE_SHARDS=N the files are dealt to N runs at the same time, each with databases, ports and folders of its own.
# An interrupt ends all runs, and no process of theirs stays (contained.py).
# The last line is "PART: N passed, N failed". usage: run_py.sh DIR|FILE… [-- pytest options]
set -u
cd "$(dirname "$0")/../.." || exit 2
files=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    if [ -d "$1" ]; then
        mapfile -t -O "${#files[@]}" files < <(find "$1" -name '*.py' ! -name '*_kit.py' ! -name 'conftest.py' | sort)
    else
        files+=("$1")
    fi
    shift
done
[ $# -gt 0 ] && shift
part=${files[0]:-nothing}; part=$(basename "$(dirname "$part")")
if [ ${#files[@]} -eq 0 ]; then echo "$part: 0 passed, 0 failed"; exit 0; fi
shards=${FOOTNOTE_SHARDS:-1}
if [ "$shards" -gt 1 ] && [ ${#files[@]} -gt 1 ]; then
    logs=$(mktemp -d); pids=()
    trap 'rm -rf "$logs"' EXIT
    interrupted() { # every run is a process group; what it has to say is shown
        trap '' INT TERM
        for p in "${pids[@]}"; do kill -INT -- "-$p" 2>/dev/null; done
        wait
        cat "$logs"/*
        exit 130
    }
    trap interrupted INT TERM
    set -m # without job control, what begins in the background is deaf to INT
    for ((k = 0; k < shards; k++)); do
        mine=()
        for ((i = k; i < ${#files[@]}; i += shards)); do mine+=("${files[i]}"); done
        [ ${#mine[@]} -eq 0 ] || { FOOTNOTE_SHARDS=1 "$0" "${mine[@]}" -- "$@" >"$logs/$k" 2>&1 & pids+=($!); }
    done
    set +m
    wait
    cat "$logs"/*
    read -r passed failed < <(grep -hE "^$part: [0-9]+ passed, [0-9]+ failed$" "$logs"/* | awk '{ p += $2; f += $4 } END { print p + 0, f + 0 }')
    [ "$(grep -hE "^$part: [0-9]+ passed, [0-9]+ failed$" "$logs"/* | wc -l)" -eq ${#pids[@]} ] || failed=$((failed + 1))
    echo "$part: $passed passed, $failed failed"
    [ "$failed" -eq 0 ]
    exit
fi
out=$(mktemp); now=$(mktemp); base=$(mktemp -d)
chmod 755 "$base" # the servers of a test run as another user; a root that runs share is made private again by each that starts
trap 'rm -rf "$out" "$now" "$base"' EXIT
# INT first: pytest then runs the fixtures' ends, which stop every process that was started
PYTEST_DEBUG_TEMPROOT=$base FOOTNOTE_TEST_NOW=$now PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/kit \
    tests/kit/contained.py "${FOOTNOTE_PART_LIMIT:-900}" 90 \
    /usr/bin/python3 -m pytest -p no:cacheprovider --rootdir=. -q --tb=short -rfs --durations=5 "$@" "${files[@]}" </dev/null 2>&1 | tee -i "$out"
rc=${PIPESTATUS[0]}
last=$(grep -E '^(=+ )?.*[0-9]+ (passed|failed|error|errors|skipped|deselected).* in [0-9.]+s' "$out" | tail -1)
count() { grep -oE "[0-9]+ $1" <<<"$last" | head -1 | cut -d' ' -f1; }
passed=$(count passed); failed=$(count failed); errors=$(count errors?)
failed=$((${failed:-0} + ${errors:-0}))
if [ "$rc" -eq 124 ]; then
    echo "HANG: $(cat "$now")"
    failed=$((failed + 1))
elif [ "$rc" -ne 0 ] && [ "$failed" -eq 0 ] && [ "$rc" -ne 5 ]; then
    failed=1
fi
echo "$part: ${passed:-0} passed, $failed failed"
[ "$failed" -eq 0 ]
