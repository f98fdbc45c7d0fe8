"""A store and an embedder in a few lines, behind the fake hub, for the retriever's service tests. They answer what the
retriever asks, keep what it writes, and count; tests look into them and break them."""
import hashlib
import math
import struct
import time
import uuid

from busfake import CODES, Hub

DIMS = 64


def vector(text):
    """Words hashed into cells, length 1."""
    v = [0.0] * DIMS
    for w in text.lower().split():
        v[hashlib.sha256(w.encode()).digest()[0] % DIMS] += 1.0
    norm = math.sqrt(sum(x * x for x in v)) or 1.0
    return struct.pack(f"<{DIMS}f", *(x / norm for x in v))


class Backend:
    def __init__(self, lease_s=30.0):
        self.lease_s = lease_s
        self.docs, self.changes, self.seq = {}, {}, 0
        self.embedded, self.embed_calls, self.probes = [], 0, 0
        self.broken = {}           # kind → error code, or None for silence
        self.claims = []           # (document id, worker)
        self.asides, self.waits = [], []  # what the retriever said of documents that it cannot load, and why documents wait
        self.unloadable = {}       # document id → "internal": the call fails; "chunks": the answer is another document's
        self.fresh_probes = 0
        self.unspent = 0           # documents that the retriever's host could not begin
        self.model_claims = []     # whether another model's vectors are wanted
        self.model_work, self.model_puts = [], []  # answers to these, one after another; vectors that came
        self.unstorable = set()    # ids that jobs.done refuses
        self.lots = []             # documents of each jobs.done
        self.loads = []            # (document id, without its chunks) of each chunks.load
        self.bare = True           # chunks.load leaves out what the retriever has; an older store does not know that
        self.model = "test-model"
        self.space, self.gone = None, set()  # a model that is in use in the collections; models that nobody has any more
        self.hub = Hub()
        self.hub.answer = self.answer

    # ---- what tests do
    def put(self, body, collection="docs", tenant="default", mime="text/markdown", external_id=None, **kw):
        doc = {"id": uuid.uuid4().bytes, "tenant": tenant, "collection": collection, "mime": mime, "generation": 1,
               "body": body if isinstance(body, bytes) else body.encode(), "status": "pending", "lease": 0.0, "worker": "",
               "chunks": {}, "text": "", "error": None, "external_id": external_id or "", "attempts": 0, "version": 1, **kw}
        self.docs[doc["id"]] = doc
        return doc

    def replace(self, doc, body):
        doc.update(body=body.encode(), status="pending", generation=doc["generation"] + 1)

    def delete(self, doc):
        del self.docs[doc["id"]]
        self.change(doc, "delete")

    def change(self, doc, op):
        self.seq += 1
        self.changes[doc["id"]] = {"seq": self.seq, "tenant": doc["tenant"], "collection": doc["collection"],
                                   "document_id": doc["id"], "op": op}

    def search(self, query, tenant="default", collections=("docs",), **kw):
        return self.hub.ok("search", {"query": query, "vector": vector(query), "model": self.model,
                                      "collections": list(collections), **kw}, tenant=tenant)

    def hits(self, *args, **kw):
        return self.search(*args, **kw)["hits"]

    def close(self):
        self.hub.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- the store and the embedder
    def answer(self, kind, q):
        if kind in self.broken:
            code = self.broken[kind]
            return (CODES[code], {}) if code else None
        return getattr(self, "on_" + kind.replace(".", "_"))(q)

    def mine(self, q):
        doc = self.docs.get(q["document_id"])
        ok = doc and doc["generation"] == q["generation"] and doc["worker"] == q["worker"] and doc["status"] == "processing"
        return doc if ok else None

    def on_embed(self, q):
        if q["texts"] == ["footnote"]:
            self.probes += 1
            self.fresh_probes += q.get("fresh", False)
        else:
            if q.get("model") in self.gone:
                return CODES["VALIDATION"], {}
            self.embed_calls += 1
            self.embedded += q["texts"]
        return 0, {"model": q.get("model") or self.model, "dims": DIMS, "vectors": b"".join(vector(t) for t in q["texts"])}

    def on_model_claim(self, q):
        self.model_claims.append(q)
        return 0, self.model_work.pop(0) if self.model_work else {"items": []}

    def on_model_put(self, q):
        self.model_puts.append(q)
        return 0, {"count": len(q["parts"])}

    def on_document_aside(self, q):
        self.asides.append((q["document_id"], q.get("error")))
        return 0, {"count": 1}

    def on_job_wait(self, q):
        self.waits.append(q.get("reason"))
        return 0, {"count": 1}

    def on_changes(self, q):
        items = sorted((c for c in self.changes.values() if c["seq"] > q["after"]), key=lambda c: c["seq"])
        pending = sum(self.claimable(d) for d in self.docs.values())
        return 0, {"items": items[:q["limit"]], "seq": self.seq, "jobs_pending": pending}

    def claimable(self, d):
        return d["status"] == "pending" or (d["status"] == "processing" and d["lease"] < time.monotonic())

    def on_job_claim(self, q):
        for d in self.docs.values():
            if self.claimable(d):
                d.update(status="processing", lease=time.monotonic() + self.lease_s, worker=q["worker"], attempts=d["attempts"] + 1)
                self.claims.append((d["id"], q["worker"]))
                return 0, {"document_id": d["id"], "job_id": d["id"], "generation": d["generation"], "tenant": d["tenant"],
                           "collection": d["collection"], "mime": d["mime"], "body": d["body"],
                           **({"title": d["title"]} if "title" in d else {}),
                           **({"space": self.space, "space_dims": DIMS} if self.space else {})}
        return CODES["NOT_FOUND"], {}

    def on_jobs_claim(self, q):
        items = []
        while len(items) < q["limit"] and (not items or sum(len(i["body"]) for i in items) < q["bytes"]):
            code, one = self.on_job_claim(q)
            if code:
                break
            items.append(one)
        return 0, {"items": items}

    def on_jobs_done(self, q):
        if any(d["document_id"] in self.unstorable for d in q["items"]):
            return CODES["VALIDATION"], {}
        self.lots.append(len(q["items"]))
        out = []
        for d in q["items"]:
            me = {"worker": q["worker"], "document_id": d["document_id"], "generation": d["generation"]}
            for kind, more in (("text", {"text": d["text"], "title": d.get("title", "")}),
                               ("chunks", {"model": q["model"], "chunks": d["chunks"]}), ("finish", {})):
                code, _ = getattr(self, "on_job_" + kind)({**me, **more})
            if not code:
                out.append({"document_id": d["document_id"], "seq": self.changes[d["document_id"]]["seq"]})
        return 0, {"items": out}

    def on_job_renew(self, q):
        return (0, {}) if self.mine(q) else (CODES["CONFLICT"], {})

    def on_job_text(self, q):
        doc = self.mine(q)
        if not doc:
            return CODES["CONFLICT"], {}
        doc["text"] = q["text"]
        doc.setdefault("title", q.get("title", ""))
        return 0, {}

    def on_vectors_known(self, q):
        known = {c["hash"]: c["vector"] for d in self.docs.values() if d["tenant"] == q["tenant"]
                 for c in d["chunks"].values() if c["model"] == q["model"]}
        return 0, {"items": [{"hash": h["hash"], "vector": known[h["hash"]]} for h in q["hashes"] if h["hash"] in known]}

    def on_job_chunks(self, q):
        doc = self.mine(q)
        if not doc:
            return CODES["CONFLICT"], {}
        for c in q["chunks"]:
            doc["chunks"][c["id"]] = {**c, "model": q["model"], "generation": q["generation"]}
        return 0, {}

    def on_job_finish(self, q):
        doc = self.mine(q)
        if not doc:
            return CODES["CONFLICT"], {}
        doc["error"] = q.get("error")
        if q.get("again"):
            doc["status"] = "pending"
            doc["attempts"] -= q.get("unspent", False)
            self.unspent += q.get("unspent", False)
        elif q.get("error"):
            doc["status"] = "failed"
        else:
            doc["chunks"] = {k: c for k, c in doc["chunks"].items() if c["generation"] == q["generation"]}
            doc["status"] = "ready"
            doc["version"] += 1
            self.change(doc, "ready")
        return 0, {}

    def on_chunks_load(self, q):
        items = []
        for key in q["items"]:
            self.loads.append((key["document_id"], key.get("bare", False)))
            code, rep = self.on_chunks_get({"document_id": key["document_id"]})
            if code == CODES["NOT_FOUND"]:
                continue
            if code:
                return code, {}
            if key.get("bare") and self.bare:
                rep.update(chunks=[], has_more=False)
            items.append(rep)
        return 0, {"items": items}

    def on_chunks_get(self, q):
        doc = self.docs.get(q["document_id"])
        if not doc or doc["status"] == "pending" and not doc["chunks"]:
            return CODES["NOT_FOUND"], {}
        fault = self.unloadable.get(doc["id"])
        if fault == "internal":
            return CODES["INTERNAL"], {}
        text = doc["text"]
        chunks = sorted((c for c in doc["chunks"].values()), key=lambda c: c["ord"])
        page = [c for c in chunks if c["ord"] >= q.get("from_ord", 0)]
        out = [{k: v for k, v in c.items() if k not in ("model", "generation")} |
               {"text": text[c["start"]:c["end"]].decode()} for c in page[:3]]
        return 0, {"tenant": doc["tenant"], "model": self.model, "chunks": out, "has_more": len(page) > 3, "document": [
            {"id": b"\x01" * 16 if fault else doc["id"], "collection": doc["collection"], "seq": self.changes.get(doc["id"], {}).get("seq", 0),
             "chunks": len(chunks), "status": "ready", "created_ms": 1, "updated_ms": doc["version"],
             "title": doc.get("title", ""), "external_id": doc["external_id"], "metadata": doc.get("metadata", "{}")}]}
