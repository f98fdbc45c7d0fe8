"""Erasure that stays, conversations, feedback, retention, and a store that dies between its commit and its reply."""
import os
import subprocess
import tempfile
import time
import uuid

import msgpack
import pytest

from busfake import BIN, CODES, Hub, Service, wait_for
from store_kit import begin_req, finish_req, ingest, new_id, put, session, turn
from store_outbox import Redis, entry, items, packed


@pytest.fixture(scope="module")
def rd():
    r = Redis()
    yield r
    r.close()


@pytest.fixture(scope="module")
def store(pg, hub, rd):
    with Service("store", hub, DATABASE_URL=pg.url, REDIS_URL=rd.url) as s:
        yield s


@pytest.fixture(autouse=True)
def empty(rd, store):
    rd.r.flushall()


def now_ms():
    return int(time.time() * 1000)


def sessions(pg, s):
    return pg.value("select count(*) from user_sessions where session_id = %s", s)


def drained(rd):
    wait_for("the stream drained", lambda: rd.r.xlen("fn:turns") == 0)


# ---- erasure
def test_a_turn_still_queued_does_not_bring_an_erased_session_back(hub, rd, pg, store):
    s = session()
    turn(hub, s)
    old, unsaved = entry(s), session()
    hits = [entry(unsaved), old]
    hub.ok("session.delete", {"session": s, "at_ms": now_ms()})
    assert hub.ask("session.delete", {"session": unsaved, "at_ms": now_ms()})[0] == CODES["NOT_FOUND"]  # only queued so far
    before = store.metric("store_outbox_erased_total")
    rd.r.xadd("fn:turns", {"q": msgpack.packb(hits[0])})
    rd.r.xadd("fn:turns", {"q": msgpack.packb(old)})
    rd.r.xadd("fn:turns", {"q": msgpack.packb(old), "a": packed(finish_req(begin_req(s)))})
    drained(rd)
    store.counted(before + 3, "store_outbox_erased_total")
    assert sessions(pg, s) == sessions(pg, unsaved) == 0
    assert rd.r.xlen("fn:turns:bad") == 0                            # nor is it kept anywhere else


def test_an_erasure_of_nothing_leaves_nothing_when_nothing_can_wait(hub, pg):
    s, unknown = session(), session()
    turn(hub, s)
    noted = "select count(*) from erased_sessions where session_id = %s"
    for _ in range(2):
        assert hub.ask("session.delete", {"session": unknown, "at_ms": now_ms(), "quiet": True})[0] == CODES["NOT_FOUND"]
        assert pg.value(noted, unknown) == sessions(pg, unknown) == 0
    hub.ok("session.delete", {"session": s, "at_ms": now_ms(), "quiet": True})
    assert pg.value(noted, s) == 1 and sessions(pg, s) == 0
    assert hub.ask("session.delete", {"session": s, "at_ms": now_ms(), "quiet": True})[0] == CODES["NOT_FOUND"]
    assert pg.value(noted, s) == 1, "the note of the erasure stays"


def test_a_turn_asked_after_the_erasure_is_stored(hub, rd, pg, store):
    s = session()
    hub.ask("session.delete", {"session": s})
    erased = now_ms()
    wait_for("the clock to move on", lambda: now_ms() > erased + 1)
    rd.r.xadd("fn:turns", {"q": msgpack.packb(entry(s))})
    drained(rd)
    assert len(items(hub, s)) == 2


def test_a_question_in_flight_when_its_session_is_erased_leaves_nothing(hub, pg):
    s = session()
    asked = now_ms()
    b = begin_req(s)
    rep = hub.ok("turn.begin", b)
    hub.ok("session.delete", {"session": s, "at_ms": now_ms()})
    f = finish_req(b, conversation_id=rep["conversation_id"])
    assert hub.ask("turn.finish", f)[0] == CODES["NOT_FOUND"]
    whole = {**finish_req(b, question="Q?"), "created_ms": now_ms() + 50, "begun_ms": asked}
    assert hub.ask("turn.finish", whole)[0] == CODES["CONFLICT"]     # answered later, but asked before
    assert sessions(pg, s) == 0


def test_a_question_begun_after_the_erasure_is_finished_whatever_the_clocks_say(hub, pg):
    s = session()
    hub.ask("session.delete", {"session": s, "at_ms": now_ms() + 30000})   # a gateway whose clock is ahead
    b = begin_req(s)
    hub.ok("turn.begin", b)
    hub.ok("turn.finish", {**finish_req(b, question=b["question"]), "begun_ms": now_ms()})
    assert len(items(hub, s)) == 2


