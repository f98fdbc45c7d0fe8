#!/usr/bin/python3
"""INDEX_FALLBACK=words over a database with many passages, its search cluster away the whole time: how long a search by words takes, and what
the words take of the database.

usage: fallback_bench.py   ends with lines "name measured bar ok|SHORT"
"""
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "kit"))
from cluster_fake import FakeCluster  # noqa: E402
from suite import BIN, Suite, wait_for  # noqa: E402

PASSAGES, QUESTIONS = 22000, 300
PER_DOCUMENT = 55
SYLLABLES = [a + b for a in "bdfghklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "ol")]


class Migrated(Suite):
    def start_neighbours(self):
        super().start_neighbours()
        self.postgres.migrate(os.path.join(BIN, "footnote-store"), INDEX_ENGINE="opensearch", INDEX_FALLBACK="words")


def words(rnd):
    """Twenty thousand of them, drawn as words of texts are: the n-th one as often as 1/n."""
    v = list(dict.fromkeys("".join(rnd.choices(SYLLABLES, k=rnd.randint(2, 4))) for _ in range(24000)))[:20000]
    return v, [1 / (n + 3) for n in range(len(v))]


def text(rnd, vocabulary, weights):
    parts = []
    for i in range(PER_DOCUMENT):
        drawn = rnd.choices(vocabulary, weights, k=130)
        parts.append(f"## Part {i}\n\n" + " ".join(" ".join(drawn[k:k + 13]).capitalize() + "." for k in range(0, 130, 13)))
    return "\n\n".join(parts)


def bar(name, measured, most):
    print(f"{name} {measured:.1f} {most} {'ok' if measured <= most else 'SHORT'}")
    return measured <= most


def search(s, query):
    began = time.monotonic()
    r = s.request("POST", "/api/v1/search", json={"query": query, "top_k": 10})
    took = 1000 * (time.monotonic() - began)
    assert r.status_code == 200 and r.json()["degraded"], (r.status_code, r.text[:300])
    return took, len(r.json()["results"])


def main():
    rnd = random.Random(7)
    vocabulary, weights = words(rnd)
    with FakeCluster() as cluster:
        cluster.down()
        env = {"INDEX_ENGINE": "opensearch", "INDEX_FALLBACK": "words", "OPENSEARCH_URL": cluster.url, "OPENSEARCH_REPLICAS": "0",
               "OPENSEARCH_TIMEOUT": "2000"}
        with Migrated(service_env={"retriever": env, "store": env}) as s:
            began = time.monotonic()
            for i in range(-(-PASSAGES // PER_DOCUMENT)):
                s.ingest(text(rnd, vocabulary, weights), id=f"d{i}", title=f"Document {i}", wait=False)
            wait_for("everything is stored", lambda: s.postgres.value("SELECT count(*) FROM uploads") == 0, 1800, 0.5)
            stored = time.monotonic() - began
            wait_for("everything is among the words", lambda: s.postgres.value("SELECT i.seq = f.seq FROM index_layout i, feed_head f"), 1800, 0.2)
            print(f"stored after {stored:.0f} s, among the words {time.monotonic() - began - stored:.1f} s later")
            s.postgres.psql("ANALYZE footnote.index_passages")  # as autovacuum does a minute after many rows came
            n = s.postgres.value("SELECT count(*) FROM index_passages")
            size = s.postgres.value("SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname IN ('index_passages', 'index_documents')")
            tail = vocabulary[200:]
            common = [search(s, " ".join(rnd.choices(vocabulary, weights, k=8)))[0] for _ in range(QUESTIONS)]
            rare = [search(s, " ".join(rnd.sample(tail, 4))) for _ in range(QUESTIONS)]
            found = sum(k > 0 for _, k in rare)
            good = bar("passages_missing", PASSAGES - n, 0)
            good &= bar("bytes_a_passage", float(size) / n, 5000)
            good &= bar("search_8_words_as_in_texts_p50_ms", sorted(common)[len(common) // 2], 150)
            good &= bar("search_8_words_as_in_texts_p95_ms", sorted(common)[int(0.95 * len(common))], 400)
            good &= bar("search_4_rare_words_p50_ms", sorted(t for t, _ in rare)[len(rare) // 2], 100)
            good &= bar("search_4_rare_words_nothing_found_percent", 100 - 100 * found / len(rare), 5)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
