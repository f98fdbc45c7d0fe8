"""The store's documents, jobs, change feed, collections, keys and clean-up, against a private Postgres."""
import hashlib
import json
import time

import pytest

from busfake import CODES, Service, wait_for
from pg import Postgres
from store_kit import chunk, ingest, new_id, put, session, turn


@pytest.fixture(scope="module", autouse=True)
def store(pg, hub):
    with Service("store", hub, DATABASE_URL=pg.url) as s:
        yield s


@pytest.fixture(autouse=True)
def empty(pg, store):
    pg.query("truncate collections, documents, uploads, chunks, jobs, changes, api_keys, cleanup_runs cascade")


def feed(hub, after=0):
    return [(c["op"], c.get("document_id")) for c in hub.ok("changes", {"after": after, "limit": 1000})["items"]]


def test_a_document_goes_from_upload_to_searchable(hub):
    head = hub.ok("changes", {"after": 0, "limit": 10})["seq"]
    meta = json.dumps({"level": 3, "tags": ["a"]})
    rep = put(hub, "Grüße. " * 50, external_id="a.md", title="A", url="https://x/", metadata=meta)
    doc = {"document_id": rep["document_id"]}
    assert not rep.get("unchanged") and hub.ok("changes", {"after": 0, "limit": 10})["jobs_pending"] == 1
    assert hub.ok("document.get", doc)["items"][0]["status"] == "pending"
    c = hub.ok("job.claim", {"worker": "w", "lease_ms": 60000})
    assert (c["document_id"], c["job_id"], c["tenant"], c["generation"]) == (rep["document_id"], rep["job_id"], "default", 1)
    assert hub.ok("document.get", doc)["items"][0]["status"] == "processing"
    assert hub.ok("job.get", {"job_id": rep["job_id"]})["status"] == "running"
    me = {"document_id": c["document_id"], "generation": 1, "worker": "w"}
    text = c["body"]
    chunks = [chunk(i, i * 9, i * 9 + 9, str(i)) for i in range(3)]
    hub.ok("job.text", {**me, "text": text, "title": "found"})
    for _ in range(2):                                              # a repeated batch counts once
        hub.ok("job.chunks", {**me, "model": "m", "embedded": 3, "chunks": chunks})
    seq = hub.ok("job.finish", me)["seq"]
    assert hub.ok("job.finish", me)["seq"] == seq > head            # its reply was lost: the same again
    job = hub.ok("job.get", {"job_id": rep["job_id"]})
    assert (job["status"], job["files"], job["files_done"], job["chunks"], job["embedded"], job["seq"]) == (
        "done", 1, 1, 3, 3, seq)
    d = hub.ok("document.get", {"collection": "docs", "external_id": "a.md"})["items"][0]
    assert (d["status"], d["chunks"], d["bytes"], d["title"], d["metadata"]) == ("ready", 3, len(text), "A", meta)
    assert d["sha256"] == hashlib.sha256(text).digest()
    got = hub.ok("chunks.get", doc)
    assert [k["vector"] for k in got["chunks"]] == [k["vector"] for k in chunks] and got["model"] == "m"
    assert [k["text"].encode() for k in got["chunks"]] == [text[i * 9:i * 9 + 9] for i in range(3)]
    assert got["document"][0]["metadata"] == meta and got["tenant"] == "default"
    assert feed(hub) == [("ready", rep["document_id"])]
    assert hub.ok("collection.list")["items"][0]["epoch"] == seq


def test_the_text_is_read_by_byte_offsets(hub):
    rep = put(hub, "häßlich und schön")
    ingest(hub)
    raw = "häßlich und schön".encode()
    doc = {"document_id": rep["document_id"]}
    for start, end in ((0, 0), (0, 5), (3, 9), (7, 0), (0, 1000), (500, 0), (4, 4)):
        got = hub.ok("document.text", {**doc, "start": start, "end": end})
        want = raw[start:end] if end else raw[start:]
        assert (got["text"], got["bytes"]) == (want, len(raw)), (start, end)
    assert hub.ask("document.text", {**doc, "start": 5, "end": 2})[0] == CODES["VALIDATION"]


