"""How many statements and round trips a request costs, counted on the wire between the store and Postgres.

Every kind of request is one pipeline, whatever it finds or brings: nothing is asked row by row. The few that take a second
look are named. All statements of the table are seen in use."""
import hashlib
import os
import re

import pytest

from busfake import SERVICE_OF, Service, wait_for
from pg import Postgres
from pg_tap import Tap
from sql_kit import index_tables, statements
from store_kit import begin_req, chunk, citation, finish_req, ingest, new_id, put, session, turn

OWN = {"TIMEOUT", "SETTINGS", ""}       # deadline of the transaction; the pool's question whether a connection lives
BACKGROUND = {"TEXTS_PLAIN"}            # the store's own walk after its start
OPENED = "SELECT set_config('search_path'"   # what a new connection is told: the pool opens one when the walk holds another
TRIPS = {"job.claim": {2}, "jobs.claim": {2}, "model.claim": {2, 3}}       # the leases, then what they are for: an original that cannot be read costs an attempt
SEEN = set()                            # statements that any test of this file saw


class Counter:
    def __init__(self, hub, tap):
        self.hub, self.tap = hub, tap

    def of(self, kind, req, **kw):
        """The pipelines of one request, without what the pool adds."""
        self.quiet()
        self.hub.ask(kind, req, **kw)
        return self.quiet()

    def quiet(self):
        got = [[n for n in p if n not in OWN and not n.startswith(OPENED)] for p in self.tap.take()]
        SEEN.update(n for p in got for n in p)
        return [p for p in got if p and not BACKGROUND & set(p)]


@pytest.fixture(scope="module")
def tap(pg):
    with Tap(pg.port) as t:
        yield t


@pytest.fixture(scope="module", autouse=True)
def store(tap, hub):
    with Service("store", hub, DATABASE_URL=f"postgresql://footnote@127.0.0.1:{tap.port}/footnote", INDEX_ENGINE="pgvector") as s:
        yield s


@pytest.fixture(scope="module")
def count(hub, tap, store):
    return Counter(hub, tap)


def test_a_page_of_history_is_one_statement_whatever_is_on_it(hub, count):
    for turns, citations in ((1, 0), (1, 1), (25, 10)):
        s = session()
        for _ in range(turns):
            b = begin_req(s)
            hub.ok("turn.begin", b)
            hub.ok("turn.finish", finish_req(b, citations=[citation(n) for n in range(1, citations + 1)]))
        assert count.of("history", {"session": s, "limit": 50}) == [["HISTORY"]]
        got = hub.ok("history", {"session": s, "limit": 50})["items"]
        assert len(got) == 2 * turns and sum(len(m.get("citations", [])) for m in got) == turns * citations


def test_a_turn_is_two_round_trips_however_many_citations_it_has(count):
    sizes = []
    for n in (1, 5, 200):
        b = begin_req(session(), history=8)
        begun = count.of("turn.begin", b)
        done = count.of("turn.finish", finish_req(b, citations=[citation(i) for i in range(1, n + 1)]))
        assert len(begun) == len(done) == 1
        sizes.append((begun, done))
    assert sizes[0] == sizes[1] == sizes[2]
    assert sizes[0] == ([["TURN_OPEN"]], [["ANSWER_ADD"]])


def test_a_turn_alone_sets_no_time_for_itself(hub, tap, count):
    """What its connection says does, unless too little of the request's own time is left, or it shares its transaction."""
    b = begin_req(session())
    asked = [("turn.begin", b, {}), ("turn.finish", finish_req(b), {}), ("turn.begin", begin_req(session()), {"ttl_ms": 1000})]
    got = []
    for kind, req, kw in asked:
        count.quiet()
        hub.ask(kind, req, **kw)
        got += [p for p in tap.take() if {"TURN_OPEN", "ANSWER_ADD"} & set(p)]
    assert got == [["TURN_OPEN"], ["ANSWER_ADD"], ["TIMEOUT", "TURN_OPEN"]]


