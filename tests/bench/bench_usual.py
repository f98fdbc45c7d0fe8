"""Parts of `make bench`: questions at a model server of a usual speed (embedding 150 ms, chat 550 ms), a limit that is
hit, a stream of questions as people ask them; and what the processes are: their start, their memory."""
import http.client
import os
import random
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from bench_corpus import zipf
from bench_kit import BIN, SHORT, TOP, median, rss_mb, tree
from bench_lab import TEXTS, fresh_session
from suite import Suite, free_port

EMBED_MS, CHAT_MS = 150, 550
ONE, TEN = (4, 20) if SHORT else (8, 80)
MODES = (("none", "without cache"), ("embedding", "embedding cached"), ("query", "query-cache hit"))
STREAM, STREAM_TEXTS, STREAM_SESSIONS = (3000 if SHORT else 10000), 2000, 500


# ---- d: a usual model server ------------------------------------------------------------------------------------------
class Asker:
    """Bodies for each mode; a text is new to both caches once only."""

    def __init__(self, lab, name):
        self.lab, self.rival = lab, lab.rival(name)
        self.fresh = lab.fresh.setdefault(name, iter(lab.texts[TEXTS:]))
        self.known = {"question": lab.texts[TEXTS - 1], "session_id": fresh_session()}
        self.rival.load([self.known]).run(closed=1, count=1, seconds=30)

    def load(self, mode, n):
        if mode == "query":
            return self.rival.load([self.known])
        texts = [next(self.fresh) for _ in range(n)] if mode == "none" else [self.known["question"]] * n
        return self.rival.load([{"question": t, "session_id": fresh_session()} for t in texts])

    def one(self, mode):
        return self.load(mode, ONE).run(rate=1, connections=2, count=ONE, seconds=ONE + 10)

    def ten(self, mode):
        return self.load(mode, TEN).run(closed=10, count=TEN, seconds=60)


def usual(lab, report):
    askers = {n: Asker(lab, n) for n in ("ours", "fastapi")}
    lab.suite.stub.script({"route": "embeddings", "times": 0, "delay_ms": EMBED_MS}, {"route": "chat", "times": 0, "delay_ms": CHAT_MS})
    got = {}
    try:
        for mode, _ in MODES:
            with ThreadPoolExecutor(2) as both:   # one a second each: nobody is in the other's way
                for name, r in zip(askers, both.map(lambda a: a.one(mode), askers.values())):
                    got[name, mode, 1] = r
            for name, a in askers.items():
                got[name, mode, 10] = a.ten(mode)
    finally:
        lab.suite.stub.reset()
    what = {"ours": "Footnote", "fastapi": "FastAPI baseline"}
    for mode, text in MODES:
        report.row("usual", text, **{f"{n}_{k}": got[n, mode, k]["p50_us"] / 1000 for n in what for k in (1, 10)},
                   bad=sum(got[n, mode, k]["bad"] for n in what for k in (1, 10)))
    usual_bars(report, got)
    limit_hit(lab, report)


def usual_bars(report, got):
    bars, ms = report.bars, {mode: got["ours", mode, 1]["p50_us"] / 1000 for mode, _ in MODES}
    for mode, _ in MODES:
        bars.shown(f"usual_{mode}_one_a_second", ms[mode], "ms")
    bars.least("usual_query_hit_faster", 100 * (1 - ms["query"] / ms["none"]), 96, "%")
    bars.least("usual_embedding_hit_saves", ms["none"] - ms["embedding"], EMBED_MS, "ms")
    for mode in ("none", "embedding"):
        ten = got["ours", mode, 10]["p50_us"] / 1000
        bars.most(f"usual_{mode}_ten_of_one", ten / ms[mode], 1.05, "x")
    bars.shown("usual_query_ten_concurrent", got["ours", "query", 10]["p50_us"] / 1000, "ms")
    bars.most("usual_bad_answers", sum(r["bad"] for (n, _, _), r in got.items() if n == "ours"), 0)


def limit_hit(lab, report):
    """100 questions of one session within a second, with the limits as shipped: 60 a minute."""
    gateway = lab.limited()
    r = gateway.load([{"question": lab.texts[0], "session_id": fresh_session()}]).run(closed=10, count=100, seconds=20)
    lab.suite.stop_service("limited")
    report.notes["a session's 100 questions at once, limits as shipped"] = r["codes"]
    refused = r["codes"].get("429", 0)
    report.bars.line("limit_refused_of_100", refused, "40", refused == 40 and r["codes"].get("200", 0) == 60)


# ---- d: as people ask ------------------------------------------------------------------------------------------------
SAVED = ("cache_saved_tokens_total", "cache_saved_dollars_total")


