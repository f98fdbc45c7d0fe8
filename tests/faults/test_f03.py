"""F03: kill -9 of one worker of two with a call on it: the call runs elsewhere within 300 ms and the user sees a 200."""
import random

import pytest

from checker import check
from faults_kit import Background, ms_since, wait_for

import time


def holder(s, service, kind):
    """The replica that has a call of this kind in work."""
    for p in s.services.values():
        if p.service == service and p.running() and p.metrics().value("bus_inflight") >= 1 and \
                p.metrics().value("upstream_active", route=kind) >= 1:
            return p
    return None


def test_a_killed_embedders_call_runs_elsewhere_within_300_ms(run, two):
    worst, rng = 0.0, random.Random(run.seed)
    for i in range(run.pick(3, 40)):
        two.stub.reset()
        two.stub.script({"route": "chat", "delay_ms": 8000, "times": 1})
        b = Background(lambda: two.ask(f"What does fault code E14 of the pump mean? ({run.seed}.{i})"))
        victim = wait_for("the call is at a worker", lambda: holder(two, "embedder", "chat"), 5)
        time.sleep(rng.uniform(0, 0.3))
        begun = time.monotonic()
        two.kill(victim.name)
        wait_for("the second attempt reached the model", lambda: two.stub.stats()["chat"] == 2, 5, every=0.002)
        worst = max(worst, ms_since(begun))
        r = b.wait()[0]
        assert r.status_code == 200 and r.json()["grounded"], r.text
        two.start(victim.service, victim.name)
        two.wait_ready()
        two.wait_workers()
    run.most("F03_redispatch_ms", worst, 300)


@pytest.mark.limit(200)
def test_users_notice_nothing_when_one_worker_of_two_is_killed(run, two):
    rng = random.Random(run.seed)
    load = two.load(rate=40, seconds=200, streams=0.33, seed=run.seed)
    for _ in range(run.pick(2, 20)):
        for service in ("embedder", "retriever", "store"):
            victim = rng.choice([p.name for p in two.services.values() if p.service == service])
            two.kill(victim)
            time.sleep(rng.uniform(0.1, 0.5))
            two.start(service, victim)
            two.wait_ready()
            two.wait_workers()
    load.end()
    run.none("F03_failed_requests", load.failed())
    run.clean("F03", check(two, load.records(), cuts_allowed=False))
