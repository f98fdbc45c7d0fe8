"""F18: a cached value that was mutated in place, cut, of another type, huge or of another version: 200, a miss, deleted, counted."""
import random

import pytest

from faults_kit import wait_for
from redis_kit import QUESTION, RedisSuite

HEAD = 88


@pytest.fixture(scope="module")
def plain():
    with RedisSuite() as s:
        yield s
        assert not s.down()


def flipped(value, rng, first, last):
    v = bytearray(value)
    for at in rng.sample(range(first, last), rng.randint(1, 3)):
        v[at] ^= 1 << rng.randrange(8)
    return bytes(v)


def mutations(value, rng, n):
    """(name, outcomes that may be counted, value)"""
    bad, any_of = {"bad"}, {"bad", "stale", "collision"}
    yield from [("empty_tail", bad, value[:HEAD]), ("short", bad, value[:20]), ("version", bad, b"FA99" + value[4:]),
                ("huge", bad, b"FA01" + b"x" * (10 << 20)), ("doubled", bad, value + value), ("zeros", bad, bytes(len(value)))]
    for i in range(n):
        yield f"cut_{i}", bad, value[:rng.randrange(1, len(value))]
        yield f"flip_{i}", bad, flipped(value, rng, HEAD, len(value))
        yield f"flip_head_{i}", any_of, flipped(value, rng, 0, HEAD)


def outcomes(s):
    return {k: s.counter("query_cache_total", outcome=k) for k in ("bad", "stale", "collision", "hit")}


def put(client, key, value):
    ttl = client.ttl(key)
    client.delete(key)
    if isinstance(value, bytes):
        client.set(key, value, ex=max(ttl, 60))
    else:
        client.rpush(key, *value)


def entry_of(s, session):
    """Key and value of this session's cached answer: the one without which there is no hit."""
    client = s.redis.client()
    for key in s.keys("fn:q:*"):
        value = client.get(key)
        client.delete(key)
        if s.answered(QUESTION, session)["cached"] == "none":
            return key, value
    raise AssertionError("no entry")


@pytest.mark.limit(240)
def test_a_mutated_value_is_a_miss_deleted_and_counted(run, plain):
    s, client, rng = plain, plain.redis.client(), random.Random(run.seed)
    session = s.cached_question()
    right = s.answered(QUESTION, session)
    assert right["cached"] == "query"
    key, value = entry_of(s, session)
    wrong = {"answers": [], "taken_as_hits": [], "not_counted": [], "not_stored_again": []}
    for name, may, broken in [*mutations(value, rng, run.pick(12, 150)), ("list", {"bad"}, ["a", "b"])]:
        for _ in range(3):  # Redis may miss a request's 40 ms once
            put(client, key, broken)
            before = outcomes(s)
            r = s.ask(QUESTION, session)
            if r.headers.get("X-Cache") != "bypass":
                break
        after = outcomes(s)
        if r.status_code != 200 or r.json()["answer"] != right["answer"]:
            wrong["answers"].append((name, r.status_code, r.text[:150]))
        if r.headers.get("X-Cache") != "miss" or (r.status_code == 200 and r.json()["cached"] != "none"):
            wrong["taken_as_hits"].append((name, r.headers.get("X-Cache")))
        if not any(after[k] > before[k] for k in may):
            wrong["not_counted"].append((name, before, after))
        if client.type(key) != b"string" or client.get(key) == broken:
            wrong["not_stored_again"].append(name)
    for k, v in wrong.items():
        run.none(f"F18_{k}", v)
    wait_for("the stream is drained", lambda: client.xlen("fn:turns") == 0, 5)
    run.none("F18_bad_turns", client.xrange("fn:turns:bad"))