def test_an_erasure_waits_for_a_transaction_that_makes_the_session(hub, pg):
    s = session()
    with pg.connect() as c, c.cursor() as cur:
        turn(hub, s)                                                 # to learn the row's id
        key = pg.query("select id, tenant, session_id from user_sessions where session_id = %s", s)[0]
        hub.ok("session.delete", {"session": s})
        cur.execute("begin")
        cur.execute("insert into user_sessions (id, tenant, session_id, expires_at) values (%s, %s, %s, now() + interval '1 day')",
                    (key[0], key[1], bytes(key[2])))
        call = hub.begin("session.delete", {"session": s})
        wait_for("it to wait", lambda: pg.value("select count(*) from pg_stat_activity where wait_event_type = 'Lock'"))
        cur.execute("commit")
        if call.wait().name == "STORE_BUSY":                         # it waited too long for a busy test, and says so
            hub.ok("session.delete", {"session": s})
    assert sessions(pg, s) == 0


def waits(pg, n=1):
    return pg.value("select count(*) from pg_locks where not granted") >= n


def settled(hub, call, kind, req):
    """Its outcome; one that waited too long for a busy test says so, and is asked again."""
    call.wait()
    return (CODES["OK"], call.rep) if call.name == "OK" else hub.ask(kind, req)[:2] if call.name == "STORE_BUSY" else (call.code, call.rep)


@pytest.mark.parametrize("named", (False, True))
def test_a_question_that_meets_an_erasure_under_way_waits_and_finds_nothing_of_what_goes(hub, pg, named):
    """It is one statement, which began before the erasure was committed."""
    s = session()
    old, rep = turn(hub, s)
    b = begin_req(s, conversation_id=rep["conversation_id"]) if named else begin_req(s)
    with pg.connect() as c, c.cursor() as cur:
        cur.execute("begin")
        cur.execute("delete from user_sessions where session_id = %s", (s,))
        call = hub.begin("turn.begin", b)
        wait_for("the question waits", lambda: waits(pg))
        cur.execute("commit")
    code, got = settled(hub, call, "turn.begin", b)
    kept = [r[0] for r in pg.query("select m.content from messages m join conversations c on c.id = m.conversation_id"
                                   " join user_sessions s on s.id = c.user_session_id where s.session_id = %s", s)]
    if named:
        assert code == CODES["NOT_FOUND"] and kept == []
    else:
        assert code == CODES["OK"] and got["conversation_id"] != rep["conversation_id"] and kept == [b["question"]]


def test_an_erasure_waits_for_a_turn_that_is_being_stored_and_takes_it_along(hub, pg):
    s = session()
    turn(hub, s)
    late = finish_req(begin_req(s), question="Late?")
    with pg.connect() as c, c.cursor() as cur:
        cur.execute("begin")
        cur.execute("lock table citations in share mode")           # the turn waits here, and holds its session and conversation
        call = hub.begin("turn.finish", late)
        wait_for("the turn waits", lambda: waits(pg))
        erasure = hub.begin("session.delete", {"session": s})
        wait_for("the erasure waits", lambda: waits(pg, 2) or erasure.done.is_set())
        assert not erasure.done.is_set() or erasure.name == "STORE_BUSY"
        cur.execute("commit")
    call.wait()
    assert settled(hub, erasure, "session.delete", {"session": s})[0] == CODES["OK"]
    assert sessions(pg, s) == 0 and pg.value("select count(*) from messages where content = 'Late?'") == 0


def test_a_users_sessions_go_and_nobody_elses(hub, rd, pg, store):
    mine = [session() for _ in range(3)]
    other, foreign = session(), session()
    for s in mine:
        turn(hub, s, user_id="u1")
    turn(hub, other, user_id="u2")
    turn(hub, foreign, user_id="u1", tenant="acme")
    queued = entry(mine[0])
    rep = hub.ok("user.delete", {"user_id": "u1", "at_ms": now_ms()})
    assert {x["session"] for x in rep["sessions"]} == set(mine) and not rep.get("has_more")
    assert hub.ok("user.delete", {"user_id": "u1"})["sessions"] == []
    rd.r.xadd("fn:turns", {"q": msgpack.packb(queued)})
    drained(rd)
    assert [sessions(pg, s) for s in mine] == [0, 0, 0] and sessions(pg, other) == sessions(pg, foreign) == 1
    assert pg.value("select count(*) from citations t left join messages m on m.id = t.message_id where m.id is null") == 0