def test_the_same_content_again_is_nothing_to_do(hub):
    a = put(hub, "same", external_id="x", title="T")
    again = put(hub, "same", external_id="x", title="T")
    assert again["unchanged"] and again["job_id"] == a["job_id"]        # still waiting: the same job
    ingest(hub)
    done = put(hub, "same", external_id="x", title="T")
    assert done["unchanged"] and hub.ok("job.get", {"job_id": done["job_id"]})["status"] == "done"
    assert hub.ask("job.claim", {"worker": "w", "lease_ms": 1000})[0] == CODES["NOT_FOUND"]
    assert not put(hub, "same", external_id="x", title="Other").get("unchanged")


def test_a_replacement_stays_invisible_until_it_is_finished(hub, pg):
    rep = put(hub, "old text", external_id="x")
    _, seq = ingest(hub)
    doc = {"document_id": rep["document_id"]}
    new = put(hub, "new longer text", external_id="x")
    assert new["document_id"] == rep["document_id"]
    assert hub.ok("document.text", doc)["text"] == b"old text"
    assert "".join(k["text"] for k in hub.ok("chunks.get", doc)["chunks"]) == "old text"
    _, seq2 = ingest(hub)
    assert hub.ok("document.text", doc)["text"] == b"new longer text"
    assert "".join(k["text"] for k in hub.ok("chunks.get", doc)["chunks"]) == "new longer text"
    assert pg.value("select count(*) from chunks") == 2 and seq2 > seq
    assert feed(hub, seq) == [("ready", rep["document_id"])] == feed(hub)     # one row a document


def test_work_on_a_superseded_upload_is_refused(hub, pg):
    a = put(hub, "first", external_id="x")
    c = hub.ok("job.claim", {"worker": "w", "lease_ms": 60000})
    me = {"document_id": c["document_id"], "generation": c["generation"], "worker": "w"}
    hub.ok("job.text", {**me, "text": b"first"})
    hub.ok("job.chunks", {**me, "model": "m", "chunks": [chunk(0, 0, 5, "first")]})
    put(hub, "second", external_id="x")
    for kind, more in (("job.renew", {"lease_ms": 1000}), ("job.text", {"text": b"first"}),
                       ("job.chunks", {"model": "m", "chunks": [chunk(0, 0, 5, "first")]}), ("job.finish", {})):
        assert hub.ask(kind, {**me, **more})[0] == CODES["CONFLICT"], kind
    assert pg.value("select count(*) from chunks") == 0
    assert hub.ok("job.get", {"job_id": a["job_id"]})["status"] == "done"
    ingest(hub)


def test_a_dead_retrievers_lease_is_taken_over_and_counted(hub, pg):
    put(hub, "text")
    for attempt in range(5):
        c = hub.ok("job.claim", {"worker": f"w{attempt}", "lease_ms": 500})
        assert pg.value("select attempts from uploads") == attempt + 1
        assert hub.ask("job.claim", {"worker": "other", "lease_ms": 500})[0] == CODES["NOT_FOUND"]
        wait_for("the lease to lapse", lambda: hub.ok("changes", {"after": 0, "limit": 1}).get("jobs_pending") or
                 attempt == 4 and time.sleep(0.52) is None)
    assert hub.ask("job.claim", {"worker": "w", "lease_ms": 100})[0] == CODES["NOT_FOUND"]
    job = hub.ok("job.get", {"job_id": c["job_id"]})
    assert (job["status"], job["files_failed"]) == ("failed", 1) and "five times" in job["error"]
    assert hub.ok("document.get", {"document_id": c["document_id"]})["items"][0]["status"] == "failed"


def test_what_waits_for_its_reader_uses_up_no_attempt_and_says_so(hub, pg):
    rep = put(hub, "text")
    me = {"worker": "w", "lease_ms": 60000}
    for _ in range(7):
        c = wait_for("it to come back", lambda: hub.ask("job.claim", me)[1])
        assert pg.value("select attempts from uploads") == 1
        hub.ok("job.finish", {"document_id": c["document_id"], "generation": c["generation"], "worker": "w", "error": "the reader is away", "again": True,
                              "wait_ms": 30})
        d = hub.ok("document.get", {"document_id": rep["document_id"]})["items"][0]
        assert (d["status"], d["error"]) == ("pending", "the reader is away")
    c = wait_for("it to come back", lambda: hub.ask("job.claim", me)[1])
    assert hub.ask("job.finish", {"document_id": c["document_id"], "generation": c["generation"], "worker": "other", "error": "x", "again": True,
                                  "wait_ms": 30})[0] == CODES["CONFLICT"]
    hub.ok("job.finish", {"document_id": c["document_id"], "generation": c["generation"], "worker": "w", "error": "x", "again": True, "wait_ms": 60000})
    assert hub.ask("job.claim", me)[0] == CODES["NOT_FOUND"]


