"""F13: Redis is down: 200 with X-Cache: bypass, limits in this process, /readyz 200 "degraded", little noise, back within 2 s."""
import statistics
import time

import pytest

from faults_kit import wait_for
from redis_kit import LIMIT, QUESTION, Asker, RedisSuite, over_the_limit


@pytest.fixture(scope="module")
def limited():
    with RedisSuite(limit=LIMIT) as s:
        yield s
        assert not s.down()


def ms(records):
    """Durations of good answers."""
    return sorted(a["ended"] - a["begun"] for r in records for a in r["attempts"] if a["code"] == "ok")


def at(durations, share):
    return durations[min(len(durations) - 1, int(len(durations) * share))]


@pytest.mark.limit(180)
def test_redis_down_costs_no_request_and_limits_hold(run, limited):
    s, seconds = limited, run.pick(5, 30)
    calm = ms(s.load(rate=50, seconds=run.pick(3, 20), seed=run.seed).records())
    hot = Asker(s, QUESTION + " hot")
    begun = time.monotonic()
    time.sleep(1)
    lines, local = len(s.redis_lines()), s.counter("rate_limit_local_total")
    s.redis.stop()
    s.load(rate=50, seconds=1, seed=run.seed).wait()  # the first second pays for finding out
    load = s.load(rate=50, seconds=seconds - 1, seed=run.seed)
    wait_for("degraded", s.degraded, 3)
    r = s.ask(QUESTION)
    run.bar("F13_answer", f"{r.status_code} {r.headers.get('X-Cache')}", "200 bypass",
            (r.status_code, r.headers.get("X-Cache")) == (200, "bypass"))
    load.wait()
    said = len(s.redis_lines()) - lines
    run.none("F13_failed", {**s.loads[-2].failed(), **load.failed()})
    run.most("F13_added_ms_median", statistics.median(ms(load.records())) - statistics.median(calm), 5)
    if run.long:
        run.most("F13_added_ms_p99", at(ms(load.records()), 0.99) - at(calm, 0.99), 5)
    run.most("F13_log_lines_a_second", (said - 2) / seconds, 1)  # besides the two that say what has begun
    run.least("F13_limited_here", s.counter("rate_limit_local_total") - local, 1)
    s.redis.start()
    back = time.monotonic()
    wait_for("Redis is in use again", lambda: s.ask(QUESTION).headers.get("X-Cache") == "miss", 15)
    run.most("F13_back_s", time.monotonic() - back, 2)
    wait_for("limits are Redis's", lambda: s.keys("fn:rl:*"), 3)
    time.sleep(1)
    hot.end()
    run.none("F13_hot_5xx", [x for x in hot.records if x[1] not in (200, 429)])
    run.most("F13_over_the_limit", over_the_limit(hot, time.monotonic() - begun), LIMIT)
