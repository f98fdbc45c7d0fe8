"""Writes docs/benchmarks.md and docs/benchmarks.svg from what a whole run measured (Report.write's dictionary)."""
import os
import platform
import re
import subprocess
import time
from html import escape

from bench_kit import TOP

HERE = os.path.dirname(os.path.abspath(__file__))


def said(*argv):
    """First line of what a program says, "" when it is not there."""
    try:
        out = subprocess.run(argv, capture_output=True, text=True, timeout=20, cwd=TOP)
    except OSError:
        return ""
    return (out.stdout + out.stderr).strip().split("\n")[0]


def machine():
    with open("/proc/cpuinfo") as f:
        model = re.search(r"model name\s*: (.*)", f.read())
    with open("/proc/meminfo") as f:
        memory = int(re.search(r"MemTotal:\s*(\d+)", f.read()).group(1)) / 1048576
    with open("/etc/os-release") as f:
        system = re.search(r'PRETTY_NAME="(.*)"', f.read()).group(1)
    return (f"{os.cpu_count()} cores of {model.group(1).strip() if model else platform.machine()}, {memory:.0f} GiB, "
            f"Linux {platform.release()}, {system}")


def version(text):
    found = re.search(r"\d+\.\d+[\d.]*", text)
    return found.group() if found else "?"


def versions():
    pins = {}
    for name in ("fastapi", "litellm"):
        with open(os.path.join(HERE, "baselines", name, "requirements.txt")) as f:
            pins.update(line.strip().split("==") for line in f if "==" in line)
    names = ("fastapi", "uvicorn", "uvloop", "httptools", "SQLAlchemy", "asyncpg", "redis", "httpx", "litellm")
    postgres = max((d for d in os.listdir("/usr/lib/postgresql")), key=float)
    debian = {p: version(said("dpkg-query", "-W", "-f", "${Version}", p)) for p in ("libcivetweb1", "libzmq5", "libhiredis0.14", "libpq5")}
    return (f"Footnote {said('git', 'rev-parse', '--short', 'HEAD')}; "
            f"Postgres {version(said(f'/usr/lib/postgresql/{postgres}/bin/postgres', '--version'))}, "
            f"Redis {version(said('redis-server', '--version'))}; " + ", ".join(f"{p} {v}" for p, v in debian.items() if v != "?")
            + f"; Python {platform.python_version()}, " + ", ".join(f"{n} {pins[n]}" for n in names if n in pins))


# ---- tables ----------------------------------------------------------------------------------------------------------
def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, r)) + " |" for r in rows])


def ms(us):
    return f"{us / 1000:.2f}" if us < 100000 else f"{us / 1000:.0f}"


def load_table(rows):
    return table(("", "a second", "±", "p50 ms", "p95 ms", "p99 ms", "not 200"),
                 [(r["what"], f"{r['rate']:,.0f}", f"{r['spread']:.0%}", ms(r["p50"]), ms(r["p95"]), ms(r["p99"]), r["bad"]) for r in rows])


def cpu_table(rows):
    names = [n for n in ("gateway", "embedder", "retriever", "store", "bare", "fastapi", "litellm", "redis", "postgres", "model")
             if any(n in r["cpu"] for r in rows)]
    return table(("µs a request", *names, "all but the model"),
                 [(r["what"], *(f"{r['cpu'][n]:.0f}" if n in r["cpu"] else "" for n in names),
                   f"{sum(v for n, v in r['cpu'].items() if n != 'model'):.0f}") for r in rows])


def hit_section(t):
    return ["## An answer from the query cache", "32 connections that ask as soon as they are answered; then, for the bar, an open loop at half of the peak, in turn with the bare program at the same rate.",
            load_table(t["hit"] + [r for r in t["open"] if r["name"].startswith(("hit", "bare"))]), cpu_table(t["hit"])]


