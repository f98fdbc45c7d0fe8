"""The parts of `make bench` that load something: limits, hit, uncached. Rivals run in turn, round after round; medians count."""
import os
import statistics

from bench_kit import BIN, SHORT, Load, say, spread
from bench_lab import TEXTS, Rival, cores, measure
from bench_report import med
from suite import wait_for

ROUNDS = 3 if SHORT else 5
SECONDS = 1.0 if SHORT else 2.5
CLIENTS = 32
HITS = 64              # answers that are asked again and again
PER_REQUEST_MS = 1000.0


def in_turn(lab, contenders):
    """contenders: [(name, function)]. {name: [result of each round]}."""
    out = {name: [] for name, _ in contenders}
    for i in range(ROUNDS):
        for name, run in contenders:
            out[name].append(run())
            lab.settle()
        say(f"#   round {i + 1} of {ROUNDS}: " + ", ".join(f"{n} {r[-1]['rate']:.0f}/s" for n, r in out.items()))
    return out


# ---- a: the bus alone ------------------------------------------------------------------------------------------------
def bus_rival(lab, program):
    p = lab.proc(program + lab.opening("", ".2"), [os.path.join(BIN, "bench", program)])
    wait_for(f"{program} serves", lambda: len(p.tail().split()) == 2 or not p.running(), 10)
    port, worker = map(int, p.tail().split())
    return p, Rival(program, port, {"gateway": p.pid, "worker": worker}, "/")


def bus_once(rival):
    got = measure(rival, Load(f"127.0.0.1:{rival.port}", "/", [], method="GET"), closed=64, seconds=SECONDS, warm=0.3)
    if got["bad"]:
        raise RuntimeError(f"{rival.name} fails: {got}")
    return {"rate": got["rate"], "gateway_us": got["cpu"]["gateway"], "worker_us": got["cpu"]["worker"], "us": sum(got["cpu"].values())}


def limits(lab, report):
    started = [bus_rival(lab, p) for p in ("bus_bare", "bus_bench")]
    got = in_turn(lab, [(r.name, lambda r=r: bus_once(r)) for _, r in started])
    for p, _ in started:
        p.end()
    for name, what in (("bus_bare", "bare ZeroMQ"), ("bus_bench", "our bus")):
        rs = got[name]
        report.row("bus", what, rate=med(rs, "rate"), spread=spread([r["us"] for r in rs]), gateway=med(rs, "gateway_us"),
                   worker=med(rs, "worker_us"), us=med(rs, "us"))
    ratio = med(got["bus_bench"], "us") / med(got["bus_bare"], "us")
    report.bars.shown("bus_bare_cpu", med(got["bus_bare"], "us"), "us")
    report.bars.shown("bus_ours_cpu", med(got["bus_bench"], "us"), "us")
    report.bars.most("bus_cpu_of_bare", ratio, 1.25, "x")


# ---- b: a query-cache hit --------------------------------------------------------------------------------------------
def hit_pairs(lab):
    """HITS questions and sessions whose answers are cached. An answer without a citation never is, so some are left out."""
    if not lab.hits:
        asked = [(t, lab.sessions[i]) for i, t in enumerate(lab.texts[:HITS * 2])]
        for t, s in asked:
            lab.suite.ask(t, s)
        lab.hits = [(t, s) for t, s in asked if lab.suite.ask(t, s).json()["cached"] == "query"][:HITS]
        if len(lab.hits) < HITS:
            raise RuntimeError(f"only {len(lab.hits)} of {HITS * 2} answers are cached")
    return lab.hits


def completion(text, **more):
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **more}


def hit_bodies(lab, rival):
    if rival.name.startswith("litellm"):
        return [completion(t) for t, _ in hit_pairs(lab)]
    return [{"question": t, "session_id": s} for t, s in hit_pairs(lab)]


def hit_load(lab, rival):
    load = rival.load(hit_bodies(lab, rival))
    if rival.name not in ("nothing", "redis"):
        n = HITS * (8 * cores() if rival.name == "litellm.cores" else 1)    # each of its workers has a cache of its own
        first = load.run(closed=8, count=n, seconds=120)
        if first["bad"] or first["requests"] != n:
            raise RuntimeError(f"{rival.name} does not answer: {first}")
    return load


