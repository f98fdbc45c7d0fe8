"""The soak: load, faults, and what must not grow. run.sh tells how it is run.

   peak ─▶ warm-up under faults ─▶ rests until they settle: first footprint ─▶ load and a fault every 5 s ─▶ rest: second footprint ─▶ the history

Of each service two run. The first one of each is only ever stopped and continued, so that it lives through the whole time: its
memory and descriptors at the second rest are compared with those at the first; before each come the same bursts, which use every
thread and open as many connections of pools as there may be, so that the same work is behind both. The second one is
also killed and told to end; its memory says nothing, since each start is a new process. Postgres and Redis are restarted,
Redis is stopped as well. A rest is: everything is up, nothing is in flight, nothing waits."""
import csv
import hashlib
import json
import os
import signal
import sys
import time

import requests

from checker import check_answers, check_repeats, told
from faults_kit import FaultSuite, Run
from nemesis import Beside, Nemesis
from suite import wait_for

SECONDS = float(os.environ.get("SOAK_SECONDS", "1200"))
WARMUP = float(os.environ.get("SOAK_WARMUP", str(max(30.0, SECONDS / 5))))
SHARE = float(os.environ.get("SOAK_SHARE", "0.6"))
EVERY = 5.0
RSS_MORE = 0.02
LOADING = 120   # Redis reads 20 minutes of embeddings from its log, more than 1 GB; answers go around it meanwhile
SETTLED = 0.005  # growth from one rest to the next that ends the warm-up; ROUNDS of them at most
ROUNDS = 8        # and two at least, of which the descriptors' maximum counts
THREADS = 64  # of each gateway: few, so that the warm-up uses them all: each touches its stack once, which is no growth
BURST = 150   # clients at once, on two gateways, before a footprint is taken: more than the threads
LIVE = ("gateway", "embedder", "retriever", "store", "janitor")
QUEUES = {"gateway": ("bus_queued", "bus_outstanding", "http_in_flight"), "store": ("store_pool_waiting", "store_outbox_length"),
          "retriever": ("retriever_feed_pending",)}
AT_REST = QUEUES["gateway"] + QUEUES["store"] + QUEUES["retriever"] + ("http_connections",)
TURN_TABLES = ("user_sessions", "conversations", "messages", "citations", "idempotency")  # these grow with every question
ODD = {"validation", "internal", "session_expired", "not_found", "idempotency_mismatch", "unauthorized"}  # no fault excuses these
OTHER_TABLES = ("collections", "documents", "chunks", "uploads", "jobs", "changes", "api_keys", "erased_sessions")


class Faults(Nemesis):
    """A fault every 5 s; what lives through is only paused, and what both halves need is only restarted."""

    def __init__(self, suite, seed):
        super().__init__(suite, seed, every=(EVERY, EVERY), down=(0.1, 1.0), stopped=(0.3, 2.0))
        doomed = [n for n in suite.services if n not in LIVE]
        self.choices = [(what, n) for n in doomed for what in ("kill", "term", "stop")] + [("stop", n) for n in LIVE]
        self.choices += [("restart", "redis"), ("pause", "redis"), ("restart", "postgres")]

    def _run(self):
        due = time.monotonic() + EVERY
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += EVERY
            what, name = self.rng.choice(self.choices)
            self.log.append((time.monotonic(), what, name))
            {"kill": self._kill, "stop": self._pause, "term": self._term, "restart": self._restart,
             "pause": self._pause_redis}[what](name)

    def _restart(self, name):
        if name == "postgres":
            self.suite.postgres.restart("fast")
        else:
            self.suite.redis.stop()
            self.suite.redis.start(seconds=LOADING)

    def _pause_redis(self, _name):

        pid = self.suite.redis.proc.pid
        os.kill(pid, signal.SIGSTOP)
        self._stop.wait(self.rng.uniform(*self.stopped))
        os.kill(pid, signal.SIGCONT)


class Looks(Beside):
    """Every 5 s: (seconds, process, pid, what, value) of everything that answers."""

    WHAT = ("process_open_fds", "process_resident_memory_bytes")

    def __init__(self, suite):
        super().__init__()
        self.suite, self.rows, self.begun = suite, [], time.monotonic()

    def _run(self):
        while not self._stop.wait(EVERY):
            for s in list(self.suite.services.values()):
                try:
                    m, at = s.metrics(), time.monotonic() - self.begun
                except (requests.RequestException, AssertionError):
                    continue  # paused, killed or young
                for what in self.WHAT + QUEUES.get(s.service, ()):
                    self.rows.append((round(at, 1), s.name, s.pid, what, m.value(what)))

    def write(self, path):
        with open(path, "w", newline="") as f:
            w = csv.writer(f)
            w.writerow(("seconds", "process", "pid", "what", "value"))
            w.writerows(self.rows)

    def of(self, what, since, until):
        """Sums over all processes, by look."""
        sums = {}
        for at, _, _, w, v in self.rows:
            if w == what and since <= at < until:
                sums[int(at / EVERY)] = sums.get(int(at / EVERY), 0) + v
        return sorted(sums.values())


