"""What one may take along and have erased: sessions, users, conversations; and that erased means gone, also from what waits."""
import hashlib
import json
import threading

import pytest

from corpus_kit import Q_BUILT, Q_LAMP, Q_PUMP, add_corpus, check_problem
from suite import ADMIN_KEY, new_session, wait_for


def hash_of(session):
    return hashlib.sha256(session.encode()).digest()


def rows_of(s, session):
    return s.sql("select count(*) from user_sessions where session_id = %s", (hash_of(session),))[0][0]


def drained(s):
    wait_for("the queue drained", lambda: s.redis.client().xlen("fn:turns") == 0)


def erase(s, session, **kw):
    return s.request("DELETE", f"/api/v1/sessions/{session}", **kw)


# ---- sessions
def test_a_turn_that_still_waits_in_redis_does_not_bring_its_session_back(main):
    session = new_session()
    main.answered(Q_PUMP, session)
    main.stop("store")
    try:
        hit = main.ask(Q_PUMP, session).json()
        waiting = main.redis.client().xrange("fn:turns")
    finally:
        main.cont("store")
    assert hit["cached"] == "query" and hit["saved"] == "queued" and len(waiting) == 1
    drained(main)
    assert erase(main, session).status_code == 204
    main.redis.client().xadd("fn:turns", waiting[0][1])              # as if it had waited all along
    drained(main)
    assert rows_of(main, session) == 0
    check_problem(main.request("GET", f"/api/v1/sessions/{session}"), 404, "not_found")
    assert main.history(session)["items"] == []
    assert main.answered(Q_PUMP, session)["cached"] == "none"         # and the session may begin anew
    assert len(main.messages(session, 2)) == 2


def test_a_session_erased_while_its_question_is_answered_leaves_nothing(main):
    session, got = new_session(), []
    question = "How many litres of glycol prime the pump P-77, erased in flight?"
    main.stub.script({"route": "chat", "delay_ms": 1500})
    try:
        key = {"Idempotency-Key": "erased-" + session}
        asking = threading.Thread(target=lambda: got.append(main.ask(question, session, headers=key)))
        asking.start()
        wait_for("the question stored", lambda: rows_of(main, session))
        assert erase(main, session).status_code == 204
        asking.join()
    finally:
        main.stub.reset()
    assert got[0].status_code == 200 and got[0].json()["saved"] == "no", got[0].text
    assert rows_of(main, session) == 0 and main.redis.client().xlen("fn:turns") == 0
    assert not main.redis.client().exists("fn:qs:" + hash_of(session).hex())
    assert main.sql("select count(*) from idempotency where body is not null and user_session_id is null")[0][0] == 0
    assert main.answered(question, session)["cached"] == "none"


def traces(s, session):
    """Everything that names the session: [(table, id)] of its rows, and its keys in Redis."""
    row = s.sql("select id from user_sessions where session_id = %s", (hash_of(session),))[0][0]
    rows = [("user_sessions", row)] + [("idempotency", row)]
    for table, column, parents in (("conversations", "user_session_id", "user_sessions"), ("messages", "conversation_id", "conversations"),
                                   ("citations", "message_id", "messages")):
        above = [i for t, i in rows if t == parents]
        rows += [(table, r[0]) for r in s.sql(f"select id from {table} where {column}::text = any (%s)", (above,))]
    own = f"fn:qs:{hash_of(session).hex()}"
    return rows, [own.encode(), *s.redis.client().smembers(own)]


