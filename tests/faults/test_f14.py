"""F14: Redis hangs: a few pay 100 ms, the rest go round it; stopped and continued again and again nobody is given another
session's answer."""
import os
import re
import signal
import time

import pytest

from faults_kit import ms_since, wait_for
from redis_kit import QUESTION, Asker, RedisSuite


@pytest.fixture(scope="module")
def plain():
    with RedisSuite() as s:
        yield s
        s.redis.proc.signal(signal.SIGCONT)
        assert not s.down()


def test_the_first_few_wait_100_ms_and_then_nobody(run, plain):
    s = plain
    wait_for("whole", s.whole, 5)
    s.redis.proc.signal(signal.SIGSTOP)
    try:
        took = []
        for i in range(30):
            begun = time.monotonic()
            r = s.ask(f"{QUESTION} hung {i}")
            took.append(ms_since(begun))
            assert r.status_code == 200, r.text
        run.bar("F14_x_cache", r.headers["X-Cache"], "bypass", r.headers["X-Cache"] == "bypass")
        took.sort()
        run.most("F14_slow_answers", sum(1 for t in took if t > took[10] + 80), 8)
        run.most("F14_slowest_ms", took[-1] - took[10], 500)
        wait_for("degraded", s.degraded, 3)
    finally:
        s.redis.proc.signal(signal.SIGCONT)
    wait_for("whole", s.whole, 10)


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
