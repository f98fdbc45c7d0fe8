"""F37: a worker that says everything three times, and again 10 s later: nobody is answered twice, each copy is counted."""
import time

import pytest

from checker import check
from faults_kit import FaultSuite, wait_for
from relay import Relay

FINAL = 4


@pytest.mark.limit(120)
def test_doubled_and_late_replies_are_dropped_and_counted(run):
    with FaultSuite() as s:
        relays = {name: Relay(s.hub_port) for name in ("embedder", "retriever", "store")}
        try:
            for name, relay in relays.items():
                s.stop_service(name)
                s.start(name, env={"HUB_ENDPOINTS": relay.endpoint})
            s.wait_ready()
            s.wait_workers()
            late = run.pick(3, 10)
            for relay in relays.values():
                relay.from_worker = lambda f: [(d, f) for d in (0, 0, 0.05, late)] if f[1:2] == [bytes([FINAL])] else [(0, f)]
            before = s.metrics("gateway")
            load = s.load(rate=20, seconds=run.pick(4, 30), streams=0.33, seed=run.seed)
            result = load.wait()
            finals = sum(r.count.get(FINAL, 0) for r in relays.values())
            time.sleep(late)
            for relay in relays.values():
                relay.from_worker = lambda f: [(0, f)]
            drops = wait_for("the copies are counted", lambda: (lambda n: n if n >= 3 * result["ok"] else 0)(
                s.metrics("gateway").value("bus_dropped_replies_total") - before.value("bus_dropped_replies_total")), 15)
            run.none(f"F37_failed_of_{result['requests']}", load.failed())
            run.clean("F37", check(s, load.records(), cuts_allowed=False))
            run.least("F37_dropped_copies_per_reply", drops / finals, 1)
        finally:
            s.down()
            for relay in relays.values():
                relay.close()
