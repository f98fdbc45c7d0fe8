"""What users see when something is away: the model server, the database, Redis. Nothing is paid before it is stored."""
import time

import pytest

from corpus_kit import Q_BREAD, Q_BUILT, Q_LAMP, Q_PUMP, add_corpus, check_problem, check_sources
from suite import Suite, new_session, wait_for


@pytest.fixture(scope="module")
def faulty():
    with Suite(stub=True, env={"CHAT_FALLBACK": "builtin"}) as s:
        s.documents = add_corpus(s)
        yield s
        bad = s.down()
        assert not bad, bad


@pytest.fixture(autouse=True)
def everything_is_there_before(faulty):
    yield
    faulty.stub.reset()
    faulty.wait_ready()


def test_with_the_model_server_failing_the_answer_is_quoted_and_marked_degraded(faulty):
    session = new_session()
    faulty.stub.script({"route": "chat", "status": 500, "times": 0})
    a = faulty.answered(Q_BUILT, session)
    assert a["usage"]["degraded"] is True and a["grounded"] and "Ingrid Solheim" in a["answer"]
    check_sources(faulty, a)
    faulty.stub.reset()
    assert faulty.answered(Q_BUILT, session)["cached"] == "none"  # a degraded answer is not cached


def test_with_the_model_server_gone_a_new_question_is_searched_by_words_and_answered(faulty):
    faulty.stub.stop()
    try:
        a = faulty.answered("Who built the lighthouse of Varnholm in 1843, the engineer?")
        assert a["usage"]["degraded"] is True and a["grounded"], a
        check_sources(faulty, a)
        assert faulty.search("colza oil lamp")
    finally:
        faulty.stub.start()
    # the breaker lets a probe through after a while
    wait_for("the model answers again", lambda: not faulty.answered(
        f"{Q_PUMP} {time.monotonic()}")["usage"]["degraded"], 15, every=0.3)


def test_without_a_fallback_a_failing_model_server_is_502_and_the_question_is_kept():
    with Suite(stub=True) as s:
        add_corpus(s)
        session = new_session()
        s.stub.script({"route": "chat", "status": 500, "message": "secret upstream text", "times": 0})
        r = s.ask(Q_BUILT, session)
        check_problem(r, 502, "upstream_error")
        assert "secret upstream text" not in r.text and "127.0.0.1" not in r.text
        assert s.stub.stats()["chat"] <= 2  # one retry at most
        assert [m["role"] for m in s.messages(session, 1)] == ["user"]
        s.stub.reset()
        s.stub.script({"route": "chat", "status": 429, "retry_after": "7", "times": 0})
        wait_for("the limit of the model server is told", lambda: s.ask(Q_LAMP).json().get("code") == "upstream_rate_limited",
                 10, every=0.2)
        r = s.ask(Q_LAMP)
        check_problem(r, 503, "upstream_rate_limited")


@pytest.mark.limit(90)
def test_with_the_database_away_new_questions_are_503_without_a_paid_call_and_hits_are_queued(faulty):
    session = new_session()
    faulty.answered(Q_LAMP, session)
    assert faulty.answered(Q_LAMP, session)["cached"] == "query"
    faulty.messages(session, 4, 2)
    before = faulty.stub.stats()
    faulty.postgres.stop("immediate")
    try:
        r = faulty.ask("What does fault code E22 of the pump mean?")
        check_problem(r, 503, "store_unavailable")
        assert r.elapsed.total_seconds() < 2.6
        s = faulty.ask(Q_BREAD)
        check_problem(s, 503, "store_unavailable")
        after = faulty.stub.stats()
        assert (after["chat"], after["embeddings"]) == (before["chat"], before["embeddings"])
        wait_for("readyz names postgres", lambda: "postgres" in faulty.request("GET", "/readyz").json()["missing"], 4)
    finally:
        faulty.postgres.start()
    begun = time.monotonic()
    wait_for("questions are answered again", lambda: faulty.ask(Q_PUMP).status_code == 200, 10, every=0.05)
    assert time.monotonic() - begun < 3


