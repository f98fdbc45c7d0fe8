"""Another embedding model in the store: who builds the second set, what lacks it, the switch in one step, the way back, and the end."""
import threading

import pytest

from busfake import CODES, Hub, Service, wait_for
from pg import Postgres
from store_kit import chunk, finish_req, begin_req, put, session

A, B, C = ({"model": m, "dims": d} for m, d in (("m", 4), ("other", 2), ("third", 3)))


@pytest.fixture()
def hub():
    with Postgres() as p, Hub() as h:
        h.pg = p
        with Service("store", h, DATABASE_URL=p.url):
            yield h


def vec(n, dims):
    return b"\0\0\x80?" * (n * dims)


def add(hub, name, text="words here", collection="docs", model="m", dims=4, space=None):
    """A small document of two passages; how jobs.done ended."""
    put(hub, text, collection, external_id=name)
    c = wait_for("a claim", lambda: hub.ok("jobs.claim", {"worker": "i", "lease_ms": 60000, "limit": 1, "bytes": 0})["items"])[0]
    rows = [{**chunk(k, k * 5, k * 5 + 5, f"{name}{k}{text}"), "vector": vec(1, dims)} for k in range(2)]
    req = {"worker": "i", "model": model, "items": [{"document_id": c["document_id"], "generation": c["generation"],
                                                     "text": text.encode(), "chunks": rows}]}
    if space:
        req.update(space=space[0], space_dims=space[1])
    return c, hub.ask("jobs.done", req)


def claim(hub, worker="w", model=B, **kw):
    rep = hub.ok("model.claim", {"worker": worker, "lease_ms": kw.pop("lease_ms", 60000), "limit": 1000, **model, **kw})
    return {**rep, "items": [{"from_ord": 0, **d} for d in rep["items"]]}


def build(hub, work, worker="w", model=B, documents=None):
    for d in work["items"] if documents is None else documents:
        hub.ok("model.put", {"worker": worker, "tenant": "default", "collection": work["collection"], **model, "parts": [
            {"document_id": d["document_id"], "generation": d["generation"], "from_ord": d["from_ord"],
             "vectors": vec(d["chunks"] - d["from_ord"], model["dims"]), "last": True}]})


def switch(hub, worker="w", collection="docs", **kw):
    return hub.ok("model.switch", {"worker": worker, "tenant": "default", "collection": collection, **kw}).get("count", 0)


def shown(hub, collection="docs"):
    return hub.ok("collection.list", {"name": collection})["items"][0]


def switched(hub, n=2):
    """A collection that has just switched from A to B."""
    docs = [add(hub, f"d{i}")[0] for i in range(n)]
    build(hub, claim(hub))
    assert claim(hub)["items"] == [] and switch(hub) == 1
    return docs


def test_the_first_document_says_which_model_a_collection_has(hub):
    add(hub, "one")
    c = hub.ok("collection.get", {"name": "docs"})
    assert (c["space"], c["space_dims"], c["space_state"]) == ("m", 4, "steady")
    assert claim(hub, model=A) == {"items": []}                      # the embedder has the same: nothing to do


def test_what_lacks_the_new_set_is_named_until_it_has_it(hub):
    for i in range(3):
        add(hub, f"d{i}")
    work = claim(hub)
    assert (work["tenant"], work["collection"], work["model"], work["dims"], work["space"]) == ("default", "docs", "other", 2, "m")
    assert [(d["external_id"], d["from_ord"], d["chunks"]) for d in work["items"]] == [(f"d{i}", 0, 2) for i in range(3)]
    d = work["items"][0]
    hub.ok("model.put", {"worker": "w", "tenant": "default", "collection": "docs", **B, "parts": [
        {"document_id": d["document_id"], "generation": 1, "from_ord": 0, "vectors": vec(1, 2)}]})
    assert claim(hub)["items"][0]["from_ord"] == 1                   # half of it is kept
    build(hub, work, documents=work["items"][1:2])
    assert [x["external_id"] for x in claim(hub)["items"]] == ["d0", "d2"] and shown(hub)["other_chunks"] == 2
    assert [x["external_id"] for x in claim(hub, after="d0")["items"]] == ["d2"]
    assert switch(hub) == 0, "two of them lack it"