@pytest.mark.parametrize("way", ("session", "user"))
def test_every_row_and_every_cached_answer_below_is_gone(main, way):
    session, user = new_session(), "erased-" + new_session()
    main.request("POST", "/api/v1/sessions", json={"session_id": session, "user_id": user})
    a = main.answered(Q_PUMP, session, headers={"Idempotency-Key": "trace-" + session})
    main.answered(Q_BUILT, session)
    assert main.answered(Q_PUMP, session)["cached"] == "query"
    main.request("POST", f"/api/v1/messages/{a['message_id']}/feedback", session=session, json={"rating": "up", "comment": "seen"})
    drained(main)
    rows, keys = traces(main, session)
    counts = {t: sum(1 for r in rows if r[0] == t) for t, _ in rows}
    assert counts["conversations"] == 1 and counts["messages"] == 6 and counts["citations"] >= 3 and len(keys) == 3
    assert main.redis.client().exists(*keys) == 3
    path = f"/api/v1/sessions/{session}" if way == "session" else f"/api/v1/users/{user}"
    assert main.request("DELETE", path).status_code == 204
    for table in sorted({t for t, _ in rows}):
        ids = [i for t, i in rows if t == table]
        column = "user_session_id" if table == "idempotency" else "id"
        assert main.sql(f"select count(*) from {table} where {column}::text = any (%s)", (ids,)) == [(0,)], table
    tables = [r[0] for r in main.sql("select tablename from pg_tables where schemaname = 'footnote'")]
    for word in (session, user, a["message_id"]):
        for table in tables:
            assert main.sql(f"select count(*) from {table} t where t::text like %s", (f"%{word}%",)) == [(0,)], (table, word)
    assert main.redis.client().exists(*keys) == 0
    assert not [k for k in main.redis.client().keys("fn:*") if hash_of(session).hex().encode() in k and not k.startswith(b"fn:rl:")]


# ---- users
def test_a_users_sessions_are_erased_by_a_key_of_their_tenant(locked):
    key = locked.make_key(["chat"])["key"]
    page = locked.make_key(["chat"], origins=["https://docs.example.org"])["key"]
    foreign = locked.make_key(["chat"], tenant="acme")["key"]
    mine, other = [new_session(), new_session()], new_session()
    for session, user in ((mine[0], "u-1"), (mine[1], "u-1"), (other, "u-2")):
        r = locked.request("POST", "/api/v1/sessions", key=key, json={"session_id": session, "user_id": user})
        assert r.status_code == 201, r.text
    origin = {"Origin": "https://docs.example.org"}
    check_problem(locked.request("DELETE", "/api/v1/users/u-1", headers=origin), 401, "unauthorized")
    check_problem(locked.request("DELETE", "/api/v1/users/u-1", key=page, headers=origin), 403, "forbidden")
    check_problem(locked.request("DELETE", "/api/v1/users/u-1", key=foreign), 404, "not_found")
    assert [rows_of(locked, s) for s in mine] == [1, 1]
    assert locked.request("DELETE", "/api/v1/users/u-1", key=key).status_code == 204
    assert [rows_of(locked, s) for s in mine] == [0, 0] and rows_of(locked, other) == 1
    check_problem(locked.request("DELETE", "/api/v1/users/u-1", key=key), 404, "not_found")
    assert locked.request("DELETE", "/api/v1/users/u-2", key=ADMIN_KEY).status_code == 204


def test_a_users_cached_answers_go_too(main):
    session = new_session()
    main.request("POST", "/api/v1/sessions", json={"session_id": session, "user_id": "reader 7"})
    main.answered(Q_LAMP, session)
    assert main.answered(Q_LAMP, session)["cached"] == "query"
    drained(main)
    assert main.request("DELETE", "/api/v1/users/reader%207").status_code == 204
    assert main.answered(Q_LAMP, session)["cached"] == "none"