def test_a_turn_that_was_not_begun_is_two_statements_in_one_round_trip(hub, count):
    s = session()
    conversation = hub.ok("turn.begin", begin_req(s))["conversation_id"]
    assert count.of("turn.finish", finish_req(begin_req(session()), question="q?", citations=[citation(1)])) == [["CONVERSATION_OPEN", "TURN_ADD"]]
    named = finish_req(begin_req(s), question="q?", conversation_id=conversation, citations=[citation(1)])
    assert count.of("turn.finish", named) == [["CONVERSATION_TOUCH", "TURN_ADD"]]


def test_chunks_of_a_document_are_one_round_trip_however_many(hub, count):
    sizes = []
    for n in (1, 100):
        put(hub, "words " * 100, external_id=f"chunks-{n}")
        c = hub.ok("job.claim", {"worker": "w", "lease_ms": 60000})
        me = {"document_id": c["document_id"], "generation": c["generation"], "worker": "w"}
        hub.ok("job.text", {**me, "text": c["body"]})
        sizes.append(count.of("job.chunks", {**me, "model": "m", "embedded": n,
                                             "chunks": [chunk(i, i, i + 1, f"{n}.{i}") for i in range(n)]}))
        hub.ok("job.finish", me)
        assert len(hub.ok("chunks.get", {"document_id": c["document_id"], "from_ord": 0})["chunks"]) == n
    assert len(sizes[0]) == 1 and sizes[0] == sizes[1]


def model_requests(pg, *docs):
    """The embedder has another model: what lacks it, its vectors, the switch, back, and the end of the old set."""
    me = {"worker": "w", "tenant": "default", "collection": "docs"}
    other = {"model": "other", "dims": 2}
    claim = {"worker": "w", "lease_ms": 60000, "limit": 100, **other}
    yield "model.claim", claim, 6
    yield "model.renew", {**me, "lease_ms": 60000}, 1
    for doc in docs:
        yield "model.switch", {**me, "overlap": 0.5, "compared": 3}, 2       # not yet: it lacks them
        yield "model.put", {**me, **other, "parts": [{"document_id": doc, "generation": 1, "vectors": b"\0\0\x80?" * 2, "last": True}]}, 4
    yield "model.claim", claim, 8                                            # what people asked, to compare both
    yield "model.switch", {**me, "overlap": 0.5, "compared": 3}, 2
    yield "collection.model", {"name": "docs"}, 2
    yield "collection.model", {"name": "docs", "drop": True}, 2
    for _ in range(2):
        yield "model.claim", claim, 7
    yield "model.claim", {**claim, "model": "m", "dims": 4}, 4               # the model in use: nothing is held against another any more
    yield "model.claim", {**claim, "model": "third"}, 5                      # another one
    for doc in docs:
        yield "model.put", {**me, "model": "third", "dims": 2, "parts": [
            {"document_id": doc, "generation": 1, "vectors": b"\0\0\x80?" * 2, "last": True}]}, 4
    yield "model.switch", {**me, "overlap": 0.5, "compared": 3}, 2
    yield "model.claim", {**claim, "model": "fourth"}, 5                     # in whose way the set is that is kept
    pg.query("delete from collection_models")
    yield "model.claim", {**claim, "model": "third"}, 5                      # a collection of the release before