def near_section(t):
    return ["## The same from the gateway's memory", "As shipped busy callers' answers stand in the gateway (`NEAR_CACHE_BYTES`), and their limits are taken from Redis in lots; beside it the "
            "same without. All in turn.", load_table(t["near"]), cpu_table(t["near"])]


def uncached_section(t):
    return ["## A question that is answered anew", "The model server answers at once, the embedding is cached: what is left is our own work. Each "
            "question and answer is saved in Postgres (`synchronous_commit=on`) before the answer goes out. In the open loop the "
            "latency includes the model server's own time.",
            load_table(t["uncached"] + [r for r in t["open"] if r["name"] == "uncached"]), cpu_table(t["uncached"])]


def trace_section(t):
    return ["## What traces cost", "Suites that differ in that alone, in turn; new questions, as above. Processor time of our four services.",
            load_table(t["trace"]), cpu_table(t["trace"])]


def bus_section(t):
    return ["## The bus alone", "64 connections; each HTTP request is one trip of 300 bytes over TCP to another process and back. Bare: a locked list, an "
            "eventfd, one thread with a ROUTER, an echo at a DEALER (`tests/bench/bus_bare.c`).",
            table(("", "a second", "±", "gateway µs", "worker µs", "both µs"),
                  [(r["name"], f"{r['rate']:,.0f}", f"{r['spread']:.0%}", f"{r['gateway']:.1f}", f"{r['worker']:.1f}", f"{r['us']:.1f}")
                   for r in t["bus"]])]


def usual_section(t, notes):
    codes = notes.get("a session's 100 questions at once, limits as shipped", {})
    return ["## With a model server of a usual speed", "Embedding 150 ms, chat 550 ms. Median of all answers, milliseconds: one question a "
            "second, and ten people who ask again as soon as they are answered.",
            table(("", "Footnote, 1 a second", "10 at once", "FastAPI baseline, 1 a second", "10 at once"),
                  [(r["name"], *(f"{r[k]:.2f}" if r[k] < 10 else f"{r[k]:.0f}" for k in ("ours_1", "ours_10", "fastapi_1", "fastapi_10")))
                   for r in t["usual"]]),
            "With the limits as shipped, 100 questions of one session at once: " + ", ".join(f"{n} × {c}" for c, n in codes.items()) + "."]


def zipf_section(t):
    return ["## As people ask", "Some questions are asked often: 2,000 texts drawn by Zipf's law (exponent 1), 500 sessions, caches empty at the "
            "start. The query cache is per session, the embedding cache is not. Dollars by the built-in price table.",
            table(("", ""), [(r["name"], f"{r['value']:,}") for r in t["zipf"]])]


def shared_section(t):
    return ["The same with `cache_scope: collection`, other texts and other sessions: an answer serves everybody who asks the same. Then a stream of which each right answer is "
            "known: two tenants, readers with and without keys and rights, documents that change meanwhile, two gateways, all dialects.",
            table(("", ""), [(r["name"], f"{r['value']:,}") for r in t["shared"]])]


def start_section(t):
    return ["## Start and memory", table(("idle, nothing configured", "RSS MB", "ready after, ms"),
                                         [(r["name"], f"{r['rss']:.1f}", f"{r['ready']:.0f}") for r in t["idle"]]
                                         + [("all five", f"{sum(r['rss'] for r in t['idle']):.1f}", "")]),
            table(("after all of this page's load", "RSS MB"), [(r["name"], f"{r['rss']:.1f}") for r in t["memory"]])]


# ---- the plot --------------------------------------------------------------------------------------------------------
def bars_svg(title, rows, unit, at, width=720):
    """Horizontal bars, a row of (label, value, colour) each; returns (svg lines, where the next chart begins)."""
    most = max(v for _, v, _ in rows) or 1
    out = [f'<text x="0" y="{at + 14}" font-weight="bold">{escape(title)}</text>']
    for i, (label, value, colour) in enumerate(rows):
        y, w = at + 26 + i * 24, max(1, value / most * (width - 360))
        out.append(f'<text x="250" y="{y + 13}" text-anchor="end">{escape(label)}</text>'
                   f'<rect x="258" y="{y}" width="{w:.1f}" height="17" fill="{colour}"/>'
                   f'<text x="{264 + w:.1f}" y="{y + 13}">{value:,.0f} {escape(unit)}</text>')
    return out, at + 26 + len(rows) * 24 + 18


