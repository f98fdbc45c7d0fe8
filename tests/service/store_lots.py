"""Documents that go together: documents.put, jobs.claim and jobs.done, and what their statements cost while the tables grow.

A connection keeps a statement's plan. One that was made while the tables were empty, before the server has counted anything, must
look rows up by their key when there are many; the rows that it reads are counted, which no other load of the machine changes."""
import hashlib
import uuid

import pytest

from busfake import CODES, Service, wait_for
from pg import Postgres
from sql_kit import Plans, nodes, shape
from store_kit import new_id, put

LOT = 64


@pytest.fixture(scope="module")
def pg():
    with Postgres(autovacuum="off") as p:
        yield p


@pytest.fixture(scope="module", autouse=True)
def store(pg, hub):
    with Service("store", hub, DATABASE_URL=pg.url) as s:
        yield s


@pytest.fixture(autouse=True)
def empty(pg, store):
    pg.query("truncate collections, documents, uploads, chunks, jobs, changes, tenant_usage cascade")


def put_lot(hub, names, text="text of {}", job=None, **kw):
    items = [{"collection": "docs", "mime": "text/plain", "external_id": n, "body": text.format(n).encode()} for n in names]
    return hub.ok("documents.put", {"collection": "docs", "items": items, **({"job_id": job} if job else {}), **kw})["items"]


def claim_lot(hub, worker="w", limit=LOT):
    return hub.ok("jobs.claim", {"worker": worker, "lease_ms": 60000, "limit": limit, "bytes": 1000000})["items"]


def whole(c):
    """A claimed document as one chunk."""
    body = bytes(c["body"])
    return {"document_id": c["document_id"], "generation": c["generation"], "text": body, "embedded": 1, "chunks": [
        {"id": new_id(), "ord": 0, "start": 0, "end": len(body), "hash": hashlib.sha256(body).digest(), "vector": b"\0\0\x80?" * 4}]}


def done_lot(hub, claims, worker="w"):
    return hub.ok("jobs.done", {"worker": worker, "model": "m", "items": [whole(c) for c in claims]})["items"]


def job(hub, id):
    j = hub.ok("job.get", {"job_id": id})
    return j["status"], j["files"], j.get("files_done", 0), j.get("files_failed", 0)


def test_a_lot_of_new_changed_waiting_and_known_documents_is_answered_in_its_order(hub):
    names = [f"d{i}" for i in range(40)]
    first = put_lot(hub, names)
    assert len({r["document_id"] for r in first}) == 40 and not any(r.get("unchanged") for r in first)
    done_lot(hub, claim_lot(hub))
    assert job(hub, first[0]["job_id"]) == ("done", 40, 40, 0)
    waits = put_lot(hub, ["w1", "w2"])
    mixed = [f"n{i}" for i in range(5)] + ["w2", "d7", "d3", "w1", "d39"]
    again = put_lot(hub, mixed)                                              # d… as they are there, w… as they wait
    by_name = {n: r["document_id"] for n, r in zip(names + ["w1", "w2"], first + waits)}
    assert [r["document_id"] for r in again[5:]] == [by_name[n] for n in mixed[5:]]
    assert [bool(r.get("unchanged")) for r in again] == [False] * 5 + [True] * 5
    assert {r["job_id"] for n, r in zip(mixed, again) if n[0] == "w"} == {waits[0]["job_id"]}    # they go on with the job they have
    changed = put_lot(hub, ["d3", "w1"], text="another text of {}")
    assert [r["document_id"] for r in changed] == [by_name["d3"], by_name["w1"]] and not any(r.get("unchanged") for r in changed)
    assert job(hub, waits[0]["job_id"]) == ("running", 2, 1, 0)              # w1 is another job's now
    done_lot(hub, claim_lot(hub))
    for id in (waits[0]["job_id"], again[0]["job_id"], changed[0]["job_id"]):
        assert job(hub, id)[0] == "done", job(hub, id)
    assert hub.ok("document.get", {"document_id": by_name["d3"]})["items"][0]["bytes"] == len("another text of d3")


def test_an_id_that_is_another_documents_uuid_finds_that_document(hub):
    """A document without an id of the client's is named by its UUID; who gives that as the id means it."""
    a = put(hub, "without an id")
    done_lot(hub, claim_lot(hub))
    name = str(uuid.UUID(bytes=bytes(a["document_id"])))
    got = put_lot(hub, ["before", name, "after"], text="new {}")
    assert got[1]["document_id"] == a["document_id"] and len({r["document_id"] for r in got}) == 3


def test_a_new_version_takes_the_chunks_of_the_old_one_away_when_it_is_done(hub, pg):
    put_lot(hub, ["a", "b"])
    done_lot(hub, claim_lot(hub))
    put_lot(hub, ["a"], text="newer {}")
    assert pg.value("select count(*) from chunks") == 2                       # the old one is searchable until then
    done_lot(hub, claim_lot(hub))
    assert pg.query("select generation from chunks order by generation") == [(1,), (2,)]


