"""What runs beside the begin of a turn and what waits for it: nothing is paid for, and nothing said, before the question is stored."""
import threading
from contextlib import contextmanager

import msgpack
import pytest
import requests

from bad_worker import CANCEL, FINAL, REQUEST, BadWorker
from corpus_kit import Q_BREAD, Q_BUILT, Q_LAMP, check_problem
from suite import SERVICES, Suite, new_session, parse_events, wait_for

QUOTA = 44


@contextmanager
def nothing_is_stored(s):
    """Questions wait in Postgres; after three times half a second that ends."""
    with s.pg() as c, c.cursor() as cur:
        cur.execute("BEGIN")
        cur.execute("LOCK TABLE messages IN SHARE MODE")
        yield
        cur.execute("COMMIT")


def begin_waits(s):
    wait_for("a begin waits", lambda: s.sql("SELECT count(*) FROM pg_locks WHERE NOT granted")[0][0] > 0, 5, every=0.005)


class Asked:
    """A question in a thread of its own."""

    def __init__(self, s, question, **kw):
        self.s, self.before, self.r = s, self.calls(s), None
        self.thread = threading.Thread(target=lambda: setattr(self, "r", s.ask(question, **kw)))
        self.thread.start()

    @staticmethod
    def calls(s):
        m = s.metrics("gateway")
        return {k: m.value("bus_requests_total", kind=k) for k in ("turn.begin", "embed.free", "embed", "search", "chat")}

    def made(self, kind):
        return self.calls(self.s)[kind] - self.before[kind]

    def wait_for(self, kind):
        wait_for(f"{kind} is called", lambda: self.made(kind) > 0, 5, every=0.005)

    def end(self):
        self.thread.join(30)
        return self.r


def test_the_search_is_made_beside_the_begin_and_the_answer_after_it(plain):
    with nothing_is_stored(plain):
        a = Asked(plain, Q_BUILT)
        a.wait_for("search")
        begin_waits(plain)
        assert a.made("chat") == 0 and a.r is None
    r = a.end()
    assert r.status_code == 200 and r.json()["grounded"] and r.json()["saved"] == "yes", r.text
    assert (a.made("embed.free"), a.made("embed"), a.made("search"), a.made("chat")) == (1, 0, 1, 1)


def test_a_vector_that_is_paid_for_waits_and_a_cached_one_does_not(main):
    text, paid = "Which oil did the lamp of Varnholm burn in its first winter?", main.stub.stats()
    with nothing_is_stored(main):
        a = Asked(main, text)
        a.wait_for("embed.free")
        begin_waits(main)
        now = main.stub.stats()
        assert (now["embeddings"], now["chat"], a.made("search")) == (paid["embeddings"], paid["chat"], 0)
    assert a.end().status_code == 200, a.r.text
    assert a.made("embed") == 1 and main.stub.stats()["embeddings"] == paid["embeddings"] + 1
    assert not a.r.json()["usage"]["embedding_cached"]
    with nothing_is_stored(main):
        b = Asked(main, text)
        b.wait_for("search")
        begin_waits(main)
        assert main.stub.stats()["chat"] == paid["chat"] + 1
    assert b.end().status_code == 200 and b.r.json()["usage"]["embedding_cached"], b.r.text
    assert main.stub.stats()["embeddings"] == paid["embeddings"] + 1


@pytest.mark.parametrize("path", ["/api/v1/chat/query", "/api/v1/chat/stream"])
def test_a_question_that_cannot_be_stored_is_refused_as_if_nothing_had_been_found(main, path):
    main.answered(Q_LAMP)                       # the vector is cached
    paid = main.stub.stats()
    with nothing_is_stored(main):
        a = Asked(main, Q_LAMP, path=path)
        a.wait_for("search")
        check_problem(a.end(), 503, "store_busy")
        now = main.stub.stats()
        assert a.made("chat") == 0 and (now["chat"], now["embeddings"]) == (paid["chat"], paid["embeddings"])
    assert main.answered(Q_BREAD)["grounded"]


@pytest.fixture(scope="module")
def silent():
    """The only embedder says what the test says."""
    with Suite(service_env={"embedder": {"EMBEDDER_ROLE": "chat"}}, start=[n for n in SERVICES if n != "gateway"]) as s:
        s.start("gateway")
        with BadWorker(s.hub_port, {"embed": 16}) as s.embedder:
            assert s.embedder.register()
            yield s
        assert not s.down()


def asked_for_a_vector(worker):
    while True:   # retrievers ask, too
        _, head, payload = worker.wait(REQUEST)
        if head["kind"] == "embed.free":
            return head, msgpack.unpackb(payload)


def test_a_begin_that_fails_ends_the_wait_for_a_slow_vector(silent):
    with nothing_is_stored(silent):
        a = Asked(silent, "Is anybody there?")
        head, req = asked_for_a_vector(silent.embedder)
        assert req["texts"] == ["Is anybody there?"]
        _, cancel, _ = silent.embedder.wait(CANCEL)
        assert cancel["req"] == head["req"]
        check_problem(a.end(), 503, "store_busy")
        assert a.made("search") == a.made("chat") == 0
        silent.embedder.say(FINAL, {"req": head["req"], "attempt": 1, "code": QUOTA})


def test_a_stream_begins_with_its_turn_however_slow_the_vector_is(silent):
    session, lines = new_session(), []
    with requests.post(silent.url + "/api/v1/chat/stream", json={"question": "Is anybody there?", "session_id": session},
                       stream=True, timeout=30) as r:
        assert r.status_code == 200
        lines = r.iter_lines(chunk_size=1, decode_unicode=True)
        first = next(line for line in lines if line.startswith("event:"))
        assert first == "event: meta"
        assert [m["role"] for m in silent.messages(session, 1)] == ["user"]
        head, _ = asked_for_a_vector(silent.embedder)
        silent.embedder.say(FINAL, {"req": head["req"], "attempt": 1, "code": QUOTA})
        events = parse_events("\n".join(lines))
    assert [e.kind for e in events if e.kind][-1] == "error" and events[-1].data["code"] == "upstream_quota", events