def test_one_retriever_has_a_collection_and_another_takes_it_over_when_the_lease_ends(hub):
    add(hub, "a1", collection="a")
    add(hub, "b1", collection="b")
    first, second = claim(hub, "w1", lease_ms=60000), claim(hub, "w2", lease_ms=60000)
    assert {first["collection"], second["collection"]} == {"a", "b"} and claim(hub, "w3") == {"items": []}
    mine = {"worker": "w1", "tenant": "default", "collection": first["collection"]}
    assert hub.ask("model.renew", {**mine, "lease_ms": 100})[0] == 0
    took = wait_for("the lease has ended", lambda: (lambda x: x if x.get("tenant") else None)(claim(hub, "w3")))
    assert took["collection"] == first["collection"]
    assert hub.ask("model.renew", {**mine, "lease_ms": 60000})[0] == 18
    d = first["items"][0]
    part = {"document_id": d["document_id"], "generation": 1, "vectors": vec(2, 2), "last": True}
    assert hub.ask("model.put", {**mine, **B, "parts": [part]})[0] == 18
    assert switch(hub, "w1", first["collection"]) == 0


def test_the_switch_is_one_change_of_the_feed_and_the_old_set_is_kept(hub):
    add(hub, "d0")
    before = hub.ok("changes", {"after": 0, "limit": 100})
    build(hub, claim(hub))
    quiet = [c for c in hub.ok("changes", {"after": before["seq"], "limit": 100})["items"]]
    assert [(c["op"], c["content"]) for c in quiet] == [("ready", before["items"][-1]["seq"])], "only vectors came"
    epoch = shown(hub)["epoch"]
    assert claim(hub)["items"] == [] and switch(hub, overlap=0.5, compared=4) == 1
    c = shown(hub)
    after = hub.ok("changes", {"after": quiet[-1]["seq"], "limit": 100})["items"]
    assert [(x["op"], x["seq"]) for x in after] == [("collection", c["space_seq"])] and c["epoch"] == c["space_seq"] > epoch
    assert (c["space"], c["space_dims"], c["space_state"], c["other"], c["overlap"], c["compared"]) == ("other", 2, "kept", "m", 0.5, 4)
    got = hub.ok("chunks.load", {"items": [{"document_id": d["document_id"]} for d in hub_documents(hub)]})["items"][0]
    assert (got["model"], got["second_model"], got["space"]) == ("m", "other", "other")
    assert [(len(k["vector"]), len(k["second"])) for k in got["chunks"]] == [(16, 8)] * 2


def hub_documents(hub):
    return [{"document_id": d["id"]} for d in hub.ok("document.list", {"limit": 50})["items"]]


def test_a_document_that_ends_meanwhile_is_seen_by_the_switch_or_sees_it(hub):
    add(hub, "d0")
    build(hub, claim(hub))
    add(hub, "d1")                                                    # came after all had it
    assert switch(hub) == 0
    build(hub, claim(hub))
    put(hub, "late words", external_id="d2")
    c = hub.ok("jobs.claim", {"worker": "i", "lease_ms": 60000, "limit": 1, "bytes": 0})["items"][0]
    assert (c["space"], c["space_dims"]) == ("m", 4)
    assert switch(hub) == 1                                           # it is not a document yet
    done = {"worker": "i", "model": "m", "space": "m", "space_dims": 4, "items": [
        {"document_id": c["document_id"], "generation": 1, "text": b"late words", "chunks": [{**chunk(0, 0, 5, "late"), "vector": vec(1, 4)}]}]}
    assert hub.ask("jobs.done", done)[0] == 18, "it was embedded by the model of before"
    done.update(model="other", space="other", space_dims=2)
    done["items"][0]["chunks"][0]["vector"] = vec(1, 2)
    assert hub.ask("jobs.done", done)[0] == 0
    rows = {d["external_id"]: d["status"] for d in hub.ok("document.list", {"limit": 50})["items"]}
    assert set(rows) == {"d0", "d1", "d2"} and len(set(rows.values())) == 1, rows


def test_retrievers_of_the_release_before_say_no_model_and_are_not_held_up(hub):
    switched(hub)
    _, (code, _) = add(hub, "old", model="m", dims=4)                 # no space in the request
    assert code == 0


