#!/usr/bin/env bash
# `make test`: everything that must hold, one part after the other, each with its own time limit. A part that hangs or fails
# is named and its last lines are shown; its processes end with it (contained.py). The last line is the sum of all parts:
# "N passed, N failed"; exit 1 on any failure.
# usage: run_all.sh [PART…]      parts: see the table at the end
set -u
cd "$(dirname "$0")/../.." || exit 2
exec </dev/null
unset MAKEFLAGS MAKELEVEL MAKEOVERRIDES
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
trap 'exit 130' INT TERM
export TSAN_OPTIONS="suppressions=$PWD/tests/kit/tsan.supp halt_on_error=0 exitcode=66"
export ASAN_OPTIONS="detect_leaks=1 exitcode=99" UBSAN_OPTIONS="print_stacktrace=1"
passed=0 failed=0 skipped=() broken=() wanted=("$@")

# make's jobs follow the processors; nice, so that a desktop stays usable
mk() { nice make --no-print-directory -s -k -j"$(nproc)" "$@"; }
# Limits are for hangs: on a machine that has far more to do than it can, a part gets up to four times as long.
FOOTNOTE_STRETCH=${FOOTNOTE_STRETCH:-$(awk -v p="$(nproc)" '{ n = int($1 / (3 * p)) + 1; print (n > 4 ? 4 : n) }' /proc/loadavg)}
export FOOTNOTE_STRETCH
# a build counts as one test: it must come through without a warning (-Werror)
build_gcc() { mk build kit unit-build; }
# the bars of the tree's shape, on what build-gcc built
house() { mk house; }
build_clang() { mk VARIANT=clang build kit unit-build; }
build_asan() { mk VARIANT=asan build kit unit-build; }
unit() { mk VARIANT="$1" -j1 test-unit; }
# threads: what runs on more than one, under the thread sanitizer
tsan_units() { find tests/unit/common tests/unit/proto tests/unit/gateway -name '*.c' | sort | sed 's,^tests/unit/\(.*\)\.c$,build/tsan/unit/\1,'; }
unit_tsan() {
    local programs; mapfile -t programs < <(tsan_units)
    mk VARIANT=tsan "${programs[@]}" && tests/kit/run_unit.sh "${programs[@]}"
}
# Python parts mostly wait: two runs at a time, each with half of the files; parts in which no test looks at a clock
# closely do better with three
SHARDS=${FOOTNOTE_SHARDS:-2}
py() { FOOTNOTE_SHARDS=$SHARDS FOOTNOTE_BIN=build/$1 FOOTNOTE_PART_LIMIT=$(($2 * FOOTNOTE_STRETCH)) tests/kit/run_py.sh "${@:3}"; }
unit_release() { unit release; }
unit_asan() { unit asan; }
service() { SHARDS=3 py release 640 tests/service; }
# the store's main tests once more, with messages in tables by month
service_months() { MESSAGES_PARTITIONED=on py release 280 tests/service/store_{turns,erasure,outbox,catalog,lots,report,roles,statements,tenancy,usage}.py; }
e2e() { SHARDS=3 py release 1080 tests/e2e; }
# cases from the field, each a test under its id
cases() { SHARDS=3 py release 620 tests/cases; }
# the real processes, each restarted once: any report of the thread sanitizer fails it
e2e_tsan() {
    mk VARIANT=tsan build kit \
        && py tsan 240 tests/e2e/test_stream.py tests/e2e/test_process.py::test_after_a_restart_of_a_service_the_next_question_is_answered
}
e2e_asan() { py asan 280 tests/e2e/test_{answer,stream}.py \
    tests/e2e/test_{mcp.py::test_a_question_through_mcp_is_cached_and_counted_as_any_other,client.py::test_keys_are_made_listed_and_revoked}; }