def hit(lab, report):
    names = [n for n in ("nothing", "redis", "ours.off", "ours", "fastapi", "fastapi.cores", "litellm", "litellm.cores") if lab.rival(n)]
    loads = {n: hit_load(lab, lab.rival(n)) for n in names}
    before = lab.suite.metrics("gateway")
    got = in_turn(lab, [(n, lambda n=n: measure(lab.rival(n), loads[n], closed=CLIENTS, seconds=window(n), warm=0.3)) for n in names])
    what = {"nothing": "civetweb, nothing", "redis": "civetweb + one pipelined Redis trip", "ours.off": "Footnote, hits not saved",
            "ours": "Footnote, hits saved", "fastapi": "FastAPI baseline (hits not saved)", "litellm": "LiteLLM's proxy, its own memory",
            "fastapi.cores": "FastAPI baseline, a worker a core", "litellm.cores": "LiteLLM's proxy, a worker a core"}
    for n in names:
        report.loads("hit", n, got[n], what[n])
    hit_bars(lab, report, got)
    for name, suffix in (("ours", ""), ("ours.off", "_not_saved")):
        hit_open(lab, report, loads, name, med(got[name], "rate") / 2, suffix)
    saved_share(lab, report, before)


def window(name):
    """So few answers need longer; hits that are saved must end before the queue of turns (10,000) is full."""
    return {"fastapi": SECONDS * 2, "litellm": SECONDS * 2, "ours": 0.7}.get(name.removesuffix(".cores"), SECONDS / 2)


def gateway_us(results, process):
    return statistics.median(r["cpu"][process] for r in results)


def hit_bars(lab, report, got):
    bars = report.bars
    bare = gateway_us(got["redis"], "bare")
    off, on = gateway_us(got["ours.off"], "gateway"), gateway_us(got["ours"], "gateway")
    bars.shown("hit_bare_civetweb_cpu", gateway_us(got["nothing"], "bare"), "us")
    bars.shown("hit_bare_redis_cpu", bare, "us")
    bars.shown("hit_gateway_cpu_not_saved", off, "us")
    bars.shown("hit_gateway_cpu_saved", on, "us")
    bars.most("hit_cpu_of_bare_not_saved", off / bare, 1.35, "x")
    bars.most("hit_cpu_of_bare_saved", on / bare, 1.8, "x")
    for rival, least in (("fastapi", 15), ("fastapi.cores", 8), ("litellm", 15), ("litellm.cores", 15)):   # none saves a cached answer: compared with us when we do not
        name = rival.replace(".", "_")
        if rival in got:
            theirs = max(med(got[rival], "rate"), 0.1)
            bars.least(f"hit_rate_of_{name}", med(got["ours.off"], "rate") / theirs, least, "x")
            bars.shown(f"hit_rate_of_{name}_hits_saved", med(got["ours"], "rate") / theirs, "x")
        else:
            bars.shown(f"hit_rate_of_{name}", "not-installed")
    bars.most("hit_bad_answers", sum(r["bad"] for n in ("ours", "ours.off") for r in got[n]), 0)


def hit_open(lab, report, loads, name, rate, suffix):
    """In turn with the bare program at the same rate: what it waits is the machine's, the rest is ours."""
    runs = {name: [], "redis": []}
    for _ in range(3):
        for n, rs in runs.items():
            rs.append(measure(lab.rival(n), loads[n], rate=rate, connections=CLIENTS, seconds=SECONDS * 1.5, warm=0.5))
            lab.settle()
    saved = "not saved" if suffix else "saved"
    report.loads("open", "hit" + suffix, runs[name], f"query-cache hit, {saved}, {rate:.0f} a second")
    report.loads("open", "bare" + suffix, runs["redis"], f"civetweb + one Redis trip, {rate:.0f} a second")
    report.bars.shown(f"hit_open{suffix}_rate", rate, "/s")
    for p in ("p50", "p99"):
        report.bars.shown(f"hit_open{suffix}_bare_{p}", med(runs["redis"], p + "_us") / PER_REQUEST_MS, "ms")
    report.bars.shown(f"hit_open{suffix}_p50", med(runs[name], "p50_us") / PER_REQUEST_MS, "ms")
    report.bars.most(f"hit_open{suffix}_p99", med(runs[name], "p99_us") / PER_REQUEST_MS, 3, "ms")


def saved_share(lab, report, before):
    """Which share of the hits found a place in the queue (10,000) that the store writes down."""
    after = lab.suite.metrics("gateway")
    queued, full = (after.value("turns_queued_total", outcome=o) - before.value("turns_queued_total", outcome=o) for o in ("queued", "full"))
    report.notes["hits queued for the history"] = queued / max(queued + full, 1)
    report.bars.shown("hit_turns_queued_share", queued / max(queued + full, 1))