def index_requests(hub, pg):
    """The search index in Postgres, without vectors, which need the extension."""
    index_tables(pg)
    wait_for("the tables are seen", lambda: "missing" not in hub.ok("index.state", {}))
    doc, number = new_id(), (7).to_bytes(8, "little")
    walls = {"collections": ["docs"], "walls": (5).to_bytes(8, "little")}
    passage = {"len": 3, "words": number, "counts": b"\3\0", "shown": "{}", "facts": '{"m":{"a":[1]}}'}
    yield "index.state", {}, 1
    yield "index.put", {"items": [{"document_id": doc, "tenant": "default", "collection": "docs", "wall": 5, "version": 1, "language": "en",
                                   "passages": 2, "words": 6, "from": 0, "last": True, "items": [passage, passage]}]}, 1
    yield "index.state", {"reached": 1, "counted": True}, 2
    yield "index.count", {**walls, "words": number, "corpus": True}, 2
    find = {**walls, "words": number, "weights": b"\0" * 6 + b"\xf0?", "leads": 1, "mean": 3.0, "k1": 1.1, "b": 0.7, "limit": 10}
    yield "index.find", {**find, "filter": "$.m.a[*] == 1"}, 1
    got = hub.ok("index.find", find)["hits"]
    assert [(h["document_id"], h["words"], h["counts"], h["shown"]) for h in got] == [(doc, number, b"\3\0", "{}")] * 2
    assert hub.ok("index.count", {**walls, "words": number})["counts"] == (2).to_bytes(8, "little")
    yield "index.drop", {"tenant": "default", "collection": "docs", "version": 2}, 1
    assert not hub.ok("index.find", find).get("hits")


