"""The previous release's programs on this release's schema, alone and beside this release's (see run.sh, which builds them)."""
import os
import threading

import pytest

from busfake import BIN, FINAL, ROOT, Hub, Service, wait_for
from pg import Postgres

import sys
sys.path.insert(0, os.path.join(ROOT, "tests", "service"))
from store_kit import begin_req, citation, finish_req, ingest, put, session, turn  # noqa: E402

OLD = os.path.join(ROOT, os.environ["FOOTNOTE_OLD"], "build", "release")


@pytest.fixture
def pg():
    with Postgres() as p:
        yield p


def env(pg):
    return {"DATABASE_URL": pg.url}


def migrated(pg):
    with Hub() as h, Service("store", h, **env(pg)):
        return pg.value("select max(version) from schema_migrations")


def whole_path(hub, pg, worker=None):
    """What a store does in a day: turns, history, documents, erasure."""
    kw = {"worker": worker} if worker else {}
    s, b = session(), None
    b = begin_req(s, user_id="u", idem_key="k" + s.hex(), idem_scope="r", idem_hash=b"h" * 32, idem_lease_ms=60000)
    conv = hub.ok("turn.begin", b, **kw)["conversation_id"]
    hub.ok("turn.finish", finish_req(b, citations=[citation(1), citation(2)], idem_key="k" + s.hex(), idem_scope="r", idem_body=b"x",
                                     idem_status=200), **kw)
    hub.ok("turn.finish", finish_req(begin_req(s), question="queued?", conversation_id=conv), **kw)
    items = hub.ok("history", {"session": s, "limit": 50}, **kw)["items"]
    assert [len(m.get("citations", [])) for m in items] == [0, 2, 0, 1]
    assert len(hub.ok("conversation.list", {"session": s, "limit": 50}, **kw)["items"]) == 1
    hub.ok("feedback", {"session": s, "message_id": b["message_id"], "rating": "up"}, **kw)
    assert hub.ok("turn.begin", {**b, "question_id": os.urandom(16)}, **kw)["stored"] == b"x"
    return s


def janitor_run(hub, folder):
    """One --once of a janitor, whose requests go to the store at this hub."""
    n = len(hub.requests)
    with Service("janitor", hub, args=("--once",), wait=False, folder=folder, METRICS_PORT=0) as j:
        while j.process.poll() is None:
            while n < len(hub.requests):
                worker, head, payload = hub.requests[n]
                n += 1
                call = hub.begin(head["kind"], payload).wait()
                hub.send(worker, FINAL, {"req": head["req"], "attempt": head["attempt"], "code": call.code}, call.rep and pack(call.rep))
            try:
                j.process.wait(0.01)
            except Exception:
                pass
        return j.process.returncode


def pack(value):
    import msgpack
    return msgpack.packb(value)


def test_the_old_store_and_janitor_work_on_the_new_schema(pg):
    newest = migrated(pg)
    with Hub() as hub, Service("store", hub, folder=OLD, **env(pg)) as old:
        assert "newer than this program" in old.text() or newest == 0
        s = whole_path(hub, pg)
        put(hub, "Some words of a document.", external_id="d")
        c, _ = ingest(hub)
        hub.ok("document.delete", {"document_id": c["document_id"]})
        gone = whole_path(hub, pg)
        past = "expires_at = now() - interval '1 hour'"
        pg.query(f"update messages set {past} where conversation_id in (select c.id from conversations c join user_sessions u on"
                 " u.id = c.user_session_id where u.session_id = %s)", gone)
        pg.query(f"update conversations set {past} where user_session_id in (select id from user_sessions where session_id = %s)", gone)
        pg.query(f"update user_sessions set {past} where session_id = %s", gone)
        assert janitor_run(hub, OLD) == 0
        assert pg.value("select count(*) from user_sessions where session_id = %s", gone) == 0
        assert len(hub.ok("history", {"session": s, "limit": 50})["items"]) == 4
        hub.ok("session.delete", {"session": s})
        assert pg.value("select count(*) from messages") == pg.value("select count(*) from citations") == 0


def test_old_and_new_stores_serve_the_same_rows_side_by_side(pg):
    with Hub() as hub, Service("store", hub, folder=OLD, **env(pg)):
        old = hub.wait_worker("store")
        s = whole_path(hub, pg, old)                                 # on its own schema
        with Service("store", hub, **env(pg)):                       # migrates under it
            new = next(w for w in hub.workers["store"] if w != old)
            for writer, reader in ((old, new), (new, old)):
                t = whole_path(hub, pg, writer)
                for sess in (s, t):
                    a, b = (hub.ok("history", {"session": sess, "limit": 50}, worker=w) for w in (writer, reader))
                    assert a == b and len(a["items"]) == 4
            assert janitor_run(hub, OLD) == 0 and janitor_run(hub, BIN) == 0


def test_turns_go_on_in_the_old_store_while_the_new_one_migrates(pg):
    """A rolling update: nothing that was asked of the old store fails or is lost while the schema changes under it."""
    with Hub() as hub, Service("store", hub, folder=OLD, **env(pg)):
        old = hub.wait_worker("store")
        sessions, wrong, stop = [], [], threading.Event()

        def ask():
            while not stop.is_set():
                s = session()
                try:
                    turn(hub, s)
                    sessions.append(s)
                except AssertionError as e:
                    wrong.append(str(e))
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for t in threads:
            t.start()
        wait_for("turns", lambda: len(sessions) > 50)
        with Service("store", hub, **env(pg)):
            n = len(sessions)
            wait_for("turns on the new schema", lambda: len(sessions) > n + 50)
            stop.set()
            for t in threads:
                t.join()
            assert not wrong, wrong[:3]
            for s in sessions:
                assert len(hub.ok("history", {"session": s, "limit": 50}, worker=old)["items"]) == 2