def test_a_hit_while_the_database_is_away_is_answered_and_saved_later(faulty):
    session = new_session()
    faulty.answered(Q_BREAD, session)
    hit = faulty.answered(Q_BREAD, session)
    assert hit["cached"] == "query"
    faulty.messages(session, 4, 2)
    faulty.postgres.stop("fast")
    try:
        # news from the change feed must not be older than a second for a hit: at once it still is fresh
        a = faulty.ask(Q_BREAD, session)
        if a.status_code == 200:
            assert a.json()["cached"] == "query" and a.json()["saved"] == "queued"
        else:
            check_problem(a, 503, "store_unavailable")
    finally:
        faulty.postgres.start()
    faulty.wait_ready()
    items = faulty.messages(session, 6 if a.status_code == 200 else 4, 5)
    ids = [m["id"] for m in items]
    assert len(ids) == len(set(ids))


def test_an_answer_that_cannot_be_saved_is_given_and_queued_and_saved_once_the_database_is_back(faulty):
    session = new_session()
    faulty.stub.script({"route": "chat", "delay_ms": 1500, "times": 1})
    import threading
    got = []
    t = threading.Thread(target=lambda: got.append(faulty.ask("How long is the loaf baked at 240 degrees?", session)))
    t.start()
    wait_for("the model writes", lambda: faulty.stub.stats()["concurrent"] == 1, 5)
    faulty.postgres.stop("immediate")
    try:
        t.join(30)
        a = got[0].json()
        assert got[0].status_code == 200 and a["grounded"], got[0].text
        assert a["saved"] == "queued"
    finally:
        faulty.postgres.start()
    faulty.wait_ready()
    items = faulty.messages(session, 2, 4)
    assert [m["role"] for m in items] == ["user", "assistant"] and items[1]["content"] == a["answer"]
    assert items[1]["id"] == a["message_id"] and items[1]["sources"]
    wait_for("the queue is empty", lambda: faulty.redis.client().xlen("fn:turns") == 0 or not [
        1 for g in faulty.redis.client().xinfo_groups("fn:turns") if g["pending"]], 3)


def test_with_redis_away_questions_are_answered_and_limits_still_hold(faulty):
    session = new_session()
    faulty.redis.stop()
    try:
        r = faulty.ask(Q_BUILT, session)
        assert r.status_code == 200 and r.headers["X-Cache"] == "bypass" and r.json()["saved"] == "yes"
        r = faulty.ask(Q_BUILT, session)
        assert r.status_code == 200 and r.json()["cached"] == "none"
        ready = faulty.request("GET", "/readyz")
        assert ready.status_code == 200
        wait_for("readyz says so", lambda: faulty.request("GET", "/readyz").json()["redis"] == "degraded", 3)
        assert faulty.request("GET", "/api/v1/health").json()["status"] == "degraded"
        codes = [faulty.ask("", session).status_code for _ in range(70)]  # refused before the limit: not counted
        assert set(codes) == {422}
        many = [faulty.request("GET", "/api/v1/chat/history", session=session).status_code for _ in range(70)]
        assert many.count(429) >= 8 and many[0] == 200
    finally:
        faulty.redis.start()
    fresh = new_session()
    wait_for("the cache is in use again", lambda: faulty.ask(Q_BUILT, fresh).headers["X-Cache"] == "hit", 8, every=0.3)


def test_a_value_in_redis_that_was_tampered_with_is_a_miss_and_deleted(faulty):
    session, r = new_session(), faulty.redis.client()
    before = set(r.keys("fn:q:*"))
    first = faulty.answered(Q_PUMP, session)
    key = (set(r.keys("fn:q:*")) - before).pop()
    value = r.get(key)
    for bad in (b"", b"FA01", value[:50], value[:60] + b"\xff" * 40, b"XX99" + value[4:], b"\x00" * 2_000_000):
        r.set(key, bad)
        a = faulty.ask(Q_PUMP, session)
        assert a.status_code == 200 and a.json()["cached"] == "none" and a.json()["answer"] == first["answer"], bad[:20]
    r.delete(key)
    r.lpush(key, "a list")
    assert faulty.answered(Q_PUMP, session)["cached"] == "none"
    assert faulty.answered(Q_PUMP, session)["cached"] == "query"
