#!/usr/bin/env bash
# The simulator on the real core, then on copies with one seeded bug each. A line per bar; exit 1 when one is short.
# usage: run.sh [SCHEDULES [SCHEDULES_PER_BUG]]   (`make test`: 20000 20000; `make sim`: 1000000 100000)
set -u
cd "$(dirname "$0")/../.." || exit 2
schedules=${1:-1000000} per_bug=${2:-100000}
out=build/sim
mkdir -p $out
flags=(-std=c11 -O2 -g -D_GNU_SOURCE)
rest=$(ls common/*.c common/*/*.c proto/*.c)
libs="-lzmq $(pkg-config --libs msgpack-c 2>/dev/null || pkg-config --libs msgpack) -lhiredis -ljansson -lssl -lcrypto -lm -pthread"
short=0
# compile what never changes once
for f in $rest; do
    o=$out/obj/${f//\//_}.o
    mkdir -p $out/obj
    # shellcheck disable=SC2046 # flags are split on purpose
    [ "$o" -nt "$f" ] || gcc "${flags[@]}" -I. $(pkg-config --cflags hiredis jansson libzmq) -c -o "$o" "$f" || exit 1
done
build() { # build INCLUDE-FIRST OUT
    # shellcheck disable=SC2086 # libs is a list
    gcc "${flags[@]}" -I"$1" -I. -o "$2" tests/sim/hub_sim.c tests/sim/sim_world.c "$1"/gateway/hub/{blame,core,queue,timer,worker}.c $out/obj/*.o $libs
}
build . $out/hub_sim || exit 1
if result=$($out/hub_sim --schedules "$schedules"); then echo "hub_simulator $result ok"; else echo "$result"; echo "hub_simulator violation SHORT"; short=1; fi
names=$(python3 tests/sim/bugs.py $out/bugs) || { echo "$names"; exit 1; }
for name in $names; do
    build $out/bugs/"$name" $out/bugs/"$name"/hub_sim || exit 1
    found=$(timeout 300 $out/bugs/"$name"/hub_sim --schedules "$per_bug" 2>&1); rc=$?
    if [ $rc -ne 0 ]; then echo "seeded_bug_$name $(head -1 <<<"$found" | cut -c1-80) ok"; else echo "seeded_bug_$name not found in $per_bug schedules SHORT"; short=1; fi
done
exit $short
