"""A backup that is made while people ask, and a restore into a fresh cluster: what was there is there again, byte for byte."""
import os
import threading

import pytest

from corpus_kit import Q_BUILT, Q_PUMP, add_corpus, check_sources
from pg import Postgres
from suite import BIN, SERVICES, Suite, new_session, wait_for


class Asking:
    """Somebody asks all the time, each question in a session of its own."""

    def __init__(self, suite):
        self.suite, self.saved, self.wrong, self._stop = suite, [], [], threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            session = new_session()
            r = self.suite.ask(Q_BUILT, session)
            if r.status_code == 200 and r.json()["saved"] == "yes":
                self.saved.append(session)
            else:
                self.wrong.append(r.text)

    def stop(self):
        self._stop.set()
        self._thread.join()


def export(suite, session):
    r = suite.request("GET", f"/api/v1/sessions/{session}/export")
    assert r.status_code == 200, r.text
    return r.content


def move(suite, dump):
    """Everything stopped, Redis emptied, another cluster filled from the dump, everything started on it."""
    for service in ("gateway", "embedder", "retriever", "store", "janitor"):
        assert suite.stop_service(service) == 0
    suite.redis.client().flushall()
    old, suite.postgres = suite.postgres, Postgres()
    suite.postgres.migrate(os.path.join(BIN, "footnote-store"))  # makes the role that the dump gives rights to
    suite.postgres.restore(dump)
    suite.postgres.migrate(os.path.join(BIN, "footnote-store"))
    old.close()
    for service in SERVICES:
        suite.start(service)
    suite.wait_ready()


def queue_a_turn(suite, session):
    """A cached answer whose turn is taken out of fn:turns before the store reads it; the entry."""
    suite.stop("store")
    try:
        assert suite.ask(Q_PUMP, session).json()["saved"] == "queued"
        (_, entry), = suite.redis.client().xrange("fn:turns")
        suite.redis.client().delete("fn:turns")
    finally:
        suite.cont("store")
    return entry


@pytest.fixture(scope="module")
def moved():
    """The suite on its new cluster, and what was seen on the old one."""
    with Suite() as s:
        documents, seen = add_corpus(s), {}
        people = [new_session() for _ in range(3)]
        for person in people:
            seen[person] = s.answered(Q_PUMP, person)
            s.answered(Q_BUILT, person)
        rated = s.request("POST", f"/api/v1/messages/{seen[people[0]]['message_id']}/feedback", session=people[0],
                          json={"rating": "up", "comment": "right"})
        assert rated.status_code == 204
        entry = queue_a_turn(s, people[1])
        asking = Asking(s)
        wait_for("people asking", lambda: len(asking.saved) >= 10)
        before = list(asking.saved)
        dump = s.postgres.dump()
        during = len(asking.saved) - len(before)
        wait_for("more after it", lambda: len(asking.saved) > len(before) + during + 3)
        asking.stop()
        assert not asking.wrong, asking.wrong[:1]
        facts = {"people": people, "before": before, "all": asking.saved, "entry": entry, "documents": documents,
                 "exports": {p: export(s, p) for p in people + before},
                 "texts": {d: s.text(d) for d in (x["document_id"] for x in s.request("GET", "/api/v1/documents").json()["items"])}}
        move(s, dump)
        yield s, facts
        assert s.down() == {}


def test_what_was_confirmed_before_the_backup_is_restored_byte_for_byte(moved):
    s, facts = moved
    assert len(facts["before"]) >= 10
    for session, was in facts["exports"].items():
        assert export(s, session) == was
    for document, text in facts["texts"].items():
        assert s.text(document) == text


def test_a_turn_is_restored_whole_or_not_at_all(moved):
    """Of those that were asked while the backup was made, none is there without its answer's citations."""
    s, facts = moved
    there = 0
    for session in facts["all"]:
        items = s.history(session)["items"]
        if items and items[-1]["role"] == "assistant":
            assert [m["role"] for m in items] == ["user", "assistant"] and items[1]["sources"]
            there += 1
    assert len(facts["before"]) <= there
    for child, column, parent in (("citations", "message_id", "messages"), ("messages", "conversation_id", "conversations"),
                                  ("conversations", "user_session_id", "user_sessions"), ("chunks", "document_id", "documents")):
        assert s.sql(f"select count(*) from {child} c where not exists (select 1 from {parent} p where p.id = c.{column})") == [(0,)]


def test_questions_are_answered_from_the_restored_documents_with_nothing_from_the_old_cache(moved):
    s, facts = moved
    a = s.answered(Q_BUILT, facts["people"][0])
    assert a["cached"] == "none" and a["grounded"]
    check_sources(s, a)


def test_a_turn_that_waited_in_redis_is_taken_up_once_by_the_restored_database(moved):
    """The stream fn:turns is the one thing of Redis that counts: kept, its turns are stored; lost, they are missing."""
    s, facts = moved
    session = facts["people"][1]
    n = len(s.history(session)["items"])
    for _ in range(2):
        s.redis.client().xadd("fn:turns", facts["entry"])
        wait_for("the queue drained", lambda: s.redis.client().xlen("fn:turns") == 0)
    items = s.history(session)["items"]
    assert len(items) == n + 2 and items[-1]["cached"] == "query" and items[-1]["sources"]