def test_back_at_once_when_nothing_is_missing_and_not_forward_by_itself(hub):
    switched(hub)
    assert hub.ask("collection.model", {"name": "docs"})[0] == 0
    c = shown(hub)
    assert (c["space"], c["other"], c["space_state"], c["space_held"]) == ("m", "other", "kept", True)
    assert claim(hub) == {"items": []}, "the embedder's model was left on purpose"
    assert hub.ask("collection.model", {"name": "docs"})[0] == 0      # forward again
    assert shown(hub)["space"] == "other" and shown(hub)["space_state"] == "kept"


def test_back_makes_what_is_missing_first(hub):
    switched(hub)
    add(hub, "new", model="other", dims=2)
    assert hub.ask("collection.model", {"name": "docs"})[0] == 0
    assert shown(hub)["space"] == "other" and shown(hub)["space_state"] == "building"
    work = claim(hub)                                                 # although the embedder has the other one
    assert (work["model"], [d["external_id"] for d in work["items"]]) == ("m", ["new"])
    build(hub, work, model=A)
    assert claim(hub)["items"] == [] and switch(hub) == 1 and shown(hub)["space"] == "m" and shown(hub)["space_held"]


def test_a_dropped_set_leaves_one_vector_a_passage(hub):
    docs = switched(hub, 3)
    assert hub.ask("collection.model", {"name": "docs", "drop": True})[0] == 0
    while shown(hub)["space_state"] != "steady":
        assert claim(hub)["tidying"]
    got = hub.ok("chunks.load", {"items": [{"document_id": d["document_id"]} for d in docs]})["items"]
    assert all(g["model"] == "other" and not g.get("second_model") and [len(k["vector"]) for k in g["chunks"]] == [8, 8] for g in got)
    with hub.pg.connect() as c, c.cursor() as cur:
        cur.execute("SELECT count(*) FROM footnote.vectors")
        assert cur.fetchall() == [(0,)]
    assert hub.ask("collection.model", {"name": "docs", "drop": True})[0] == 18


def test_a_change_that_is_stopped_leaves_nothing_and_is_not_begun_again(hub):
    for i in range(2):
        add(hub, f"d{i}")
    work = claim(hub)
    build(hub, work, documents=work["items"][:1])
    assert hub.ask("collection.model", {"name": "docs"})[0] == 0
    while shown(hub)["space_state"] != "steady":
        assert claim(hub)["tidying"]
    assert claim(hub) == {"items": []} and shown(hub)["space"] == "m"
    assert claim(hub, model=C)["model"] == "third"                    # another one is


def test_a_replaced_document_lacks_the_set_again_and_its_old_vectors_never_count(hub):
    add(hub, "d0")
    build(hub, claim(hub))
    add(hub, "d0", "other text")
    work = claim(hub)
    assert [(d["external_id"], d["generation"], d["from_ord"]) for d in work["items"]] == [("d0", 2, 0)] and switch(hub) == 0
    stale = {**work["items"][0], "generation": 1}
    build(hub, work, documents=[stale])                               # of the text before
    assert claim(hub)["items"][0]["generation"] == 2
    got = hub.ok("chunks.get", {"document_id": work["items"][0]["document_id"]})
    assert not got.get("second_model") and not any(k.get("second") for k in got["chunks"])


def test_vectors_of_either_set_are_known(hub):
    add(hub, "d0", "abc")
    build(hub, claim(hub))
    one = chunk(0, 0, 5, "d00abc")["hash"]
    for model in (A, B):
        got = hub.ok("vectors.known", {"tenant": "default", **model, "hashes": [{"hash": one}]})["items"]
        assert [len(k["vector"]) for k in got] == [4 * model["dims"]]


def test_questions_of_the_collection_come_with_the_end_of_the_work(hub):
    add(hub, "d0")
    for q, where in (("First?", "docs"), ("First?", "docs"), ("Elsewhere?", "else"), ("Second?", "docs")):
        b = begin_req(session(), question=q)
        hub.ok("turn.begin", b)
        hub.ok("turn.finish", finish_req(b, trace='{"retrieval":{"collection":"%s"}}' % where))
    build(hub, claim(hub))
    got = claim(hub)
    assert sorted(got["questions"]) == ["First?", "Second?"] and got["seq"] > 0


