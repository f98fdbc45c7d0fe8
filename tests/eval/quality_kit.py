"""Sets for `make eval` (quality.py): records, questions and judgements as files hold them; measures; and BM25 beside them."""
import collections
import math
import os
import re
import sqlite3

from answers import EVAL, HERE, Document, lines, normal, overlaps, plain, read

# nDCG@10 of BM25 as the sets' makers measured it: what hybrid search has to beat
FLOORS = {"scifact": .688, "squad": .900, "hotpot500": .771, "mtragun": .787, "chunkeval": .788, "clauddocs": .708}
NAMES = [*FLOORS, "paraphrase"]


class Records:
    """A set of records, each one document: relevance by question, answers where there are any, questions that nothing answers."""

    def __init__(self, name, limit=0):
        folder = os.path.join(HERE if name == "paraphrase" else EVAL, name)
        self.name = name
        self.corpus = lines(folder + "/corpus.jsonl")
        self.own = lines(folder + "/queries.jsonl")
        others = [f"{folder}/queries.{kind}.jsonl" for kind in ("unanswerable", "other")]
        self.other = next((lines(f) for f in others if os.path.exists(f)), None)
        if self.other is None and name != "paraphrase":   # two of its topics are among the off-topic questions
            self.other = lines(HERE + "/typed/offtopic.jsonl")
        self.other = self.other or []
        if limit:
            self.own, self.other = self.own[::max(1, len(self.own) // limit)][:limit], self.other[::max(1, len(self.other) // limit)][:limit]
        self.relevant = collections.defaultdict(dict)
        for row in read(folder + "/qrels.tsv").splitlines():
            q, doc, grade = row.split("\t")
            if float(grade) > 0:
                self.relevant[q][doc] = float(grade)
        self.bytes = sum(len(r["text"].encode()) for r in self.corpus)


class Spans:
    """Whole documents with gold ranges: how much of a range the passages that were found cover."""

    def __init__(self, name):
        folder = os.path.join(EVAL, name)
        self.name = name
        self.docs = {n: Document(n, "", read(f"{folder}/docs/{n}"), True) for n in sorted(os.listdir(folder + "/docs"))}
        self.questions = {r["id"]: r["text"] for r in lines(folder + "/queries.jsonl")}
        self.gold = collections.defaultdict(list)
        for s in lines(folder + "/spans.jsonl"):
            raw = self.docs[s["file"]].raw
            self.gold[s["qid"]].append((s["file"], *(len(normal(raw[:s[k]]).encode()) for k in ("start", "end"))))


# ---- measures --------------------------------------------------------------------------------------------------------
def ndcg(found, relevant, k=10):
    gain = sum(relevant.get(d, 0) / math.log2(i + 2) for i, d in enumerate(found[:k]))
    ideal = sum(g / math.log2(i + 2) for i, g in enumerate(sorted(relevant.values(), reverse=True)[:k]))
    return gain / ideal if ideal else 0


def recall(found, relevant, k=10):
    return len(set(found[:k]) & set(relevant)) / len(relevant) if relevant else 0


def ranking(rows):
    """The measures of ranked ids against judgements: [(found, relevant)]."""
    rows = [(f, r) for f, r in rows if r]
    return {"ndcg": mean([ndcg(f, r) for f, r in rows]), "recall": mean([recall(f, r) for f, r in rows]),
            "hit1": mean([bool(f) and f[0] in r for f, r in rows]), "hit3": mean([any(d in r for d in f[:3]) for f, r in rows])}


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else float("nan")


def tokens(text):
    return [w for w in plain(re.sub(r"\[\d+\]", " ", text)).split() if w not in ("a", "an", "the")]


def f1(said, answers):
    """Words in common with the nearest of the reference answers."""
    best, have = 0, collections.Counter(tokens(said))
    for a in answers:
        want = collections.Counter(tokens(a))
        both = sum((have & want).values())
        if both:
            best = max(best, 2 * both / (sum(have.values()) + sum(want.values())))
    return best


def covered(ranges, gold):
    """Bytes of the gold ranges that lie in the found ones, of both (start, end) in one document; each byte once."""
    return len(byte_set(ranges) & byte_set(gold))


def byte_set(ranges):
    return {b for s, e in ranges for b in range(s, e)}


def span_measures(found, gold):
    """Recall, precision and intersection over union of bytes, and whether any was hit. Both: (document, start, end)."""
    docs = {d for d, _, _ in found} | {d for d, _, _ in gold}
    by = {d: ([(s, e) for f, s, e in found if f == d], [(s, e) for f, s, e in gold if f == d]) for d in docs}
    both = sum(covered(f, g) for f, g in by.values())
    got, want = (sum(len(byte_set(pair[i])) for pair in by.values()) for i in (0, 1))
    return {"recall": both / want, "precision": both / got if got else 0, "iou": both / (got + want - both),
            "hit": any(overlaps({"doc": d, "start": s, "end": e}, gold) for d, s, e in found)}


# ---- BM25 ------------------------------------------------------------------------------------------------------------
def bm25(records):
    """SQLite's FTS5 with its Porter stemmer, title and text: what anybody has without a model."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE t USING fts5(id UNINDEXED, body, tokenize='porter unicode61')")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(r["id"], (r.get("title") or "") + "\n" + r["text"]) for r in records.corpus])
    rows = []
    for q in records.own:
        words = dict.fromkeys(re.findall(r"\w+", q["text"].lower()))
        match = " OR ".join(f'"{w}"' for w in words)
        found = db.execute("SELECT id FROM t WHERE t MATCH ? ORDER BY bm25(t) LIMIT 10", (match,)).fetchall() if words else []
        rows.append(([d for d, in found], records.relevant[q["id"]]))
    return ranking(rows)
