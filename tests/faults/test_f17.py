"""F17: Redis restarts, forgets its scripts, or is a replica that refuses writes: 200 all the while, in use again within 1 s or
as soon as the breaker asks again."""
import time

import pytest

from faults_kit import ms_since, wait_for
from redis_kit import QUESTION, Asker, RedisSuite, new_session


@pytest.fixture(scope="module")
def plain():
    with RedisSuite() as s:
        yield s
        assert not s.down()


def in_use(s):
    r = s.ask(f"{QUESTION} {time.monotonic()}")
    assert r.status_code == 200, r.text
    return r.headers.get("X-Cache") == "miss"


@pytest.mark.limit(300)
def test_a_restart_loop_fails_no_request(run, plain):
    s, back = plain, []
    load = s.load(rate=30, seconds=280, seed=run.seed)
    for _ in range(run.pick(3, 20)):
        s.redis.stop()
        time.sleep(0.2)
        s.redis.start()
        begun = time.monotonic()
        wait_for("in use", lambda: in_use(s), 10)
        back.append(ms_since(begun))
    load.end()
    run.none("F17_failed", load.failed())
    run.most("F17_back_ms_worst", max(back), 1000)


def test_forgotten_scripts_are_sent_again_at_once(run, plain):
    s, client = plain, plain.redis.client()
    session = s.cached_question(text=QUESTION + " script")
    seen = []
    for _ in range(run.pick(5, 50)):
        client.script_flush()
        r = s.ask(QUESTION + " script", session)
        seen.append((r.status_code, r.headers.get("X-Cache")))
    run.none("F17_noscript_not_a_hit", [x for x in seen if x != (200, "hit")])


def test_a_read_only_replica_is_left_and_the_master_that_it_becomes_is_used(run, plain):
    s, client = plain, plain.redis.client()
    wait_for("in use", lambda: in_use(s), 5)
    try:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")  # a master that is not there; we are read-only at once
        unusable = s.counter("redis_failures_total", kind="unusable")
        asker = Asker(s, QUESTION + " replica", new_session(), every=0.05)
        wait_for("degraded", s.degraded, 5)
        run.least("F17_readonly_noticed", s.counter("redis_failures_total", kind="unusable") - unusable, 1)
        r = s.ask(QUESTION)
        run.bar("F17_readonly_answer", f"{r.status_code} {r.headers.get('X-Cache')}", "200 bypass",
                (r.status_code, r.headers.get("X-Cache")) == (200, "bypass"))
    finally:
        client.execute_command("REPLICAOF", "NO", "ONE")
    begun = time.monotonic()
    wait_for("in use", lambda: in_use(s), 10)
    run.most("F17_readonly_back_s", time.monotonic() - begun, 2.5)
    asker.end()
    run.none("F17_readonly_failed", [x for x in asker.statuses() if x != 200])