def test_a_passing_fault_puts_it_back_and_a_lasting_one_fails_it(hub):
    rep = put(hub, "text")
    c = hub.ok("job.claim", {"worker": "w", "lease_ms": 60000})
    me = {"document_id": c["document_id"], "generation": c["generation"], "worker": "w"}
    hub.ok("job.finish", {**me, "error": "upstream away", "again": True})
    c = wait_for("it to come back", lambda: hub.ask("job.claim", {"worker": "w", "lease_ms": 60000})[1])
    hub.ok("job.finish", {**me, "error": "no text in it"})
    assert hub.ok("job.get", {"job_id": rep["job_id"]})["error"] == "no text in it"
    d = hub.ok("document.get", {"document_id": rep["document_id"]})["items"][0]
    assert (d["status"], d["error"]) == ("failed", "no text in it")
    assert feed(hub) == []


def test_what_a_workers_host_could_not_begin_is_no_attempt(hub, pg):
    rep = put(hub, "text")
    for _ in range(7):
        c = hub.ok("job.claim", {"worker": "w", "lease_ms": 60000})
        assert pg.value("select attempts from uploads") == 1
        hub.ok("job.finish", {"document_id": c["document_id"], "generation": c["generation"], "worker": "w", "error": "no descriptors",
                              "again": True, "unspent": True})
        assert hub.ask("job.claim", {"worker": "w", "lease_ms": 60000})[0] == CODES["NOT_FOUND"], "it waits"
        pg.query("update uploads set not_before = now()")
    assert hub.ok("job.get", {"job_id": rep["job_id"]})["status"] == "running"


@pytest.mark.parametrize("together", [False, True], ids=["alone", "in a lot"])
def test_another_text_than_an_attempt_before_found_leaves_no_chunk_of_that(hub, pg, together):
    """The server of EXTRACT_URL, or a release, reads a document otherwise than before."""
    put(hub, "original")
    c = hub.ok("job.claim", {"worker": "w", "lease_ms": 60000})
    me = {"document_id": c["document_id"], "generation": c["generation"], "worker": "w"}
    hub.ok("job.text", {**me, "text": b"one two three"})
    hub.ok("job.chunks", {**me, "model": "m", "chunks": [chunk(0, 0, 3, "one"), chunk(1, 4, 7, "two"), chunk(2, 8, 13, "three")]})
    hub.ok("job.finish", {**me, "error": "passing", "again": True})
    pg.query("update uploads set not_before = now()")
    assert hub.ok("job.claim", {"worker": "w", "lease_ms": 60000})["document_id"] == c["document_id"]
    chunks = [chunk(0, 0, 4, "four"), chunk(1, 5, 9, "five")]
    if together:
        hub.ok("jobs.done", {"worker": "w", "model": "m", "items": [{"document_id": c["document_id"], "generation": c["generation"],
                                                                    "text": b"four five", "chunks": chunks}]})
    else:
        hub.ok("job.text", {**me, "text": b"four five"})
        hub.ok("job.chunks", {**me, "model": "m", "chunks": chunks})
        hub.ok("job.finish", me)
    got = hub.ok("chunks.get", {"document_id": c["document_id"]})["chunks"]
    assert [(k["start"], k["end"], k["text"], k["hash"]) for k in got] == [(k["start"], k["end"], t, k["hash"]) for k, t in zip(chunks, ("four", "five"))]
    assert hub.ok("document.get", {"document_id": c["document_id"]})["items"][0]["chunks"] == 2


