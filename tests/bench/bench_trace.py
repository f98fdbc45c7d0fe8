"""A part of `make bench`: what traces cost. Suites that differ in that alone answer new questions in turn, round after round: processor time
of the gateway, embedder, retriever and store a question, as a share of what it is without traces in the same round.

    off, off2   without a collector, twice: how far they lie apart is what this machine cannot tell
    on          every trace is kept and sent (OTEL_TRACES_SAMPLER_ARG=1)
    dead        the same, and nothing listens at the collector's address
    hung        the same, and the collector takes connections and never answers"""
import socket
from contextlib import ExitStack
from statistics import median

import http_kit
from bench_kit import SHORT
from bench_lab import CHAT, LIFTED, TEXTS, Rival, fresh_session, measure
from bench_corpus import documents
from bench_parts import CLIENTS, SECONDS, in_turn
from suite import Suite, free_port

OURS = ("gateway", "embedder", "retriever", "store")
QUESTIONS = 2000 if SHORT else 6000      # bodies of a round; more than are asked
WHAT = {"off": "no traces", "off2": "no traces, another suite", "on": "every trace sent", "dead": "every trace, nothing listens",
        "hung": "every trace, the collector never answers"}


class Sink(http_kit.Server):
    """A collector that takes all and keeps nothing."""

    def __init__(self):
        class Handler(http_kit.Handler):
            def do_POST(self):
                self.body()
                self.answer(200, b"{}", Content_Type="application/json")
        super().__init__(Handler)


class Hung:
    """Takes connections, and says nothing."""

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        return self

    def __exit__(self, *_):
        self.listener.close()


def house(stack, lab, endpoint):
    """A suite that is primed: every text's embedding is cached."""
    env = {"LOG_LEVEL": "info", "LOG_FORMAT": "text", **LIFTED, **({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint} if endpoint else {})}
    s = stack.enter_context(Suite(stub=True, env=env))
    for d in documents():
        s.ingest(d["text"], d["id"], title=d["title"])
    rival = Rival("ours", s.port, {n: s.services[n].pid for n in OURS}, CHAT)
    got = rival.load(fresh(lab, TEXTS)).run(closed=8, count=TEXTS, seconds=120)
    if got["bad"]:
        raise RuntimeError(f"the suite of {endpoint or 'no traces'} does not answer: {got}")
    return s, rival


def fresh(lab, n):
    """n questions of sessions that never asked before; their texts are those whose embeddings are cached."""
    sessions = [fresh_session() for _ in range(n // TEXTS + 1)]
    return [{"question": lab.texts[i % TEXTS], "session_id": sessions[i // TEXTS]} for i in range(n)]


def spans(s):
    """Sent, dropped, and the questions that were answered."""
    sent, dropped = (sum(s.metrics(n).value("trace_spans_total", outcome=o) for n in OURS) for o in ("sent", "dropped"))
    return sent, dropped, s.metrics("gateway").value("http_requests_total", route="POST " + CHAT, status="200")


def us(result):
    return sum(result["cpu"].values())


def trace(lab, report):
    with ExitStack() as stack:
        where = {"off": "", "off2": "", "on": stack.enter_context(Sink()).url, "dead": f"http://127.0.0.1:{free_port()}",
                 "hung": stack.enter_context(Hung()).url}
        houses = {n: house(stack, lab, url) for n, url in where.items()}
        got = in_turn(lab, [(n, lambda r=r: measure(r, r.load(fresh(lab, QUESTIONS)), closed=CLIENTS, seconds=SECONDS * 1.5, warm=0.3))
                            for n, (_, r) in houses.items()])
        counted = {n: spans(s) for n, (s, _) in houses.items()}
    for n, what in WHAT.items():
        report.loads("trace", n, got[n], what)
    bars = report.bars
    for n in WHAT:
        bars.shown(f"trace_{n}_cpu", median(map(us, got[n])), "us")
    times = {n: median(us(a) / us(b) for a, b in zip(got[n], got["off"])) for n in WHAT if n != "off"}
    bars.shown("trace_off_twice", times["off2"], "x")
    for n, most in (("on", 1.10), ("dead", 1.05), ("hung", 1.10)):   # of a hung one all is made for the three seconds of its time-out
        bars.most(f"trace_{n}_cpu_of_off", times[n], most, "x")
    for n in ("dead", "hung"):
        bars.shown(f"trace_{n}_p99_of_off", median(a["p99_us"] / b["p99_us"] for a, b in zip(got[n], got["off"])), "x")
    bars.most("trace_off_spans", sum(sum(counted[n][:2]) for n in ("off", "off2")), 0)
    bars.least("trace_on_spans_a_question", counted["on"][0] / max(counted["on"][2], 1), 8)
    bars.most("trace_on_spans_dropped", counted["on"][1], 0)
    bars.most("trace_bad_answers", sum(r["bad"] for n in WHAT for r in got[n]), 0)