# ---- rest -----------------------------------------------------------------------------------------------------------
def waiting(suite):
    """What still waits or is open, as {process what: value}."""
    out = {}
    for s in suite.services.values():
        m = s.metrics()
        for what in AT_REST:
            try:
                v = m.value(what)
            except AssertionError:
                continue  # another service's
            if v:
                out[f"{s.name} {what}"] = v
    return out


def bursts(suite):
    """What the first workers may ever have at once: all there is, while the others are down. Then everything is up again. Turns."""
    others = [n for n, s in suite.services.items() if n not in LIVE and s.service != "gateway"]
    for name in others:
        suite.stop_service(name)
    turns = sum(suite.load(closed=BURST, seconds=4, streams=0.33, attempts=20).wait()["ok"] for _ in range(2))
    for name in others:
        suite.start(suite.services[name].service, name)
    suite.wait_workers(20)
    return turns + suite.load(closed=BURST, seconds=2, streams=0.33, attempts=20).wait()["ok"]


def pools_emptied(suite):
    """Redis and the model server are restarted: idle connections go, however many the bursts left, and a few questions open
    those that one question needs. Turns."""
    suite.redis.stop()
    suite.redis.start(seconds=LOADING)
    suite.stub.stop()
    suite.stub.start()
    return suite.load(rate=4, seconds=5, attempts=20).wait()["ok"]


def at_rest(suite):
    """What is left after at most 30 s."""
    left, end = waiting(suite), time.monotonic() + 30
    while left and time.monotonic() < end:
        time.sleep(0.2)
        left = waiting(suite)
    return left


def rest(suite):
    """Bursts, then nothing is in flight; ({process: (pid, descriptors, resident bytes)}, what is left, turns of the bursts)."""
    suite.wait_ready(30)
    suite.wait_workers(20)
    turns = bursts(suite)
    left = at_rest(suite)
    turns += pools_emptied(suite)
    left |= at_rest(suite)
    return {s.name: lowest(s) for s in suite.services.values()}, left, turns


def settled(suite):
    """The footprint of a rest whose bursts no longer add memory to that of the rest before; what leaks never gets there. Of
    descriptors the most that any of these rests left."""
    last, _, _ = rest(suite)
    for _ in range(ROUNDS):
        now, _, _ = rest(suite)
        done = all(now[n][2] <= last[n][2] * (1 + SETTLED) for n in LIVE)
        last = {n: (pid, max(fds, last[n][1]) if n in last else fds, rss) for n, (pid, fds, rss) in now.items()}
        if done:
            break
    return last


def lowest(service):
    """The least of ten looks: a scrape of its own, or a reconnect, is no growth."""
    looks = []
    for _ in range(10):
        m = service.metrics()
        looks.append((m.value("process_open_fds"), m.value("process_resident_memory_bytes")))
        time.sleep(0.1)
    return service.pid, min(x[0] for x in looks), min(x[1] for x in looks)


def row_counts(suite):
    return {t: suite.sql(f"SELECT count(*) FROM {t}")[0][0] for t in TURN_TABLES + OTHER_TABLES}


# ---- the history ----------------------------------------------------------------------------------------------------
def digest(text):
    return hashlib.md5((text or "").encode()).hexdigest()


def history_of(load, found, promised, odd):
    """Read the record in pieces, since it can be millions of lines."""
    piece = []

    def judge():
        for k, v in {**check_answers(piece, 30000, True), "I3": check_repeats(piece)}.items():
            found.setdefault(k, []).extend(v[:20])
        for m, r in told(piece).items():
            promised[m] = digest(r.get("answer")), f"{r['kind']} saved={r.get('saved')} after {[a.get('error') or a['code'] for a in r['attempts']]}"
        odd.extend(f"{r['id']} {r['kind']}: {[(a['status'], a.get('error') or a['code']) for a in r['attempts']][-4:]}"
                   for r in piece if r["code"] in ODD)
        piece.clear()

    with open(load.path) as f:
        for line in f:
            piece.append(json.loads(line))
            if len(piece) == 2000:
                judge()
    judge()


