"""F14: Redis hangs: a few pay 100 ms, the rest go round it; stopped and continued again and again nobody is given another
session's answer."""
import os
import re
import signal
import statistics
import time

import pytest

from faults_kit import ms_since, wait_for
from redis_kit import QUESTION, Asker, RedisSuite, SlowRedisSuite


@pytest.fixture(scope="module")
def plain():
    with RedisSuite() as s:
        yield s
        s.redis.proc.signal(signal.SIGCONT)
        assert not s.down()


MOST_MS, FEW = 100, 5     # what a request pays at most, and how many pay at all
NOISE_MS = 35             # who waits for Redis waits 40 ms: less is what the machine adds by itself


def paid(took, calm):
    """What each request paid over the calm median, noise left out, most first."""
    return sorted((t - calm for t in took if t - calm > NOISE_MS), reverse=True)


def ask_timed(s, text):
    begun = time.monotonic()
    r = s.ask(text)
    assert r.status_code == 200, r.text
    return ms_since(begun), r


def judge(run, name, took, calm):
    extra = paid(took, calm)
    run.most(f"F14_{name}_paid_ms_requests", len(extra), FEW)
    run.most(f"F14_{name}_most_paid_ms", extra[0] if extra else 0, MOST_MS)
    run.most(f"F14_{name}_paid_after_the_first_10_ms", max(took[10:]) - calm, NOISE_MS)


def one_after_another(run, s, name, calm):
    took = []
    for i in range(40):
        ms, r = ask_timed(s, f"{QUESTION} {name} {i}")
        took.append(ms)
    run.bar(f"F14_{name}_x_cache", r.headers["X-Cache"], "bypass", r.headers["X-Cache"] == "bypass")
    judge(run, name, took, calm)
    wait_for("degraded", s.degraded, 3)


def calm_ms(s):
    return statistics.median(ask_timed(s, f"{QUESTION} calm {i}")[0] for i in range(20))


def test_of_a_hung_redis_five_requests_pay_100_ms_at_most_and_then_nobody(run, plain):
    s = plain
    wait_for("whole", s.whole, 5)
    calm = calm_ms(s)
    s.redis.proc.signal(signal.SIGSTOP)
    try:
        one_after_another(run, s, "hung", calm)
        time.sleep(run.pick(1, 10))  # somebody looks whether it is back: no request does
        took = [ask_timed(s, f"{QUESTION} later {i}")[0] for i in range(run.pick(40, 200))]
        run.most("F14_hung_most_paid_later_ms", max([*paid(took, calm), 0]), NOISE_MS)
    finally:
        s.redis.proc.signal(signal.SIGCONT)
    wait_for("whole", s.whole, 10)


def load_ms(load):
    """Durations of good answers, in the order in which they were asked."""
    records = sorted((a for r in load.records() for a in r["attempts"] if a["code"] == "ok"), key=lambda a: a["begun"])
    return [a["ended"] - a["begun"] for a in records]


def test_under_load_no_more_than_five_wait_for_a_hung_redis(run, plain):
    s = plain
    wait_for("whole", s.whole, 5)
    calm = statistics.median(load_ms(s.load(rate=50, seconds=run.pick(2, 10), seed=run.seed)))
    s.redis.proc.signal(signal.SIGSTOP)
    try:
        load = s.load(rate=50, seconds=run.pick(3, 20), seed=run.seed)
        load.wait()
    finally:
        s.redis.proc.signal(signal.SIGCONT)
    run.none("F14_load_failed", load.failed())
    extra = paid(load_ms(load), calm)
    run.most("F14_load_paid_ms_requests", len(extra), 2 * FEW)  # five here, and five in the embedder
    run.most("F14_load_most_paid_ms", extra[0] if extra else 0, MOST_MS)
    wait_for("whole", s.whole, 10)


def test_of_a_slow_redis_five_requests_pay_100_ms_at_most_and_then_nobody(run):
    with SlowRedisSuite() as s:
        calm = calm_ms(s)
        s.between.say("redis latency 500")
        one_after_another(run, s, "slow", calm)
        s.between.say("redis latency 0")
        wait_for("whole", s.whole, 10)
        assert not s.down()


def open_fds(s):
    return len(os.listdir(f"/proc/{s.services['gateway'].pid}/fd"))


@pytest.mark.limit(420)
def test_stopped_and_continued_nobody_gets_another_sessions_answer(run, plain):
    s, words = plain, [f"canary-{run.seed:04x}{i:08x}" for i in range(12)]
    for w in words:
        s.answered(f"{QUESTION} {w}")
    before = open_fds(s)
    askers = [Asker(s, f"{QUESTION} {w}", every=0.2) for w in words]
    pause, until = run.pick(0.7, 3), time.monotonic() + run.pick(12, 300)
    while time.monotonic() < until:
        s.redis.proc.signal(signal.SIGSTOP)
        time.sleep(pause)
        s.redis.proc.signal(signal.SIGCONT)
        time.sleep(pause)
    foreign, bad, hits, n = [], [], 0, 0
    for w, a in zip(words, askers):
        for _, status, cache, text in a.end():
            n += 1
            hits += cache == "hit"
            if status != 200:
                bad.append((status, text[:100]))
            elif set(re.findall(r"canary-[0-9a-f]{12}", text)) != {w} or a.session not in text:
                foreign.append((w, text[:200]))
    run.none(f"F14_foreign_of_{n}", foreign)
    run.none("F14_failed", bad)
    run.least("F14_hits_among_them", hits, 1)
    wait_for("whole", s.whole, 15)
    run.most("F14_descriptors_more", open_fds(s) - before, 40)