# the chart of deploy/helm; where no helm is there yet, it says so: make test-helm builds one
helm() { FOOTNOTE_BIN=$PWD/build/release nice tests/helm/run.sh --short; }
# the image and the stack of docker-compose.yml, in a private Docker
compose() { nice tests/compose/run.sh --short; }
targets() { FOOTNOTE_BIN=build/release tests/kit/targets.sh; }
lint() { tests/kit/lint.sh; }
runners() { tests/kit/runners.sh; }
# the long forms are `make sim`, `make fuzz`, `make faults` and `make attacks`
sim() { tests/sim/run.sh 20000 20000; }
# the bus's rules by spin
model_check() { MODEL_TIMED=0 proto/model/run.sh; }
fuzz() { mk -s fuzz FUZZ_SECONDS=3; }
# short forms of the fault rows; their times are shown, not judged
rows() { FAULTS_TIMED=0 py release 700 "$@"; }
faults_bus() { rows tests/faults/test_f0*.py tests/faults/test_f1[0-2].py tests/faults/test_f3*.py tests/faults/test_a*.py tests/faults/test_kills.py; }
faults_redis() { rows tests/faults/test_f1[3-9].py tests/faults/test_outbox.py tests/faults/test_health.py; }
faults_db() { rows tests/faults/test_f2*.py; }
# two partitions between machines that the test makes itself; the others are `make faults-net`
faults_net() { FAULTS_TIMED=0 py release 100 tests/faults/net/test_partition.py; }
# the whole is `make mutate`: here only that its table still fits the code
mutate() { tests/mutate/run.sh --check; }
# the long form is `make test-clients`
clients() { FOOTNOTE_BIN=build/release tests/clients/run.sh --short; }
# the long form is `make test-widget-sites`
sites() { FOOTNOTE_BIN=build/release tests/web/sites.sh --short; }
attacks() { ATTACKS_SHORT=1 FOOTNOTE_BIN=build/release tests/attacks/run.sh; }
if [ "${1:-}" = --run ]; then trap - EXIT; rm -rf "$logs"; "$2"; exit; fi

# part LIMIT NAME COMMAND: count what it says in its last "…: N passed, N failed"; without one, itself as one test.
part() {
    local limit=$(($1 * FOOTNOTE_STRETCH)) name=$2 log="$logs/$2" begun=$SECONDS line rc
    [ ${#wanted[@]} -eq 0 ] || [[ " ${wanted[*]} " == *" $name "* ]] || return 0
    tests/kit/contained.py "$limit" 100 bash "$0" --run "$3" >"$log" 2>&1
    rc=$?
    line=$(grep -oE '[0-9]+ passed, [0-9]+ failed$' "$log" | tail -1)
    if [ $rc -eq 124 ] || [ -z "$line" ] || { [ $rc -ne 0 ] && [[ $line == *" 0 failed" ]]; }; then
        [ $rc -ne 124 ] || echo "HANG: $name took longer than $limit s"
        line="$([ $rc -eq 0 ] && echo '1 passed, 0 failed' || echo '0 passed, 1 failed')"
    fi
    read -r ok _ bad _ <<<"$line"
    passed=$((passed + ok)) failed=$((failed + bad))
    # a part ("SKIPPED: …") or a test (pytest's "SKIPPED [1] …") that cannot run on this machine says why, also inside of other output
    mapfile -t -O "${#skipped[@]}" skipped < <(sed -nE "s/^[[:space:]]*SKIPPED(:| \[[0-9]+\]) /SKIPPED $name: /p" "$log" | sort -u)
    printf '%-14s %4d passed, %d failed  (%d s)\n' "$name" "$ok" "$bad" $((SECONDS - begun))
    [ "$bad" -eq 0 ] || { sed "s/^/    /" "$log" | cut -c1-400 | tail -120; name_failures "$name" "$log" "$line"; }
}

# name_failures NAME LOG SUM: the part's failed tests by name and the reason's first words, for the end of the output; a part whose
# output names none stands there with its sum
name_failures() {
    local names
    mapfile -t names < <(sed -nE "s/^[[:space:]]*(FAILED|ERROR|FAIL|HANG):? /\1 $1: /p" "$2" | cut -c1-300 | sort -u | head -20)
    [ ${#names[@]} -gt 0 ] || names=("FAILED $1: $3")
    broken+=("${names[@]}")
}
part 120 lint         lint
part 400 build-gcc    build_gcc
part 60  house        house
part 120 runners      runners
part 400 build-clang  build_clang
part 240 unit         unit_release
part 400 build-asan   build_asan
part 300 unit-asan    unit_asan
part 500 unit-tsan    unit_tsan
part 200 sim          sim
part 400 model-check  model_check
part 420 fuzz         fuzz
part 660 service      service
part 300 service-months service_months
part 1100 e2e          e2e
part 640 cases        cases
part 740 faults-bus   faults_bus
part 740 faults-redis faults_redis
part 740 faults-db    faults_db
part 140 faults-net   faults_net
part 480 attacks      attacks
part 240 clients      clients
part 240 sites        sites
part 300 targets      targets
part 60  mutate       mutate
part 600 helm         helm
part 900 compose      compose
part 300 e2e-asan     e2e_asan
part 400 e2e-tsan     e2e_tsan
[ ${#skipped[@]} -eq 0 ] || printf '%s\n' "${skipped[@]}"
[ ${#broken[@]} -eq 0 ] || printf '%s\n' "${broken[@]}"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
