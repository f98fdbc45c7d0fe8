"""F01: kill -9 of the gateway, the hub with it. Users see refused connections until it is back; nothing acknowledged is lost."""
import random
import time
from datetime import datetime

import pytest

from checker import check
from faults_kit import AS_SHIPPED, FaultSuite, ms_since, wait_for


@pytest.fixture(scope="module")
def two():
    """Two of each worker; the gateway with its threads as shipped: 2,048 of them, as other rows need, take a second to start."""
    with FaultSuite(replicas={"embedder": 2, "retriever": 2, "store": 2}, env=AS_SHIPPED) as s:
        yield s


def registered_ms(s, since):
    """When the last worker was back, after `since` (seconds, UTC), by the workers' own logs."""
    def last():
        t = [max(datetime.fromisoformat(line["ts"]).timestamp() for line in p.log_lines() if line.get("msg") == "registered with a hub")
             - since for p in s.services.values() if p.service != "gateway"]
        return t if min(t) > -0.002 else None             # the logs have whole milliseconds
    return max(wait_for("each worker's log says that it is back", last, 5)) * 1e3


def kill_and_start(s, rng, longest_down):
    """(ms until all workers are back, until /readyz is 200, until the first answer to a new question), from the exec on."""
    s.kill("gateway")
    time.sleep(rng.uniform(0, longest_down))
    begun, since = time.monotonic(), time.time()
    s.start("gateway")
    wait_for("the gateway is ready", s.gateway_ready, 10, every=0.005)
    ready = ms_since(begun)
    s.answered("What does fault code E22 of the pump mean?")
    answered = ms_since(begun)
    wait_for("all workers are back", lambda: s.workers() == s.expected(), 10, every=0.005)
    return registered_ms(s, since), ready, answered


@pytest.mark.limit(900)
def test_a_killed_gateway_is_back_within_2_s_and_loses_nothing_it_acknowledged(run, two):
    rng = random.Random(run.seed)
    load = two.load(rate=run.pick(30, 50), seconds=900, streams=0.33, attempts=60, patience_ms=20000, seed=run.seed)
    times = [kill_and_start(two, rng, run.pick(0.3, 3.0)) for _ in range(run.pick(3, 100))]
    load.end()
    records = load.records()
    run.most("F01_workers_back_ms", max(t[0] for t in times), 1200)
    run.most("F01_readyz_ms", max(t[1] for t in times), 1500)
    run.most("F01_first_200_ms", max(t[2] for t in times), 2000)
    run.clean("F01", check(two, records))
    run.none("F01_unanswered_after_retries", load.failed())
    after = two.load(rate=50, seconds=2)
    run.none("F01_I5_failures_afterwards", after.failed())