def test_the_head_of_a_table_stands_with_its_chunk(hub):
    put(hub, "text of a table")
    c = hub.ok("job.claim", {"worker": "w", "lease_ms": 60000})
    me = {"document_id": c["document_id"], "generation": c["generation"], "worker": "w"}
    hub.ok("job.text", {**me, "text": c["body"]})
    hub.ok("job.chunks", {**me, "model": "m", "chunks": [chunk(0, 0, 4, "a"), {**chunk(1, 5, 9, "b"), "lead": "| A |"}]})
    hub.ok("job.finish", me)
    for got in (hub.ok("chunks.get", {"document_id": c["document_id"]}),
                hub.ok("chunks.load", {"items": [{"document_id": c["document_id"]}]})["items"][0]):
        assert [k.get("lead") for k in got["chunks"]] == [None, "| A |"]


def test_several_files_share_a_job(hub):
    job = new_id()
    for i in range(3):
        assert put(hub, f"text {i}", external_id=str(i), job_id=job)["job_id"] == job
    put(hub, "text 0", external_id="0", job_id=job)
    assert hub.ok("job.get", {"job_id": job})["files"] == 3
    for _ in range(3):
        ingest(hub)
    got = hub.ok("job.get", {"job_id": job})
    assert (got["status"], got["files_done"], got["chunks"]) == ("done", 3, 6)


def test_ids_are_named_or_fresh(hub):
    a, b = put(hub, "x", external_id="same"), put(hub, "x", external_id="same", collection="other")
    fresh = put(hub, "x")
    assert len({a["document_id"], b["document_id"], fresh["document_id"]}) == 3
    d = hub.ok("document.get", {"document_id": fresh["document_id"]})["items"][0]
    assert d["external_id"].replace("-", "") == fresh["document_id"].hex()
    assert put(hub, "y", external_id=d["external_id"])["document_id"] == fresh["document_id"]


def test_a_delete_is_in_the_feed_the_moment_it_commits(hub, pg):
    rep = put(hub, "text", external_id="x")
    _, seq = ingest(hub)
    put(hub, "text two", external_id="x")
    gone = hub.ok("document.delete", {"collection": "docs", "external_id": "x"})
    assert gone["seq"] == seq + 1 and feed(hub) == [("delete", rep["document_id"])]
    for kind in ("document.get", "document.text", "document.delete", "chunks.get"):
        assert hub.ask(kind, {"document_id": rep["document_id"]})[0] == CODES["NOT_FOUND"]
    assert pg.query("select (select count(*) from chunks), (select count(*) from uploads),"
                    " (select count(*) from jobs where files_done < files)") == [(0, 0, 0)]


def test_a_document_is_read_again_once_however_often_it_is_asked(hub, pg):
    rep = put(hub, "text", external_id="again", title="Given")
    ingest(hub)
    asked = [hub.ok("document.reindex", {"collection": "docs", "external_id": "again"}) for _ in range(2)]
    assert asked[0] == asked[1] and asked[0]["document_id"] == rep["document_id"] and asked[0]["job_id"] != rep["job_id"]
    assert hub.ask("document.reindex", {"document_id": rep["document_id"]}, tenant="acme")[0] == CODES["NOT_FOUND"]
    assert pg.query("select generation, attempts, mime from uploads") == [(2, 0, "text/plain")]
    pg.query("update uploads set attempts = 3, not_before = now() + interval '1 hour'")
    hub.ok("document.reindex", {"document_id": rep["document_id"]})                 # not in an hour: now
    c, _ = ingest(hub)
    assert c["body"] == b"text" and hub.ok("job.get", {"job_id": asked[0]["job_id"]})["status"] == "done"
    got = hub.ok("document.get", {"document_id": rep["document_id"]})["items"][0]
    assert (got["title"], got["status"]) == ("Given", "ready")
    pg.query("update documents set body = null")
    assert hub.ask("document.reindex", {"document_id": rep["document_id"]})[0] == CODES["CONFLICT"]
    assert pg.query("select count(*) from uploads") == [(0,)]


def test_the_feed_is_in_order_while_many_write(hub):
    for i in range(30):
        put(hub, f"text {i}", external_id=str(i))
    calls, seen, after = [], [], hub.ok("changes", {"after": 0, "limit": 1})["seq"]
    for w in range(30):
        c = hub.ok("job.claim", {"worker": "w", "lease_ms": 60000})
        me = {"document_id": c["document_id"], "generation": 1, "worker": "w"}
        hub.ok("job.text", {**me, "text": b"t"})
        calls.append(hub.begin("job.finish", me))
    while len(seen) < 30:
        rep = hub.ok("changes", {"after": after, "limit": 7})
        assert [c["seq"] for c in rep["items"]] == sorted(c["seq"] for c in rep["items"])
        assert all(c["seq"] == after + 1 + i for i, c in enumerate(rep["items"])), "a hole in what was seen"
        seen += [c["seq"] for c in rep["items"]]
        after = seen[-1] if seen else after
    assert all(c.wait().code == 0 for c in calls) and len(set(seen)) == 30


