"""A26: the bus's port under a flood of strangers: 500 silent sockets, clients of another mechanism, CURVE clients with random
keys. Workers go on, latency stays, each refusal is counted, descriptors come back. Strangers one by one:
tests/service/bus_curve_test.py."""
import json
import os
import statistics
import subprocess
import sys

import pytest

from curve_kit import Keys, as_hex
from faults_kit import AS_SHIPPED, FaultSuite, wait_for

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "kit", "flood.py")
DOOR = ("accepted", "let_in", "unfinished", "key")
SILENT = 500


class Flood:
    def __init__(self, s, keys, silent=SILENT, nulls_per_s=200, clients=20):
        self.popen = subprocess.Popen([sys.executable, SCRIPT, str(s.hub_port), as_hex(keys.hub[0]), str(silent),
                                       str(nulls_per_s), str(clients)], stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert self.popen.stdout.readline() == "ready\n"

    def end(self):
        self.popen.terminate()
        return json.loads(self.popen.communicate(timeout=20)[0])


def look(s):
    m = s.metrics("gateway")
    return {"fds": m.value("process_open_fds"), "joined": m.value("bus_worker_joined_total"),
            **{what: m.value("bus_connections_total", what=what) for what in DOOR}}


def refused(begin, end):
    n = {what: end[what] - begin[what] for what in DOOR}
    return {"silent": n["unfinished"], "key": n["key"], "null": n["accepted"] - n["let_in"] - n["unfinished"] - n["key"]}


def under_way(begin, now):
    """Each silent connection was there once, and each kind has been refused. Counters only: how many are open at one instant is
    the scheduler's to say, the flood runs with the lowest priority."""
    return now["accepted"] - begin["accepted"] >= SILENT and all(refused(begin, now).values())


def window(s, run, i):
    """p99 of searches: three hops of the bus, no model behind them."""
    load = s.load(rate=run.pick(40, 80), seconds=run.pick(3, 60), route="search", seed=run.seed + i)
    return load.wait()["ok_ms"]["p99"], sum(load.failed().values())


@pytest.mark.limit(900)
def test_a_flood_of_strangers_takes_nothing_from_the_workers(run):
    keys = Keys()
    options = keys.options()
    options["env"].update(AS_SHIPPED)
    with FaultSuite(**options) as s:
        window(s, run, 0)
        begin, calm, flooded, failed, seen = look(s), [], [], 0, {}
        for i in range(run.pick(1, 3)):
            p99, bad = window(s, run, 2 * i + 1)
            calm.append(p99)
            before = look(s)
            flood = Flood(s, keys)
            try:
                wait_for("the flood is under way", lambda: under_way(before, look(s)), 60)
                p99, worse = window(s, run, 2 * i + 2)
            finally:
                for kind, n in flood.end().items():
                    seen[kind] = seen.get(kind, 0) + n
            flooded.append(p99)
            failed += bad + worse
            wait_for("descriptors come back", lambda: look(s)["fds"] <= begin["fds"] * 1.02 + 2, 10)
        end = look(s)
        run.bar("A26_failed", failed, "0", failed == 0)
        run.bar("A26_workers_joined_again", end["joined"] - begin["joined"], "0", end["joined"] == begin["joined"])
        run.bar("A26_open_files", f"{begin['fds']:.0f}->{end['fds']:.0f}", "+-2 %", True)
        for kind, counted in refused(begin, end).items():
            run.bar(f"A26_counted_{kind}", f"{counted:.0f} of {seen[kind]}", "all", counted >= seen[kind] > 0)
        run.bar("A26_calm_p99_ms", statistics.median(calm), "-", True)
        run.most("A26_flooded_p99_of_calm_throughput", statistics.median(flooded) / statistics.median(calm), 1.1)
        assert s.workers() == s.expected()
