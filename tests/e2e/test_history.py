"""What was asked and answered is kept, with its citations, for its session and for nobody else."""
import uuid

from corpus_kit import Q_BREAD, Q_BUILT, Q_NOTHING, Q_PUMP, check_problem, is_uuid
from suite import new_session, wait_for


def test_history_holds_questions_and_answers_with_their_citations_cached_ones_within_two_seconds(main):
    session = new_session()
    first = main.answered(Q_PUMP, session)
    assert [m["role"] for m in main.messages(session, 2, 0.5)] == ["user", "assistant"]
    cached = main.ask(Q_PUMP, session).json()
    assert cached["cached"] == "query" and cached["saved"] == "queued"
    items = main.messages(session, 4, 2.0)
    assert [m["role"] for m in items] == ["user", "assistant", "user", "assistant"]
    assert items[0]["content"] == items[2]["content"] == Q_PUMP
    assert items[1]["content"] == items[3]["content"] == first["answer"]
    assert [m["cached"] for m in (items[1], items[3])] == ["none", "query"]
    assert items[1]["id"] == first["message_id"] and items[3]["id"] == cached["message_id"]
    for m in (items[1], items[3]):
        assert [(s["n"], s["document_id"], s["start"], s["end"], s["content_excerpt"]) for s in m["sources"]] == \
               [(s["n"], s["document_id"], s["start"], s["end"], s["content_excerpt"]) for s in first["sources"]]
    ids = [s["id"] for m in items for s in m["sources"]]
    assert len(ids) == len(set(ids)) and all(is_uuid(i) for i in ids)
    assert {m["conversation_id"] for m in items} == {first["conversation_id"]}


def test_an_answer_that_found_nothing_is_kept_too(main):
    session = new_session()
    a = main.answered(Q_NOTHING, session)
    items = main.messages(session, 2)
    assert items[1]["content"] == a["answer"] and items[1]["sources"] == [] and items[1]["grounded"] is False


def test_history_comes_in_pages_and_by_cursor_without_gaps_or_repeats(main):
    session = new_session()
    for i in range(4):
        main.answered(f"What does fault code E14 mean, case {i}?", session)
    everything = [m["id"] for m in main.messages(session, 8)]
    page, got = 1, []
    while True:
        h = main.history(session, page=page, limit=3)
        assert h["page"] == page and h["limit"] == 3 and len(h["items"]) <= 3
        got += [m["id"] for m in h["items"]]
        if not h["has_more"]:
            break
        page += 1
    assert got == everything
    cursor, got = None, []
    while True:
        h = main.history(session, limit=3, **({"cursor": cursor} if cursor else {}))
        got += [m["id"] for m in h["items"]]
        cursor = h["next_cursor"]
        if not h["has_more"]:
            break
    assert got == everything


def test_history_of_one_conversation_and_the_newest_conversation_first(main):
    session = new_session()
    a = main.answered(Q_BUILT, session)
    h = main.history(session, conversation_id=a["conversation_id"])
    assert [m["role"] for m in h["items"]] == ["user", "assistant"]
    assert main.history(session, conversation_id=str(uuid.uuid4()))["items"] == []


def test_another_session_sees_nothing_of_it(main):
    session = new_session()
    a = main.answered(Q_BREAD, session)
    assert main.history(new_session())["items"] == []
    assert main.history(new_session(), conversation_id=a["conversation_id"])["items"] == []


def test_a_session_can_be_made_read_and_erased_with_everything_below_it(main):
    session = new_session()
    r = main.request("POST", "/api/v1/sessions", json={"session_id": session})
    assert r.status_code == 201 and r.json()["session_id"] == session
    main.answered(Q_BREAD, session)
    r = main.request("GET", f"/api/v1/sessions/{session}")
    assert r.status_code == 200 and r.json()["conversations"] == 1 and r.json()["messages"] == 2
    assert main.request("DELETE", f"/api/v1/sessions/{session}").status_code == 204
    check_problem(main.request("GET", f"/api/v1/sessions/{session}"), 404, "not_found")
    assert main.history(session)["items"] == []
    assert main.answered(Q_BREAD, session)["cached"] == "none"  # its cached answers went with it


def test_ids_of_messages_are_ordered_by_time(main):
    """UUIDv7, made by the gateway before anything is stored: a repeated write is the same row, and new rows stand side by side."""
    session = new_session()
    ids = [uuid.UUID(main.answered(Q_BREAD, session, headers={"Cache-Control": "no-cache"})["message_id"]) for _ in range(3)]
    ids += [uuid.UUID(m["id"]) for m in main.messages(session, 6)]
    assert {i.version for i in ids} == {7} and ids[:3] == sorted(ids[:3])


def test_a_session_is_stored_as_its_sha256_only(main):
    session = new_session()
    main.answered(Q_BUILT, session)
    text = main.sql("SELECT encode(session_id, 'hex') FROM user_sessions")
    assert all(len(t[0]) == 64 for t in text)
    for table in ("user_sessions", "conversations", "messages", "citations"):
        assert main.sql(f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s", ("%" + session + "%",)) == [(0,)]


def test_the_tables_and_indexes_have_the_names_that_were_asked_for(main):
    tables = {r[0] for r in main.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'footnote'")}
    assert {"user_sessions", "conversations", "messages", "citations"} <= tables
    indexes = {r[0] for r in main.sql("SELECT indexname FROM pg_indexes WHERE schemaname = 'footnote'")}
    assert {"ix_user_sessions_session_id", "ix_user_sessions_user_id", "ix_user_sessions_expires_at",
            "ix_conversations_user_session_id", "ix_conversations_created_at", "ix_conversations_expires_at",
            "ix_messages_conversation_id", "ix_messages_timestamp", "ix_messages_expires_at"} <= indexes
    assert main.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_usage_is_for_admins_and_counts_by_day(main, locked):
    wait_for("the queue drained", lambda: main.redis.client().xlen("fn:turns") == 0)
    before = main.request("GET", "/api/v1/usage").json()["items"]
    assert len(before) == 7 and before[0]["day"] > before[1]["day"]
    a = main.answered(Q_BUILT, new_session(), headers={"Cache-Control": "no-cache"})
    after = main.request("GET", "/api/v1/usage", params={"days": 1}).json()["items"]
    grown = {k: after[0][k] - before[0][k] for k in after[0] if k != "day"} if after[0]["day"] == before[0]["day"] else None
    assert grown is None or (grown["questions"] == grown["answers"] == grown["grounded"] == grown["conversations"] == 1
                             and grown["prompt_tokens"] == a["usage"]["prompt_tokens"] > 0)
    for days in ("0", "32", "x", "-1"):
        check_problem(main.request("GET", "/api/v1/usage", params={"days": days}), 422, "validation")
    chat = locked.make_key(["chat"])["key"]
    check_problem(locked.request("GET", "/api/v1/usage", key=chat), 403, "forbidden")
    mine = locked.make_key(["admin"], tenant="usage-of-one")["key"]
    assert all(v == 0 for d in locked.request("GET", "/api/v1/usage", key=mine).json()["items"] for k, v in d.items() if k != "day")
