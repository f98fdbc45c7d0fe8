"""Resumable streams: GET /chat/stream/{message_id} goes on behind Last-Event-ID, at any gateway, for whoever asked and nobody else."""
import json
import os
import re
import selectors
import socket
import statistics
import sys
import time
import uuid

import pytest
import requests

from resume_kit import Reader, check_whole, words_text
from suite import ADMIN_KEY, LOOPBACK, SLOW, TOP, Suite, free_port, new_session, wait_for
from corpus_kit import Q_BUILT, Q_NOTHING, add_corpus

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
QUESTION = "Which oil does the lamp burn?"
LIMITS = {"RATE_LIMIT_REQUESTS": "100000", "RATE_LIMIT_PER_HOUR": "1000000", "MAX_CONN_PER_ADDR": "1000"}


@pytest.fixture(scope="module")
def world():
    """Two gateways behind which everything else stands once."""
    s = Suite(auth="on", stub=True, stub_args=("--threads", "200"))
    s.port_2, hub_2 = free_port(), free_port()
    s.extra = {**LIMITS, "HUB_ENDPOINTS": f"tcp://{LOOPBACK}:{s.hub_port},tcp://{LOOPBACK}:{hub_2}"}
    with s:
        s.env_2 = {"PORT": str(s.port_2), "HUB_BIND": f"tcp://{LOOPBACK}:{hub_2}"}
        s.start("gateway", "gateway.2", s.env_2)
        s.wait_ready()
        s.ports = [s.port, s.port_2]
        add_corpus(s, key=ADMIN_KEY)
        yield s
        bad = s.down()
        assert not bad, f"services that did not end with 0: {bad}"


@pytest.fixture(autouse=True)
def clean_stub(world):
    yield
    world.stub.reset()


def slow(world, text, drip_ms=30):
    world.stub.script({"route": "chat", "times": 0, "text": text, "drip_ms": drip_ms})


def ask(world, question=QUESTION, session=None, **kw):
    return Reader(world.ports, f"{question} ({uuid.uuid4()})", session, **kw)


def left_at(world, n, **kw):
    """A stream that its client leaves after n events."""
    r = ask(world, **kw)
    r.stop_after = n
    r.take(r.post(world.port))
    r.close()
    r.stop_after = None
    assert len(r.events) == n and r.meta["resumable"] is True
    return r


def count(world, event):
    return sum(world.metrics(g).value("streams_resumable_total", event=event) for g in ("gateway", "gateway.2"))


# ---- going on
@pytest.mark.parametrize("n", [1, 2, 3, 20])
def test_a_stream_goes_on_at_the_other_gateway_behind_the_event_that_its_client_has(world, n):
    text = words_text(40)
    slow(world, text)
    r = left_at(world, n)
    r.take(r.get(world.port_2))
    done = check_whole(r, text)
    assert done["saved"] == "yes" and done["grounded"]
    items = world.messages(r.session, 2)
    assert [m["id"] for m in items if m["role"] == "assistant"] == [r.message_id] and items[1]["content"] == done["answer"]


def test_from_any_number_the_rest_and_nothing_else_comes_also_from_within_a_delta(world):
    text = words_text(12)
    slow(world, text, 0)
    whole = ask(world).run()
    check_whole(whole, text)
    last = int(whole.last_id.split(":")[1])
    start = 2
    raw = text.encode()
    for n in range(last):
        r = Reader(world.ports, "-", whole.session)
        r.take(r.get(world.port_2, f"{whole.message_id}:{n}", whole.message_id))
        shown = max(0, n - start + 1)
        while shown < len(raw) and raw[shown] & 0xC0 == 0x80:
            shown += 1
        assert r.status == 200 and r.text().encode() == raw[shown:], n
        assert [e[0] for e in r.events if e[0] in ("meta", "sources")] == ["meta", "sources"][min(n + 1, 2):]
        assert r.events[-1][0] == "done" and r.events[-1][1] == whole.last_id
    assert r.get(world.port, whole.last_id, whole.message_id).status == 204
    assert r.get(world.port, f"{whole.message_id}:{last + 1000}", whole.message_id).status == 204
    r = Reader(world.ports, "-", whole.session)
    r.take(r.get(world.port, "", whole.message_id))
    assert [e[:2] for e in r.events if e[0] != "delta"] == [e[:2] for e in whole.events if e[0] != "delta"] and r.text() == text


def test_an_answer_whose_client_left_is_made_to_its_end_and_stored_once(world):
    text = words_text(60)
    slow(world, text)
    r = left_at(world, 6)
    items = world.messages(r.session, 2, 10)
    assert len(items) == 2 and "w0059ü" in items[1]["content"]
    r.take(r.get(world.port_2))
    check_whole(r, text)
    assert count(world, "left") >= 1 and len(world.history(r.session)["items"]) == 2


