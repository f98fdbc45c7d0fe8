#!/usr/bin/env bash
# The runners' own promises: what fails is told by an exit code, what hangs ends, and no process of it stays.
# The last line is "runners: N passed, N failed". A few seconds; the tests that it lets the runners run are made here.
set -u
cd "$(dirname "$0")/../.." || exit 2
scratch=$(mktemp -d) log=$(mktemp)
trap 'rm -rf "$scratch" "$log"' EXIT
passed=0 failed=0
check() { # check NAME: the function of that name says whether it holds
    if "$1" >"$log" 2>&1 </dev/null; then passed=$((passed + 1)); printf '%-60s ok\n' "$1"
    else failed=$((failed + 1)); printf '%-60s FAILED\n' "$1"; tail -20 "$log" | sed 's/^/    /'; fi
}
# whether a process sleeps so many seconds: each check has numbers of its own, so that it finds its own only
export n=$((100000 + $$))
sleepers() { ps -eo stat=,args= | grep -qE "^[^Z]\S* +sleep $1\$"; }
until_true() { # until_true SECONDS COMMAND…
    local end=$((SECONDS + $1)); shift
    until "$@"; do [ $SECONDS -lt "$end" ] || return 1; sleep 0.05; done
}
tests_that_hang() { # FOLDER SECONDS…: a file of tests for each, with a server that has a session of its own, as those of the kit
    local folder=$1 t; shift
    mkdir -p "$folder" && cp tests/conftest.py "$folder" # its name of the test that runs
    for t in "$@"; do
        printf 'import subprocess, time\n\ndef test_it():\n    subprocess.Popen(["sleep", "%s"], start_new_session=True)\n    time.sleep(60)\n' "$t" >"$folder/test_$t.py"
    done
}

