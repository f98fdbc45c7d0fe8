#!/usr/bin/python3
"""Another embedding model under load: nobody waits, nothing fails, nothing is half found.

    tests/bench/model_change.py      prints bars, a line each; exit code 1 when one is short        BENCH_SHORT=1

100,000 passages with the built-in model's vectors are searched 50 times a second; then the embedder is given a model server and key, and
nothing else. The second set is made at REEMBED_RATE, the retriever that makes it is killed in the middle (questions wait for the other one),
and the collection switches. Every question must be answered, by its vector, with its passage among the first three; the 99th percentile while
the vectors are made stays within twice that of before. Then back again at once, and forward, and the old set is dropped, under the same load.
"""
import json
import os
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(TOP, "tests/kit"), os.path.join(TOP, "tests/bench")]
from bench_kit import SHORT, Bars  # noqa: E402
from model_change_kit import BUILTIN, STUB, Changing, judge, search_for  # noqa: E402
from suite import source_session, wait_for  # noqa: E402

PASSAGES = 5000 if SHORT else 100000
PER_DOCUMENT = 20
RATE = int(os.environ.get("REEMBED_RATE", "400"))
ASKED_A_SECOND = int(os.environ.get("ASKED", "50"))
BASE_S = 8 if SHORT else 30
WORDS = "anchor barrel candle drawer engine feather garden hammer island jacket kettle ladder mirror needle orchard pebble".split()


def section(n):
    """A passage of its own under its own heading; the sentence that is asked for, then words."""
    filler = " ".join(WORDS[(n * k + k * k) % len(WORDS)] + str((n * 31 + k) % 997) for k in range(1, 60))
    return f"## Note {n}\n\nNote {n} of the harbour tells of pier {7 * n + 1}. {filler}.\n\n"


def add_passages(s):
    jobs, documents = [], PASSAGES // PER_DOCUMENT
    for at in range(0, documents, 100):
        lines = []
        for d in range(at, min(at + 100, documents)):
            text = f"# Book {d}\n\n" + "".join(section(PER_DOCUMENT * d + k) for k in range(PER_DOCUMENT))
            lines.append(json.dumps({"id": f"book-{d}", "text": text}))
        r = s.request("POST", "/api/v1/documents?collection=notes", data="\n".join(lines).encode(), timeout=120,
                      headers={"Content-Type": "application/jsonl"})
        assert r.status_code == 202 and r.json()["refused"] == 0, r.text[:300]
        jobs.append(r.json()["job_id"])
    for j in jobs:
        wait_for("the job is done", lambda j=j: s.request("GET", f"/api/v1/jobs/{j}").json()["status"] == "done", 1200, every=0.1)


class Load:
    """Questions at a fixed rate, each by a thread that is free; what came of them by the phase in which they were asked."""

    def __init__(self, s, per_second, threads=24):
        self.s, self.gap = s, 1.0 / per_second
        self.phase, self.ms, self.wrong = "warm", {}, {}
        self.lock, self.end, self.next = threading.Lock(), threading.Event(), time.monotonic()
        self.n = 0
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def turn(self):
        with self.lock:
            self.n += 1
            self.next = max(self.next + self.gap, time.monotonic() - 1)
            return self.n, self.next, self.phase

    def run(self):
        http = source_session(f"127.0.0.{1 + threading.get_ident() % 200}")
        while not self.end.is_set():
            n, at, phase = self.turn()
            time.sleep(max(0.0, at - time.monotonic()))
            wanted = (n * 7919) % PASSAGES
            since = time.monotonic()
            try:
                r = http.post(self.s.url + "/api/v1/search", timeout=30, json=search_for(wanted))
                body = r.json() if r.status_code == 200 else None
            except Exception as e:
                body, r = None, e
            self.note(phase, 1000 * (time.monotonic() - since), body, wanted, r)

    def note(self, phase, ms, body, wanted, r):
        with self.lock:
            self.ms.setdefault(phase, []).append(ms)
            wrong = judge(wanted, body)
            if wrong:
                self.wrong.setdefault(wrong, {}).setdefault(phase, []).append(str(getattr(r, "text", r))[:200] if body is None else wanted)

    def p99(self, *phases):
        v = sorted(x for p in phases for x in self.ms.get(p, []))
        return v[int(0.99 * (len(v) - 1))] if v else 0.0

    def stop(self):
        self.end.set()
        for t in self.threads:
            t.join(40)