def test_notes_of_erasures_go_after_two_days(hub, pg):
    old, new = session(), session()
    for s in (old, new):
        hub.ask("session.delete", {"session": s})
    pg.query("update erased_sessions set erased_at = now() - interval '49 hours' where session_id = %s", old)
    assert hub.ok("cleanup", {"job": "erasures", "limit": 100})["deleted"] == 1
    assert pg.value("select count(*) from erased_sessions where session_id = %s", new) == 1


# ---- conversations and feedback
def conversations(pg, hub, s, n):
    """n conversations of the session, oldest first."""
    ids = []
    for i in range(n):
        pg.query("update conversations set is_open = false where user_session_id in"
                 " (select id from user_sessions where session_id = %s)", s)
        ids.append(turn(hub, s, f"question {i}?")[1]["conversation_id"])
    return ids


def test_conversations_are_listed_newest_first_in_pages(hub, pg):
    s = session()
    ids = conversations(pg, hub, s, 5)
    rep = hub.ok("conversation.list", {"session": s, "limit": 2, "page": 1})
    got = rep["items"]
    assert [g["id"] for g in got] == ids[::-1][:2] and rep["has_more"]
    assert got[0]["messages"] == 2 and got[0]["title"] == "question 4?" and got[0]["updated_ms"] >= got[0]["created_ms"] > 0
    second = hub.ok("conversation.list", {"session": s, "limit": 2, "page": 2})
    by_cursor = hub.ok("conversation.list", {"session": s, "limit": 2, "cursor": rep["next_cursor"]})
    assert second["items"] == by_cursor["items"] and [g["id"] for g in second["items"]] == ids[::-1][2:4]
    last = hub.ok("conversation.list", {"session": s, "limit": 2, "cursor": second["next_cursor"]})
    assert [g["id"] for g in last["items"]] == ids[:1] and not last.get("has_more")
    assert hub.ask("conversation.list", {"session": s, "limit": 2, "cursor": "zz"})[0] == CODES["VALIDATION"]
    assert hub.ask("conversation.list", {"session": s, "limit": 2**60, "page": 2**40})[0] != 0


def test_a_conversation_is_deleted_with_its_messages_by_its_own_session_only(hub, pg):
    s, other = session(), session()
    keep, gone = conversations(pg, hub, s, 2)
    turn(hub, other)
    ref = {"session": s, "conversation_id": gone}
    assert hub.ask("conversation.delete", {**ref, "session": other})[0] == CODES["NOT_FOUND"]
    assert hub.ask("conversation.delete", ref, tenant="acme")[0] == CODES["NOT_FOUND"]
    assert hub.ok("conversation.list", {"session": s, "limit": 9}, tenant="acme")["items"] == []
    hub.ok("conversation.delete", ref)
    assert hub.ask("conversation.delete", ref)[0] == CODES["NOT_FOUND"]
    assert {m["conversation_id"] for m in items(hub, s)} == {keep}


def test_feedback_is_kept_with_an_answer_of_ones_own(hub):
    s, other = session(), session()
    b, _ = turn(hub, s)
    turn(hub, other)
    f = {"session": s, "message_id": b["message_id"], "rating": "down", "comment": "wrong page"}
    for wrong in ({"session": other}, {"message_id": b["question_id"]}, {"message_id": new_id()}):
        assert hub.ask("feedback", {**f, **wrong})[0] == CODES["NOT_FOUND"], wrong
    assert hub.ask("feedback", f, tenant="acme")[0] == CODES["NOT_FOUND"]
    assert hub.ask("feedback", {**f, "rating": "sideways"})[0] == CODES["VALIDATION"]
    hub.ok("feedback", f)
    got = items(hub, s)[1]
    assert (got["rating"], got["comment"]) == ("down", "wrong page")
    hub.ok("feedback", {"session": s, "message_id": b["message_id"], "rating": "up"})
    got = items(hub, s)[1]
    assert got["rating"] == "up" and "comment" not in got and "rating" not in items(hub, s)[0]


