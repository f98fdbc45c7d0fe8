#!/usr/bin/env python3
"""How good the answers are: sets of questions in, a line per bar out; exit code 1 when one is SHORT.

    answers.py [--way lib|http] [--half tune|held|all] [--sets squad,chunkeval,typed,paraphrase,elsewhere] [--out FILE] [--model FILE]

The way `lib` drives answer_eval (the real libraries in one process, seconds), the way `http` a whole suite. Sets are halved by their
order: `tune` may be looked at, `held` is only counted. FOOTNOTE_EVAL is the folder of the sets.
"""
import argparse
import bisect
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import unicodedata

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
EVAL = os.environ.get("FOOTNOTE_EVAL", os.path.join(TOP, "..", "shared", "eval"))
BIN = os.path.join(TOP, os.environ.get("FOOTNOTE_BIN", "build/release"))
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def read(path):
    with open(path, encoding="utf-8", newline="") as f:
        return f.read()


def normal(text):
    """As the retriever stores it."""
    return unicodedata.normalize("NFC", HIDDEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


class Document:
    def __init__(self, ident, title, text, markdown):
        self.id, self.title, self.raw, self.markdown = ident, title, text, markdown
        self.text = normal(text)
        self.bytes = self.text.encode()
        self.stored = self.bytes           # as the retriever stored it: markup is hidden there
        self.heads = headings(self.bytes) if markdown else []

    def section(self, name):
        """Bytes from a heading to the next one of its level."""
        for i, (at, level, head) in enumerate(self.heads):
            if head == name:
                ends = [b for b, depth, _ in self.heads[i + 1:] if depth <= level]
                return at, ends[0] if ends else len(self.bytes)
        return None

    def label(self, at):
        i = bisect.bisect_right([h[0] for h in self.heads], at)
        return self.heads[i - 1][2] if i else ""


def headings(data):
    out, at, fence = [], 0, None
    for line in data.split(b"\n"):
        mark = re.match(rb" {0,3}(```+|~~~+)", line)
        if mark and (fence is None or (mark[1].startswith(fence) and not line.strip(b" `~"))):
            fence = None if fence else mark[1]
        head = None if fence else re.match(rb" {0,3}(#{1,6})\s+(.*?)\s*#*\s*$", line)
        if head:
            out.append((at, len(head[1]), head[2].decode()))
        at += len(line) + 1
    return out


class Question:
    def __init__(self, ident, text, answerable, half, gold=(), answers=(), kind=""):
        self.id, self.text, self.answerable, self.half, self.kind = ident, text, answerable, half, kind
        self.gold, self.answers = list(gold), list(answers)  # gold: (document, start, end) in bytes


class Set:
    def __init__(self, name, documents, questions):
        self.name, self.questions = name, questions
        self.documents = {d.id: d for d in documents}


def half(i):
    return "held" if i % 2 else "tune"


def squad():
    folder = os.path.join(EVAL, "squad")
    docs = [Document(r["id"], r["title"], r["text"], False) for r in lines(folder + "/corpus.jsonl")]
    size = {d.id: len(d.bytes) for d in docs}
    gold = {}
    for row in open(folder + "/qrels.tsv", encoding="utf-8"):
        qid, doc, _ = row.rstrip("\n").split("\t")
        gold.setdefault(qid, []).append((doc, 0, size[doc]))
    out = [Question(r["id"], r["text"], True, half(i), gold[r["id"]], r["answers"]) for i, r in enumerate(lines(folder + "/queries.jsonl"))]
    out += [Question(r["id"], r["text"], False, half(i)) for i, r in enumerate(lines(folder + "/queries.unanswerable.jsonl"))]
    return Set("squad", docs, out)


def chunkeval():
    folder = os.path.join(EVAL, "chunkeval")
    docs = [Document(n, "", read(f"{folder}/docs/{n}"), True) for n in sorted(os.listdir(folder + "/docs"))]
    by_id, gold = {d.id: d for d in docs}, {}
    for s in lines(folder + "/spans.jsonl"):
        raw = by_id[s["file"]].raw
        at = [len(normal(raw[:k]).encode()) for k in (s["start"], s["end"])]
        gold.setdefault(s["qid"], []).append((s["file"], *at))
    out = [Question(r["id"], r["text"], True, half(i), gold[r["id"]]) for i, r in enumerate(lines(folder + "/queries.jsonl"))]
    return Set("chunkeval", docs, out + off_topic())


def off_topic():
    return [Question(r["id"], r["text"], False, half(i), kind="off-topic") for i, r in enumerate(lines(HERE + "/typed/offtopic.jsonl"))]


def typed():
    docs = [Document(n, "", read(f"{TOP}/docs/{n}"), True) for n in sorted(os.listdir(TOP + "/docs")) if n.endswith(".md")]
    book = os.path.join(EVAL, "iotbook", "docs")
    docs += [Document(n, "", read(f"{book}/{n}"), True) for n in sorted(os.listdir(book))]
    by_id, out = {d.id: d for d in docs}, []
    for i, r in enumerate(lines(HERE + "/typed/questions.jsonl")):
        gold = [(f, *by_id[f].section(s)) for f in r["files"] for s in r["sections"] if by_id[f].section(s)]
        if not gold:
            sys.exit(f"typed {r['id']}: none of its sections stands in {r['files']} any more: name where the answer is now")
        out.append(Question(r["id"], r["text"], True, half(i), gold, kind=r["kind"]))
    return Set("typed", docs, out + off_topic())


def in_other_words():
    """Documents and questions of the paraphrase set; a question's topic is the first part of its document's id."""
    folder = os.path.join(HERE, "paraphrase")
    docs = [Document(r["id"], r["title"], r["text"], False) for r in lines(folder + "/corpus.jsonl")]
    gold = dict(row.split("\t")[:2] for row in read(folder + "/qrels.tsv").splitlines())
    return docs, [(r["id"], r["text"], gold[r["id"]]) for r in lines(folder + "/queries.jsonl")]


def paraphrase():
    docs, questions = in_other_words()
    size = {d.id: len(d.bytes) for d in docs}
    return Set("paraphrase", docs, [Question(q, text, True, half(i), [(d, 0, size[d])]) for i, (q, text, d) in enumerate(questions)])


def elsewhere():
    """The same questions where their topic is missing: each is asked of the other ten topics, and none of them answers it."""
    docs, questions = in_other_words()
    topics = list(dict.fromkeys(d.id.rpartition("-")[0] for d in docs))
    first = set(topics[::2])
    return [Set(f"elsewhere-{name}", [d for d in docs if (d.id.rpartition("-")[0] in first) == inside],
                [Question(q, text, False, half(i), kind="elsewhere") for i, (q, text, d) in enumerate(questions)
                 if (d.rpartition("-")[0] in first) != inside]) for name, inside in (("a", True), ("b", False))]


SETS = {"squad": squad, "chunkeval": chunkeval, "typed": typed, "paraphrase": paraphrase, "elsewhere": elsewhere}


# ---- ways ----------------------------------------------------------------------------------------------------------
def ask_lib(sets, args):
    rows = [json.dumps({"doc": d.id, "collection": s.name, "title": d.title, "text": d.raw, "markdown": d.markdown})
            for s in sets for d in s.documents.values()]
    rows += [json.dumps({"ask": f"{s.name}\t{q.id}", "collection": s.name, "text": q.text}) for s in sets for q in s.questions]
    extra = [x for flag, value in (("-m", args.model), ("-c", args.cache)) if value for x in (flag, value)]
    done = subprocess.run([os.path.join(BIN, "eval", "answer_eval"), *extra, *args.extra], input="\n".join(rows) + "\n", text=True,
                          stdout=subprocess.PIPE, check=True)
    out, by_name = {}, {s.name: s for s in sets}
    for line in done.stdout.splitlines():
        r = json.loads(line)
        if "stored" in r:
            by_name[r["collection"]].documents[r["stored"]].stored = r["text"].encode()
        else:
            out[tuple(r["id"].split("\t"))] = r
    return out


def ask_http(sets, args):
    sys.path.insert(0, os.path.join(TOP, "tests", "kit"))
    from suite import Suite, new_session
    out = {}
    env = {"RATE_LIMIT_REQUESTS": "1000000", "RATE_LIMIT_PER_HOUR": "1000000", "RATE_LIMIT_ADDR_REQUESTS": "1000000"}
    if args.model:
        env["EMBEDDING_MODEL_FILE"] = os.path.abspath(args.model)
    with Suite(env=env) as s:
        for one in sets:
            ids = {}  # of the documents that have no id of their own
            body = "".join(json.dumps({"id": d.id, "title": d.title or None, "text": d.raw, "collection": one.name}) + "\n"
                           for d in one.documents.values() if not d.markdown)
            if body:
                r = s.request("POST", f"/api/v1/documents?wait=1&collection={one.name}", data=body.encode(), timeout=120,
                              headers={"Content-Type": "application/jsonl"})
                assert r.status_code in (200, 202), r.text
            for d in one.documents.values():
                if d.markdown:
                    r = s.request("POST", f"/api/v1/documents?wait=1&collection={one.name}", data=d.raw.encode(), timeout=120,
                                  headers={"Content-Type": "text/markdown", "X-Filename": d.id})
                    assert r.status_code == 200, r.text
                    ids[r.json()["document_id"]] = d.id
                    d.stored = s.request("GET", f"/api/v1/documents/{r.json()['document_id']}/text").content

            def ask(q, one=one):
                r = s.ask(q.text, session=new_session(), collection=one.name)
                assert r.status_code == 200, r.text
                a = r.json()
                cites = [{"doc": ids.get(c["document_id"]) or c["external_id"], "start": c["start"], "end": c["end"],
                          "section": c.get("section"), "excerpt": c["content_excerpt"]} for c in a["sources"]]
                return q.id, {"refused": not a["grounded"], "answer": a["answer"], "confidence": a["confidence"], "hits": [],
                              "citations": cites}
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                for ident, answer in pool.map(ask, one.questions):
                    out[(one.name, ident)] = answer
    return out


# ---- judging -------------------------------------------------------------------------------------------------------
def plain(s):
    return re.sub(r"[\W_]+", " ", s.lower()).strip()


def overlaps(place, gold):
    return any(place["doc"] == d and place["start"] < e and s < place["end"] for d, s, e in gold)


def judge(one, q, a):
    r = {"refused": a["refused"], "confidence": a["confidence"], "empty": not a["hits"]}
    said = plain(a["answer"])
    r["says"] = not a["refused"] and any(plain(x) in said for x in q.answers if plain(x))
    r["cited"] = any(overlaps(c, q.gold) for c in a["citations"])
    r["hit1"] = bool(a["hits"]) and overlaps(a["hits"][0], q.gold)
    r["hit3"] = any(overlaps(h, q.gold) for h in a["hits"][:3])
    r["hit5"] = any(overlaps(h, q.gold) for h in a["hits"])
    r["inexact"] = r["mislabelled"] = r["ragged"] = 0
    for c in a["citations"]:
        d = one.documents[c["doc"]]
        r["inexact"] += d.stored[c["start"]:c["end"]] != c["excerpt"].encode()
        if d.markdown:
            label = plain((c["section"] or "").split(" > ")[-1])
            r["mislabelled"] += label != plain(strip_marks(d.label(c["start"]))) and bool(label)
        r["ragged"] += ragged(d.bytes, c["start"], c["end"])
    r["citations"] = len(a["citations"])
    return r


def strip_marks(head):
    return re.sub(r"\]\([^)]*\)|\{#.*|<[^>]*>", "", head)


def ragged(data, start, end):
    """Does an excerpt begin or end inside a sentence or a line?"""
    before, after = data[max(0, start - 3):start].decode(errors="ignore"), data[end:end + 2].decode(errors="ignore")
    begins = not before.strip(" \t") or before.rstrip(" \t")[-1:] in "\n.!?:。！？।…\"')”’*_`|>-" or re.search(r"[.!?][\"')\]]*\s*$", before)
    last = data[max(0, end - 3):end].decode(errors="ignore")[-1:]
    ends = not after.strip(" \t") or after.lstrip(" \t")[:1] == "\n" or last in ".!?:。！？।…\"')]|`*_”"
    return not (begins and ends)


def auc(pos, neg):
    """Chance that an answerable question has the higher confidence; ties count half."""
    neg = sorted(neg)
    wins = sum(bisect.bisect_left(neg, p) + (bisect.bisect_right(neg, p) - bisect.bisect_left(neg, p)) / 2 for p in pos)
    return wins / (len(pos) * len(neg)) if pos and neg else float("nan")


def share(rows, key):
    return sum(bool(r[key]) for r in rows) / len(rows) if rows else float("nan")


class Report:
    def __init__(self):
        self.short = 0

    def line(self, name, value, bar, at_least):
        good = bar is None or (value >= bar if at_least else value <= bar)
        self.short += not good
        shown = "" if bar is None else f"{'>=' if at_least else '<='} {bar:<6g} {'ok' if good else 'SHORT'}"
        print(f"{name:58s} {value:8.3f}  {shown}", flush=True)


def report(sets, answers, args, out):
    which, rep, total = args.half, Report(), {"inexact": 0, "citations": 0, "mislabelled": 0, "ragged": 0}
    for one in sets:
        own, other = [], []
        for q in one.questions:
            if which != "all" and q.half != which:
                continue
            a = answers[(one.name, q.id)]
            r = judge(one, q, a)
            (own if q.answerable else other).append(r)
            for k in total:
                total[k] += r[k]
            if out and (which != "held"):
                out.write(json.dumps({"set": one.name, "id": q.id, "q": q.text, "kind": q.kind, "half": q.half, "answerable": q.answerable,
                                      "gold": q.answers or [one.documents[d].bytes[s:e].decode(errors="replace")[:300] for d, s, e in q.gold],
                                      **r, "a": a["answer"], "raw": a}, ensure_ascii=False) + "\n")
        n = f"{one.name} ({which}, {len(own)}+{len(other)})"
        if own:
            refused = {"squad": .08, "paraphrase": .20 if args.model else None}.get(one.name, .15)
            rep.line(f"{n}: answerable refused", share(own, "refused"), refused, False)
        if any(not r["empty"] for r in own):
            rep.line(f"{n}:   of them by the search", share(own, "empty"), None, False)
            rep.line(f"{n}: gold is the first passage", share(own, "hit1"), .70 if one.name == "typed" else None, True)
            rep.line(f"{n}: gold among the first three", share(own, "hit3"), None, True)
            rep.line(f"{n}: gold among the passages", share(own, "hit5"), None, True)
        if one.name == "squad":
            rep.line(f"{n}: right sentence", share(own, "says"), .80, True)
            rep.line(f"{n}: unanswerable refused", share(other, "refused"), .35 if args.model else .18, True)
            rep.line(f"{n}: confidence tells them apart (AUC)", auc([r["confidence"] for r in own], [r["confidence"] for r in other]), .65, True)
        elif own:
            bars = {"chunkeval": .52, "typed": .70}
            rep.line(f"{n}: gold cited", share(own, "cited"), bars.get(one.name), True)
        if other and one.name != "squad":
            rep.line(f"{n}: off-topic refused", share(other, "refused"), None if one.name.startswith("elsewhere") else .95, True)
    rep.line(f"citations inexact, of {total['citations']}", total["inexact"], 0, False)
    rep.line("citations under another heading than their label", total["mislabelled"] / max(total["citations"], 1), .01, False)
    rep.line("excerpts that begin or end inside a sentence", total["ragged"] / max(total["citations"], 1), None, False)
    return rep.short


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--way", choices=("lib", "http"), default="lib")
    p.add_argument("--half", choices=("tune", "held", "all"), default="all")
    p.add_argument("--sets", default="squad,chunkeval,typed,paraphrase,elsewhere")
    p.add_argument("--out", help="every judged answer, a JSON object a line (never those of the held half)")
    p.add_argument("--model", help="a sentence model (make model) instead of the n-gram model")
    p.add_argument("--cache", help="keeps its vectors from run to run; only with lib")
    p.add_argument("--extra", nargs="*", default=[], help="more options of answer_eval")
    args = p.parse_args()
    made = [SETS[n]() for n in args.sets.split(",")]
    sets = [one for m in made for one in (m if isinstance(m, list) else [m])]
    answers = (ask_lib if args.way == "lib" else ask_http)(sets, args)
    out = open(args.out, "w", encoding="utf-8") if args.out else None
    return 1 if report(sets, answers, args, out) else 0


if __name__ == "__main__":
    sys.exit(main())
