"""GET /api/v1/messages/{id}/explain: how an answer came about, for whoever it was given to and for nobody else."""
import uuid

from corpus_kit import Q_BUILT, Q_LAMP, Q_NOTHING, check_problem
from suite import new_session, wait_for

STAGES = {"auth", "cache", "begin", "embed", "search", "generate", "cite"}


def explain(suite, message, session):
    return suite.request("GET", f"/api/v1/messages/{message}/explain", session=session)


def test_an_answer_tells_its_stages_passages_cost_and_versions(main):
    session = new_session()
    a = main.answered(Q_BUILT, session, headers={"Cache-Control": "no-cache"})
    r = explain(main, a["message_id"], session)
    assert r.status_code == 200, r.text
    x = r.json()
    assert x["message_id"] == a["message_id"] and x["conversation_id"] == a["conversation_id"]
    assert x["cached"] == "none" and x["cache"] is None and x["grounded"] and x["confidence"] == a["confidence"]
    t = x["trace"]
    assert set(t["stages_ms"]) == STAGES and all(v >= 0 for v in t["stages_ms"].values())
    assert sum(t["stages_ms"].values()) <= t["total_ms"] + 1 and 0 < t["upstream_ms"] < t["total_ms"]
    assert t["caches"]["query"] == "bypass" and t["caches"]["embedding"] in ("hit", "miss")
    passages = t["retrieval"]["passages"]
    assert len(passages) == t["retrieval"]["found"] and [p["n"] for p in passages] == list(range(1, len(passages) + 1))
    assert {p["n"] for p in passages if p["cited"]} == {s["n"] for s in a["sources"]}
    assert {p["chunk_id"] for p in passages if p["cited"]} == {s["chunk_id"] for s in a["sources"]}
    assert passages[0]["score"] >= passages[-1]["score"] and passages[0]["title"] == "The lighthouse of Varnholm"
    assert t["prompt"]["bytes"] > 500 and t["prompt"]["passages"] == len(passages) and len(t["prompt"]["version"]) == 32
    assert t["tokens"]["prompt"] == a["usage"]["prompt_tokens"] and t["tokens"]["completion"] == a["usage"]["completion_tokens"]
    # gpt-4o-mini: 0.15 and 0.60 dollars for a million tokens
    want = t["tokens"]["prompt"] * 0.15e-6 + t["tokens"]["completion"] * 0.6e-6 + t["tokens"]["embedding"] * 0.02e-6
    assert abs(t["cost_dollars"]["total"] - want) < 1e-8
    assert t["models"]["chat"] == "gpt-4o-mini" and t["models"]["embedding"] and t["retrieval"]["index_epoch"] > 0
    assert t["versions"]["footnote"] and "Solheim" not in r.text, "no text of a document is kept with the trace"


def test_a_cached_answer_tells_which_one_it_is_a_copy_of_and_how_old_that_was(main):
    session = new_session()
    first = main.answered(Q_LAMP, session)
    again = main.answered(Q_LAMP, session)
    assert again["cached"] == "query"
    r = wait_for("the copy is saved", lambda: (lambda r: r if r.status_code == 200 else None)(
        explain(main, again["message_id"], session)), 5)
    x = r.json()
    assert x["cached"] == "query" and x["cache"]["name"] == "query" and x["cache"]["message_id"] == first["message_id"]
    assert 0 <= x["cache"]["age_seconds"] < 30
    assert x["trace"] == explain(main, first["message_id"], session).json()["trace"]


def test_a_refusal_tells_that_nothing_was_found_and_no_model_asked(main):
    session = new_session()
    a = main.answered(Q_NOTHING, session)
    t = explain(main, a["message_id"], session).json()["trace"]
    assert t["retrieval"]["found"] == 0 and t["retrieval"]["passages"] == [] and "generate" not in t["stages_ms"]
    assert "prompt" not in t and t["tokens"]["prompt"] == 0


def test_a_model_without_a_price_costs_null_not_a_guess(main):
    assert main.request("PUT", "/api/v1/collections/odd", json={"model": "odd-model"}).status_code == 200
    main.ingest("# Odd\n\nThe weathercock of Ostervik points north.\n", "odd", collection="odd")
    session = new_session()
    a = main.answered("Where does the weathercock of Ostervik point?", session, collection="odd")
    t = explain(main, a["message_id"], session).json()["trace"]
    assert t["models"]["chat"] == "odd-model" and t["cost_dollars"]["prompt"] is None and t["cost_dollars"]["total"] is None
    assert t["tokens"]["prompt"] > 0


def test_nobody_else_sees_it_and_it_goes_with_its_message(main):
    session = new_session()
    a = main.answered(Q_BUILT, session)
    theirs = explain(main, a["message_id"], new_session())
    none = explain(main, uuid.uuid4(), new_session())
    check_problem(theirs, 404, "not_found")
    check_problem(none, 404, "not_found")
    check_problem(explain(main, "not-an-id", session), 404, "not_found")
    items = main.history(session)["items"]
    check_problem(explain(main, next(m["id"] for m in items if m["role"] == "user"), session), 404, "not_found")
    assert main.request("DELETE", f"/api/v1/sessions/{session}").status_code == 204
    check_problem(explain(main, a["message_id"], session), 404, "not_found")
    assert main.sql("SELECT count(*) FROM messages WHERE id = %s", (a["message_id"],)) == [(0,)]
