"""Texts of documents are stored so that a slice of one is read without the rest: new ones, and those of a release that compressed them."""
import uuid

import pytest

from busfake import Service, wait_for
from store_kit import chunk, put

SENTENCE = b"The upper valve of the station is opened by hand before the pump starts. "


@pytest.fixture(scope="module", autouse=True)
def store(pg, hub):
    with Service("store", hub, DATABASE_URL=pg.url) as s:
        yield s


def ready(hub, name, text, pieces=3):
    """A document with its chunks, spread over its text."""
    put(hub, text.decode(), external_id=name)
    c = hub.ok("job.claim", {"worker": "w", "lease_ms": 60000})
    me = {"document_id": c["document_id"], "generation": c["generation"], "worker": "w"}
    hub.ok("job.text", {**me, "text": text})
    step = len(text) // pieces
    hub.ok("job.chunks", {**me, "model": "m", "chunks": [chunk(i, i * step, i * step + 70, str(i)) for i in range(pieces)]})
    hub.ok("job.finish", me)
    return c["document_id"]


def packed(pg):
    return {r[0] for r in pg.query("select external_id from documents where pg_column_compression(text) is not null")}


def pack(pg, name):
    """As the release before stored it: through a column that compresses."""
    pg.query("create table old (id uuid, text bytea); alter table old alter text set storage main")
    pg.query("insert into old select id, text || ''::bytea from documents where external_id = %s", name)
    pg.query("update documents d set text = o.text from old o where o.id = d.id")
    pg.query("drop table old")


def test_a_text_that_compresses_well_is_stored_plain(pg, hub):
    text = SENTENCE * 20000
    doc = ready(hub, "plain", text)
    assert packed(pg) == set() and pg.value("select pg_column_compression(body) is not null from documents where external_id = 'plain'")
    got = hub.ok("chunks.get", {"document_id": doc})
    assert [c["text"].encode() for c in got["chunks"]] == [text[c["start"]:c["end"]] for c in got["chunks"]] and len(got["chunks"]) == 3
    pages = [hub.ok("chunks.get", {"document_id": doc, "from_ord": n, "limit": 1}) for n in range(3)]
    assert [p["chunks"][0]["text"] for p in pages] == [c["text"] for c in got["chunks"]]
    assert [p.get("has_more", False) for p in pages] == [True, True, False]


def test_compressed_texts_of_the_release_before_are_stored_plain_by_the_next_start(pg, hub, store):
    wait_for("this store's own walk is over", lambda: "text of a document" in store.text())
    names = [f"old-{n}" for n in range(4)]
    docs = {n: ready(hub, n, SENTENCE * (200 if n == "old-0" else 5000)) for n in names}
    ready(hub, "tiny", b"A few words.")
    for n in names:
        pack(pg, n)
    assert packed(pg) == set(names)
    before = {n: hub.ok("chunks.get", {"document_id": d})["chunks"] for n, d in docs.items()}   # readable all the while
    with Service("store", hub, DATABASE_URL=pg.url) as other:
        wait_for("all plain", lambda: packed(pg) == set(), 15)
        other.counted(4, "store_texts_plain_total")
    assert {n: hub.ok("chunks.get", {"document_id": d})["chunks"] for n, d in docs.items()} == before
    assert pg.value("select count(*) from documents where text_bytes <> octet_length(text)") == 0


def test_an_upload_that_waited_compressed_over_the_upgrade_is_stored_plain(pg, hub):
    put(hub, "words", external_id="waiting")
    c = hub.ok("job.claim", {"worker": "w", "lease_ms": 60000})
    me = {"document_id": c["document_id"], "generation": c["generation"], "worker": "w"}
    hub.ok("job.text", {**me, "text": SENTENCE * 5000})
    pg.query("create table old (text bytea); alter table old alter text set storage main")
    pg.query("insert into old select text || ''::bytea from uploads where document_id = %s", str(uuid.UUID(bytes=c["document_id"])))
    pg.query("update uploads u set text = o.text from old o where document_id = %s", str(uuid.UUID(bytes=c["document_id"])))
    pg.query("drop table old")
    assert pg.value("select pg_column_compression(text) is not null from uploads")
    hub.ok("job.finish", me)
    assert packed(pg) == set()



def test_a_document_that_cannot_be_loaded_is_shown_with_its_reason_until_it_can(pg, hub):
    doc = ready(hub, "aside", b"Some words. " * 40)
    look = {"collection": "docs", "external_id": "aside"}

    def shown():
        d = hub.ok("document.get", look)["items"][0]
        return d["status"], d.get("error")
    epoch = hub.ok("collection.list", {"name": "docs"})["items"][0]["epoch"]
    hub.ok("document.aside", {"document_id": doc, "error": "it cannot be loaded"})
    assert shown() == ("failed", "it cannot be loaded")
    assert hub.ok("collection.list", {"name": "docs"})["items"][0]["epoch"] == epoch
    hub.ok("document.aside", {"document_id": doc})
    assert shown() == ("ready", None)
    assert hub.ok("collection.list", {"name": "docs"})["items"][0]["epoch"] > epoch     # answers of the meantime lack it
    hub.ok("document.aside", {"document_id": doc, "error": "it cannot be loaded"})
    pg.query("update documents set aside_at = aside_at - interval '11 minutes' where external_id = 'aside'")
    assert shown() == ("ready", None)                                                   # nobody says so any more


