#!/usr/bin/python3
"""A22: one large document must not disturb anybody: 32 MB of compressible Markdown are searchable in time, other tenants notice
nothing meanwhile, a retriever is restarted with it, and a row that was damaged on purpose costs nobody else anything.

# attack: A22; limit 400; short 60
"""
import os
import sys
import threading
import time

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path[:0] = [os.path.join(TOP, "kit"), os.path.join(TOP, "attacks")]
from bars import Bars, pick  # noqa: E402
from large_text import markdown  # noqa: E402
from suite import Suite, new_session, wait_for  # noqa: E402

SIZE = int(os.environ.get("LARGE_BYTES", pick(4_000_000, 33_000_000)))
NEEDLE = "The word for opening the lighthouse is perihelion."
class Neighbour(threading.Thread):
    """Another tenant at work: uploads with ?wait=1, and a cached question that must stay cached."""

    def __init__(self, suite, key):
        super().__init__(daemon=True)
        self.suite, self.key, self.over = suite, key, threading.Event()
        self.waits, self.misses, self.failed, self.asked = [], 0, [], 0
        self.session = new_session()

    def question(self, q):
        return self.suite.ask(q, self.session, key=self.key, collection="quiet")

    def run(self):
        n = 0
        while not self.over.wait(0.2):
            n += 1
            begun = time.monotonic()
            r = self.suite.request("POST", "/api/v1/documents?wait=1", key=self.key,
                                   json={"id": f"n{n}", "text": f"Neighbour note {n} speaks of a kettle.", "collection": "busy"})
            self.waits.append(time.monotonic() - begun)
            if r.status_code != 200:
                self.failed.append(r.status_code)
            if n % 3 == 0:
                q = f"How many spoons has drawer {n}?"
                self.suite.request("POST", "/api/v1/documents?wait=1", key=self.key,
                                   json={"id": f"q{n}", "text": f"Drawer {n} has {n} spoons.", "collection": "quiet"})
                first, second = self.question(q), self.question(q)
                self.asked += 1
                self.misses += second.status_code != 200 or second.json()["cached"] != "query"
                if first.status_code != 200:
                    self.failed.append(first.status_code)


def found(suite, key, query, **kw):
    r = suite.request("POST", "/api/v1/search", key=key, json={"query": query, **kw})
    return r.status_code == 200 and r.json()["results"]


def seconds_of(what, check, limit):
    begun = time.monotonic()
    wait_for(what, check, limit, every=0.05)
    return time.monotonic() - begun


def upload(s, key):
    r = s.request("POST", "/api/v1/documents", key=key, data=markdown(SIZE, needle=NEEDLE).encode(), timeout=120,
                  headers={"Content-Type": "text/markdown", "X-Filename": "large.md"})
    assert r.status_code == 202, r.text
    return r.json()["document_id"]


def finds_it(s, key):
    return any(NEEDLE in x["text"] for x in found(s, key, NEEDLE) or [])


def restart(s):
    s.stop_service("retriever")
    began = time.monotonic()
    s.start("retriever")
    wait_for("the gateway is ready", lambda: s.services["retriever"].ready() and s.gateway_ready(), 120, every=0.02)
    return time.monotonic() - began


def beside_others(b, s, big, small):
    s.ingest("The small tenant's ferry leaves at noon.", "ferry", key=small)
    n = Neighbour(s, small)
    n.start()
    wait_for("the neighbour is at work", lambda: n.asked >= 2, 30)
    calm = max(n.waits)
    n.waits.clear()
    begun = time.monotonic()
    document = upload(s, big)
    wait_for("the large document is found", lambda: finds_it(s, big), 300, every=0.1)
    b.most("A22_large_document_searchable_s", time.monotonic() - begun, 20, timed=True)
    n.over.set()
    n.join()
    b.most("A22_others_wait1_slowest_s", max(n.waits), max(2.0, 4 * calm), timed=True)
    b.none("A22_others_requests_failed", n.failed)
    b.none("A22_others_repeated_questions_not_cached", n.misses)
    b.none("A22_texts_stored_compressed",
           s.sql("SELECT id FROM footnote.documents WHERE pg_column_compression(text) IS NOT NULL"))
    return document


def damaged(b, s, document, big, small):
    """A row that cannot be loaded: everything else is served, it says so, and comes back."""
    path = f"/api/v1/documents/{document}"
    s.sql("UPDATE footnote.chunks SET start_byte = 3000000000 WHERE document_id = %s AND ord = 5", (document,))
    b.most("A22_restart_with_a_damaged_row_s", restart(s), 5, timed=True)
    a = s.ask("When does the ferry leave?", key=small)
    b.none("A22_others_not_answered", [] if a.status_code == 200 and "noon" in a.json()["answer"] else [a.text])
    b.most("A22_damaged_row_marked_s", seconds_of(
        "the damaged document says so", lambda: s.request("GET", path, key=big).json()["status"] == "failed", 60), 10, timed=True)
    error = s.request("GET", path, key=big).json()["error"]
    b.none("A22_without_a_reason", [] if "cannot be loaded" in error else [error])
    b.equal("A22_documents_aside", s.metrics("retriever").value("footnote_retriever_documents_aside"), 1)
    b.most("A22_wait1_beside_it_s", seconds_of("a new document", lambda: s.ingest("A new note on oars.", "oars", key=small), 40), 2,
           timed=True)
    s.sql("UPDATE footnote.chunks SET start_byte = 0, end_byte = 9 WHERE document_id = %s AND ord = 5", (document,))
    b.most("A22_back_by_itself_s", seconds_of("it is found", lambda: finds_it(s, big), 120), 70, timed=True)


def main():
    env = {"RATE_LIMIT_REQUESTS": "1000000", "RATE_LIMIT_HOUR": "1000000", "LOG_LEVEL": "info"}
    with Bars() as b, Suite(auth="on", env=env) as s:
        big, small = (s.make_key(["chat", "ingest", "admin"], tenant=t)["key"] for t in ("big", "small"))
        for k in (big, small):
            wait_for("the key works", lambda k=k: s.request("GET", "/api/v1/collections", key=k).status_code == 200, 8)
        document = beside_others(b, s, big, small)
        b.most("A22_restart_with_it_s", restart(s), 5, timed=True)
        b.none("A22_lost_by_the_restart", [] if finds_it(s, big) else [NEEDLE])
        damaged(b, s, document, big, small)


if __name__ == "__main__":
    main()
