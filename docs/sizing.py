#!/usr/bin/env python3
"""How many of each service, and which Postgres, Redis and OpenSearch: a model of what was measured.

    docs/sizing.py                                  the tables of docs/sizing.md
    docs/sizing.py --questions 300 --chunks 2e6     the same for one's own numbers
    docs/sizing.py --postgres-us 900 --hits 0.6     with one's own figures; --figures lists them, with where each comes from
    docs/sizing.py --write | --check                puts the tables into docs/sizing.md | exit 1 when that page is another

A model is no measurement: it multiplies the processor time of one request by requests, divides by what a processor may be used, and
adds what has a limit of its own (connections, memory, threads that are one). Nothing but Python's own library is needed.
"""
import argparse
import math
import pathlib
import re
import sys
from collections import namedtuple

PAGE = pathlib.Path(__file__).resolve().parent / "sizing.md"
Figure = namedtuple("Figure", "name value unit means source")
BENCH, ISSUE = "docs/benchmarks.md (29 November)", "issue 17 (29 November, quiet machine)"
FIGURES = [Figure(*f) for f in (
    ("hits", .16, "", "share of questions answered from the query cache, each session's own", f"{BENCH}, \"As people ask\"; 0.5 and more with `QUERY_CACHE_SCOPE=collection`"),
    ("gateway_hit_us", 92, "µs", "gateway, an answer from the cache that is saved", BENCH),
    ("gateway_us", 1000, "µs", "gateway, a question that is answered anew", f"{ISSUE}: 600 to 1,000; {BENCH}: 756"),
    ("embedder_us", 400, "µs", "embedder, the same; the model is a server", f"{ISSUE}: 300 to 400; {BENCH}: 298"),
    ("search_us", 411, "µs", "retriever, the same, with hardly any passages", f"{BENCH}; {ISSUE}: 200 to 400"),
    ("passage_us", .168, "µs", "retriever, more for each passage of the collection (384 numbers, 20 words asked)",
     "6,300 and 37,800 passages: 817 and 6,117 µs a search, 30 November, `tests/bench/retriever_bench.py`'s corpus"),
    ("store_us", 300, "µs", "store, a turn", f"{ISSUE}: 200 to 300; {BENCH}: 180"),
    ("store_hit_us", 17, "µs", "store, the turn of a cached answer", BENCH),
    ("postgres_us", 1240, "µs", "Postgres, a turn", f"{ISSUE}; {BENCH}: 823"),
    ("postgres_hit_us", 120, "µs", "Postgres, the turn of a cached answer", BENCH),
    ("redis_us", 162, "µs", "Redis, a question that is answered anew", BENCH),
    ("redis_hit_us", 110, "µs", "Redis, an answer from the cache", f"{ISSUE}: 87 to 110; {BENCH}: 75"),
    ("trips", 6, "", "calls on the bus for a question that is answered anew", "ARCHITECTURE.md, steps 4 to 9"),
    ("hub_a_second", 28010, "/s", "calls that one gateway's hub does", f"{BENCH}, \"The bus alone\", with two processors in all"),
    ("answer_s", .712, "s", "time of an answer, during which it holds a thread of the gateway", f"{BENCH}, model server of a usual speed"),
    ("chat_s", .55, "s", "time of a chat call, during which it holds one of the embedder", f"{BENCH}, the same"),
    ("passage_bytes", 3740, "bytes", "a passage in a retriever's memory (384 numbers)", "141,326,087 bytes of 37,800 passages, as above"),
    ("passage_disk", 3100, "bytes", "a passage in Postgres, with its document and its vector", "116,195,328 bytes of 37,800, as above"),
    ("cluster_bytes", 6000, "bytes", "a passage in OpenSearch, once", "docs/engines.md"),
    ("cluster_us", 65000, "µs", "OpenSearch, a search, at most: the time of one, not its processor time", "docs/decisions/036, 3,000 passages, two busy processors"),
    ("turn_disk", 6000, "bytes", "a turn in Postgres: question, answer, five citations, trace, indexes", "4,833 bytes without its trace, 30 November, 400 turns; the trace is assumed"),
    ("days", 30, "days", "that messages are kept", "SESSION_EXPIRY_DAYS, as shipped"),
)]
# What is assumed, not measured; each can be given as well.
ASSUMED = [Figure(*f) for f in (
    ("use", .6, "", "share of a processor that is planned with", "the rest is for peaks, and for the loss of one of three"),
    ("gateway_cores", 4, "", "processors of a gateway", ""),
    ("retriever_cores", 8, "", "processors of a retriever: `RETRIEVER_THREADS`", ""),
    ("retriever_gb", 64, "GB", "memory of a retriever", ""),
    ("search_ms", 100, "ms", "time that a search may take in a retriever", "beyond it: OpenSearch"),
    ("postgres_cores", 32, "", "processors of the largest Postgres that one wants", ""),
    ("postgres_tb", 8, "TB", "disk of the largest Postgres that one wants", ""),
    ("node_cores", 16, "", "processors of an OpenSearch node", ""),
    ("node_gb", 40, "GB", "of a node's 64 GB that hold the index", ""),
    ("copies", 2, "", "copies of each shard", "`OPENSEARCH_REPLICAS=1`"),
    ("shard_gb", 20, "GB", "of a shard", "docs/engines.md: 10 to 30"),
    ("threads", 1536, "", "connections of a gateway", "`HTTP_THREADS`, as shipped"),
    ("chats", 1024, "", "chats that an embedder holds", "`CHAT_CAPACITY`, as shipped"),
    ("pool", 30, "", "connections of a store to Postgres", "`DATABASE_POOL_SIZE` + `DATABASE_MAX_OVERFLOW`, as shipped"),
)]
QUESTIONS, CHUNKS = (10, 1000, 100000), (1e4, 1e5, 1e6, 1e7, 1e8, 1e9)