a_command_keeps_its_exit_code() {
    local rc
    tests/kit/contained.py 9 1 true || return 1
    tests/kit/contained.py 9 1 bash -c 'exit 7'; rc=$?
    [ $rc -eq 7 ] || return 1
    tests/kit/contained.py 9 1 bash -c 'kill -KILL $$'; rc=$?
    [ $rc -eq 137 ]
}
a_command_that_hangs_ends_with_all_that_it_started() {
    local rc
    tests/kit/contained.py 0.5 0.5 bash -c 'trap "" INT; setsid sleep ${n}1 & setsid bash -c "trap \"\" TERM; sleep ${n}1 & wait; sleep ${n}1"'; rc=$?
    [ $rc -eq 124 ] && ! sleepers ${n}1
}
what_a_command_leaves_ends_with_it() {
    tests/kit/contained.py 9 1 bash -c 'setsid sleep ${n}2 & setsid sleep ${n}2 & kill -STOP $!' && ! sleepers ${n}2
}
an_interrupt_reaches_what_was_started_in_the_background() {
    local rc # INT is ignored there, and a child would inherit that
    (tests/kit/contained.py 60 30 sleep ${n}3 & p=$!
     until_true 10 sleepers ${n}3 && kill -INT $p; wait $p); rc=$?
    [ $rc -eq 130 ] && ! sleepers ${n}3
}
an_interrupt_of_a_run_in_halves_ends_both() {
    local rc p
    tests_that_hang "$scratch/halves" ${n}4 ${n}5
    set -m
    FOOTNOTE_SHARDS=2 tests/kit/run_py.sh "$scratch/halves" & p=$!
    set +m
    until_true 20 sleepers ${n}4 && until_true 20 sleepers ${n}5 && kill -INT $p
    wait $p; rc=$?
    [ $rc -eq 130 ] && ! sleepers ${n}4 && ! sleepers ${n}5 && grep -q KeyboardInterrupt "$log"
}
a_run_in_halves_that_takes_too_long_names_the_tests_and_leaves_nothing() {
    tests_that_hang "$scratch/long" ${n}6 ${n}7
    ! FOOTNOTE_PART_LIMIT=8 FOOTNOTE_SHARDS=2 tests/kit/run_py.sh "$scratch/long" || return 1
    [ "$(grep -c '^HANG: .*::test_it$' "$log")" -eq 2 ] && grep -qx 'long: 0 passed, 2 failed' "$log" &&
        ! sleepers ${n}6 && ! sleepers ${n}7
}
# run_all.sh with one part of our own, whose limit is two seconds
part_of_our_own() { # COMMAND
    sed -e "s|^lint() .*|lint() { $1; }|" -e 's|^part 120 lint |part 2 lint |' tests/kit/run_all.sh >"$scratch/run_all.sh"
    sed -i "s|^cd .*|cd '$PWD'|" "$scratch/run_all.sh"
    FOOTNOTE_STRETCH=1 bash "$scratch/run_all.sh" lint
}
a_part_that_takes_too_long_leaves_nothing() {
    ! part_of_our_own 'setsid sleep ${n}8 \& sleep ${n}9' || return 1
    grep -q '^HANG: lint took longer than 2 s' "$log" && ! sleepers ${n}8 && ! sleepers ${n}9
}
what_a_part_skipped_is_told_wherever_it_stands() {
    part_of_our_own 'echo "SKIPPED: whole"; echo "    SKIPPED [1] tests/x.py:3: one test"; echo "lint: 2 passed, 0 failed"' || return 1
    grep -qx 'SKIPPED lint: whole' "$log" && grep -qx 'SKIPPED lint: tests/x.py:3: one test' "$log" && grep -qx '2 passed, 0 failed' "$log"
}
the_check_of_the_style_fails_when_the_formatter_does() {
    local rc
    printf 'int\nmain(void)\n{\n    return 0;\n}\n' >"$scratch/good.c"
    printf 'int main(void)\n{ return 0; }\n' >"$scratch/bad.c"
    cp .clang-format "$scratch"
    tests/kit/format.sh --check "$scratch/good.c" || return 1
    tests/kit/format.sh --check "$scratch/bad.c"; rc=$?
    [ $rc -eq 1 ] || return 1
    tests/kit/format.sh --check "$scratch/nothing.c"; rc=$?
    [ $rc -eq 2 ]
}
# with_suite.py is ours: it runs the command and ends with 1, as when a service of the suite ended badly
clients_fail_when_the_suite_beside_them_ends_badly() {
    mkdir -p "$scratch/top/tests/clients"
    cp tests/clients/run.sh "$scratch/top/tests/clients"
    printf 'echo python\n' >"$scratch/top/tests/clients/install.sh"
    printf '#!/bin/sh\necho "3 passed in 0.1s"\n' >"$scratch/top/python"
    chmod +x "$scratch/top/tests/clients/install.sh" "$scratch/top/python"
    printf 'import os, subprocess, sys\nsys.exit(subprocess.run(sys.argv[1:]).returncode or int(os.environ["SUITE"]))\n' >"$scratch/top/tests/clients/with_suite.py"
    SUITE=0 "$scratch/top/tests/clients/run.sh" --short && grep -qx 'clients: 3 passed, 0 failed' "$log" || return 1
    ! SUITE=1 "$scratch/top/tests/clients/run.sh" --short && grep -qx 'clients: 3 passed, 1 failed' "$log"
}
# which measurement of `make bench` counts, who else used the machine, the summary
the_benchs_own_logic_holds() { tests/kit/run_py.sh tests/bench/bench_test.py; }
for name in a_command_keeps_its_exit_code a_command_that_hangs_ends_with_all_that_it_started what_a_command_leaves_ends_with_it \
    an_interrupt_reaches_what_was_started_in_the_background an_interrupt_of_a_run_in_halves_ends_both \
    a_run_in_halves_that_takes_too_long_names_the_tests_and_leaves_nothing a_part_that_takes_too_long_leaves_nothing \
    what_a_part_skipped_is_told_wherever_it_stands the_check_of_the_style_fails_when_the_formatter_does \
    clients_fail_when_the_suite_beside_them_ends_badly the_benchs_own_logic_holds; do
    check "$name"
done
echo "runners: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