def test_a_collection_goes_with_all_that_is_known_of_its_models_while_it_switches(hub):
    for round_ in range(5):
        add(hub, "d0", f"text {round_}")
        build(hub, claim(hub))
        assert claim(hub)["items"] == []
        ended = []
        t = threading.Thread(target=lambda: ended.append(hub.ask("model.switch", {"worker": "w", "tenant": "default", "collection": "docs"})[0]))
        t.start()
        assert hub.ask("collection.delete", {"name": "docs"})[0] == 0
        t.join()
        assert ended in ([0], [CODES["NOT_FOUND"]]), "before it went, or behind it"
        with hub.pg.connect() as c, c.cursor() as cur:
            cur.execute("SELECT (SELECT count(*) FROM footnote.collection_models), (SELECT count(*) FROM footnote.vectors)")
            assert cur.fetchall() == [(0, 0)]


def test_a_switch_that_waits_for_a_collection_that_goes_does_not_find_it(hub):
    add(hub, "d0")
    build(hub, claim(hub))
    assert claim(hub)["items"] == []
    ended = []
    t = threading.Thread(target=lambda: ended.append(hub.ask("model.switch", {"worker": "w", "tenant": "default", "collection": "docs"})[0]))
    with hub.pg.connect() as c, c.cursor() as cur:
        cur.execute("DELETE FROM footnote.documents; DELETE FROM footnote.collections")
        t.start()
        wait_for("it waits", lambda: hub.pg.query("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
        c.commit()
    t.join()
    assert ended == [CODES["NOT_FOUND"]]


def test_claims_without_work_change_no_row_and_begin_no_more_than_is_needed(hub):
    add(hub, "d0")
    first = hub.pg.query("SELECT xmin::text FROM footnote.collection_models")
    for _ in range(3):
        assert claim(hub, model=A) == {"items": []}
    assert hub.pg.query("SELECT xmin::text FROM footnote.collection_models") == first
    assert claim(hub)["collection"] == "docs" and shown(hub)["space_state"] == "building"


def test_an_old_set_goes_after_the_days_that_it_is_kept(hub):
    switched(hub)
    assert claim(hub, keep_days=1) == {"items": []}
    with hub.pg.connect() as c, c.cursor() as cur:
        cur.execute("UPDATE footnote.collection_models SET since = now() - interval '25 hours'")
        c.commit()
    assert claim(hub, keep_days=1)["tidying"] and shown(hub)["space_state"] in ("dropping", "steady")


def test_embedders_that_differ_do_not_drive_each_other_back(hub):
    """While one is restarted with another model some answer for the old one: the work goes on for whoever began it."""
    add(hub, "d0")
    assert claim(hub, "w1")["model"] == "other"
    assert claim(hub, "w2", model=A) == {"items": []} and shown(hub)["space_state"] == "building"
    with hub.pg.connect() as c, c.cursor() as cur:
        cur.execute("UPDATE footnote.collection_models SET touched_at = now() - interval '2 minutes', lease_until = now()")
        c.commit()
    assert claim(hub, "w2", model=A)["tidying"], "nobody has had the other model for a while: taken back"


def test_collections_of_the_release_before_say_their_model_when_they_are_looked_at(hub):
    add(hub, "d0")
    with hub.pg.connect() as c, c.cursor() as cur:
        cur.execute("DELETE FROM footnote.collection_models")
        c.commit()
    assert "space" not in hub.ok("collection.get", {"name": "docs"}) or not hub.ok("collection.get", {"name": "docs"})["space"]
    assert claim(hub, model=A) == {"items": []} and hub.ok("collection.get", {"name": "docs"})["space"] == "m"


def test_tenants_do_not_see_each_others_sets(hub):
    switched(hub)
    put(hub, "x", "docs", tenant="b", external_id="x")
    assert hub.ask("collection.model", {"name": "docs"}, tenant="b")[0] == 18
    assert hub.ask("collection.model", {"name": "docs", "drop": True}, tenant="b")[0] == 18
    assert hub.ask("collection.model", {"name": "nothing"}, tenant="b")[0] == 15
    c, theirs = shown(hub), hub.ok("collection.list", {"name": "docs"}, tenant="b")["items"][0]
    assert (c["space"], c["other"], c["space_state"]) == ("other", "m", "kept"), "untouched by what b asked for"
    assert not theirs.get("space") and not theirs.get("other"), theirs
