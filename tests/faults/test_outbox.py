"""The queue fn:turns: what was answered from the cache is stored exactly once and in order, whatever store and Redis go through."""
import random
import signal

import pytest

from faults_kit import wait_for
from redis_kit import QUESTION, RedisSuite, new_session

TURNS = 200


@pytest.fixture(scope="module")
def plain():
    with RedisSuite() as s:
        yield s
        assert not s.down()


def saved_of(s, ids):
    """How many of these answers are rows."""
    return s.sql("SELECT count(*) FROM messages WHERE id = ANY(%s::uuid[])", (ids,))[0][0]


def queue_turns(s, rng, sessions):
    """TURNS hits in any order of the sessions while their rows cannot be written. {session: [message id]} in order."""
    told = {session: [] for session in sessions}
    for _ in range(TURNS):
        session = rng.choice(sessions)
        a = s.answered(QUESTION, session)
        assert a["cached"] == "query" and a["saved"] == "queued", a
        told[session].append(a["message_id"])
    return told


def kill_store_at(s, ids, n):
    """SIGKILL as soon as n of them are rows, then a new store."""
    wait_for(f"{n} turns are saved", lambda: saved_of(s, ids) >= n, 20, every=0.002)
    s.kill("store")
    at = saved_of(s, ids)
    s.start("store")
    wait_for("the store is ready", s.services["store"].ready, 10)
    return at


@pytest.mark.limit(150)
def test_every_queued_turn_is_stored_once_and_in_order_across_kills_and_a_redis_restart(run, plain):
    s, rng, middle = plain, random.Random(run.seed), []
    for _ in range(run.pick(1, 10)):
        sessions = [new_session() for _ in range(5)]
        for session in sessions:
            s.cached_question(session)
        held = s.pg()
        held.autocommit = False
        try:
            with held.cursor() as cur:
                cur.execute("LOCK TABLE messages IN SHARE ROW EXCLUSIVE MODE")
            told = queue_turns(s, rng, sessions)
            ids = [m for of in told.values() for m in of]
            s.kill("store")  # the first time: some of them in its hands, none saved
            run.bar("outbox_queued", s.redis.client().xlen("fn:turns"), TURNS, s.redis.client().xlen("fn:turns") == TURNS)
        finally:
            held.rollback()
            held.close()
        s.start("store")
        middle.append(kill_store_at(s, ids, rng.randint(5, TURNS // 2)))
        s.redis.proc.signal(signal.SIGKILL)
        s.redis.proc.popen.wait()
        middle.append(saved_of(s, ids))
        s.redis.start()
        middle.append(kill_store_at(s, ids, TURNS * 3 // 4))
        wait_for("all are saved", lambda: saved_of(s, ids) == TURNS, 30)
        wait_for("the stream is empty", lambda: s.redis.client().xlen("fn:turns") == 0, 10)
        run.bar("outbox_bad", s.redis.client().xlen("fn:turns:bad"), 0, s.redis.client().xlen("fn:turns:bad") == 0)
        wrong = []
        for session, want in told.items():
            rows = s.history(session, limit=200)["items"]
            have = [m["id"] for m in rows if m["role"] == "assistant"]
            if [m for m in have if m in set(want)] != want or len(rows) != 2 * len(want) + 2:
                wrong.append((session, len(want), len(have), len(rows)))
        run.none("outbox_not_once_or_not_in_order", wrong)
    run.bar("outbox_saved_when_killed", middle, "between", any(0 < m < TURNS for m in middle))
