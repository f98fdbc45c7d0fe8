"""F16: Redis evicts: cache entries flood it, and a session that used up its limit stays limited (one burst more at most)."""
import os

import pytest

from redis_kit import LIMIT, QUESTION, RedisSuite, config, new_session


@pytest.mark.limit(120)
def test_a_limited_session_stays_limited_while_redis_evicts(run):
    with RedisSuite(limit=LIMIT) as s:
        client, session, block = s.redis.client(), new_session(), os.urandom(4096)
        codes = [s.ask(QUESTION, session).status_code for _ in range(LIMIT + 2)]
        assert codes.count(200) == LIMIT and codes[-1] == 429, codes
        room = client.info("memory")["used_memory"] + run.pick(2, 8) * 1048576
        config(client, maxmemory_policy="allkeys-lfu", maxmemory=str(room))
        for i in range(run.pick(4, 10)):  # ten times what there is room for
            with client.pipeline(transaction=False) as p:
                for k in range(run.pick(1200, 4000)):
                    p.set(f"fn:q:flood:{i}:{k}", block, ex=3600)
                p.execute()
            r = [s.ask(QUESTION, session) for _ in range(LIMIT // 2)]
            codes += [x.status_code for x in r]
        evicted = client.info("stats")["evicted_keys"]
        run.least("F16_evicted", evicted, 1)
        run.most("F16_allowed", codes.count(200), 2 * LIMIT + 2)
        run.none("F16_neither_200_nor_429", [c for c in codes if c not in (200, 429)])
        run.bar("F16_last", codes[-1], 429, codes[-1] == 429)
        assert not s.down()
