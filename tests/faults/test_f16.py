"""F16: Redis evicts: cache entries flood it, and a session that used up its limit stays limited: with one Redis within a burst,
with a second one for the limits exactly."""
import os

import pytest

from redis_kit import LIMIT, QUESTION, RedisSuite, TwoRedisSuite, config, new_session


def flood(run, client, codes, ask):
    """Ten times what there is room for, with questions in between."""
    block = os.urandom(4096)
    room = client.info("memory")["used_memory"] + run.pick(2, 8) * 1048576
    config(client, maxmemory_policy="allkeys-lfu", lfu_decay_time="0", maxmemory=str(room))
    for i in range(run.pick(4, 10)):
        with client.pipeline(transaction=False) as p:
            for k in range(run.pick(1200, 4000)):
                p.set(f"fn:q:flood:{i}:{k}", block, ex=3600)
            p.execute()
        codes += [ask().status_code for _ in range(LIMIT // 2)]
    run.least("F16_evicted", client.info("stats")["evicted_keys"], 1)


def used_up(s, session):
    codes = [s.ask(QUESTION, session).status_code for _ in range(LIMIT + 2)]
    assert codes.count(200) == LIMIT and codes[-1] == 429, codes
    return codes


def judge(run, codes, most):
    run.most("F16_allowed", codes.count(200), most)
    run.none("F16_neither_200_nor_429", [c for c in codes if c not in (200, 429)])
    run.bar("F16_last", codes[-1], 429, codes[-1] == 429)


@pytest.mark.limit(120)
def test_a_limited_session_stays_limited_while_redis_evicts(run):
    with RedisSuite(limit=LIMIT) as s:
        session = new_session()
        codes = used_up(s, session)
        flood(run, s.redis.client(), codes, lambda: s.ask(QUESTION, session))
        judge(run, codes, 2 * LIMIT + 2)
        assert not s.down()


@pytest.mark.limit(120)
def test_with_a_second_redis_for_the_limits_a_flood_of_the_cache_lets_nobody_through(run):
    with TwoRedisSuite(limit=LIMIT) as s:
        state, session = s.state.client(), new_session()
        config(state, maxmemory_policy="noeviction", maxmemory="64mb")
        codes = used_up(s, session)
        run.none("F16_limits_in_the_cache", s.keys("fn:rl:*"))
        run.least("F16_limits_in_their_own", len(list(state.scan_iter("fn:rl:*"))), 2)
        local = s.counter("rate_limit_local_total")
        flood(run, s.redis.client(), codes, lambda: s.ask(QUESTION, session))
        run.most("F16_limited_here", s.counter("rate_limit_local_total") - local, 2)  # Redis may miss a request's 40 ms
        judge(run, codes, LIMIT + 2)  # the window gives one back every 6 s
        assert not s.down()