def requests(hub, pg):
    """One request of every kind that the store serves, in an order in which each finds what it needs:
    (kind, request, tenant's or not, most statements)."""
    s, other = session(), session()
    b = begin_req(s, user_id="u", idem_key="k", idem_scope="r", idem_hash=b"h" * 32, idem_lease_ms=60000)
    conv = hub.ok("turn.begin", begin_req(s))["conversation_id"]
    hash32 = hashlib.sha256(b"key").digest()
    claim = {"scope": "r", "key": "c", "hash": hash32, "holder": new_id(), "lease_ms": 60000}
    yield "session.put", {"session": s, "expiry_days": 30}, 2
    yield "turn.begin", b, 3
    yield "turn.begin", begin_req(s, conversation_id=conv, history=8), 2
    yield "turn.begin", begin_req(s, selection="what was selected", fresh=True), 3
    yield "turn.begin", begin_req(s, origin_id=b["message_id"]), 2
    yield "turn.finish", finish_req(b, idem_key="k", idem_scope="r", idem_body=b"x", idem_status=200), 2
    yield "turn.finish", finish_req(begin_req(other), question="later?"), 2
    yield "history", {"session": s, "limit": 50}, 1
    yield "session.get", {"session": s}, 1
    yield "conversation.list", {"session": s, "limit": 50}, 1
    yield "feedback", {"session": s, "message_id": b["message_id"], "rating": "up"}, 1
    yield "message.explain", {"session": s, "message_id": b["message_id"]}, 1
    yield "citation.get", {"session": s, "id": new_id(), "around": 500}, 1
    yield "passage.get", {"id": new_id(), "before": 500, "after": 500}, 1
    yield "report", {"days": 7}, 1
    yield "usage", {"days": 7}, 1
    yield "idem.claim", claim, 1
    yield "idem.finish", {"scope": "r", "key": "c", "holder": claim["holder"], "status": 0}, 1
    yield "idem.finish", {"scope": "r", "key": "c", "holder": claim["holder"], "status": 200, "body": b"x"}, 1
    yield "conversation.delete", {"session": s, "conversation_id": conv}, 1
    yield "session.delete", {"session": s}, 4
    yield "user.delete", {"user_id": "u"}, 1
    yield "collection.put", {"name": "docs"}, 5
    yield "collection.get", {"name": "docs"}, 1
    yield "collection.list", {"name": "docs"}, 2
    yield "document.put", {"collection": "docs", "mime": "text/plain", "body": b"words", "external_id": "d"}, 11
    one = {"collection": "docs", "mime": "text/plain"}
    many = [{**one, "body": b"words of %d" % n, "external_id": f"m{n}"} for n in range(64)]
    yield "documents.put", {"collection": "docs", "items": many}, 11
    hub.ok("collection.delete", {"name": "docs"})
    put(hub, "words", "docs", external_id="d")
    yield "document.get", {"collection": "docs", "external_id": "d"}, 1
    yield "document.list", {"limit": 50}, 1
    me = {"worker": "w"}
    yield "job.claim", {**me, "lease_ms": 60000}, 3
    doc = hub.ok("document.get", {"collection": "docs", "external_id": "d"})["items"][0]["id"]
    me.update(document_id=doc, generation=1)
    yield "job.renew", {**me, "lease_ms": 60000}, 1
    yield "job.text", {**me, "text": b"words"}, 1
    yield "job.chunks", {**me, "model": "m", "embedded": 1, "chunks": [chunk(0, 0, 5, "words")]}, 2
    yield "job.finish", me, 6
    yield "document.text", {"document_id": doc}, 1
    yield "chunks.get", {"document_id": doc, "from_ord": 0}, 2
    yield "chunks.load", {"items": [{"document_id": doc}]}, 2
    yield "vectors.known", {"tenant": "default", "model": "m", "hashes": [{"hash": hash32}]}, 1
    yield "document.aside", {"document_id": doc, "error": "it cannot be loaded"}, 1
    yield "document.aside", {"document_id": doc}, 1
    yield "job.wait", {"worker": "w", "reason": "no embeddings"}, 1
    yield "job.wait", {"worker": "w"}, 1
    yield "changes", {"after": 0, "limit": 100}, 2
    yield "job.get", {"job_id": new_id()}, 1
    put(hub, "small words", "docs", external_id="small")
    yield "jobs.claim", {"worker": "w", "lease_ms": 60000, "limit": 64, "bytes": 1000}, 3
    small = hub.ok("document.get", {"collection": "docs", "external_id": "small"})["items"][0]["id"]
    done = {"document_id": small, "generation": 1, "text": b"small words", "chunks": [chunk(0, 0, 5, "small")]}
    yield "jobs.done", {"worker": "w", "model": "m", "items": [done]}, 7
    yield from model_requests(pg, doc, small)
    for error in ({"error": "away", "again": True, "wait_ms": 1}, {"error": "cannot", "again": True}, {"error": "cannot"}):
        doc2 = put(hub, "other words " + str(error), "docs", external_id="e")["document_id"]
        c = {"worker": "w", "lease_ms": 60000}
        got = wait_for("an upload to claim", lambda c=c: (lambda a: a[0] == 0 and a[1])(hub.ask("job.claim", c)))
        assert got["document_id"] == doc2
        yield "job.finish", {"worker": "w", "document_id": doc2, "generation": got["generation"], **error}, 2
    yield "document.reindex", {"document_id": doc}, 5
    yield "document.delete", {"document_id": doc}, 5
    yield "collection.delete", {"name": "docs"}, 6
    yield "key.put", {"hash": hash32, "tenant": "default", "scopes": ["chat"]}, 4
    yield "key.list", {}, 1
    yield "key.list", {"tenant": "default", "limit": 50}, 1
    yield "key.changes", {"after": 0}, 2
    yield "key.get", {"hash": hash32}, 1
    yield "key.get", {"origin": "https://x"}, 1
    yield "key.used", {"keys": [{"hash": hash32}], "day_ms": 1800000000000}, 1
    yield "key.rotate", {"hash": hash32, "tenant": "default", "next": b"n" * 32, "old_ends_ms": 4000000000000}, 6
    yield "key.limits", {"hash": hash32, "tenant": "default", "seq": 1, "per_day": 5}, 2
    budget = {"id": new_id(), "owners": [{"owner": hash32, "tokens_most": 100}], "day_ms": 1800000000000, "tokens": 10, "nanos": 0}
    yield "budget.hold", {**budget, "ttl_ms": 1000}, 3
    yield "budget.settle", {**budget, "warn_percent": 80}, 2
    yield "key.delete", {"hash": hash32, "tenant": "default"}, 2
    yield "audit.add", {"id": new_id(), "actor": "local", "action": "DELETE x", "address": "::1", "status": 204}, 1
    yield "audit.list", {"limit": 50}, 1
    yield from index_requests(hub, pg)
    for job in jobs():
        yield "cleanup", {"job": job, "limit": 10, "dry_run": True}, 4
        yield "cleanup", {"job": job, "limit": 10, "mark": True}, 4


