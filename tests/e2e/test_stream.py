"""Server-sent events of /chat/stream: their order, ids and what they say."""
from corpus_kit import ANSWER_FIELDS, Q_BREAD, Q_BUILT, Q_NOTHING, SOURCE_FIELDS, check_problem, check_sources, marks
from suite import new_session


def check_ids(events):
    message = events[0].data["message_id"]
    assert [e.id for e in events] == [f"{message}:{i}" for i in range(len(events))] or \
           [e.id for e in events] == [f"{message}:{i + 1}" for i in range(len(events))]


def test_a_stream_has_meta_sources_deltas_citations_and_done_in_this_order(main):
    session = new_session()
    main.stub.script({"route": "chat", "drip_ms": 5})
    r, events = main.stream(Q_BUILT, session)
    assert r.status_code == 200 and r.headers["Content-Type"].startswith("text/event-stream")
    assert r.headers["Cache-Control"] == "no-cache, no-transform" and r.headers["X-Accel-Buffering"] == "no"
    assert r.text.startswith("retry: 2000\n")
    kinds = [e.kind for e in events]
    deltas, citations = kinds.count("delta"), kinds.count("citation")
    assert deltas >= 2 and citations >= 1
    assert kinds == ["meta", "sources"] + ["delta"] * deltas + ["citation"] * citations + ["done"]
    check_ids(events)
    meta, found, done = events[0].data, events[1].data["sources"], events[-1].data
    assert meta["session_id"] == session and {"message_id", "conversation_id", "model"} <= set(meta)
    assert found and all(SOURCE_FIELDS <= set(s) for s in found)
    assert ANSWER_FIELDS <= set(done) and done["message_id"] == meta["message_id"] and done["saved"] == "yes"
    assert "".join(e.data["text"] for e in events if e.kind == "delta").strip() == done["answer"].strip()
    check_sources(main, done)
    cited = {e.data["n"]: e.data for e in events if e.kind == "citation"}
    by_id = {s["id"] for s in found}
    for s in done["sources"]:
        assert cited[s["n"]]["source_id"] == s["id"] and (cited[s["n"]]["start"], cited[s["n"]]["end"]) == (s["start"], s["end"])
        assert s["id"] in by_id
    items = main.messages(session, 2)
    assert items[1]["id"] == meta["message_id"] and items[1]["content"] == done["answer"]


def test_a_streamed_answer_is_cached_for_a_query_and_the_other_way_round(main):
    session = new_session()
    _, events = main.stream(Q_BREAD, session)
    again = main.answered(Q_BREAD, session)
    assert again["cached"] == "query" and again["answer"] == events[-1].data["answer"]
    r, events = main.stream(Q_BREAD, session)
    assert r.headers["X-Cache"] == "hit" and events[-1].kind == "done" and events[-1].data["cached"] == "query"
    check_ids(events)


def test_tokens_arrive_while_the_model_still_writes(main):
    main.stub.script({"route": "chat", "drip_ms": 80,
                      "text": "The lamp burns colza oil and is visible for many miles at sea in the night. [1]"})
    r = main.request("POST", "/api/v1/chat/stream", stream=True,
                     json={"question": "What does the lamp burn?", "session_id": new_session()})
    deltas_before_done, done = 0, False
    arrivals = []
    for line in r.iter_lines(chunk_size=1, decode_unicode=True):
        if line == "event: delta":
            arrivals.append(r.raw._fp.fp is not None)
            deltas_before_done += 1
        done = done or line == "event: done"
        if line == "event: delta" and deltas_before_done == 1:
            assert main.stub.stats()["concurrent"] == 1  # the stub's answer is still under way
    assert done and deltas_before_done > 3


def test_a_stream_about_nothing_ends_ungrounded_without_a_chat_call(main):
    chat = main.stub.stats()["chat"]
    _, events = main.stream(Q_NOTHING)
    done = events[-1]
    assert done.kind == "done" and done.data["grounded"] is False and done.data["sources"] == []
    assert not [e for e in events if e.kind == "citation"] and marks(done.data["answer"]) == set()
    assert main.stub.stats()["chat"] == chat


def test_a_model_that_stops_in_mid_answer_ends_the_stream_with_an_error_and_nothing_is_cached(main):
    session, question = new_session(), "How is the lens of the lighthouse turned?"
    main.stub.script({"route": "chat", "error_after": 3, "text": "A clockwork motor turns the lens once in ninety seconds [1].",
                      "times": 1})
    _, events = main.stream(question, session)
    assert events[-1].kind == "error" and events[-1].data["code"] == "upstream_interrupted"
    assert events[-1].data["message_id"] == events[0].data["message_id"]
    assert not [e for e in events if e.kind in ("done", "citation")]
    items = main.messages(session, 2)
    assert items[1]["status"] == "incomplete" and items[1]["sources"] == []
    assert main.answered(question, session)["cached"] == "none"


def test_a_stream_that_cannot_begin_is_an_ordinary_problem(main):
    r, _ = main.stream("x" * 501)
    check_problem(r, 422, "validation", "/question")
