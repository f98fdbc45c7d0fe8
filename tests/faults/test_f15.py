"""F15: Redis is full and evicts nothing: 200; what is cached is still hit; writes are dropped and counted; limits are local."""
import pytest

from faults_kit import new_session, wait_for
from redis_kit import LIMIT, QUESTION, RedisSuite, config


@pytest.fixture(scope="module")
def limited():
    with RedisSuite(limit=LIMIT) as s:
        yield s
        assert not s.down()


@pytest.mark.limit(90)
def test_a_full_redis_drops_writes_and_nothing_else(run, limited):
    s, client, bad = limited, limited.redis.client(), []
    for i in range(run.pick(1, 5)):
        old, stored = s.cached_question(), s.counter("query_cache_total", outcome="store_failed")
        local = s.counter("rate_limit_local_total")
        config(client, maxmemory_policy="noeviction", maxmemory="400kb")
        try:
            hit, new, session = s.ask(QUESTION, old), s.ask(f"{QUESTION} new {i}"), new_session()
            codes = [s.ask(QUESTION, session).status_code for _ in range(LIMIT + 3)]
        finally:
            config(client, maxmemory="0")
        bad += [r.text for r in (hit, new) if r.status_code != 200]
        run.bar("F15_read", hit.headers.get("X-Cache"), "hit", hit.headers.get("X-Cache") == "hit")
        run.bar("F15_limited", f"{codes.count(200)} of {len(codes)}", LIMIT, codes.count(200) == LIMIT and codes[-1] == 429)
        run.least("F15_dropped", s.counter("query_cache_total", outcome="store_failed") - stored, 1)
        run.least("F15_limited_here", s.counter("rate_limit_local_total") - local, LIMIT)
        fresh = s.cached_question(text=f"{QUESTION} room {i}")
        again = s.ask(f"{QUESTION} room {i}", fresh)
        run.bar("F15_with_room_again", again.headers.get("X-Cache"), "hit", again.headers.get("X-Cache") == "hit")
        wait_for("the hits are saved", lambda: client.xlen("fn:turns") == 0, 5)
    run.none("F15_failed", bad)
