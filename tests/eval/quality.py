#!/usr/bin/python3
"""`make eval`: quality as figures, through a running suite; writes docs/quality.md and prints a line per bar; exit code 1 when one is SHORT.

    quality.py [--sets squad,paraphrase] [--providers minilm,ngram] [--limit N] [--out FILE]

For each provider a whole suite is started and each set becomes a collection. All of its questions are searched (nDCG@10, recall@10, hit@1) and asked
(refusals, F1, the documents that are cited); every citation is compared with the stored bytes. FOOTNOTE_EVAL is the folder of the sets.
A run of all sets takes half an hour of two processors; with --sets or --limit the page is left alone unless --out names one.
"""
import argparse
import concurrent.futures
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from answers import TOP, auc, plain, share  # noqa: E402

sys.path.insert(0, os.path.join(TOP, "tests", "kit"))
import quality_doc  # noqa: E402
from quality_kit import FLOORS, NAMES, Records, Spans, bm25, f1, mean, ranking, span_measures  # noqa: E402
from suite import Suite, new_session, source_session, wait_for  # noqa: E402

MODEL = os.path.join(TOP, "build/model/embedding.model")
PROVIDERS = ("minilm", "ngram")
ASKERS = 4
BATCH = 500
LATER_S = 3600   # an ingestion of 8 MB with the sentence model on one slow processor
UNLIMITED = {"RATE_LIMIT_REQUESTS": "1000000", "RATE_LIMIT_PER_HOUR": "10000000", "RATE_LIMIT_ADDR_REQUESTS": "10000000", "LOG_LEVEL": "warn"}


def suite_of(provider):
    env = {"EMBEDDING_PROVIDER": provider, "CHAT_PROVIDER": "builtin"}
    if provider == "minilm":
        env["EMBEDDING_MODEL_FILE"] = MODEL
    return Suite(env=UNLIMITED, service_env={"embedder": env})


class Client:
    """One suite, asked by some threads, each with a connection of its own."""

    def __init__(self, suite):
        self.s, self.local, self.texts, self.lock = suite, threading.local(), {}, threading.Lock()

    def call(self, method, path, **kw):
        if not hasattr(self.local, "http"):
            self.local.http = source_session(f"127.0.0.{1 + threading.get_ident() % 200}")
        r = self.local.http.request(method, self.s.url + path, timeout=kw.pop("timeout", 60), **kw)
        assert r.status_code in (200, 202), (path, r.status_code, r.text[:300])
        return r

    def ingest(self, collection, rows):
        """Records as JSON Lines; seconds until the last one can be found."""
        begun = time.monotonic()
        jobs = []
        for at in range(0, len(rows), BATCH):
            body = "".join(json.dumps(r) + "\n" for r in rows[at:at + BATCH])
            r = self.call("POST", f"/api/v1/documents?collection={collection}", data=body.encode(), timeout=300,
                          headers={"Content-Type": "application/jsonl"}).json()
            assert r["refused"] == 0, r.get("errors", r)
            jobs.append(r["job_id"])
        for j in jobs:
            wait_for("the job is done", lambda j=j: self.call("GET", f"/api/v1/jobs/{j}").json()["status"] == "done", LATER_S, every=0.05)
        return time.monotonic() - begun

    def search(self, collection, text, top_k):
        return self.call("POST", "/api/v1/search", json={"query": text, "collection": collection, "top_k": top_k}).json()["results"]

    def ask(self, collection, text):
        return self.call("POST", "/api/v1/chat/query", json={"question": text, "session_id": new_session(), "collection": collection}).json()

    def stored(self, document_id):
        """A document's bytes, read once."""
        with self.lock:
            known = self.texts.get(document_id)
        if known is None:
            known = self.call("GET", f"/api/v1/documents/{document_id}/text").content
            with self.lock:
                self.texts[document_id] = known
        return known


def each(work, items):
    with concurrent.futures.ThreadPoolExecutor(ASKERS) as pool:
        return list(pool.map(work, items))


def documents_of(hits):
    """The documents that the hits are of, best first: a record may have become several passages."""
    return list(dict.fromkeys(h["external_id"] for h in hits))


def judge_answer(client, records, q, answerable):
    a = client.ask(records.name, q["text"])
    cited = list(dict.fromkeys(c["external_id"] for c in a["sources"]))
    relevant = records.relevant[q["id"]] if answerable else {}
    said = plain(a["answer"])
    exact = [client.stored(c["document_id"])[c["start"]:c["end"]] == c["content_excerpt"].encode() for c in a["sources"]]
    return {"refused": not a["grounded"], "confidence": a["confidence"], "citations": len(exact), "inexact": exact.count(False),
            "precision": mean([d in relevant for d in cited]) if cited else None,
            "recall": sum(d in relevant for d in cited) / len(relevant) if cited and relevant else None,
            "f1": f1(a["answer"], q["answers"]) if a["grounded"] and q.get("answers") else 0,
            "says": a["grounded"] and any(plain(x) in said for x in q.get("answers") or () if plain(x))}