def change(s, load, bars):
    """From the key to the switch; the seconds that making the vectors took."""
    load.phase = "restart"
    s.give_key()
    begun = time.monotonic()
    wait_for("the second set grows", lambda: s.done() > 0, 60, every=0.1)
    load.phase = "building"
    wait_for("half of it is there", lambda: s.done() > PASSAGES // 2, 3600, every=0.5)
    load.phase = "kill"
    had = s.done()
    s.kill("retriever")
    s.start("retriever")
    wait_for("it is loaded again", lambda: s.services["retriever"].ready(), 120, every=0.1)
    again = s.done()
    wait_for("it goes on", lambda: s.done() > again or s.embedding()["model"]["name"] == STUB, 120, every=0.1)
    bars.line("model_change_kept_over_a_kill", f"{again} of {had}", "all of them", again >= had)
    load.phase = "building"
    s.wait_switched(STUB, seconds=3600)
    return time.monotonic() - begun


def forth_and_back(s, load, bars):
    load.phase = "switched"
    time.sleep(BASE_S / 2)
    begun = time.monotonic()
    ok = s.decide("switch-back").status_code == 200
    s.wait_switched(BUILTIN, seconds=30)
    bars.most("model_change_back", time.monotonic() - begun, 2, "s")
    load.phase = "back"
    time.sleep(BASE_S / 2)
    ok = ok and s.decide("switch-back").status_code == 200 and s.embedding()["model"]["name"] == STUB
    load.phase = "dropping"
    ok = ok and s.decide("drop-old").status_code == 200
    s.wait_state("steady", seconds=1200)
    bars.line("model_change_forth_back_and_dropped", str(ok), "True", ok)


def main():
    bars = Bars()
    with Changing(rate=RATE, env={"RATE_LIMIT_WINDOW": "60"}) as s:
        s.add_replica("retriever")
        add_passages(s)
        stored = s.sql("SELECT count(*) FROM footnote.chunks")[0][0]
        for r in ("retriever", "retriever.2"):
            wait_for("both indexes have it", lambda r=r: s.metrics(r).value("retriever_index_passages") == stored, 120, every=0.2)
        bars.shown("model_change_passages", stored)
        load = Load(s, ASKED_A_SECOND)
        time.sleep(3)
        load.phase = "before"
        time.sleep(BASE_S)
        took = change(s, load, bars)
        bars.shown("model_change_passages_a_second", stored / took, "/s")
        forth_and_back(s, load, bars)
        load.stop()
        asked = sum(len(v) for v in load.ms.values())
        bars.shown("model_change_questions", asked)
        bars.shown("model_change_questions_a_second_while_building",
                   len(load.ms.get("building", [])) / max(took, 1), "/s")
        for what in ("failed", "by_words_only", "not_found"):
            rows = load.wrong.get(what, {})
            n = sum(len(v) for v in rows.values())
            bars.line(f"model_change_{what}", f"{n} {({p: v[:2] for p, v in rows.items()}) if n else ''}".strip(), "0", n == 0)
        before = load.p99("before")
        for phase in ("before", "restart", "building", "kill", "switched", "back", "dropping"):
            bars.shown(f"model_change_p99_{phase}", load.p99(phase), "ms")
        bars.most("model_change_p99_building_to_before", load.p99("building") / before, 2, "x")
    return bars.end()


if __name__ == "__main__":
    sys.exit(main())
