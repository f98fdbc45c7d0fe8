"""The store drains fn:turns: queued turns are in Postgres within two seconds, once, also after faults on either side."""
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time

import msgpack
import pytest
import redis

from busfake import Service, wait_for
from pg import Postgres, free_port
from store_kit import begin_req, citation, finish_req, session


class Redis:
    def __init__(self):
        self.root, self.port = tempfile.mkdtemp(prefix="fnredis-"), free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self):
        self.process = subprocess.Popen(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.root,
                                         "--save", "", "--appendonly", "yes"], stdout=subprocess.DEVNULL)
        self.r = redis.Redis(port=self.port)

        def up():
            try:
                return self.r.ping()
            except redis.exceptions.RedisError:
                return False
        wait_for("redis", up)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def close(self):
        self.stop()
        shutil.rmtree(self.root, ignore_errors=True)


@pytest.fixture(scope="module")
def rd():
    r = Redis()
    yield r
    r.close()


@pytest.fixture(autouse=True)
def empty(rd):
    rd.r.flushall()


@pytest.fixture
def store(pg, hub, rd):
    with Service("store", hub, DATABASE_URL=pg.url, REDIS_URL=rd.url) as s:
        yield s


def entry(sess, answer="An answer [1].", tenant="default", **kw):
    b = begin_req(sess, "queued?")
    return finish_req(b, answer, question="queued?", from_cache=True, created_ms=int(time.time() * 1000), tenant=tenant, **kw)


def packed(turn, epoch=7):
    """A cached answer as proto/answer.h says."""
    js, t = b"{}", msgpack.packb(turn)
    body = len(js).to_bytes(4, "big") + js + t
    return b"FA02" + os.urandom(32) + epoch.to_bytes(8, "big") + hashlib.sha1(body).hexdigest().encode() + body


def items(hub, s, tenant="default"):
    return hub.ok("history", {"session": s, "limit": 50}, tenant=tenant)["items"]


def test_a_queued_turn_is_in_postgres_within_two_seconds(hub, rd, store):
    s = session()
    rd.r.xadd("fn:turns", {"q": msgpack.packb(entry(s))})
    begun = time.monotonic()
    got = wait_for("the turn", lambda: items(hub, s))
    assert time.monotonic() - begun < 2
    assert [m["content"] for m in got] == ["queued?", "An answer [1]."] and len(got[1]["citations"]) == 1
    wait_for("it acknowledged", lambda: rd.r.xlen("fn:turns") == 0)
    assert rd.r.xpending("fn:turns", "store")["pending"] == 0
    store.counted(1, "store_outbox_saved_total")


def test_a_cached_answer_gives_what_the_question_lacks(hub, rd, store):
    s, other = session(), session()
    q = entry(s, answer="", citations=[], tenant="acme")
    a = finish_req(begin_req(other), "The cached answer [1][2].", citations=[citation(1), citation(2)], confidence=0.5)
    for _ in range(2):                                             # queued twice: stored once
        rd.r.xadd("fn:turns", {"q": msgpack.packb(q), "a": packed(a)})
    got = wait_for("the turn", lambda: items(hub, s, "acme"))
    wait_for("both drained", lambda: rd.r.xlen("fn:turns") == 0)
    got = items(hub, s, "acme")
    assert len(got) == 2 and got[1]["content"] == "The cached answer [1][2]." and got[1]["confidence"] == 0.5
    assert got[1]["id"] == q["message_id"] and got[1]["from_cache"] and [c["n"] for c in got[1]["citations"]] == [1, 2]
    assert {c["id"] for c in got[1]["citations"]}.isdisjoint(c["id"] for c in a["citations"])
    assert items(hub, s) == [] and items(hub, other) == []


def test_malformed_entries_are_counted_and_kept_apart(hub, rd, store):
    s = session()
    for bad in ({"q": b"\xc1"}, {"x": b"y"}, {"q": msgpack.packb(entry(s, answer="nul \0"))},
                {"q": msgpack.packb(entry(s)), "a": b"FA02short"}, {"q": msgpack.packb({**entry(s), "session": b"short"})}):
        rd.r.xadd("fn:turns", bad)
    rd.r.xadd("fn:turns", {"q": msgpack.packb(entry(s))})
    wait_for("the good one", lambda: items(hub, s))
    wait_for("all drained", lambda: rd.r.xlen("fn:turns") == 0)
    assert rd.r.xlen("fn:turns:bad") == 5
    store.counted(5, "store_outbox_bad_total")
    assert len(items(hub, s)) == 2