def money(lab):
    """Paid and saved until now, as the services count them."""
    e, g = lab.suite.metrics("embedder"), lab.suite.metrics("gateway")

    def value(m, name, **labels):
        try:
            return m.value(name, **labels)
        except AssertionError:
            return 0.0    # nothing counted yet
    return {"paid": value(e, "upstream_cost_dollars_total"), "tokens": value(e, "upstream_tokens_total"),
            "saved_query": value(g, SAVED[1], cache="query"), "saved_embedding": value(e, SAVED[1], cache="embedding"),
            "saved_tokens": value(g, SAVED[0]) + value(e, SAVED[0])}


def zipf_stream(lab, report):
    """Questions of which some are asked often, by 500 sessions; their texts are new to both caches at the start."""
    texts = [f"{lab.opening('And', 'And then')} {q[0].lower()}{q[1:]}" for q in lab.texts[:STREAM_TEXTS]]
    draw, sessions = random.Random(7), [fresh_session() for _ in range(STREAM_SESSIONS)]
    bodies = [{"question": texts[i], "session_id": draw.choice(sessions)} for i in zipf(STREAM, STREAM_TEXTS)]
    calls, before = lab.suite.stub.stats(), money(lab)
    r = lab.rival("ours").load(bodies).run(closed=16, count=STREAM, seconds=300)
    lab.settle()
    after, then = lab.suite.stub.stats(), money(lab)
    spent = {k: then[k] - before[k] for k in then}
    chat, embeddings = after["chat"] - calls["chat"], after["embeddings"] - calls["embeddings"]
    report.row("zipf", "questions", value=STREAM)
    report.row("zipf", "different (session, text) pairs", value=len({(b["question"], b["session_id"]) for b in bodies}))
    report.row("zipf", "calls of the chat model", value=chat)
    report.row("zipf", "calls of the embedding model", value=embeddings)
    for name, key in (("tokens paid for", "tokens"), ("tokens saved by the caches", "saved_tokens"), ("dollars paid", "paid"),
                      ("dollars saved by the query cache", "saved_query"), ("dollars saved by the embedding cache", "saved_embedding")):
        report.row("zipf", name, value=round(spent[key], 6))
    bars = report.bars
    bars.shown("zipf_chat_calls_saved", 100 * (1 - chat / STREAM), "%")
    bars.least("zipf_embedding_calls_saved", 100 * (1 - embeddings / STREAM), 60, "%")
    bars.shown("zipf_tokens_saved", spent["saved_tokens"])
    bars.shown("zipf_dollars_saved", spent["saved_query"] + spent["saved_embedding"])
    bars.shown("zipf_questions_a_second", r["rate"])
    bars.most("zipf_bad_answers", r["bad"], 0)


# ---- e: start and memory ---------------------------------------------------------------------------------------------
def ready_ms(suite, name):
    """From just before exec until /readyz says yes, everything else running; the median of three."""
    times = []
    for _ in range(3):
        suite.stop_service(name)
        begun = time.monotonic()
        port = suite.start(name).metrics_port
        while not is_ready(port):
            assert time.monotonic() - begun < 10, f"{name} did not become ready"
            time.sleep(0.001)
        times.append((time.monotonic() - begun) * 1000)
        suite.wait_ready()
    return median(times)


def is_ready(port):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        c.request("GET", "/readyz")
        return c.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        c.close()


def second_start():
    """Seconds of the second `make run` in a private folder, everything stopped in between."""
    folder = tempfile.mkdtemp(prefix="footnote-run-", dir="/tmp")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    env.update(FOOTNOTE_RUN=folder, FOOTNOTE_BIN=os.path.abspath(BIN), PORT=str(free_port()))
    times = []

    def call(*argv):
        r = subprocess.run(argv, cwd=TOP, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        assert r.returncode == 0, r.stdout[-2000:] + r.stderr[-2000:]
    try:
        for _ in range(4):
            begun = time.monotonic()
            call("make", "-s", f"OUT={BIN}", "run")
            times.append(time.monotonic() - begun)
            call("deploy/run.sh", "stop")
    finally:
        subprocess.run(["deploy/run.sh", "stop"], cwd=TOP, env=env, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
    return median(times[1:])


def start(lab, report):
    for name in ("ours", "fastapi", "fastapi.cores", "litellm", "litellm.cores"):
        if lab.rivals.get(name):
            for process, pid in lab.rivals[name].pids.items():
                if process not in ("postgres", "model"):
                    report.row("memory", f"{name}: {process}", rss=sum(rss_mb(p) for p in tree(pid)))
    with Suite(env={"LOG_LEVEL": "info"}) as suite:
        time.sleep(1)   # at rest: the figure is about idle processes
        idle = {n: rss_mb(s.pid) for n, s in suite.services.items()}
        for name, mb in idle.items():
            report.row("idle", name, rss=mb, ready=ready_ms(suite, name))
    report.bars.most("idle_rss_of_five", sum(idle.values()), 64, "MB")
    for row in report.tables["idle"]:
        report.bars.most(f"ready_{row['name']}", row["ready"], 100, "ms")
    report.bars.most("make_run_second_start", second_start(), 3, "s")
