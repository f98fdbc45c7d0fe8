#!/usr/bin/python3
"""The retriever as its users meet it: how long a search takes, how fast documents come in, what the services hold in memory.

    tests/bench/retriever_bench.py      prints bars, a line each; exit code 1 when one is short        BENCH_SHORT=1, ONLY=ngram,minilm

ngram   memory of the five idle services; Markdown that comes in a second (MB); searches over its passages (some 37,000), one after the other and eight at a time
minilm  the same memory with the sentence model; the share of all processor time that its threads have while documents come in; searches
Searches go through the gateway, so that their time has the question's vector, both calls of the bus and the JSON in it.
"""
import concurrent.futures
import json
import os
import random
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(TOP, "tests/kit"), os.path.join(TOP, "tests/bench")]
import idle  # noqa: E402
from bench_kit import SHORT, Bars, cpu_us, say, tree  # noqa: E402
from large_text import WORDS, markdown  # noqa: E402
from suite import Suite, source_session, wait_for  # noqa: E402

ONLY = set(filter(None, os.environ.get("ONLY", "ngram,minilm").split(",")))
MODEL = os.path.join(TOP, "build/model/embedding.model")
DOCUMENT = 20000                                    # bytes, as a chapter of a manual has
MEGABYTES = {"ngram": 4 if SHORT else 40, "minilm": 0.2 if SHORT else 1.5}
SEARCHES = 300 if SHORT else 3000
AT_ONCE = 8
# a search one after the other and at once, ms
ALONE_MS = {"ngram": 15, "minilm": 25}
ENV = {"LOG_LEVEL": "warn", "RATE_LIMIT_REQUESTS": "1000000", "RATE_LIMIT_PER_HOUR": "10000000", "RATE_LIMIT_ADDR_REQUESTS": "10000000"}


def model_of(provider):
    return {"EMBEDDING_MODEL_FILE": MODEL} if provider == "minilm" else {}


def suite_of(provider, options):
    return Suite(env=options, service_env={"embedder": {"EMBEDDING_PROVIDER": provider, **model_of(provider)}})


def threads_us(pid, name):
    """Processor time of the threads of a process that are called so, in microseconds."""
    out = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat") as f:
            stat = f.read()
        if stat[stat.index("(") + 1:stat.rindex(")")] == name:
            out += sum(int(x) for x in stat.rpartition(")")[2].split()[11:13])
    return out * 1e6 / os.sysconf("SC_CLK_TCK")


def everybody(s):
    """The five services, Postgres and Redis."""
    return [p.pid for p in s.services.values()] + tree(s.postgres.pid) + [s.redis.proc.pid]


def used(s):
    return sum(cpu_us(p) for p in everybody(s))


def used_by(s):
    """The same of each, by name."""
    return {**{n: cpu_us(p.pid) for n, p in s.services.items()}, "postgres": sum(map(cpu_us, tree(s.postgres.pid))),
            "redis": cpu_us(s.redis.proc.pid)}


def come_in(s, provider):
    """Markdown in documents of 20 KB; its megabytes and the seconds until all can be found."""
    n = max(4, int(MEGABYTES[provider] * 1e6 / DOCUMENT))
    texts = [markdown(DOCUMENT, seed=i) for i in range(n)]
    jobs, begun = [], time.monotonic()
    for at in range(0, n, 200):
        body = "".join(json.dumps({"id": f"book-{at + i}", "text": t, "content_type": "text/markdown"}) + "\n"
                       for i, t in enumerate(texts[at:at + 200]))
        r = s.request("POST", "/api/v1/documents?collection=books", data=body.encode(), timeout=120,
                      headers={"Content-Type": "application/jsonl"})
        assert r.status_code == 202 and r.json()["refused"] == 0, r.text[:300]
        jobs.append(r.json()["job_id"])
    for j in jobs:
        wait_for("the job is done", lambda j=j: s.request("GET", f"/api/v1/jobs/{j}").json()["status"] == "done", 1200, every=0.05)
    return n * DOCUMENT / 1e6, time.monotonic() - begun


def ingest(s, bars, provider):
    embedder = s.services["embedder"].pid
    before, by, model = used(s), used_by(s), threads_us(embedder, "minilm")
    mb, took = come_in(s, provider)
    if provider == "ngram":
        now = used_by(s)
        for name in now:
            bars.shown(f"retriever_ngram_ingest_cpu_{name}", (now[name] - by[name]) / 1000 / mb, "ms/MB")
        bars.shown("retriever_ngram_ingest_cpu", sum(now[n] - by[n] for n in now) / 1000 / mb, "ms/MB")
        bars.least("retriever_ngram_ingest", mb / took, 5, "MB/s")
        return
    bars.shown("retriever_minilm_ingest", 1000 * mb / took, "kB/s")
    share = 100 * (threads_us(embedder, "minilm") - model) / (used(s) - before)
    bars.least("retriever_minilm_ingest_time_in_model", share, 90, "%")


def question(rnd):
    """Some 20 words, never the same ones, so that no cache has its vector."""
    return (f"What do I have to do when the {rnd.choice(WORDS)} sensor of station {rnd.randrange(10, 9999)} reads more than "
            f"{rnd.randrange(10, 9999)} degrees and the {rnd.choice(WORDS)} lamp blinks?")


def searches(s, n, at_once, seed):
    """Milliseconds of each search, sorted; the whole time."""
    local, ms = threading.local(), []

    def one(i):
        if not hasattr(local, "http"):
            local.http = source_session(f"127.0.0.{1 + threading.get_ident() % 200}")
        since = time.monotonic()
        r = local.http.post(s.url + "/api/v1/search", json={"query": question(random.Random(seed + i)), "collection": "books", "top_k": 5})
        assert r.status_code == 200 and len(r.json()["results"]) == 5 and not r.json()["degraded"], r.text[:200]
        ms.append(1000 * (time.monotonic() - since))
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one, range(n)))
    return sorted(ms), time.monotonic() - begun


def latency(s, bars, provider):
    searches(s, 50, 1, 10 ** 6)
    bars.shown(f"retriever_{provider}_passages", s.metrics("retriever").value("retriever_index_passages"))
    ms, _ = searches(s, SEARCHES // 3, 1, 0)
    bars.most(f"retriever_{provider}_search_p50", ms[len(ms) // 2], ALONE_MS[provider], "ms")
    bars.most(f"retriever_{provider}_search_p99", ms[int(len(ms) * .99)], 3 * ALONE_MS[provider], "ms")
    ms, took = searches(s, SEARCHES, AT_ONCE, 10 ** 7)
    bars.shown(f"retriever_{provider}_searches_a_second", SEARCHES / took, "/s")
    bars.most(f"retriever_{provider}_search_at_once_p99", ms[int(len(ms) * .99)], 8 * ALONE_MS[provider], "ms")


def main():
    bars = Bars()
    for provider in ("ngram", "minilm"):
        if provider not in ONLY:
            continue
        if provider == "minilm" and not os.path.exists(MODEL):
            say("the sentence model cannot be had here (make model): not measured")
            continue
        idle.measure(bars, provider, model_of(provider))
        with suite_of(provider, ENV) as s:
            ingest(s, bars, provider)
            latency(s, bars, provider)
    return bars.end()


if __name__ == "__main__":
    sys.exit(main())