# ---- retention
def test_documents_older_than_their_collections_retention_go_through_the_feed(hub, pg):
    hub.ok("collection.put", {"name": "short", "retention_days": 7})
    old = [put(hub, f"text {i}", "short", external_id=f"o{i}")["document_id"] for i in range(3)]
    young = put(hub, "young text", "short", external_id="young")["document_id"]
    kept = put(hub, "kept text", "forever", external_id="kept")["document_id"]
    for _ in range(5):
        ingest(hub)
    again = put(hub, "newer text", "short", external_id="o2")       # its replacement waits
    seq = hub.ok("changes", {"after": 0, "limit": 1000})["seq"]
    pg.query("update documents set updated_at = now() - interval '8 days' where id::text = any (%s)",
             [str_id(d) for d in old + [kept]])
    assert hub.ok("cleanup", {"job": "documents", "limit": 5000, "dry_run": True})["deleted"] == 2
    rep = hub.ok("cleanup", {"job": "documents", "limit": 5000})
    assert rep["deleted"] == 2 and not rep.get("more")
    feed = hub.ok("changes", {"after": seq, "limit": 1000})
    assert {(c["document_id"], c["op"]) for c in feed["items"]} == {(old[0], "delete"), (old[1], "delete")}
    assert sorted(c["seq"] for c in feed["items"]) == [seq + 1, seq + 2] and feed["seq"] == seq + 2
    assert hub.ok("collection.list", {"name": "short"})["items"][0]["epoch"] == seq + 2
    assert again["document_id"] == old[2]
    for d in (young, kept, old[2]):
        hub.ok("document.get", {"document_id": d})
    assert hub.ask("document.get", {"document_id": old[0]})[0] == CODES["NOT_FOUND"]
    assert pg.value("select count(*) from chunks c left join documents d on d.id = c.document_id where d.id is null") == 0
    assert hub.ok("cleanup", {"job": "documents", "limit": 5000})["deleted"] == 0
    assert hub.ok("changes", {"after": 0, "limit": 1})["seq"] == seq + 2   # an empty run is no change
    ingest(hub)


def str_id(b):
    return str(uuid.UUID(bytes=bytes(b)))


def test_many_old_documents_go_in_small_batches(hub, pg):
    hub.ok("collection.put", {"name": "many", "retention_days": 1})
    pg.query("insert into documents (id, tenant, collection, external_id, mime, status, updated_at) select gen_random_uuid(),"
             " 'default', 'many', 'd' || i, 'text/plain', 'ready', now() - interval '2 days' from generate_series(1, 150) i")
    reps = [hub.ok("cleanup", {"job": "documents", "limit": 5000}) for _ in range(2)]
    assert [(r["deleted"], bool(r.get("more"))) for r in reps] == [(100, True), (50, False)]


# ---- F07
@pytest.mark.parametrize("kind", ["turn.begin", "turn.finish"])
def test_a_store_that_dies_between_commit_and_reply_has_stored_once(hub, pg, store, kind):
    folder = tempfile.mkdtemp(prefix="fnonce-")
    once = os.path.join(folder, "once")
    env = {"DATABASE_URL": pg.url, "FAULT_AFTER_COMMIT": "abort", "FAULT_ONCE_FILE": once}
    with Hub() as own:
        a = Service("store", own, **env)
        s = session()
        b = begin_req(s)
        f = finish_req(b)
        if kind == "turn.finish":
            hub.ok("turn.begin", b)
        call = own.begin(kind, b if kind == "turn.begin" else f)
        wait_for("it to die", lambda: a.process.poll() is not None)
        assert a.process.returncode == -6 and "FAULT_AFTER_COMMIT" in a.text() and os.path.exists(once)
        assert not call.done.is_set()
        own.workers.clear()
        with Service("store", own, **env):                           # the file keeps it from doing so again
            own.ok("turn.begin", b)
            own.ok("turn.finish", f)
            assert [m["id"] for m in items(own, s)] == [b["question_id"], b["message_id"]]
    assert pg.value("select count(*) from citations where message_id = %s::uuid", b["message_id"].hex()) == 1
    os.unlink(once)
    os.rmdir(folder)


def test_the_fault_hook_is_refused_without_its_file(pg):
    r = subprocess.run([os.path.join(BIN, "footnote-store"), "--check-config"], capture_output=True, text=True,
                       env={"PATH": os.environ["PATH"], "DATABASE_URL": pg.url, "FAULT_AFTER_COMMIT": "abort"})
    assert r.returncode != 0 and "FAULT_AFTER_COMMIT" in r.stdout + r.stderr