def test_deleting_a_collection_deletes_every_document_in_the_feed(hub, pg):
    docs = []
    for i in range(3):
        docs.append(put(hub, f"text {i}", collection="c1")["document_id"])
        ingest(hub)
    put(hub, "waiting", collection="c1")
    hub.ok("collection.put", {"name": "c1", "prompt": "P", "top_k": 7})
    col = hub.ok("collection.list", {"name": "c1"})["items"][0]
    assert (col["prompt"], col["top_k"], col["documents"], col["chunks"]) == ("P", 7, 4, 6)
    assert hub.ask("collection.delete", {"name": "c1"}, tenant="acme")[0] == CODES["NOT_FOUND"]
    rep = hub.ok("collection.delete", {"name": "c1"})
    assert rep["count"] == 4 and rep["seq"] == hub.ok("changes", {"after": 0, "limit": 1})["seq"]
    ops = feed(hub)
    assert ops[-1] == ("delete", None) and set(docs) <= {d for op, d in ops[:-1] if op == "delete"}
    assert hub.ask("collection.list", {"name": "c1"})[0] == CODES["NOT_FOUND"]
    assert pg.value("select count(*) from chunks") == pg.value("select count(*) from uploads") == 0
    put(hub, "again", collection="c1")


def test_lists_page_newest_first_with_cursors(hub):
    ids = [put(hub, f"t{i}", collection="a" if i % 2 else "b")["document_id"] for i in range(7)]
    got, cursor = [], {}
    while True:
        rep = hub.ok("document.list", {"limit": 3, **cursor})
        got += [d["id"] for d in rep["items"]]
        if not rep.get("has_more"):
            break
        cursor = {"cursor": rep["next_cursor"]}
    assert got == ids[::-1]
    assert [d["id"] for d in hub.ok("document.list", {"limit": 3, "page": 2})["items"]] == ids[::-1][3:6]
    assert [d["id"] for d in hub.ok("document.list", {"limit": 9, "collections": ["a"]})["items"]] == ids[::-1][1::2]


def test_tenants_do_not_meet(hub):
    rep = put(hub, "secret of acme", tenant="acme", external_id="x")
    ingest(hub)
    doc = {"document_id": rep["document_id"]}
    for kind in ("document.get", "document.text", "document.delete"):
        assert hub.ask(kind, doc)[0] == CODES["NOT_FOUND"]
        assert hub.ask(kind, {"collection": "docs", "external_id": "x"})[0] == CODES["NOT_FOUND"]
    assert hub.ask("job.get", {"job_id": rep["job_id"]})[0] == CODES["NOT_FOUND"]
    assert hub.ok("document.list", {"limit": 10})["items"] == hub.ok("collection.list")["items"] == []
    h = hub.ok("chunks.get", doc)["chunks"][0]["hash"]
    ask = {"model": "m", "hashes": [{"hash": h}]}
    assert hub.ok("vectors.known", {**ask, "tenant": "default"})["items"] == []
    assert len(hub.ok("vectors.known", {**ask, "tenant": "acme"})["items"]) == 1
    assert hub.ok("vectors.known", {**ask, "tenant": "acme", "model": "other"})["items"] == []
    mine = put(hub, "mine", external_id="x")
    assert mine["document_id"] != rep["document_id"]
    hub.ok("document.delete", doc, tenant="acme")


def test_bad_names_and_metadata_are_refused(hub):
    for bad in ("", "a b", "x" * 65, "a/b", "ä"):
        assert hub.ask("collection.put", {"name": bad})[0] == CODES["VALIDATION"], bad
    for bad in ("[1]", "{", "nul", '"x"'):
        assert hub.ask("document.put", {"collection": "docs", "mime": "text/plain", "body": b"x", "metadata": bad})[
            0] == CODES["VALIDATION"], bad
    assert hub.ask("job.claim", {"worker": "w", "lease_ms": 0})[0] == CODES["VALIDATION"]