def svg(t):
    ours, others, limit = "#2a6f97", "#c1666b", "#8d99ae"
    colour = {"ours": ours, "ours.off": ours, **dict.fromkeys(("fastapi", "fastapi.cores", "litellm", "litellm.cores"), others)}
    body, at = [], 0
    for title, key in (("Answers from the query cache, a second", "hit"), ("Questions answered anew, a second", "uncached")):
        more, at = bars_svg(title, [(r["what"], r["rate"], colour.get(r["name"], limit)) for r in t[key]], "/s", at)
        body += more
    rows = [(f"{who}, {r['name']}", r[k], c) for r in t["usual"] for who, k, c in (("Footnote", "ours_1", ours), ("FastAPI", "fastapi_1", others))]
    more, at = bars_svg("Model server of a usual speed: one question a second, median", rows, "ms", at)
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{at}" viewBox="0 0 720 {at}" font-family="sans-serif" '
                      f'font-size="12"><rect width="720" height="{at}" fill="white"/>', *body, *more, "</svg>"]) + "\n"


def write(got):
    t = got["tables"]
    parts = ["# Benchmarks",
             "Made by `make bench` (`tests/bench/bench.py`), everything in one run on one machine: rivals in turn, round after round; medians, "
             "and ± half of what the rounds differ. The client shares the cores with what it measures.",
             "![Answers a second, and times with a usual model server](benchmarks.svg)",
             f"- {time.strftime('%Y-%m-%d')}, `{'BENCH_SHORT=1 ' if got['short'] else ''}make bench`, {got['notes']['seconds']} s"
             f"{'; a short run: fewer rounds, windows of a second, wider spread' if got['short'] else ''}"
             f"{'; **marked: busy machine**, something else used ' + str(got['notes']['busy']) + ' % of the processors' if got['notes'].get('busy') else ''}\n- {machine()}\n- {versions()}\n"
             "- Redis over TCP (appendonly, everysec) and Postgres (as installed, 32 MB of shared buffers) are the same for all.\n"
             "- Footnote as shipped (`LOG_LEVEL=info`, cached answers saved to the history), only the rate limits are lifted.\n"
             "- The FastAPI baseline (`tests/bench/baselines/fastapi`) has settings that are usual and saves turns to the tables of docs/migrating.md: uvicorn "
             "with uvloop and httptools, one process and as many as there are cores. It does not save cached answers, keeps its passages "
             "in memory and saves a turn only at its end, all in its favour.\n"
             "- LiteLLM's proxy: one worker and one a core, no keys, its cache in its own memory. It is a gateway to models: it searches nothing and saves nothing."
             + "".join(f"\n- Part {part} had a bar that was short and was measured twice: {which}." for part, which in got["notes"].get("twice", {}).items()),
             *hit_section(t), *near_section(t), *uncached_section(t), *trace_section(t), *bus_section(t), *usual_section(t, got["notes"]), *zipf_section(t), *shared_section(t), *start_section(t),
             "## Bars", table(("what", "measured", "bar", ""), [(b["name"], b["measured"], b["bar"].replace("<=", "≤ ").replace(">=", "≥ "), b["verdict"])
                                                               for b in got["bars"]]),
             "The store has benchmarks of its own: `make bench-store`."]
    with open(os.path.join(TOP, "docs", "benchmarks.md"), "w") as f:
        f.write("\n\n".join(parts) + "\n")
    with open(os.path.join(TOP, "docs", "benchmarks.svg"), "w") as f:
        f.write(svg(t))
