"""F17: Redis restarts, loads its data, forgets its scripts, is a replica that refuses writes, or one of a cluster: 200 all the
while, and in use again within 1 s."""
import os
import time

import pytest

from faults_kit import free_port, ms_since, wait_for
from redis_kit import QUESTION, Asker, RedisSuite, new_session, redis


@pytest.fixture(scope="module")
def plain():
    with RedisSuite() as s:
        yield s
        assert not s.down()


def in_use(s):
    r = s.ask(f"{QUESTION} {time.monotonic()}")
    assert r.status_code == 200, r.text
    return r.headers.get("X-Cache") == "miss"


def back_in_use(s):
    """ms until Redis is used again."""
    begun = time.monotonic()
    wait_for("in use", lambda: in_use(s), 10, every=0.01)
    return ms_since(begun)


def unusable(s):
    return s.counter("redis_failures_total", kind="unusable")


@pytest.mark.limit(300)
def test_a_restart_loop_fails_no_request(run, plain):
    s, back = plain, []
    load = s.load(rate=30, seconds=280, seed=run.seed)
    for _ in range(run.pick(3, 20)):
        s.redis.stop()
        time.sleep(0.2)
        s.redis.start()
        back.append(back_in_use(s))
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
    session = s.cached_question(text=QUESTION + " replica")
    try:
        seen = unusable(s)
        client.execute_command("REPLICAOF", "127.0.0.1", "1")  # a master that is not there; we are read-only at once
        r = s.ask(QUESTION + " replica", session)  # it is cached: only the limits would have written
        run.bar("F17_readonly_answer", f"{r.status_code} {r.headers.get('X-Cache')}", "200 bypass",
                (r.status_code, r.headers.get("X-Cache")) == (200, "bypass"))
        run.least("F17_readonly_noticed", unusable(s) - seen, 1)
        asker = Asker(s, QUESTION + " replica", new_session(), every=0.05)
        wait_for("degraded", s.degraded, 5)
        time.sleep(run.pick(0.5, 3))
        run.none("F17_readonly_whole_in_between", [x for x in (s.readyz() for _ in range(20)) if x != (200, "degraded")])
    finally:
        client.execute_command("REPLICAOF", "NO", "ONE")
    run.most("F17_readonly_back_ms", back_in_use(s), 1000)
    asker.end()
    run.none("F17_readonly_failed", [x for x in asker.statuses() if x != 200])


class LoadingRedis:
    """Fills the append-only file so that the next start reads it for a while: Redis waits at each key (a debug setting)."""

    def __init__(self, redis, keys, pause_us):
        self.redis, self.args = redis, ["--key-load-delay", str(pause_us), "--loading-process-events-interval-bytes", "1024"]
        client = redis.client()
        with client.pipeline(transaction=False) as p:
            for i in range(keys):
                p.set(f"filler:{i}", os.urandom(512))
            p.execute()
        client.bgrewriteaof()
        wait_for("the file is written", lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0, 10)

    def start(self):
        self.redis.start(self.args, wait=False)

    def loading(self):
        try:
            return self.redis.client().info("persistence")["loading"] == 1
        except redis.RedisError:
            return False


@pytest.mark.limit(120)
def test_while_redis_loads_it_is_left_alone_and_used_within_a_second_after(run, plain):
    s, slow = plain, LoadingRedis(plain.redis, 400, run.pick(4000, 12000))
    load = s.load(rate=30, seconds=100, seed=run.seed)
    seen = unusable(s)
    s.redis.stop()
    slow.start()
    wait_for("it loads", slow.loading, 10)
    r = s.ask(QUESTION)
    run.bar("F17_loading_answer", f"{r.status_code} {r.headers.get('X-Cache')}", "200 bypass",
            (r.status_code, r.headers.get("X-Cache")) == (200, "bypass"))
    wait_for("it is told so", lambda: unusable(s) > seen, 3)
    wait_for("it has loaded", lambda: not slow.loading(), 30, every=0.01)
    run.most("F17_loading_back_ms", back_in_use(s), 1000)
    load.end()
    run.none("F17_loading_failed", load.failed())


@pytest.mark.limit(90)
def test_a_redis_of_a_cluster_is_left_alone(run, plain):
    s = plain
    s.redis.stop()
    s.redis.start(["--cluster-enabled", "yes", "--appendonly", "no", "--port", str(free_port()),
                   "--cluster-port", str(free_port())])
    try:
        wait_for("degraded", s.degraded, 5)
        r = s.ask(QUESTION)
        run.bar("F17_cluster_answer", f"{r.status_code} {r.headers.get('X-Cache')}", "200 bypass",
                (r.status_code, r.headers.get("X-Cache")) == (200, "bypass"))
    finally:
        s.redis.stop()
        s.redis.start()
    run.most("F17_cluster_back_ms", back_in_use(s), 1000)