def test_a_large_document_passes_through(hub):
    body = b"0123456789abcdef" * (8 << 16)                              # 8 MB
    rep = put(hub, body)
    c = hub.ok("job.claim", {"worker": "w", "lease_ms": 60000})
    assert c["body"] == body
    me = {"document_id": c["document_id"], "generation": 1, "worker": "w"}
    hub.ok("job.text", {**me, "text": body})
    chunks = [chunk(i, i * 1000, i * 1000 + 1000, str(i)) for i in range(1500)]
    hub.ok("job.chunks", {**me, "model": "m", "chunks": chunks})
    hub.ok("job.finish", me)
    got, at = [], 0
    while True:
        r = hub.ok("chunks.get", {"document_id": rep["document_id"], "from_ord": at})
        got += r["chunks"]
        at = got[-1]["ord"] + 1
        if not r.get("has_more"):
            break
    assert [g["ord"] for g in got] == list(range(1500)) and got[1].get("text") == body[1000:2000].decode()
    assert hub.ok("document.text", {"document_id": rep["document_id"]})["text"] == body


def test_keys_are_kept_by_hash_and_tenant(hub):
    k = {"hash": b"k" * 32, "tenant": "acme", "scopes": ["chat", "ingest"], "label": "L", "origins": ["https://x"],
         "per_minute": 5}
    hub.ok("key.put", k)
    hub.ok("key.put", {**k, "hash": b"e" * 32, "expires_ms": 1000})
    got = hub.ok("key.list")["items"]
    assert len(got) == 1 and {f: got[0][f] for f in k} == k and "collections" not in got[0]
    assert hub.ok("key.list", {"tenant": "other"})["items"] == []
    assert hub.ask("key.put", {**k, "tenant": "other"})[0] == CODES["CONFLICT"]
    assert hub.ask("key.delete", {"hash": b"k" * 32, "tenant": "other"})[0] == CODES["NOT_FOUND"]
    hub.ok("key.delete", {"hash": b"k" * 32, "tenant": "acme"})
    assert hub.ok("key.list")["items"] == []


def test_a_key_is_replaced_once_and_its_successor_has_its_rights(hub):
    old = {"hash": b"o" * 32, "tenant": "turn", "scopes": ["chat"], "label": "L", "origins": ["https://x"], "collections": ["c"], "per_minute": 5, "per_hour": 50}
    turn = {"hash": old["hash"], "tenant": "turn", "next": b"n" * 32, "old_ends_ms": 4000000000000, "expires_ms": 4100000000000}
    assert hub.ask("key.rotate", turn)[0] == CODES["NOT_FOUND"]
    hub.ok("key.put", old)
    for bad in ({"next": b"o" * 32}, {"next": b"n"}, {"old_ends_ms": 0}):
        assert hub.ask("key.rotate", {**turn, **bad})[0] == CODES["VALIDATION"]
    assert hub.ask("key.rotate", {**turn, "tenant": "other"})[0] != 0
    for _ in range(2):  # sent again, it is the same
        new, was = hub.ok("key.rotate", turn)["items"]
        rights = ("tenant", "scopes", "label", "origins", "collections", "per_minute", "per_hour")
        assert {f: new[f] for f in rights} == {f: was[f] for f in rights} == {f: old[f] for f in rights}
        assert (new["hash"], new["expires_ms"], "replaced_by" in new) == (b"n" * 32, 4100000000000, False)
        assert (was["hash"], was["expires_ms"], was["replaced_by"]) == (b"o" * 32, 4000000000000, b"n" * 32)
    assert hub.ask("key.rotate", {**turn, "next": b"m" * 32})[0] == CODES["CONFLICT"]
    hub.ok("key.delete", {"hash": b"n" * 32, "tenant": "turn"})
    again = hub.ok("key.rotate", {**turn, "next": b"m" * 32, "old_ends_ms": 3900000000000})["items"]
    assert again[0]["hash"] == b"m" * 32 and again[1]["expires_ms"] == 3900000000000, "the successor was revoked: it may have another"
    assert hub.ok("key.rotate", {**turn, "next": b"m" * 32})["items"][1]["expires_ms"] == 3900000000000, "never later than before"
    for h in (b"o", b"m"):
        hub.ok("key.delete", {"hash": h * 32, "tenant": "turn"})


