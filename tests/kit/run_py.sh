#!/usr/bin/env bash
# Run the Python tests of a folder (or of the files that are named): every test has its own time limit (conftest.py), all
# of them together FOOTNOTE_PART_LIMIT seconds (default 900). A hang fails with the name of the test that hung.
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
out=$(mktemp); now=$(mktemp)
trap 'rm -f "$out" "$now"' EXIT
# INT first: pytest then runs the fixtures' ends, which stop every process that was started
FOOTNOTE_TEST_NOW=$now PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/kit \
    timeout --foreground -s INT -k 90 "${FOOTNOTE_PART_LIMIT:-900}" \
    /usr/bin/python3 -m pytest -p no:cacheprovider --rootdir=. -q --tb=short -rfs --durations=5 "$@" "${files[@]}" </dev/null 2>&1 | tee "$out"
rc=${PIPESTATUS[0]}
last=$(grep -E '^(=+ )?.*[0-9]+ (passed|failed|error|errors|skipped|deselected).* in [0-9.]+s' "$out" | tail -1)
count() { grep -oE "[0-9]+ $1" <<<"$last" | head -1 | cut -d' ' -f1; }
passed=$(count passed); failed=$(count failed); errors=$(count errors?)
failed=$((${failed:-0} + ${errors:-0}))
if [ "$rc" -eq 124 ] || [ "$rc" -eq 137 ]; then
    echo "HANG: $(cat "$now")"
    failed=$((failed + 1))
elif [ "$rc" -ne 0 ] && [ "$failed" -eq 0 ] && [ "$rc" -ne 5 ]; then
    failed=1
fi
echo "$part: ${passed:-0} passed, $failed failed"
[ "$failed" -eq 0 ]