def test_several_readers_of_one_stream_get_the_same(world):
    text = words_text(50)
    slow(world, text)
    first = ask(world).start()
    wait_for("it has begun", lambda: len(first.events) > 4)
    others = []
    for port in world.ports * 2:
        o = Reader([port], "-", first.session)
        o.events = first.events[:1]
        o.last_id = o.events[0][1]
        others.append(o.start())
    for o in [first, *others]:
        o.thread.join(30)
        check_whole(o, text)


@pytest.mark.parametrize("question,fields", [(Q_NOTHING, {"collection": "docs"}), (Q_BUILT, {})])
def test_cached_answers_and_refusals_can_be_resumed_too(world, question, fields):
    session = new_session()
    for _ in range(2):
        r = Reader(world.ports, question, session, **fields)
        r.stop_after = 2
        r.take(r.post(world.port))
        r.close()
        r.stop_after = None
        r.take(r.get(world.port_2))
        assert r.events[-1][0] == "done" and r.text() == r.of("done")[0][2]["answer"]
    assert r.meta["resumable"] is True


# ---- deaths
def test_a_gateway_and_the_writer_that_die_together_are_followed_by_a_restart_where_the_text_is_another(world):
    slow(world, "one " + words_text(60))
    r = left_at(world, 12)
    world.kill("gateway")
    world.kill("embedder")
    try:
        world.stub.reset()
        slow(world, words_text(30), 0)
        world.start("embedder")
        r.take(r.get(world.port_2))
    finally:
        world.start("gateway")
        world.wait_ready()
    # on a busy machine the new writer may be taken for dead, too, and the model is asked once more
    check_whole(r, words_text(30), restarts=(1, 2))


def test_the_same_text_again_goes_on_without_a_restart(world):
    text = words_text(60)
    slow(world, text)
    r = left_at(world, 12)
    wait_for("Redis has what the client has", lambda: world.redis.client().strlen(key_of(world, r) + ":t") >= 120)
    world.kill("gateway")
    world.kill("embedder")
    try:
        world.start("embedder")
        r.take(r.get(world.port_2))
    finally:
        world.start("gateway")
        world.wait_ready()
    check_whole(r, text)
    assert count(world, "asked_again") >= 1


def key_of(world, r):
    return f"fn:f:default:{r.message_id}"


# ---- who may
def test_nobody_else_learns_anything_of_a_stream(world):
    text = words_text(60)
    slow(world, text)
    r = left_at(world, 6)
    key = world.make_key(["chat"])["key"]
    other_tenant = world.make_key(["chat"], tenant="others")["key"]
    missing = Reader(world.ports, "-")
    answer = missing.get(world.port_2, "", str(uuid.uuid4()))
    nothing = strip(answer)
    assert answer.status == 404
    for kw in ({"session": new_session()}, {"key": key}, {"key": other_tenant}, {"key": ADMIN_KEY}):
        a = r.get(world.port, **kw)  # it knows new keys at once
        assert a.status == 404 and strip(a) == nothing, kw
        deleted = requests.delete(f"http://{LOOPBACK}:{world.port}/api/v1/chat/stream/{r.message_id}", timeout=10,
                                  headers={"X-Session-ID": kw.get("session", r.session), **({"Authorization": "Bearer " + kw["key"]} if "key" in kw else {})})
        assert deleted.status_code == 404, kw
    r.take(r.get(world.port_2))
    check_whole(r, text)


def strip(answer):
    p = json.loads(answer.read())
    return {k: v for k, v in p.items() if k not in ("request_id", "instance")}


@pytest.mark.parametrize("last", ["0", ":0", "x:0", "{id}", "{id}:", "{id}:-1", "{id}:+1", "{id}: 1", "{id}:1x", "{id}:1e3", "{id}:99999999999999999999",
                                  "{id}:0x10", "{other}:1", "{id}:1:1", "{id}:1,{id}:2", "{id};1", "{upper}:١"])
def test_forged_ids_are_refused(world, last):
    slow(world, "short [1]", 0)
    r = ask(world).run()
    last = last.format(id=r.message_id, other=uuid.uuid4(), upper=r.message_id.upper())
    s = requests.Session()
    answer = s.get(f"http://{LOOPBACK}:{world.port_2}/api/v1/chat/stream/{r.message_id}", timeout=10,
                   headers={"X-Session-ID": r.session, "Last-Event-ID": last.encode()})
    assert answer.status_code == 400 and answer.json()["code"] == "bad_request", (answer.status_code, answer.text)