def test_a_key_that_is_replaced_at_once_hears_so_again(hub):
    """The bus asks again when an answer was lost: without an overlap the key is over by then, and its successor's secret is in the question."""
    hub.ok("key.put", {"hash": b"q" * 32, "tenant": "turn", "scopes": ["chat"]})
    turn = {"hash": b"q" * 32, "tenant": "turn", "next": b"r" * 32, "old_ends_ms": int(time.time() * 1000) - 1}
    for _ in range(2):
        new, was = hub.ok("key.rotate", turn)["items"]
        assert (new["hash"], was["hash"], was["replaced_by"], was["expires_ms"]) == (b"r" * 32, b"q" * 32, b"r" * 32, turn["old_ends_ms"])
    assert hub.ask("key.rotate", {**turn, "next": b"s" * 32})[0] == CODES["CONFLICT"]
    for h in (b"q", b"r"):
        hub.ok("key.delete", {"hash": h * 32, "tenant": "turn"})


def test_the_day_of_a_keys_last_use_only_moves_on_and_unknown_keys_are_left_out(hub, pg):
    k = {"hash": b"u" * 32, "tenant": "used", "scopes": ["chat"]}
    hub.ok("key.put", k)
    day = 86400000
    for at, want in ((20000, 20000), (20000, 20000), (19990, 20000), (20001, 20001)):
        hub.ok("key.used", {"keys": [{"hash": b"?" * 32}, {"hash": k["hash"]}], "day_ms": at * day})
        assert hub.ok("key.list", {"tenant": "used"})["items"][0]["used_ms"] == want * day
    assert "used_ms" not in hub.ok("key.get", {"hash": k["hash"]})["items"][0]
    hub.ok("key.delete", {"hash": k["hash"], "tenant": "used"})
    assert pg.value("SELECT count(*) FROM footnote.key_uses") == 0


def test_clean_up_deletes_in_batches_children_first(hub, pg):
    s, live = session(), session()
    turn(hub, live)
    for _ in range(5):
        turn(hub, s)
    pg.query("update user_sessions set expires_at = now() - interval '1 day' where session_id = %s", s)
    pg.query("update conversations set expires_at = now() - interval '1 day' where user_session_id in"
             " (select id from user_sessions where session_id = %s)", s)
    assert hub.ok("cleanup", {"job": "sessions", "limit": 100})["deleted"] == 0          # it outlives its messages
    assert hub.ok("cleanup", {"job": "conversations", "limit": 100})["deleted"] == 0     # and so does their conversation
    pg.query("update messages set expires_at = now() + interval '5 minutes' where conversation_id in"
             " (select id from conversations where expires_at < now())")
    assert hub.ok("cleanup", {"job": "messages", "limit": 100})["deleted"] == 0          # not before its time
    pg.query("update messages set expires_at = now() - interval '1 day' where conversation_id in"
             " (select id from conversations where expires_at < now())")
    dry = hub.ok("cleanup", {"job": "messages", "limit": 100, "dry_run": True})
    assert dry["deleted"] == 10 and dry.get("last_run_ms", 0) == 0
    assert abs(dry["clock_ms"] - time.time() * 1000) < 5000
    got = [hub.ok("cleanup", {"job": "messages", "limit": 4})["deleted"] for _ in range(3)]
    assert got == [4, 4, 2]
    assert hub.ok("cleanup", {"job": "conversations", "limit": 100})["deleted"] == 1
    rep = hub.ok("cleanup", {"job": "sessions", "limit": 100, "mark": True})
    assert rep["deleted"] == 1 and abs(rep["last_run_ms"] - rep["clock_ms"]) < 5000
    assert len(hub.ok("history", {"session": live, "limit": 9})["items"]) == 2
    assert hub.ask("cleanup", {"job": "everything", "limit": 1})[0] == CODES["VALIDATION"]


def test_every_clean_up_job_of_the_janitor_exists(hub):
    from busfake import table
    for (name,) in table("cleanup.tbl", "CLEANUP_JOB"):
        assert hub.ok("cleanup", {"job": name, "limit": 10}).get("deleted", 0) == 0 or name != "changes", name
