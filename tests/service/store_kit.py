"""What the store's service tests share: one Postgres a module, a hub, a store, and short ways to say common things."""
import hashlib
import os
import uuid

SID = 16


def new_id():
    return uuid.uuid4().bytes


def session():
    return os.urandom(32)


def begin_req(sess, question="What is a footnote?", **kw):
    return {"session": sess, "question_id": new_id(), "message_id": new_id(), "question": question,
            "expiry_days": 30, **kw}


def citation(n, **kw):
    return {"id": new_id(), "n": n, "document_id": new_id(), "chunk_id": new_id(), "title": "Title", "excerpt": "words",
            "start": 10, "end": 15, "score": 0.5, **kw}


def finish_req(begin, answer="An answer [1].", citations=None, **kw):
    return {"session": begin["session"], "question_id": begin["question_id"], "message_id": begin["message_id"],
            "answer": answer, "status": "complete", "confidence": 0.75, "grounded": True, "model": "m",
            "expiry_days": 30, "citations": [citation(1)] if citations is None else citations, **kw}


def turn(hub, sess, question="Q?", tenant="default", **kw):
    """One whole turn; the begin request and its reply."""
    b = begin_req(sess, question, **kw)
    rep = hub.ok("turn.begin", b, tenant=tenant)
    hub.ok("turn.finish", finish_req(b, conversation_id=rep["conversation_id"]), tenant=tenant)
    return b, rep


def put(hub, text="some text", collection="docs", tenant="default", **kw):
    body = text if isinstance(text, bytes) else text.encode()
    return hub.ok("document.put", {"collection": collection, "mime": "text/plain", "body": body, **kw}, tenant=tenant)


def chunk(ord, start, end, text):
    return {"id": new_id(), "ord": ord, "start": start, "end": end, "hash": hashlib.sha256(text.encode()).digest(),
            "vector": b"\0\0\x80?" * 4}


def ingest(hub, worker="w1"):
    """Claims the next document, makes two chunks of it and finishes it; the claim and the seq."""
    c = hub.ok("job.claim", {"worker": worker, "lease_ms": 60000})
    me = {"document_id": c["document_id"], "generation": c["generation"], "worker": worker}
    text = c["body"].decode()
    half = len(text[:len(text) // 2].encode())
    hub.ok("job.text", {**me, "text": c["body"]})
    hub.ok("job.chunks", {**me, "model": "m", "embedded": 2, "chunks": [chunk(0, 0, half, "first half of " + text),
                                                                        chunk(1, half, len(c["body"]), "second half of " + text)]})
    return c, hub.ok("job.finish", me)["seq"]