def test_of_a_lot_with_lost_leases_only_those_that_are_held_are_done_and_once(hub, pg):
    put_lot(hub, [f"d{i}" for i in range(6)])
    claims = claim_lot(hub)
    pg.query("update uploads set lease_owner = 'other' where document_id = any(%s::uuid[])",
             [str(uuid.UUID(bytes=bytes(c["document_id"]))) for c in claims[:2]])
    got = done_lot(hub, claims)
    assert {r["document_id"] for r in got} == {c["document_id"] for c in claims[2:]}
    assert sorted(map(str, done_lot(hub, claims))) == sorted(map(str, got))   # its answer was lost: the same again
    assert pg.value("select count(*) from documents where status = 'ready'") == 4
    assert pg.value("select count(distinct seq) from changes") == 4


def test_a_document_that_cannot_be_stored_fails_its_lot_and_nothing_of_it_is_there(hub, pg):
    put_lot(hub, ["a", "b"])
    claims = claim_lot(hub)
    bad = [whole(c) for c in claims]
    bad[1]["chunks"][0]["end"] = 1 << 40
    assert hub.ask("jobs.done", {"worker": "w", "model": "m", "items": bad})[0] == CODES["VALIDATION"]
    assert pg.value("select count(*) from chunks") == 0
    assert len(done_lot(hub, claims)) == 2


def test_a_single_document_does_not_wait_for_all_of_a_large_upload(hub):
    """Of any tenant's: lots take the oldest, and one of each of the newest jobs."""
    for at in range(0, 256, 64):
        put_lot(hub, [f"d{at + i}" for i in range(64)])
    one = put(hub, "a single one", collection="other", tenant="acme")
    first = claim_lot(hub)
    assert len(first) == 64 and one["document_id"] in [c["document_id"] for c in first]
    assert len({c["document_id"] for c in first + claim_lot(hub) + claim_lot(hub) + claim_lot(hub)}) == 256
    assert len(claim_lot(hub)) == 1 and not claim_lot(hub)


def test_what_waits_longest_is_never_passed_over_by_more_than_a_quarter_of_a_lot(hub, pg):
    old = [r["document_id"] for r in put_lot(hub, [f"d{i}" for i in range(64)])]
    for i in range(40):
        put(hub, f"newer {i}", external_id=f"n{i}")
    claims = [c["document_id"] for c in claim_lot(hub)]
    assert len(claims) == 64 and len(set(claims) & set(old)) == 48
    assert set(old) <= set(claims) | {c["document_id"] for c in claim_lot(hub)}


@pytest.mark.parametrize("kind", ("jobs.done", "job.finish"))
def test_who_waits_for_a_job_that_is_being_uploaded_holds_up_no_other_tenants_changes(hub, pg, kind):
    """The feed's row is everybody's: it is taken when the job's is held."""
    put_lot(hub, ["a"])
    c = claim_lot(hub)[0]
    me = {"worker": "w", "document_id": c["document_id"], "generation": c["generation"]}
    if kind == "job.finish":
        hub.ok("job.text", {**me, "text": c["body"]})
    upload = pg.connect()
    upload.autocommit = False
    try:
        with upload.cursor() as cur:
            cur.execute("select 1 from jobs for update")
            asked = hub.begin(kind, me if kind == "job.finish" else {"worker": "w", "model": "m", "items": [whole(c)]})
            wait_for("it waits for the job", lambda: pg.value("select count(*) from pg_locks where not granted"))
            pg.query("select 1 from feed_head for update nowait")
    finally:
        upload.close()
    asked.wait()
    assert pg.value("select count(*) from pg_locks where not granted") == 0


# ---- what it costs while the tables grow

STEP = 400


def grow(pg, n):
    """Documents, each with a chunk and a change, half of them with an upload that waits; as many jobs, and a tenth of the collections."""
    have = pg.value("select count(*) from documents")
    rows = f"from generate_series({have + 1}, {have + n}) i"
    ident = "('00000000-0000-4000-8000-' || lpad(to_hex({}), 12, '0'))::uuid".format("i")
    for sql in (
            f"insert into collections (tenant, name) select 'default', 'c' || i {rows} where i % 10 = 0",
            "insert into collections (tenant, name) values ('default', 'docs') on conflict do nothing",
            f"insert into documents (id, tenant, collection, external_id, mime, status, generation, latest, body, text, text_bytes, fingerprint)"
            f" select {ident}, 'default', 'docs', 'd' || i, 'text/plain', 'ready', 1, 1, 'x', 'x', 1, 'f' {rows}",
            f"insert into jobs (id, tenant, collection) select {ident}, 'default', 'docs' {rows}",
            f"insert into uploads (document_id, tenant, generation, job_id, mime, fingerprint, sha256, body, lease_owner, lease_until)"
            f" select {ident}, 'default', 2, {ident}, 'text/plain', 'f', 'f', 'x', 'w', now() + interval '1 hour' {rows} where i % 2 = 0",
            f"insert into chunks (id, document_id, generation, ord, tenant, start_byte, end_byte, hash, model, embedding)"
            f" select {ident}, {ident}, 1, 0, 'default', 0, 1, sha256(i::text::bytea), 'm', 'x' {rows}",
            f"insert into changes (seq, tenant, collection, document_id, op) select i, 'default', 'docs', {ident}, 'ready' {rows}",
            f"update feed_head set seq = {have + n}"):
        pg.query(sql)


