"""A suite that begins with the built-in model and is given a key later: what the tests and the timing of a model change share."""
import json
import threading
import time

import requests

from suite import Suite, new_session, wait_for

BUILTIN = "builtin-ngram-v2"
STUB = "text-embedding-3-small"
NO_SERVER = {"OPENAI_BASE_URL": "", "OPENAI_API_KEY": ""}


def note(n):
    return f"# Note {n}\n\nNote {n} of the harbour tells of pier {7 * n + 1} and of a crane called Karla{n}.\n"


def question(n):
    return f"What does note {n} of the harbour tell of pier {7 * n + 1}?"


def is_note(text, n):
    return f"Note {n} of" in text


def search_for(n, collection="notes"):
    """The body of a search for a note."""
    return {"query": question(n), "collection": collection, "top_k": 3, "explain": True}


def judge(n, body):
    """What is wrong with what such a search gave (None: no answer came), or None: the note must be there, all that came by their vectors."""
    if body is None:
        return "failed"
    if body["degraded"] or any(h["vector_score"] == 0 for h in body["results"]):
        return "by_words_only"
    return None if any(is_note(h["text"], n) for h in body["results"]) else "not_found"


class Changing(Suite):
    """Built-in embeddings and answers; give_key() restarts the embedder with nothing but the model server's address and key."""

    def __init__(self, rate=100, stub_args=(), **kw):
        env = {"LOG_LEVEL": "info", "RATE_LIMIT_REQUESTS": "1000000", "CHAT_PROVIDER": "builtin", **kw.pop("env", {})}
        super().__init__(stub=True, stub_args=stub_args, env=env,
                         service_env={"embedder": dict(NO_SERVER), "retriever": {"REEMBED_RATE": str(rate), "REEMBED_PROBE": "2"}}, **kw)

    def give_key(self, **env):
        for name in NO_SERVER:
            self.service_extra["embedder"].pop(name, None)
        self.service_extra["embedder"].update(env)
        self.restart("embedder")

    def take_key(self, **env):
        self.service_extra["embedder"].update(NO_SERVER, **env)
        self.restart("embedder")

    def add_notes(self, n, collection="notes", first=0):
        for at in range(first, n, 300):
            rows = range(at, min(at + 300, n))
            body = "".join(json.dumps({"id": f"n{i}", "text": note(i)}) + "\n" for i in rows)
            r = self.request("POST", f"/api/v1/documents?collection={collection}&wait=1", data=body.encode(),
                             headers={"Content-Type": "application/jsonl"}, timeout=120)
            assert r.status_code in (200, 202), r.text[:300]
        wait_for("all notes are ready", lambda: self.sql("SELECT count(*) FROM footnote.documents WHERE collection = %s AND status <> 'ready'",
                                                         (collection,)) == [(0,)], 120, every=0.1)

    def embedding(self, collection="notes"):
        r = self.request("GET", f"/api/v1/collections/{collection}")
        assert r.status_code == 200, r.text
        return r.json()["embedding"]

    def state(self, collection="notes"):
        return self.embedding(collection)["state"]

    def done(self, collection="notes"):
        return self.embedding(collection)["chunks_done"] or 0

    def wait_state(self, state, collection="notes", seconds=60):
        return wait_for(f"{collection} is {state}", lambda: (lambda e: e if e["state"] == state else None)(self.embedding(collection)),
                        seconds, every=0.05)

    def wait_switched(self, model, collection="notes", seconds=60):
        return wait_for(f"{collection} uses {model}", lambda: (lambda e: e if e["model"]["name"] == model else None)(self.embedding(collection)),
                        seconds, every=0.05)

    def decide(self, verb, collection="notes"):
        return self.request("POST", f"/api/v1/collections/{collection}/{verb}")


class Asking:
    """Searches without a pause in a thread of its own, about notes that are there all the time. Every one must find its note by its vector."""

    def __init__(self, s, notes, collection="notes", pause=0.01):
        self.s, self.notes, self.collection, self.pause = s, list(notes), collection, pause
        self.asked, self.bad, self.ms = 0, [], []
        self._end = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._end.is_set():
            n = self.notes[self.asked % len(self.notes)]
            since = time.monotonic()
            try:
                r = self.s.request("POST", "/api/v1/search", json=search_for(n, self.collection))
                wrong, said = judge(n, r.json() if r.status_code == 200 else None), r.text[:300]
            except requests.RequestException as e:
                wrong, said = "failed", str(e)[:300]
            self.ms.append(1000 * (time.monotonic() - since))
            self.asked += 1
            if wrong:
                self.bad.append((n, wrong, said))
            time.sleep(self.pause)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self.thread.join(30)


def ask_some(s, numbers, collection="notes"):
    for n in numbers:
        s.answered(question(n), new_session(), collection=collection)
