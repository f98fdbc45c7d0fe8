#!/usr/bin/python3
"""Ingestion at the speed of its bytes: many small documents, a restart with many passages, a slow model server.

    tests/bench/ingest_bench.py      prints bars, a line each; exit code 1 when one is short        BENCH_SHORT=1, ONLY=small,restart,slow

small    10,000 documents of 500 bytes as JSON Lines through the HTTP API, 400 a second or more until the last one is found
restart  a retriever with 50,000 passages is ready within 5 s
slow     a model server that takes 1 s a text, 8 texts a call, 2 calls at once embeds 1,000 passages; 5 % of its work may be lost, and no document
         may fail. Three of them side by side, each with a suite of its own: one lets further calls wait, one answers them with 429, one with
         503; the latter two have two embedders, and a reader searches meanwhile, so that further calls come. SLOW=waits,429,503   SLOW_TEXT_S=1
"""
import json
import os
import random
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(TOP, "tests/kit"), os.path.join(TOP, "tests/bench")]
from bench_kit import SHORT, Bars, say  # noqa: E402
from large_text import markdown  # noqa: E402
from suite import Suite, wait_for  # noqa: E402

ONLY = set(filter(None, os.environ.get("ONLY", "small,restart,slow").split(",")))
SMALL = 2000 if SHORT else 10000
PASSAGES = 10000 if SHORT else 50000
TEXTS = 100 if SHORT else 1000
ENV = {"LOG_LEVEL": "info", "RATE_LIMIT_REQUESTS": "1000000"}
WORDS = "anchor barrel candle drawer engine feather garden hammer island jacket kettle ladder mirror needle orchard pebble".split()


def small_document(rnd, n):
    text = f"# Note {n}\n\nNote {n} of the harbour.\n"
    while len(text) < 500:
        text += " " + " ".join(rnd.choice(WORDS) for _ in range(9)) + f" {rnd.randrange(99999)}."
    return text[:500]


def upload(s, documents, collection):
    """JSON Lines of 1,000 records each; the job ids."""
    jobs = []
    for at in range(0, len(documents), 1000):
        body = "".join(json.dumps({"id": f"{collection}-{at + i}", "text": t}) + "\n" for i, t in enumerate(documents[at:at + 1000]))
        r = s.request("POST", f"/api/v1/documents?collection={collection}", data=body.encode(), timeout=120,
                      headers={"Content-Type": "application/jsonl"})
        assert r.status_code == 202 and r.json()["refused"] == 0, (r.status_code, r.json().get("errors", r.text)[:3])
        jobs.append(r.json()["job_id"])
    return jobs


def wait_jobs(s, jobs, seconds):
    for j in jobs:
        wait_for("the job is done", lambda j=j: s.request("GET", f"/api/v1/jobs/{j}").json()["status"] == "done", seconds, every=0.05)


def small(bars):
    rnd = random.Random(1)
    documents = [small_document(rnd, n) for n in range(SMALL)]
    with Suite(env=ENV) as s:
        s.ingest("# Warm\n\nThe first document.", "warm", collection="small")
        begun = time.monotonic()
        jobs = upload(s, documents, "small")
        uploaded = time.monotonic() - begun
        wait_jobs(s, jobs, 600)
        found = s.search(f"Note {SMALL - 1} of the harbour", collection="small", top_k=3)
        took = time.monotonic() - begun
        bars.shown("ingest_small_documents_uploaded_a_second", SMALL / uploaded, "/s")
        bars.least("ingest_small_documents_searchable_a_second", SMALL / took, 400, "/s")
        bars.line("ingest_small_last_one_found", str(bool(found) and f"Note {SMALL - 1} " in found[0]["text"]), "True",
                  bool(found) and f"Note {SMALL - 1} " in found[0]["text"])
        n = s.sql("SELECT count(*), count(DISTINCT document_id) FROM footnote.chunks")[0]
        bars.line("ingest_small_chunks_once", f"{n[1]}", f"{SMALL + 1}", n[1] == SMALL + 1)


def restart(bars):
    with Suite(env=ENV) as s:
        upload_books(s)
        s.stop_service("retriever")
        begun = time.monotonic()
        s.start("retriever")
        wait_for("ready", lambda: s.services["retriever"].ready() and s.gateway_ready(), 120, every=0.02)
        took = time.monotonic() - begun
        bars.shown("ingest_restart_passages", s.metrics("retriever").value("retriever_index_passages"))
        bars.most("ingest_restart_ready", took, 5, "s")


def upload_books(s):
    """Documents of 20 KB, as a documentation has, until there are enough passages."""
    n, jobs = 0, []
    while s.sql("SELECT count(*) FROM footnote.chunks")[0][0] < PASSAGES:
        jobs += upload(s, [markdown(20000, seed=1000 * n + i) for i in range(200)], f"books{n}")
        wait_jobs(s, jobs, 600)
        n += 1