def lot_statements():
    """name → parameters, of the same 64 documents each time."""
    def ident(i):
        return f"00000000-0000-4000-8000-{i:012x}"
    ids = [ident(2 * i) for i in range(1, LOT + 1)]
    none, f = [None] * LOT, [b"f"] * LOT
    state = ("default", f, ident(1), True)
    array = "{" + ",".join(ids) + "}"
    two = [2] * LOT
    return {
        "DOCUMENT_MAKE": ("default", "docs", [f"d{2 * i}" for i in range(1, LOT + 1)], array, *["{" + ",".join(["NULL"] * LOT) + "}"] * 5, ["text/plain"] * LOT),
        "PUT_FIND": state, "PUT_SUPERSEDE": state, "PUT_DROP": ("default", [b"g"] * LOT, ident(1), True), "PUT_JOB": (ident(1), "default", "docs"),
        "PUT_UPLOAD": ("default", [b"g"] * LOT, ident(1), True, f, *["{" + ",".join(["NULL"] * LOT) + "}"] * 5, ["text/plain"] * LOT, f),
        "CLAIMED": (array, two, "w"), "CLAIM_BACK": (array, two, "w"),
        "DONE_LOCK": (array,),
        "DONE_CHUNKS": (array, two, "w", "m", list(range(1, LOT + 1)), array, [0] * LOT, [0] * LOT, [1] * LOT, *["{" + ",".join(["NULL"] * LOT) + "}"] * 2, f, f,
                        *["{" + ",".join(["NULL"] * LOT) + "}"] * 3),
        "DONE_SWAP": (array, two, "w", "m", f, "{" + ",".join(["NULL"] * LOT) + "}", [1] * LOT),
        "DONE_DROP": (array, two, "w"), "DONE_JOBS": (array, two, "w"), "DONE_FEED": (array, two, "w", [1] * LOT), "DONE_BEFORE": (array, [1] * LOT),
        "LOAD_DOCUMENTS": (array,), "LOAD_CHUNKS": (array, 65), "CHUNKS_DOCUMENT": (ids[0],), "CHUNKS_GET": (ids[0], 0, 513),
        "VECTORS_KNOWN": ("default", "m", [hashlib.sha256(str(i).encode()).digest() for i in range(LOT)], 0),
        **{name: ("default", ids[0], None, None) for name in (
            "DOCUMENT_GET", "DOCUMENT_LOCK", "DOCUMENT_DROP_JOB", "DOCUMENT_DROP_CHUNKS", "DOCUMENT_FEED", "DOCUMENT_DELETE")},
        "RENEW": (ids[0], 2, "w", 1000), "JOB_TEXT": (ids[0], 2, "w", b"x", None), "FINISH_LOCK": (ids[0], 2, "w"),
        "FINISH_DROP": (ids[0], 2), "FINISH_JOB": (ids[0], 2, "w"), "FINISH_FEED": (ids[0], 2, "w"),
    }


def rows_read(plan):
    """Of tables and indexes, also those that were read in vain."""
    return sum((n["Actual Rows"] + n.get("Rows Removed by Filter", 0) + n.get("Rows Removed by Index Recheck", 0)) * n["Actual Loops"]
               for n in nodes(plan) if "Scan" in n["Node Type"])


def test_a_plan_made_while_the_tables_were_empty_costs_the_same_when_they_are_full(pg):
    plans, calls, cost = Plans(pg), lot_statements(), {}
    try:
        plans.cur.execute("SET enable_seqscan = off")                          # as store/pool/conn.c says
        noted = "{" + ",".join(f"00000000-0000-4000-8000-{2 * i:012x}" for i in range(1, LOT + 1)) + "}"
        plans.cur.execute("SELECT set_config('footnote.put', %s, false), set_config('footnote.put_job', '{64,0}', false)", (noted,))
        for name, args in calls.items():
            plans.explain(name, *args)                                         # planned now, for good
        for size in (0, 1, 2):
            grow(pg, STEP if size < 2 else 4 * STEP)
            for name, args in calls.items():
                plan = plans.explain(name, *args, options=", ANALYZE")
                cost.setdefault(name, []).append((rows_read(plan), shape(plan)))
        bad = [f"{name}: {[n for n, _ in c]} rows\n{c[-1][1]}" for name, c in cost.items() if c[2][0] > 1.1 * c[1][0] + LOT]
    finally:
        plans.close()
    assert not bad, "\n".join(bad)