# ---- b: an uncached question -----------------------------------------------------------------------------------------
def prime_embeddings(lab, rival):
    """Each text once, in sessions of its own: from now on its embedding comes from the cache."""
    bodies = [{"question": t, "session_id": lab.sessions[i % len(lab.sessions)]} for i, t in enumerate(lab.texts[:TEXTS])]
    lab.asked[rival.name] = max(lab.asked.get(rival.name, 0), TEXTS)
    got = rival.load(bodies).run(closed=8, count=TEXTS, seconds=120)
    if got["bad"]:
        raise RuntimeError(f"{rival.name} does not answer: {got}")


def fresh_bodies(lab, rival):
    """Of LiteLLM a completion with its cache off: no search, no limits, nothing saved, all in its favour."""
    asked = lab.uncached(rival, 12000 if rival.name == "ours" else 2500)
    return [completion(b["question"], cache={"no-cache": True, "no-store": True}) for b in asked] if rival.name.startswith("litellm") else asked


def uncached_rate_bars(bars, got):
    peak = med(got["ours"], "rate")
    bars.shown("uncached_rate", peak, "/s")
    for rival, least in (("fastapi", 10), ("fastapi.cores", None), ("litellm", None), ("litellm.cores", None)):
        name = f"uncached_rate_of_{rival.replace('.', '_')}"
        times = peak / max(med(got[rival], "rate"), 0.1) if rival in got else "not-installed"
        if least is None or rival not in got:
            bars.shown(name, times, "x" if rival in got else "")
        else:
            bars.least(name, times, least, "x")
    return peak


def uncached(lab, report):
    names = [n for n in ("ours", "fastapi", "fastapi.cores", "litellm", "litellm.cores") if lab.rival(n)]
    for n in names:
        if not n.startswith("litellm"):
            prime_embeddings(lab, lab.rival(n))
    embeddings, messages = lab.suite.stub.stats()["embeddings"], saved_messages(lab)

    def once(name, **options):
        r, calls = lab.rival(name), lab.suite.stub.stats()["chat"]
        got = measure(r, r.load(fresh_bodies(lab, r)), **options)
        return {**got, "model_calls": (lab.suite.stub.stats()["chat"] - calls) / max(got["requests"], 1)}
    got = in_turn(lab, [(n, lambda n=n: once(n, closed=CLIENTS, seconds=SECONDS * (1.5 if n == "ours" else 2), warm=0.5)) for n in names])
    what = {"ours": "Footnote", "fastapi": "FastAPI baseline", "fastapi.cores": "FastAPI baseline, a worker a core",
            "litellm": "LiteLLM's proxy, cache off, no search", "litellm.cores": "LiteLLM, the same, a worker a core"}
    for n in names:
        report.loads("uncached", n, got[n], what[n])
    report.bars.most("uncached_bad_answers_of_peers", sum(r["bad"] for n in names if n != "ours" for r in got[n]), 0)
    for n in names:   # whoever answers from a cache is not compared
        report.bars.least(f"uncached_model_calls_of_{n.replace('.', '_')}", min(r["model_calls"] for r in got[n]), 1, "x")
    peak = uncached_rate_bars(report.bars, got)
    runs = [once("ours", rate=peak / 2, connections=CLIENTS, seconds=SECONDS * 2, warm=0.5) for _ in range(3)]
    report.loads("open", "uncached", runs, f"uncached question, embedding cached, {peak / 2:.0f} a second")
    report.bars.most("uncached_open_p50", med(runs, "p50_us") / PER_REQUEST_MS, 2, "ms")
    report.bars.most("uncached_open_p99", med(runs, "p99_us") / PER_REQUEST_MS, 8, "ms")
    answered = sum(r["codes"].get("200", 0) for r in got["ours"] + runs)
    report.bars.most("uncached_bad_answers", sum(r["bad"] for r in got["ours"] + runs), 0)
    report.bars.most("uncached_embedding_calls", lab.suite.stub.stats()["embeddings"] - embeddings, 0)
    report.bars.least("uncached_turns_saved", (saved_messages(lab) - messages) / 2 / answered, 1)
    report.bars.line("synchronous_commit", lab.suite.sql("SHOW synchronous_commit")[0][0], "on", lab.suite.sql("SHOW synchronous_commit")[0][0] == "on")


def saved_messages(lab):
    return lab.suite.sql("SELECT count(*) FROM messages")[0][0]