@pytest.mark.parametrize("n", [5, 500, 1_000_000_000])
def test_a_number_that_the_stream_has_not_reached_gets_nothing_twice_and_harms_nobody(world, n):
    text = words_text(30)
    slow(world, text)
    r = left_at(world, 4)
    liar = Reader(world.ports, "-", r.session)
    liar.take(liar.get(world.port_2, f"{r.message_id}:{n}", r.message_id))
    assert liar.status in (200, 204) and all(int(e[1].split(":")[1]) > n for e in liar.events)
    r.take(r.get(world.port_2))
    check_whole(r, text)


@pytest.mark.parametrize("path", ["x", "", "..", "00000000-0000-0000-0000-000000000000", "%00", "*", "fn:f:default:x"])
def test_ids_that_are_none_are_not_found(world, path):
    a = requests.get(f"http://{LOOPBACK}:{world.port_2}/api/v1/chat/stream/{path}", timeout=10, headers={"X-Session-ID": new_session()})
    assert a.status_code in (400, 404, 405)


def erase(world, r):
    """Seconds from the request to erase until the other gateway knows nothing of the stream any more."""
    begin = time.monotonic()
    assert world.request("DELETE", f"/api/v1/sessions/{r.session}", session=r.session).status_code == 204
    a = r.get(world.port_2)
    took = time.monotonic() - begin
    assert a.status == 404
    return took


def test_an_erased_session_takes_its_streams_along_within_250_ms(world):
    """At once, when the erasure is answered. Of five erasures the one in the middle is measured: others may meet a busy machine."""
    took = []
    for _ in range(5):
        slow(world, words_text(200))
        r = left_at(world, 6)
        took.append(erase(world, r))
        assert not world.redis.client().keys(key_of(world, r) + "*")
        # neither the gateway that still makes the answer nor the embedder that writes it brings it back
        wait_for("its call is cancelled", lambda: world.metrics("embedder").value("chat_frames") == 0, 15)
        assert not world.redis.client().keys(key_of(world, r) + "*")
        world.stub.reset()
    assert statistics.median(took) < 0.25 * SLOW, took


class Many:
    """Readers of one stream, over raw connections: when each was told that it is gone."""

    def __init__(self, port, r, n):
        head = f"GET /api/v1/chat/stream/{r.message_id} HTTP/1.1\r\nHost: {LOOPBACK}\r\nX-Session-ID: {r.session}\r\n\r\n"
        self.poll, self.got = selectors.DefaultSelector(), {}
        for _ in range(n):
            s = socket.create_connection((LOOPBACK, port), 10)
            s.sendall(head.encode())
            self.got[s] = b""
            self.poll.register(s, selectors.EVENT_READ)

    def until(self, what, seconds):
        """Seconds until all of them have got it."""
        begin = time.monotonic()
        left = {s for s, got in self.got.items() if what not in got}
        while left and time.monotonic() - begin < seconds * SLOW:
            for key, _ in self.poll.select(0.05):
                self.got[key.fileobj] += key.fileobj.recv(65536)
                if what in self.got[key.fileobj]:
                    left.discard(key.fileobj)
        assert not left, f"{len(left)} of {len(self.got)} did not get {what}"
        return time.monotonic() - begin

    def close(self):
        for s in self.got:
            self.poll.unregister(s)
            s.close()


def test_hundreds_of_readers_at_another_gateway_end_within_250_ms_of_an_erasure(world):
    """The more there are, the more seldom each looks at Redis by itself (here twice a second): they are told."""
    took = []
    for _ in range(3):
        slow(world, words_text(400), 50)
        r = left_at(world, 6)
        many = Many(world.port_2, r, 200)
        try:
            many.until(b"event: delta", 10)
            assert world.request("DELETE", f"/api/v1/sessions/{r.session}", session=r.session).status_code == 204
            took.append(many.until(b'"status":404', 5))
        finally:
            many.close()
            world.stub.reset()
        wait_for("its call is cancelled", lambda: world.metrics("embedder").value("chat_frames") == 0, 15)
    assert statistics.median(took) < 0.25 * SLOW, took


def test_readers_who_come_while_redis_is_busy_for_a_moment_read_along(world):
    """Their first trips time out, as when a gateway dies and all its clients come at once on a machine that has much to do."""
    slow(world, words_text(400), 50)
    r = left_at(world, 6)
    world.redis.client().execute_command("CLIENT", "PAUSE", 250, "ALL")
    many = Many(world.port_2, r, 40)
    try:
        many.until(b"event: delta", 10)
        assert all(got.startswith(b"HTTP/1.1 200") for got in many.got.values())
    finally:
        many.close()