def up(x):
    return max(1, math.ceil(x - 1e-9))


def number(x):
    """1234567 → 1,234,567; 1e9 → 1,000,000,000; small ones with as many digits as say something."""
    return f"{x:,.0f}" if x >= 10 or x == int(x) else f"{x:.2g}"


def size(x):
    for unit, of in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if x >= of:
            return f"{number(x / of)} {unit}"
    return f"{number(x / 1e3)} kB"


def load(f, q):
    """Processors that q questions a second keep busy, of each part but the search."""
    hit, anew = q * f.hits, q * (1 - f.hits)
    return {"gateway": (hit * f.gateway_hit_us + anew * f.gateway_us) / 1e6, "embedder": anew * f.embedder_us / 1e6,
            "store": (hit * f.store_hit_us + anew * f.store_us) / 1e6, "postgres": (hit * f.postgres_hit_us + anew * f.postgres_us) / 1e6,
            "redis": (hit * f.redis_hit_us + anew * f.redis_us) / 1e6}


def services(f, q):
    """How many of each, where nothing has to be whole when one is lost: two at least of what can be two."""
    anew, busy = q * (1 - f.hits), load(f, q)
    by_time, by_threads, by_hub = busy["gateway"] / f.gateway_cores / f.use, anew * f.answer_s / f.threads / .8, anew * f.trips / f.hub_a_second / f.use
    return {"gateway": max(2, up(max(by_time, by_threads, by_hub))),
            "why": max((by_time, "processors"), (by_threads, "connections"), (by_hub, "its hub"))[1],
            "embedder": max(2, up(max(busy["embedder"] / f.use, anew * f.chat_s / f.chats / .8))),
            "store": max(2, up(busy["store"] / f.use)), "redis": up(busy["redis"] / f.use), "postgres": busy["postgres"] / f.use,
            "chats": anew * f.chat_s}


def turns_on_disk(f, q):
    return q * 86400 * f.days * f.turn_disk


def cells(f, q):
    """Installations side by side, each with the tenants of its own: what is one in each has then little enough to do."""
    s = services(f, q)
    return max(up(s["postgres"] / f.postgres_cores), up(s["redis"] / 2), up(turns_on_disk(f, q) / f.postgres_tb / 1e12))


def search(f, q, chunks):
    """(engine, retrievers, what the engine needs) of one collection with so many passages."""
    anew = q * (1 - f.hits)
    one_us = f.search_us + f.passage_us * chunks
    if chunks * f.passage_bytes <= .8 * f.retriever_gb * 1e9 and one_us <= 1000 * f.search_ms:
        n = max(2, up(anew * one_us / 1e6 / f.retriever_cores / f.use))
        return "memory", n, f"{size(chunks * f.passage_bytes)} and {number(one_us / 1000)} ms of a processor in each"
    held = chunks * f.cluster_bytes
    nodes = max(3, up(held * f.copies / f.node_gb / 1e9), up(anew * f.cluster_us / 1e6 / f.node_cores / f.use))
    shards = up(held / f.shard_gb / 1e9)
    return "opensearch", max(2, up(anew * f.search_us / 1e6 / f.use)), f"{number(nodes)} nodes, {number(shards)} shards × {number(f.copies)}, {size(held * f.copies)}"


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(map(str, r)) + " |" for r in rows)])


def figures(f):
    return table(("figure", "value", "what", "source"),
                 [(f"`{x.name}`", f"{getattr(f, x.name):,g} {x.unit}".strip(), x.means, x.source) for x in FIGURES + ASSUMED])


def per_service(f, questions):
    rows = []
    for q in questions:
        s = services(f, q)
        rows.append((number(q), f"{number(s['gateway'])} ({s['why']})", number(s["embedder"]), number(s["store"]), f"{number(up(s['postgres']))}", number(s["redis"]),
                     number(s["chats"]), number(cells(f, q))))
    return table(("questions a second", "gateways of 4 processors (by)", "embedders", "stores", "processors of Postgres", "Redis", "chats at once at the model", "installations"), rows)


def database(f, questions, chunks):
    rows = []
    for q in questions:
        month = q * 86400 * 30
        s = services(f, q)
        rows.append((number(q), f"{2 * month:,.0f}", size(turns_on_disk(f, q)), size(q * 86400 * 30 * f.turn_disk),
                     number(s["store"] * f.pool)))
    first = table(("questions a second", "messages a month", "turns on the disk", "of them gone each month", "connections of the stores"), rows)
    second = table(("chunks", "documents on the disk"), [(number(c), size(c * f.passage_disk)) for c in chunks])
    return first + "\n\n" + second