# ---- export
def test_an_export_holds_everything_of_a_session_page_after_page(main):
    session = new_session()
    first = main.answered(Q_BUILT, session)
    for _ in range(29):
        main.answered(Q_BUILT, session)                              # from the cache: 60 messages, two pages
    rated = main.request("POST", f"/api/v1/messages/{first['message_id']}/feedback", session=session,
                         json={"rating": "up", "comment": "Genau – richtig"})
    assert rated.status_code == 204, rated.text
    items = main.messages(session, 60)
    r = main.request("GET", f"/api/v1/sessions/{session}/export")
    assert r.status_code == 200 and r.headers["Content-Type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in r.content.decode().splitlines()]
    kinds = [line["type"] for line in lines]
    assert kinds == ["session", "conversation"] + 60 * ["message"] + ["end"]
    assert lines[0]["data"]["session_id"] == session and lines[0]["data"]["messages"] == 60
    assert lines[1]["data"]["id"] == first["conversation_id"] and lines[1]["data"]["title"] == Q_BUILT
    assert [line["data"] for line in lines[2:-1]] == items
    assert items[1]["feedback"] == {"rating": "up", "comment": "Genau – richtig"} and items[1]["sources"]
    assert lines[-1]["data"] == {"conversations": 1, "messages": 60}
    missing = main.request("GET", f"/api/v1/sessions/{new_session()}/export")
    check_problem(missing, 404, "not_found")
    check_problem(main.request("GET", "/api/v1/sessions/not-one/export"), 422, "validation")
    assert main.request("HEAD", f"/api/v1/sessions/{session}/export").status_code == 200


def test_an_export_that_cannot_be_finished_is_cut_not_ended(main):
    session = new_session()
    main.answered(Q_PUMP, session)
    main.sql("alter table messages rename column rating to rating_gone")
    try:
        with pytest.raises(Exception) as e:
            main.request("GET", f"/api/v1/sessions/{session}/export")
        assert "hunked" in repr(e.value) or "broken" in repr(e.value), repr(e.value)
    finally:
        main.sql("alter table messages rename column rating_gone to rating")
    assert main.request("GET", f"/api/v1/sessions/{session}/export").text.count("\n") == 5


# ---- conversations and feedback
def test_conversations_are_listed_and_deleted_by_their_session_only(main):
    session, other = new_session(), new_session()
    a = main.answered(Q_PUMP, session)
    main.answered(Q_LAMP, other)
    got = main.request("GET", "/api/v1/conversations", session=session).json()
    assert [c["id"] for c in got["items"]] == [a["conversation_id"]] and got["has_more"] is False and got["page"] == 1
    assert got["items"][0]["title"] == Q_PUMP and got["items"][0]["messages"] == 2
    path = "/api/v1/conversations/" + a["conversation_id"]
    check_problem(main.request("GET", "/api/v1/conversations"), 422, "validation")
    theirs = main.request("DELETE", path, session=other)
    never = main.request("DELETE", "/api/v1/conversations/" + new_session(), session=other)
    check_problem(theirs, 404, "not_found")
    assert {**theirs.json(), "request_id": 0, "instance": 0} == {**never.json(), "request_id": 0, "instance": 0}
    assert main.request("DELETE", path, session=session).status_code == 204
    assert main.history(session)["items"] == []
    assert main.answered(Q_PUMP, session)["cached"] == "none"
    check_problem(main.request("DELETE", path, session=session), 404, "not_found")


def test_feedback_is_for_ones_own_answers(main):
    session, other = new_session(), new_session()
    a = main.answered(Q_PUMP, session)
    main.answered(Q_LAMP, other)
    path = f"/api/v1/messages/{a['message_id']}/feedback"
    question = main.messages(session, 2)[0]["id"]
    check_problem(main.request("POST", path, session=other, json={"rating": "up"}), 404, "not_found")
    check_problem(main.request("POST", f"/api/v1/messages/{question}/feedback", session=session, json={"rating": "up"}), 404,
                  "not_found")
    for wrong in ({}, {"rating": "sideways"}, {"rating": "up", "comment": "x" * 2001}, {"rating": "up", "more": 1}):
        check_problem(main.request("POST", path, session=session, json=wrong), 422, "validation")
    assert main.request("POST", path, json={"rating": "down", "session_id": session}).status_code == 204
    assert main.messages(session, 2)[1]["feedback"] == {"rating": "down", "comment": None}
