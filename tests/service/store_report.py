"""What the documents lack: unanswered and badly rated questions of a tenant, by collection and wording."""
import json
import uuid

import pytest

from busfake import CODES, Hub, Service
from store_kit import begin_req, finish_req, session


@pytest.fixture(scope="module")
def hub(pg):
    with Hub() as h, Service("store", h, DATABASE_URL=pg.url):
        yield h


def ask(hub, question, tenant="default", collection="docs", rating=None, comment=None, **answer):
    s, b = session(), None
    b = begin_req(s, question=question)
    hub.ok("turn.begin", b, tenant=tenant)
    answer = {"status": "refused", "grounded": False, **answer}
    trace = json.dumps({"retrieval": {"collection": collection}}) if collection else None
    hub.ok("turn.finish", finish_req(b, **answer, **({"trace": trace} if trace else {})), tenant=tenant)
    if rating:
        hub.ok("feedback", {"session": s, "message_id": b["message_id"], "rating": rating, **({"comment": comment} if comment else {})}, tenant=tenant)
    return b["message_id"]


def rows(hub, tenant="default", **req):
    return hub.ok("report", {"days": 7, **req}, tenant=tenant).get("items", [])


def test_unanswered_and_badly_rated_questions_are_counted_by_wording(hub):
    for _ in range(3):
        ask(hub, "How do I dye wool?", tenant="a")
    last = ask(hub, "how do I dye WOOL?", tenant="a")
    ask(hub, "Where is the key?", tenant="a", status="complete", grounded=True, rating="down", comment="not under the mat")
    ask(hub, "Who painted it?", tenant="a", status="complete", grounded=False)
    ask(hub, "Which answer was good?", tenant="a", status="complete", grounded=True)
    ask(hub, "Which answer was praised?", tenant="a", status="complete", grounded=True, rating="up")
    ask(hub, "Which answer was cut?", tenant="a", status="incomplete", grounded=False)
    got = rows(hub, "a")
    assert [(r["question"], r.get("unanswered", 0), r.get("rated_down", 0)) for r in got] == [
        ("how do I dye WOOL?", 4, 0), ("Who painted it?", 1, 0), ("Where is the key?", 0, 1)]
    assert got[0]["message_id"] == last and got[2]["comment"] == "not under the mat" and all(r["collection"] == "docs" for r in got)


def test_collections_are_told_apart_and_may_be_chosen(hub):
    ask(hub, "What is it?", tenant="b", collection="one")
    ask(hub, "What is it?", tenant="b", collection="two")
    ask(hub, "What is it?", tenant="b", collection=None)
    assert sorted(r.get("collection", "") for r in rows(hub, "b")) == ["", "one", "two"]
    assert [r["collection"] for r in rows(hub, "b", collection="two")] == ["two"]


def test_a_trace_of_an_earlier_release_counts_and_is_explained_alike_and_a_broken_one_spoils_nothing(hub, pg):
    trace = '{"retrieval": {"collection": "old", "found": 0, "scores": [0.25, 1e3]}, "versions": {"b": 1, "a": "\\u00e4"}}'
    s = session()
    b, broken = begin_req(s, question="When?"), begin_req(s, question="Broken?")
    for begun, told in ((b, trace), (broken, "{no JSON")):
        hub.ok("turn.begin", begun, tenant="old")
        hub.ok("turn.finish", finish_req(begun, status="refused", grounded=False, trace=told), tenant="old")

    def seen():
        return [hub.ok("message.explain", {"session": s, "message_id": b["message_id"]}, tenant="old")["trace"],
                sorted((r["question"], r.get("collection", "")) for r in rows(hub, "old"))]
    now = seen()
    assert json.loads(now[0]) == json.loads(trace) and now[1] == [("Broken?", ""), ("When?", "old")]
    pg.query("update messages set trace = told::jsonb, told = null where id = %s", str(uuid.UUID(bytes=bytes(b["message_id"]))))
    assert seen() == now
    assert "trace" not in hub.ok("message.explain", {"session": s, "message_id": broken["message_id"]}, tenant="old")


def test_only_the_days_that_are_asked_for_and_ones_own_tenant_count(hub, pg):
    old, new = ask(hub, "Old?", tenant="c"), ask(hub, "New?", tenant="c")
    assert rows(hub, "nobody") == []
    pg.query("update messages set timestamp = timestamp - interval '10 days' where id = %s::uuid", old.hex() if isinstance(old, bytes) else old)
    assert [(r["question"], r["message_id"]) for r in rows(hub, "c")] == [("New?", new)]
    assert {(r["question"], r["message_id"]) for r in rows(hub, "c", days=11)} == {("Old?", old), ("New?", new)}


def test_a_copied_answer_counts_in_the_collection_of_the_copied_one(hub):
    origin = ask(hub, "Where?", tenant="d", collection="atlas", status="complete", grounded=True)
    ask(hub, "Where?", tenant="d", collection=None, status="complete", grounded=True, from_cache=True, origin_id=origin, origin_ms=1, rating="down")
    assert [(r["collection"], r["rated_down"]) for r in rows(hub, "d")] == [("atlas", 1)]


def test_a_range_that_is_none_is_refused(hub):
    for days in (0, -1, 367, 2**62):
        assert hub.ask("report", {"days": days})[0] == CODES["VALIDATION"]
    for days in (1, 366):
        assert hub.ask("report", {"days": days})[0] == 0