def searches(f, questions, chunks):
    rows = []
    for c in chunks:
        for q in questions:
            engine, n, needs = search(f, q, c)
            rows.append((number(c), number(q), f"`{engine}`", number(n), needs))
    return table(("chunks", "questions a second", "engine", "retrievers", "it needs"), rows)


def bottlenecks(f, chunks=1e5):
    """Questions a second that one of each does, with the planned share of its processors."""
    one, anew = load(f, 1), 1 - f.hits
    rows = [("one search of 100,000 chunks in a retriever of 8 processors", f.retriever_cores * f.use / (anew * (f.search_us + f.passage_us * chunks) / 1e6), "more retrievers: each holds the whole index"),
            ("one gateway of 4 processors", f.gateway_cores * f.use / one["gateway"], "more gateways (to 64; a gateway takes 1,024 workers)"),
            ("one gateway's connections", f.threads * .8 / (anew * f.answer_s), "more gateways, or a larger `HTTP_THREADS`"),
            ("one gateway's hub", f.hub_a_second * f.use / (anew * f.trips), "more gateways: each has a hub, and every worker serves all"),
            ("one embedder's loop", f.use / one["embedder"], "more embedders"), ("one embedder's chats", f.chats * .8 / (anew * f.chat_s), "more embedders, or a larger `CHAT_CAPACITY`"),
            ("one store's loop", f.use / one["store"], "more stores; a PgBouncer where their pools are more than Postgres takes"),
            ("one Redis", f.use / one["redis"], "`REDIS_STATE_URL`: a second one for limits and `fn:turns`; then installations side by side"),
            (f"the turns of {number(f.days)} days in a Postgres of {number(f.postgres_tb)} TB", f.postgres_tb * 1e12 / turns_on_disk(f, 1), "fewer days (`SESSION_EXPIRY_DAYS`), a larger disk; then installations side by side"),
            (f"a Postgres of {number(f.postgres_cores)} processors", f.postgres_cores * f.use / one["postgres"], "installations side by side, each with tenants of its own")]
    return table(("first to be full", "at questions a second", "then"), [(a, number(round(n, -1) if n > 100 else n), b) for a, n, b in sorted(rows, key=lambda r: r[1])])


def sections(f, questions=QUESTIONS, chunks=CHUNKS):
    return {"figures": figures(f), "services": per_service(f, questions), "search": searches(f, questions, chunks),
            "database": database(f, questions, chunks), "bottlenecks": bottlenecks(f)}


def filled(page, parts):
    """The page with the tables between its marks."""
    def put(m):
        return f"<!-- sizing.py: {m[1]} -->\n{parts[m[1]]}\n<!-- end -->"
    found = re.findall(r"<!-- sizing\.py: (\w+) -->", page)
    if sorted(found) != sorted(parts):
        sys.exit(f"{PAGE.name}: has marks of {sorted(found)}, not of {sorted(parts)}")
    return re.sub(r"<!-- sizing\.py: (\w+) -->\n.*?<!-- end -->", put, page, flags=re.S)


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--questions", type=float, metavar="N", help="questions a second, instead of 10, 1,000 and 100,000")
    p.add_argument("--chunks", type=float, metavar="N", help="chunks of a collection, instead of 10⁴ to 10⁹")
    p.add_argument("--figures", action="store_true", help="only the figures and their sources")
    p.add_argument("--write", action="store_true", help="put the tables into docs/sizing.md")
    p.add_argument("--check", action="store_true", help="exit 1 when the tables of docs/sizing.md are others")
    for x in FIGURES + ASSUMED:
        p.add_argument(f"--{x.name.replace('_', '-')}", type=float, default=x.value, metavar=x.unit or "N", help=f"{x.means} (default {x.value:g})")
    return p


def main():
    p = options()
    f = p.parse_args()
    bad = [x.name for x in FIGURES + ASSUMED if getattr(f, x.name) < 0 or (getattr(f, x.name) == 0 and x in ASSUMED)]
    if bad or not 0 <= f.hits < 1 or not 0 < f.use <= 1 or (f.questions is not None and f.questions <= 0) or (f.chunks is not None and f.chunks <= 0):
        p.error(f"{', '.join(bad) or 'hits, use, questions, chunks'}: a number above 0; hits below 1, use at most 1")
    if f.write or f.check:
        text = PAGE.read_text()
        now = filled(text, sections(f))
        if f.write:
            PAGE.write_text(now)
        elif now != text:
            sys.exit(f"{PAGE.name}: its tables are not what docs/sizing.py says: docs/sizing.py --write")
        return
    parts = sections(f, (f.questions,) if f.questions else QUESTIONS, (f.chunks,) if f.chunks else CHUNKS)
    for name, text in parts.items():
        if not f.figures or name == "figures":
            print(f"## {name}\n\n{text}\n")


if __name__ == "__main__":
    main()