def check_history(suite, loads):
    """What users were told against what is stored: the invariants of tests/kit/checker.py for histories that do not fit."""
    found, promised, odd = {"I1": [], "I2": [], "I3": [], "I4": [], "codes": []}, {}, []
    for load in loads:
        history_of(load, found, promised, odd)
    c = suite.pg()
    try:
        c.autocommit = False
        with c.cursor("stored") as cur:
            cur.execute("SELECT id::text, content FROM messages WHERE role <> 'user'")
            for ident, content in cur:
                want = promised.pop(ident, None)
                if want is not None and want[0] != digest(content):
                    found["I2"].append(f"message {ident} is not the text that was given")
    finally:
        c.close()
    found["I2"] += [f"message {m} was promised ({how}) and has no row" for m, (_, how) in list(promised.items())[:20]]
    found["odd_failures"] = odd
    for what, sql in (("canary", "SELECT count(*) FROM (SELECT substring(content from 'canary-[0-9a-f]{12}') AS k FROM messages"
                                 " WHERE role = 'user' GROUP BY 1 HAVING count(*) > 1) x WHERE k IS NOT NULL"),
                      ("question with two answers", "SELECT count(*) FROM (SELECT question_id FROM messages WHERE role <> 'user'"
                                                    " GROUP BY 1 HAVING count(*) > 1) x WHERE question_id IS NOT NULL"),
                      ("citation", "SELECT count(*) FROM (SELECT 1 FROM citations GROUP BY message_id, n HAVING count(*) > 1) x")):
        n = suite.sql(sql)[0][0]
        found["I3"] += [f"{n} × stored twice: {what}"] * (n > 0)
    return found, len(promised)


# ---- bars -----------------------------------------------------------------------------------------------------------
def compare(run, before, after):
    for name in LIVE:
        (pid, fds, rss), (pid2, fds2, rss2) = before[name], after[name]
        run.bar(f"soak_lives_{name}", "the same process" if pid == pid2 else "another process", "the same process", pid == pid2)
        run.bar(f"soak_rss_{name}", f"{rss / 1e6:.2f}->{rss2 / 1e6:.2f}MB{100 * (rss2 / rss - 1):+.1f}%", "<=+2%", rss2 <= rss * (1 + RSS_MORE))
        run.bar(f"soak_descriptors_{name}", f"{fds:.0f}->{fds2:.0f}", "+0", fds2 <= fds)


def queues(run, looks, left):
    """No queue grows: its median in the last third is no longer than in the first one (and a bit), and at rest it is empty."""
    end = max((r[0] for r in looks.rows), default=0) + 1
    for what in AT_REST[:-1]:
        first, last = looks.of(what, 0, end / 3), looks.of(what, 2 * end / 3, end)
        a, b = (v[len(v) // 2] if v else 0 for v in (first, last))
        run.bar(f"soak_queue_{what}", f"{a:.0f}->{b:.0f}", "<=1.5x+10", b <= 1.5 * a + 10)
    run.none("soak_left_at_rest", left)


def rows(run, before, after, turns):
    grown = {t: after[t] - before[t] for t in before}
    run.none("soak_rows_of_other_tables", {t: grown[t] for t in OTHER_TABLES if grown[t]})
    run.bar("soak_rows_messages", grown["messages"], f"=2x{turns}", grown["messages"] == 2 * turns)
    for t in ("user_sessions", "conversations", "idempotency"):
        run.bar(f"soak_rows_{t}", grown[t], f"<={turns}", grown[t] <= turns)
    run.bar("soak_rows_citations", grown["citations"], "a turn has at most 8", grown["citations"] <= 8 * turns)


def soak(run, suite):
    mix = {"streams": 0.33, "attempts": 60, "patience_ms": 30000, "sources": 8, "keys": 1, "lose": 0.02}
    peak = suite.peak(seconds=5, closed=32, **mix)
    rate = SHARE * peak
    run.bar("soak_peak_per_s", peak, "-", True)
    steady = {**mix, "rate": rate}
    with Faults(suite, run.seed):
        warm = suite.load(seconds=WARMUP, **steady)
        warm.wait()
    before = settled(suite)
    counted = row_counts(suite)
    with Looks(suite) as looks, Faults(suite, run.seed + 1) as faults:
        load = suite.load(seconds=SECONDS, **steady)
        result = load.wait()
    if os.environ.get("SOAK_SERIES"):
        looks.write(os.environ["SOAK_SERIES"])
    after, left, burst = rest(suite)
    run.bar("soak_requests", f"{result['requests']} in {SECONDS:.0f} s at {rate:.0f}/s", "-", result["requests"] > 0)
    run.bar("soak_faults", str(faults.counts()).replace(" ", ""), "-", len(faults.log) > 0)
    found, lost = check_history(suite, [warm, load])
    run.bar("soak_lost_turns", lost, "0", lost == 0)
    run.clean("soak", found)
    run.none("soak_never_answered", load.failed())
    run.none("soak_foreign", ["foreign"] * result["foreign"])
    queues(run, looks, left)
    rows(run, counted, row_counts(suite), result["ok"] + burst)
    compare(run, before, after)


def main():
    run = Run("soak")
    run.TIMED = True
    with FaultSuite(gateways=2, replicas={"embedder": 2, "retriever": 2, "store": 2}, env={"LOG_LEVEL": "warn", "HTTP_THREADS": str(THREADS), "MAX_REQUESTS": str(THREADS)}) as suite:
        soak(run, suite)
        bad = suite.down()
        run.none("soak_exit_codes", bad)
    return 1 if run.short else 0


if __name__ == "__main__":
    sys.exit(main())