class Slow(ThreadingHTTPServer):
    """TEXT_S a text, at most 8 texts a call (413), at most 2 calls at once: further ones wait their turn, or are answered with a status."""
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, status=None):
        self.status, self.slots, self.lock = status, threading.Semaphore(2), threading.Lock()
        self.made, self.given, self.refused, self.busy = 0, set(), 0, 0.0   # texts, those that reached somebody, calls, seconds
        super().__init__(("127.0.0.1", 0), SlowHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class SlowHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def gone(self):
        try:
            return self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False

    def answer(self, status, obj):
        """True: it went out to somebody who is still there."""
        body = json.dumps(obj).encode()
        try:
            if self.gone():
                return False
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return True
        except OSError:
            return False

    def do_GET(self):
        self.answer(200, {"object": "list", "data": []})

    def do_POST(self):
        req = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        texts = req.get("input", [])
        texts = [texts] if isinstance(texts, str) else texts
        if not self.path.endswith("/embeddings"):
            self.answer(200, {"choices": [{"message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}]})
        elif len(texts) > 8:
            self.answer(413, {"error": {"message": "at most 8 inputs"}})
        elif self.server.slots.acquire(blocking=self.server.status is None):
            try:
                self.make(req, texts)
            finally:
                self.server.slots.release()
        else:
            with self.server.lock:
                self.server.refused += 1
            self.answer(self.server.status, {"error": {"message": "too many requests at once"}})

    def make(self, req, texts):
        time.sleep(TEXT_S * len(texts))
        rows = [{"index": i, "embedding": [float(len(t) % 97 + 1), float(hash(t) % 89 + 1), 3.0, 4.0]} for i, t in enumerate(texts)]
        there = self.answer(200, {"data": rows, "model": req.get("model"), "usage": {"total_tokens": len(texts)}})
        with self.server.lock:
            self.server.made += len(texts)
            self.server.busy += TEXT_S * len(texts)
            self.server.given.update(texts if there else ())

    def log_message(self, *_):
        pass


TEXT_S = float(os.environ.get("SLOW_TEXT_S", "0.1" if SHORT else "1"))


def read_along(s, done):
    n = 0
    while not done.wait(5 * TEXT_S):
        n += 1
        s.search(f"harbour {WORDS[n % len(WORDS)]} {n}", collection="slow")


def slow_server(bars, name, status):
    server = Slow(status)
    env = {"OPENAI_BASE_URL": f"http://127.0.0.1:{server.server_port}/v1", "OPENAI_API_KEY": "sk-test", "EMBEDDING_PROVIDER": "openai"}
    with Suite(env=ENV, service_env={"embedder": env}) as s:
        if status:
            s.add_replica("embedder")
        begun = time.monotonic()
        jobs = upload(s, [small_document(random.Random(n), n) for n in range(TEXTS)], "slow")
        done = threading.Event()
        reader = threading.Thread(target=read_along, args=(s, done))
        reader.start()
        try:
            wait_jobs(s, jobs, 3600)
        finally:
            done.set()
            reader.join()
        took = time.monotonic() - begun
        failed = s.sql("SELECT count(*) FROM footnote.documents WHERE status <> 'ready'")[0][0]
    say(f"{name}: {TEXTS} texts in {took:.0f} s, {server.made} made, {len(server.given)} given, {server.refused} calls refused, "
        f"{50 * server.busy / took:.0f} % of what the server can do")
    wasted = 100 * (server.made - len(server.given)) / max(server.made, 1)
    bars.most(f"ingest_slow_server_{name}_work_lost", wasted, 5, "%")
    bars.line(f"ingest_slow_server_{name}_documents_failed", str(failed), "0", failed == 0)
    bars.line(f"ingest_slow_server_{name}_texts", str(len(server.given)), f"{TEXTS} or more", len(server.given) >= TEXTS)
    server.shutdown()


def slow(bars):
    kinds = {"waits": None, "429": 429, "503": 503}

    def one(kind):
        try:
            slow_server(bars, kind, kinds[kind])
        except BaseException as e:  # a thread's end is nobody's failure
            bars.line(f"ingest_slow_server_{kind}", f"{type(e).__name__}: {e}"[:200], "-", False)
    threads = [threading.Thread(target=one, args=(k,)) for k in os.environ.get("SLOW", "waits,429,503").split(",")]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def main():
    bars = Bars()
    for name, part in (("small", small), ("restart", restart), ("slow", slow)):
        if name in ONLY:
            part(bars)
    return bars.end()


if __name__ == "__main__":
    sys.exit(main())