def test_a_stream_that_is_stopped_is_not_made_to_its_end(world):
    slow(world, words_text(400), 50)
    r = left_at(world, 6)
    before = world.metrics("embedder").value("chat_cancelled_total")
    url = f"http://{LOOPBACK}:{world.port_2}/api/v1/chat/stream/{r.message_id}"
    assert requests.delete(url, headers={"X-Session-ID": r.session}, timeout=10).status_code == 204
    wait_for("the model is not asked on", lambda: world.metrics("embedder").value("chat_cancelled_total") > before, 5)
    assert r.get(world.port).status == 404


# ---- bounds
def test_a_stream_that_was_not_asked_for_as_resumable_leaves_nothing_and_says_so(world):
    r = ask(world)
    del r.body["resumable"]
    r.run()
    assert r.meta["resumable"] is False and r.get(world.port_2).status == 404
    assert [int(e[1].split(":")[1]) for e in r.events] == list(range(len(r.events)))


def test_without_redis_a_stream_works_and_says_that_it_cannot_be_resumed(world):
    world.redis.stop()
    try:
        r = ask(world)
        r.take(r.post(world.port))
        assert r.events[-1][0] == "done" and r.meta["resumable"] is False
        a = r.get(world.port)
        assert a.status == 503 and a.getheader("Retry-After")
    finally:
        world.redis.start()
        wait_for("Redis is used again", lambda: world.metrics("gateway").value("redis_up") == 1)


def test_more_texts_than_a_trip_takes_grow_all_of_them(world):
    """80 at once, where a trip takes 64: each has its turn, the oldest as well as the newest."""
    text = words_text(200)
    slow(world, text, 45)
    readers = [ask(world).start(seconds=40) for _ in range(80)]
    wait_for("all are in the middle", lambda: all(len(r.events) >= 8 for r in readers), 30)
    c = world.redis.client()
    have = lambda: [c.strlen(key_of(world, r) + ":t") for r in readers]
    was = have()
    wait_for("each text grows in Redis", lambda: all(now >= before + 60 for now, before in zip(have(), was)), 4, every=0.1)
    assert not any(r.ended for r in readers)
    for r in readers:
        r.thread.join(60)
        check_whole(r, text)


def test_what_is_kept_has_an_end_and_a_bound(world):
    slow(world, words_text(20), 0)
    r = ask(world).run()
    c = world.redis.client()
    assert 290 <= c.ttl(key_of(world, r)) <= 300 and not c.exists(key_of(world, r) + ":t")
    kept = {b"who", b"owner", b"meta", b"sources", b"tail", b"shown"}
    assert set(c.hkeys(key_of(world, r))) - {b"writer"} == kept  # a writer that came after the end leaves nothing
    assert c.memory_usage(key_of(world, r)) < 32768
    assert r.session.encode() not in c.hget(key_of(world, r), "who")


def test_a_writer_that_comes_after_the_end_leaves_nothing(world):
    """Redis is slow for the embedder only: its first trip comes when the gateway has closed the stream."""
    slow(world, words_text(5), 0)
    r = ask(world).run()
    key, c = key_of(world, r), world.redis.client()
    before = set(c.hkeys(key))
    script = re.search(r'static const char source\[\] =\n(.*?);\n', open(os.path.join(TOP, "embedder/frames.c")).read(), re.S).group(1)
    lua = "".join(json.loads(x) for x in re.findall(r'"(?:[^"\\]|\\.)*"', re.sub(r"/\*.*?\*/", "", script)))
    assert c.eval(lua, 3, "fn:fb:test", key, key + ":t", 6000, 900, 0, "late text", "late reply", "", "writer") == [1]
    assert set(c.hkeys(key)) == before and not c.exists(key + ":t")


def test_more_streams_than_are_allowed_push_out_the_oldest_that_has_ended(world):
    world.stop_service("gateway.2")
    world.start("gateway", "gateway.2", {**world.env_2, "RESUMABLE_STREAMS": "3"})
    try:
        world.wait_ready()
        world.redis.client().delete("fn:fs")
        slow(world, words_text(5), 0)
        done = [Reader([world.port_2], f"{QUESTION} {i} {uuid.uuid4()}").run() for i in range(4)]
        assert all(r.meta["resumable"] for r in done)
        assert [r.get(world.port_2, "").status for r in done] == [404, 200, 200, 200]
        world.stub.reset()
        slow(world, words_text(100))
        running = [Reader([world.port_2], f"{QUESTION} {i} {uuid.uuid4()}").start() for i in range(4)]
        wait_for("all have begun", lambda: all(r.events for r in running))
        assert sorted(r.meta["resumable"] for r in running) == [False, True, True, True]
        for r in running:
            r.thread.join(30)
            check_whole(r, words_text(100))
    finally:
        world.stop_service("gateway.2")
        world.start("gateway", "gateway.2", world.env_2)
        world.wait_ready()