@pytest.mark.parametrize("ord", (0, 1, 2))
@pytest.mark.parametrize("damage", ("start_byte = 3000000000", "end_byte = 3000000000", "end_byte = 1000000", "start_byte = -5", "end_byte = -7", "end_byte = start_byte - 1"))
def test_a_document_whose_chunks_do_not_lie_in_its_text_keeps_no_other_from_being_loaded(pg, hub, damage, ord):
    text = b"Some words. " * 40
    docs = [ready(hub, f"beside-{uuid.uuid4()}", text) for _ in range(3)]
    pg.query(f"update chunks set {damage} where document_id = %s and ord = %s", str(uuid.UUID(bytes=docs[1])), ord)
    got = hub.ok("chunks.load", {"items": [{"document_id": d} for d in docs]})["items"]
    assert {i["document"][0]["id"] for i in got} == {docs[0], docs[2]}, "the damaged one is left to chunks.get, which says why"
    assert all([c["text"].encode() for c in i["chunks"]] == [text[c["start"]:c["end"]] for c in i["chunks"]] and len(i["chunks"]) == 3 for i in got)


def test_a_document_that_waits_says_what_for(hub):
    put(hub, "words that wait", external_id="waits")
    look = {"collection": "docs", "external_id": "waits"}
    assert not hub.ok("document.get", look)["items"][0].get("error")
    hub.ok("job.wait", {"worker": "w", "reason": "waits for embeddings"})
    d = hub.ok("document.get", look)["items"][0]
    assert (d["status"], d["error"]) == ("pending", "waits for embeddings")
    hub.ok("job.wait", {"worker": "w"})
    assert not hub.ok("document.get", look)["items"][0].get("error")
    c = hub.ok("job.claim", {"worker": "w", "lease_ms": 60000})
    hub.ok("job.finish", {"document_id": c["document_id"], "generation": c["generation"], "worker": "w", "error": "the embedding service"
                          " did not answer", "again": True})
    d = hub.ok("document.get", look)["items"][0]
    assert (d["status"], d["error"]) == ("pending", "the embedding service did not answer")


def test_small_documents_end_together_and_what_is_not_ones_own_is_left_out(pg, hub):
    for n in range(5):
        put(hub, f"note {n}", external_id=f"lot-{n}", collection="lot")
    items = hub.ok("jobs.claim", {"worker": "w", "lease_ms": 60000, "limit": 64, "bytes": 10_000_000})["items"]
    assert [i["body"] for i in items] == [b"note %d" % n for n in range(5)]
    done = [{"document_id": i["document_id"], "generation": i["generation"], "text": i["body"], "embedded": 1,
             "chunks": [chunk(0, 0, 6, i["body"].decode())]} for i in items]
    pg.query("update uploads set lease_owner = 'another' where document_id = %s", str(uuid.UUID(bytes=items[2]["document_id"])))
    rep = hub.ok("jobs.done", {"worker": "w", "model": "m", "items": done})["items"]
    mine = [i for n, i in enumerate(items) if n != 2]
    assert {r["document_id"] for r in rep} == {i["document_id"] for i in mine}
    assert len({r["seq"] for r in rep}) == 4 and max(r["seq"] for r in rep) == hub.ok("changes", {"after": 0, "limit": 10})["seq"]
    job = hub.ok("job.get", {"job_id": items[0]["job_id"]})
    assert (job["status"], job["chunks"], job["embedded"], job["files_done"]) == ("done", 1, 1, 1)
    loaded = hub.ok("chunks.load", {"items": [{"document_id": i["document_id"]} for i in items] + [{"document_id": b"x" * 16}]})["items"]
    assert {d["document"][0]["id"]: [c["text"] for c in d["chunks"]] for d in loaded} == {
        i["document_id"]: [i["body"].decode()] for i in mine}
    assert hub.ok("document.get", {"collection": "lot", "external_id": "lot-2"})["items"][0]["status"] == "processing"


def test_an_upload_whose_original_cannot_be_read_stops_no_other(pg, hub):
    pg.query("delete from uploads")
    put(hub, "x" * 100_000, external_id="damaged")      # out of line, so that its rows can be taken away
    pg.query("alter table uploads alter body set storage external")
    pg.query("update uploads set body = body || ''::bytea")
    toast = pg.value("select reltoastrelid::regclass::text from pg_class where oid = 'footnote.uploads'::regclass")
    pg.query("create extension if not exists pg_surgery")
    pg.query(f"select heap_force_kill('{toast}'::regclass, array_agg(ctid)) from {toast}")
    put(hub, "sound", external_id="sound")
    claim = {"worker": "w", "lease_ms": 60000, "bytes": 1_000_000}
    code, _ = hub.ask("jobs.claim", {**claim, "limit": 64})
    assert code != 0
    got = {}
    for _ in range(3):                                  # the retriever then asks for one at a time
        code, rep = hub.ask("jobs.claim", {**claim, "limit": 1})
        for i in rep.get("items", []) if code == 0 else []:
            got[i["body"]] = i
    assert list(got) == [b"sound"]
    d = hub.ok("document.get", {"collection": "docs", "external_id": "damaged"})["items"][0]
    assert d["status"] == "pending" and "cannot be read" in d["error"]
    pg.query("delete from documents")
