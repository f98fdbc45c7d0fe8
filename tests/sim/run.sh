#!/usr/bin/env bash
# The simulator on the real core, then on copies with one seeded bug each, then many gateways and workers in storms (storm.c): in the
# long form 64 and 1,000, in the short one 8 and 125. A line per bar; exit 1 when one is short.
# usage: run.sh [SCHEDULES [SCHEDULES_PER_BUG]]   (`make test`: 20000 20000; `make sim`: 1000000 100000); run.sh --bug NAME SCHEDULES: one of them
set -u
cd "$(dirname "$0")/../.." || exit 2
out=build/sim
mkdir -p $out
flags=(-std=c11 -O2 -g -D_GNU_SOURCE)
rest=$(ls common/*.c common/*/*.c proto/*.c)
libs="-lzmq $(pkg-config --libs msgpack-c 2>/dev/null || pkg-config --libs msgpack) -lhiredis -ljansson -lssl -lcrypto -lm -pthread"
build() { # build INCLUDE-FIRST OUT [SOURCE…]
    local first=$1 to=$2
    shift 2
    [ $# -gt 0 ] || set -- tests/sim/hub_sim.c tests/sim/sim_world.c
    # shellcheck disable=SC2086 # libs is a list
    gcc "${flags[@]}" -I"$first" -I. -o "$to" "$@" "$first"/gateway/hub/{blame,core,peers,queue,request_timer,worker}.c $out/obj/*.o $libs
}
bug() { # bug NAME SCHEDULES: is it found?
    local name=$1 found rc
    if [[ $name == storm* ]]; then
        build $out/bugs/"$name" $out/bugs/"$name"/hub_storm tests/sim/storm{,_world,_time}.c || exit 1
        found=$(timeout 300 $out/bugs/"$name"/hub_storm --gateways 8 --workers 125 2>&1); rc=$?
        found=$(grep SHORT <<<"$found")
    else
        build $out/bugs/"$name" $out/bugs/"$name"/hub_sim || exit 1
        found=$(timeout 300 $out/bugs/"$name"/hub_sim --schedules "$2" 2>&1); rc=$?
    fi
    if [ $rc -ne 0 ]; then echo "seeded_bug_$name $(head -1 <<<"$found" | cut -c1-80) ok"; else echo "seeded_bug_$name not found in $2 schedules SHORT"; exit 1; fi
}
if [ "${1:-}" = --bug ]; then bug "$2" "$3"; exit; fi
schedules=${1:-1000000} per_bug=${2:-100000} short=0
# compile what never changes once
mkdir -p $out/obj
for f in $rest; do
    o=$out/obj/${f//\//_}.o
    # shellcheck disable=SC2046 # flags are split on purpose
    [ "$o" -nt "$f" ] || printf '%s\0' "gcc ${flags[*]} -I. $(pkg-config --cflags hiredis jansson libzmq) -c -o $o $f"
done | xargs -0 -r -n1 -P "$(nproc)" sh -c || exit 1
build . $out/hub_sim || exit 1
build . $out/hub_storm tests/sim/storm{,_world,_time}.c || exit 1
if result=$($out/hub_sim --schedules "$schedules"); then echo "hub_simulator $result ok"; else echo "$result"; echo "hub_simulator violation SHORT"; short=1; fi
names=$(python3 tests/sim/bugs.py $out/bugs) || { echo "$names"; exit 1; }
# shellcheck disable=SC2086 # names are a list
printf '%s\0' $names | xargs -0 -P "$(nproc)" -I{} "$0" --bug {} "$per_bug" || short=1
many=(--gateways 64 --workers 1000)
[ "$schedules" -ge 1000000 ] || many=(--gateways 8 --workers 125)
$out/hub_storm "${many[@]}" || short=1
exit $short