def measure_records(client, records):
    rows = [{"id": r["id"], "title": (r.get("title") or "")[:250] or None, "text": r["text"]} for r in records.corpus]
    took = client.ingest(records.name, rows)
    found = each(lambda q: (documents_of(client.search(records.name, q["text"], 30)), records.relevant[q["id"]]), records.own)
    own = each(lambda q: judge_answer(client, records, q, True), records.own)
    other = each(lambda q: judge_answer(client, records, q, False), records.other)
    everything = own + other
    return {**ranking(found), "own": len(own), "other": len(other), "answered": 1 - share(own, "refused"), "refused": share(other, "refused"),
            "says": share(own, "says"), "f1": mean([r["f1"] for r in own]) if any(q.get("answers") for q in records.own) else float("nan"),
            "precision": mean([r["precision"] for r in own if r["precision"] is not None]),
            "recall_cited": mean([r["recall"] for r in own if r["recall"] is not None]),
            "auc": auc([r["confidence"] for r in own], [r["confidence"] for r in other]),
            "citations": sum(r["citations"] for r in everything), "inexact": sum(r["inexact"] for r in everything),
            "asked": len(everything), "kb_s": records.bytes / 1000 / took}


def measure_spans(client, spans):
    collection = spans.name + "-whole"
    client.ingest(collection, [{"id": d.id, "text": d.raw, "content_type": "text/markdown"} for d in spans.docs.values()])

    def one(qid):
        hits = client.search(collection, spans.questions[qid], 5)
        return span_measures([(h["external_id"], h["start"], h["end"]) for h in hits], spans.gold[qid])
    rows = each(one, [q for q in spans.questions if q in spans.gold])
    return {k: mean([r[k] for r in rows]) for k in ("recall", "precision", "iou", "hit")}


def measure(provider, sets, whole):
    """{set: measures}; "spans": those of whole documents."""
    out = {}
    with suite_of(provider) as s:
        client = Client(s)
        for records in sets:
            begun = time.monotonic()
            out[records.name] = measure_records(client, records)
            print(f"{provider} {records.name}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
        if whole:
            out["spans"] = measure_spans(client, Spans("chunkeval"))
    return out


# ---- bars ------------------------------------------------------------------------------------------------------------
class Bars:
    def __init__(self):
        self.lines = []

    def least(self, name, value, bar):
        self.add(name, value, f">= {bar:.3f}", value >= bar)

    def add(self, name, value, bar, good):
        self.lines.append((name, f"{value:.3f}" if isinstance(value, float) else str(value), bar, "ok" if good else "SHORT"))
        print("{:52s} {:>8s}  {:9s} {}".format(*self.lines[-1]), flush=True)

    def short(self):
        return sum(line[3] == "SHORT" for line in self.lines)


def judge(measured, bars):
    """The bars of issue and sets; a set that was not run has none."""
    for provider, sets in measured.items():
        for name in (n for n in FLOORS if n in sets):
            bars.least(f"{provider}: {name}, nDCG@10", sets[name]["ndcg"], max(FLOORS[name], .72 if (provider, name) == ("minilm", "scifact") else 0))
        if provider == "minilm" and all(n in sets for n in FLOORS):
            bars.least("minilm: mean nDCG@10 of six sets", mean([sets[n]["ndcg"] for n in FLOORS]), mean(list(FLOORS.values())) + .04)
        if "squad" in sets:
            bars.least(f"{provider}: squad, answerable answered", sets["squad"]["answered"], .92)
            bars.least(f"{provider}: squad, the answer's sentence quoted", sets["squad"]["says"], .80)
            bars.least(f"{provider}: squad, unanswerable refused", sets["squad"]["refused"], .35 if provider == "minilm" else .18)
        if "paraphrase" in sets and provider == "minilm":
            bars.least("minilm: paraphrase, among the first three", sets["paraphrase"]["hit3"], .85)
            bars.least("minilm: paraphrase, answered", sets["paraphrase"]["answered"], .80)
        rows = [m for n, m in sets.items() if n != "spans"]
        bars.add(f"{provider}: citations that differ from the document", sum(m["inexact"] for m in rows),
                 f"0 of {sum(m['citations'] for m in rows)}", sum(m["inexact"] for m in rows) == 0)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--sets", help="some of " + ",".join(NAMES))
    p.add_argument("--providers", default=",".join(PROVIDERS))
    p.add_argument("--limit", type=int, default=0, help="questions of a set, spread over it")
    p.add_argument("--out", help="the page, by default docs/quality.md for a whole run")
    args = p.parse_args()
    whole = not args.sets and not args.limit
    sets = [Records(n, args.limit) for n in (args.sets.split(",") if args.sets else NAMES)]
    providers = args.providers.split(",")
    if "minilm" in providers and not os.path.exists(MODEL):
        print("the sentence model cannot be had here (make model): only the n-gram model is measured", file=sys.stderr)
        providers.remove("minilm")
    measured = {name: measure(name, sets, whole) for name in providers}
    bars = Bars()
    judge(measured, bars)
    page = args.out or (os.path.join(TOP, "docs/quality.md") if whole else None)
    if page:
        quality_doc.write(page, measured, {r.name: bm25(r) for r in sets}, bars.lines)
    return 1 if bars.short() else 0


if __name__ == "__main__":
    sys.exit(main())