def jobs():
    """The clean-up jobs there are, as the janitor's table names them."""
    text = "".join(s.name + " " for s in statements().values() if s.name.startswith("CLEAN_"))
    path = os.path.join(os.path.dirname(__file__), "..", "..", "store", "calls", "clean.tbl")
    with open(path) as f:
        names = re.findall(r'^CLEAN\("(\w+)", +(\w+)', f.read(), re.M)
    assert names and all("CLEAN_" + n[1] + " " in text for n in names)
    return [n[0] for n in names]


def test_every_kind_of_request_is_one_round_trip_with_a_bounded_number_of_statements(hub, pg, count):
    kinds = set()
    for kind, req, most in requests(hub, pg):
        got = count.of(kind, req)
        kinds.add(kind)
        assert len(got) in TRIPS.get(kind, {1}), (kind, got)
        assert sum(map(len, got)) <= most, (kind, got)
    assert {k for k, service in SERVICE_OF.items() if service == "store"} - kinds == {"store.health"}   # asks no database


def test_what_was_answered_before_takes_one_second_look(hub, count):
    b = begin_req(session(), idem_key="again", idem_scope="r", idem_hash=b"h" * 32, idem_lease_ms=60000)
    hub.ok("turn.begin", b)
    hub.ok("turn.finish", finish_req(b, idem_key="again", idem_scope="r", idem_body=b"x", idem_status=200))
    assert [p[-1] for p in count.of("turn.begin", b)][-1:] == ["IDEM_STORED"]
    put(hub, "finished twice", external_id="twice")
    c, _ = ingest(hub)
    got = count.of("job.finish", {"document_id": c["document_id"], "generation": c["generation"], "worker": "w1"})
    assert len(got) == 2 and got[1] == ["FINISH_SEQ"]
    claim = {"scope": "r", "key": "c2", "hash": b"h" * 32, "holder": new_id(), "lease_ms": 60000}
    hub.ok("idem.claim", claim)
    hub.ok("idem.finish", {"scope": "r", "key": "c2", "holder": claim["holder"], "status": 200, "body": b"x"})
    assert len(count.of("idem.claim", claim)) == 2
    put(hub, "done twice", external_id="done-twice")
    c = hub.ok("jobs.claim", {"worker": "w1", "lease_ms": 60000, "limit": 1, "bytes": 0})["items"][0]
    done = {"worker": "w1", "model": "m", "items": [{"document_id": c["document_id"], "generation": c["generation"], "text": b"done twice",
                                                     "chunks": [chunk(0, 0, 4, "done")]}]}
    first = hub.ok("jobs.done", done)
    count.quiet()
    got = count.of("jobs.done", done)
    assert len(got) == 2 and got[1] == ["DONE_BEFORE"] and hub.ok("jobs.done", done) == first


def test_all_statements_of_the_table_were_seen_on_the_wire(hub, count, store, tap):
    """The rest: what the store asks at its start, and what its import of another database says."""
    count.quiet()
    with Service("store", hub, DATABASE_URL=f"postgresql://footnote@127.0.0.1:{tap.port}/footnote"):
        # the other store's walk may have come while a test looked at the wire by itself
        wait_for("the walk after its start", lambda: [count.quiet(), BACKGROUND <= SEEN][1], 20)
    turn(hub, session())
    count.quiet()
    # messages are one table or tables of months (store_months.py), never both
    mine, other = [{f"{do}_{n}" for do in ("CLEAN", "COUNT") for n in names} for names in (
        ("MESSAGES", "CONVERSATIONS", "SESSIONS", "MARK"), ("MONTHS", "MONTHS_CONVERSATIONS", "MONTHS_SESSIONS", "MONTHS_MARK"))]
    unused = mine if os.environ.get("MESSAGES_PARTITIONED") == "on" else other
    assert not unused & set(SEEN)
    unseen = {n for n in statements() if n not in unused and n not in SEEN and n not in OWN and not n.startswith("IMPORT_")} - {"CLAIM_BACK"}
    assert unseen == set(), unseen