def test_what_is_kept_apart_goes_within_two_days(rd, store):
    """It may be of a session that is erased meanwhile."""
    old = rd.r.xadd("fn:turns:bad", {"q": b"x"}, id=f"{int((time.time() - 86500) * 1000)}-0")
    young = rd.r.xadd("fn:turns:bad", {"q": b"x"}, id=f"{int((time.time() - 86300) * 1000)}-0")
    rd.r.xadd("fn:turns", {"q": b"\xc1"})
    wait_for("the old one to go", lambda: not rd.r.xrange("fn:turns:bad", old, old))
    assert rd.r.xrange("fn:turns:bad", young, young) and 0 < rd.r.ttl("fn:turns:bad") <= 86400


def test_many_are_drained_in_batches(hub, rd, pg, store):
    p = rd.r.pipeline()
    for _ in range(500):
        p.xadd("fn:turns", {"q": msgpack.packb(entry(session()))})
    p.execute()
    wait_for("all drained", lambda: rd.r.xlen("fn:turns") == 0)
    store.counted(500, "store_outbox_saved_total")


@pytest.mark.limit(90)
def test_turns_queued_while_postgres_is_away_are_saved_after_it(hub, rd, pg, store):
    s = session()
    items(hub, s)
    pg.stop("kill")
    for _ in range(3):
        rd.r.xadd("fn:turns", {"q": msgpack.packb(entry(s))})
    wait_for("the store to notice", lambda: store.metric("store_postgres_up") == 0)
    pg.start()
    begun = time.monotonic()
    wait_for("the turns", lambda: hub.ask("history", {"session": s, "limit": 50})[0] == 0 and len(items(hub, s)) == 6)
    assert time.monotonic() - begun < 2


@pytest.mark.limit(90)
def test_postgres_lost_in_the_middle_of_a_batch_ends_that_batch_once(hub, rd, pg, store):
    """What is left of it is refused at once, each entry inside the one before; nothing of it may be acknowledged or freed twice."""
    s, c = session(), pg.connect()
    c.cursor().execute("begin; lock table messages")
    p = rd.r.pipeline()
    for _ in range(60):
        p.xadd("fn:turns", {"q": msgpack.packb(entry(s))})
    p.execute()
    wait_for("it begun", lambda: pg.value("select count(*) from pg_stat_activity where wait_event_type = 'Lock'"))
    pg.stop("kill")
    c.close()
    wait_for("the store to notice", lambda: store.metric("store_postgres_up") == 0)
    time.sleep(2)                                      # longer than its patience: the batch was given back
    assert store.process.poll() is None and rd.r.xlen("fn:turns") == 60
    pg.start()
    wait_for("all drained", lambda: rd.r.xlen("fn:turns") == 0, 30)
    assert rd.r.xlen("fn:turns:bad") == 0 and store.process.poll() is None
    assert len(items(hub, s)) == 50
    store.counted(60, "store_outbox_saved_total")


def test_a_killed_stores_batch_is_taken_over(hub, rd, pg):
    s = session()
    a = Service("store", hub, DATABASE_URL=pg.url, REDIS_URL=rd.url)
    try:
        with pg.connect() as c, c.cursor() as cur:
            cur.execute("begin; lock table messages")
            rd.r.xadd("fn:turns", {"q": msgpack.packb(entry(s))})
            wait_for("it taken", lambda: pg.value("select count(*) from pg_stat_activity where wait_event_type = 'Lock'"))
            a.kill()
            cur.execute("rollback")
    finally:
        a.kill()
    hub.workers.clear()
    with Service("store", hub, DATABASE_URL=pg.url, REDIS_URL=rd.url):
        wait_for("the turn", lambda: items(hub, s))
        wait_for("it acknowledged", lambda: rd.r.xlen("fn:turns") == 0)
        assert len(items(hub, s)) == 2


def test_redis_may_come_and_go(hub, rd, pg, store):
    rd.stop()
    wait_for("errors to be counted", lambda: store.metric("store_outbox_errors_total") >= 1)
    assert hub.ok("session.put", {"session": session()})["expires_ms"] > 0
    rd.start()
    s = session()
    rd.r.xadd("fn:turns", {"q": msgpack.packb(entry(s))})
    wait_for("the turn", lambda: items(hub, s), 15)
