"""`make bench-store`: the store against the limits of libpq and Postgres, and against the Python that it replaces.

One run, everything against the same private Postgres (synchronous_commit=on), rivals in turn, medians. A line a bar,
"name measured bar ok|SHORT"; exit 1 when one is short. Results also go to build/bench/store.json.

    ONLY=turn,history     some parts: turn cost history users faults janitor import months
    BENCH_SHORT=1         shorter windows, no long faults: to try things, not to judge them
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "kit"))

from bench_kit import tree  # noqa: E402
from busfake import BIN, Service  # noqa: E402
from pg import Postgres, free_port  # noqa: E402

SHORT = os.environ.get("BENCH_SHORT") == "1"
ONLY = [p for p in os.environ.get("ONLY", "").replace(",", " ").split() if p]
APART = ("faults", "janitor", "import", "months")  # with databases of their own
PARTS = ["turn", "cost", "history", "users", *APART]
CALLERS = 30            # the store's capacity on the bus, its pool (10 + 20), and the baseline's pool
SEEDED = 200            # sessions to read, of
TURNS = 60              # turns each


def pick(long, short):
    return short if SHORT else long


def ran_us(pid):
    """How long the threads of a process have run, in microseconds: finer than the ticks of /proc/PID/stat."""
    us = 0
    try:
        for t in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{t}/schedstat") as f:
                us += int(f.read().split()[0]) / 1000
    except OSError:  # it has ended, as a connection beyond the pool's size does
        pass
    return us


class Peer:
    """A program with one command a line in and one line of JSON out."""

    def __init__(self, *argv, **kw):
        self.name = os.path.basename(argv[0])
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **kw)

    def line(self):
        out = self.process.stdout.readline()
        assert out, f"{self.name} ended with {self.process.wait()}"
        return out.strip()

    def __call__(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return json.loads(self.line())

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Bench:
    def __init__(self):
        self.bars, self.info, self.short = [], {}, 0

    def start(self):
        """The database of the parts that share one, the store on it, and its rivals."""
        self.pg = Postgres(max_connections=120)
        self.endpoint = f"tcp://127.0.0.1:{free_port()}"
        self.load = Peer(os.path.join(BIN, "bench", "store-load"), self.endpoint)
        self.store = Service("store", None, DATABASE_URL=self.pg.url, HUB_ENDPOINTS=self.endpoint, LOG_LEVEL="warn")
        assert self.load.line() == "ready"
        self.bare = Peer(os.path.join(BIN, "bench", "store-bare"), self.pg.url)
        assert self.bare.line() == "ready"
        python = os.path.join(ROOT, "build", "bench", "venv", "bin", "python")
        self.rival = Peer(python, os.path.join(HERE, "baselines", "sqlalchemy", "bench.py"), self.pg.url,
                          env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"})
        assert self.rival.line() == "ready"
        self.load("seed", SEEDED, TURNS)
        self.rival("seed", SEEDED, TURNS)
        self.pg.psql("VACUUM ANALYZE")

    def close(self):
        self.load.close()
        self.bare.close()
        self.rival.close()
        self.store.stop()
        self.pg.close()

    def bar(self, name, measured, bar, ok, **info):
        self.short += not ok
        self.bars.append({"name": name, "measured": measured, "bar": bar, "ok": bool(ok), **info})
        print(f"{name} {measured} {bar} {'ok' if ok else 'SHORT'}", flush=True)

    def note(self, name, value):
        self.info[name] = value
        print(f"#   {name}: {value}", flush=True)

    def python(self, kind, seconds):
        """What the baseline does in a second; it must do it without errors."""
        r = self.rival(kind, seconds, CALLERS)
        assert r["errors"] == 0 and r["n"] > 0, f"the baseline's {kind} fails: {r}"
        return r["rate"]

    # ---- the parts
    def turn(self):
        """turn.finish in a closed loop at full load, the bare program and the baseline in between."""
        seconds, rounds = pick(5, 2), pick(5, 3)
        store, bare, rival, errors = [], [], [], 0
        for name, peer in (("store", self.load), ("bare", self.bare), ("baseline", self.rival)):
            peer("turn", 1, CALLERS)  # connections, prepared statements, caches
        for i in range(rounds):
            a = self.load("turn", seconds, CALLERS, 0)
            b = self.bare("turn", seconds, CALLERS)
            store.append(a["rate"])
            bare.append(b["rate"])
            errors += a["errors"] + b["errors"]
            if i % 2 == 0:
                rival.append(self.python("turn", seconds))
        mine, limit, python = map(statistics.median, (store, bare, rival))
        self.note("turns a second, store", [round(x) for x in store])
        self.note("turns a second, bare libpq", [round(x) for x in bare])
        self.note("turns a second, SQLAlchemy", [round(x) for x in rival])
        self.bar("store_turn_of_bare_libpq", f"{mine / limit:.0%}", ">=80%", mine >= 0.8 * limit)
        self.bar("store_turn_of_sqlalchemy", f"{mine / python:.1f}x", ">=8x", mine >= 8 * python)
        self.bar("store_turn_errors", errors, "0", errors == 0)

    def postgres_us(self, callers):
        """Processor time of all of Postgres for one question and its answer, as the gateway has them stored: two transactions."""
        before = {p: ran_us(p) for p in tree(self.pg.pid)}
        store = ran_us(self.store.pid)
        r = self.load("pair", pick(5, 3), callers, 0)
        assert r["errors"] == 0, r
        turns = r["n"] / 2
        spent = sum(max(0, ran_us(p) - before.get(p, 0)) for p in tree(self.pg.pid))
        return [spent / turns, (ran_us(self.store.pid) - store) / turns, r["rate"] / 2]

    def cost(self):
        """What a turn costs Postgres, at full load and with one caller, whose transactions share nothing."""
        for callers in (CALLERS, 1):
            self.load("pair", 1, callers, 0)  # connections, prepared statements, caches
            runs = [self.postgres_us(callers) for _ in range(pick(5, 3))]
            for what, at in (("processor time of Postgres", 0), ("processor time of the store", 1)):
                self.note(f"{what} a turn, {callers} callers, us", [round(r[at]) for r in runs])
            us = statistics.median(r[0] for r in runs)
            self.note(f"turns a second, {callers} callers", [round(r[2]) for r in runs])
            self.bar(f"store_postgres_us_a_turn_of_{callers}", f"{us:.0f}us", "<=600us", us <= 600)

    def history(self):
        seconds, rounds = pick(4, 2), pick(5, 3)
        mine, rival, errors = [], [], 0
        for peer in (self.load, self.rival):
            peer("history", 1, CALLERS)
        for _ in range(rounds):
            a = self.load("history", seconds, CALLERS, 0)
            mine.append(a["rate"])
            errors += a["errors"]
            rival.append(self.python("history", seconds))
        self.note("pages a second, store", [round(x) for x in mine])
        self.note("pages a second, SQLAlchemy", [round(x) for x in rival])
        ratio = statistics.median(mine) / statistics.median(rival)
        self.bar("store_history_of_sqlalchemy", f"{ratio:.1f}x", ">=10x", ratio >= 10)
        for kind in ("history", "turn"):
            peak = statistics.median(self.load(kind, pick(3, 1), 10, 0)["rate"] for _ in range(3))
            runs = [self.load(kind, pick(5, 2), 10, f"{peak / 2:.1f}") for _ in range(pick(5, 3))]
            errors += sum(r["errors"] for r in runs)
            shape = statistics.median(r["p99"] / r["p50"] for r in runs)
            self.note(f"{kind}, open loop at {peak / 2:.0f}/s on 10 connections",
                      "p50 %.0f us, p99 %.0f us" % tuple(statistics.median(r[p] for r in runs) for p in ("p50", "p99")))
            self.bar(f"store_{kind}_p99_of_p50", f"{shape:.1f}x", "<=5x", shape <= 5)
        self.bar("store_history_errors", errors, "0", errors == 0)

    def users(self):
        """Ten users at half of what the store can do, and one user alone, in turn; a user waits for each answer."""
        windows = pick(10, 3)
        peak = statistics.median(self.load("mix", pick(3, 1), 10, 0)["rate"] for _ in range(3))
        before = self.store.metric("pool_timeouts_total")
        ten, one = [], []
        for _ in range(windows):
            one.append(self.load("mix", pick(2, 1), 1, f"{peak / 20:.1f}"))
            ten.append(self.load("mix", pick(6, 2), 10, f"{peak / 2:.1f}"))
        timeouts = self.store.metric("pool_timeouts_total") - before
        p95 = [statistics.median(r["p95"] for r in rs) for rs in (one, ten)]
        errors = sum(r["errors"] for r in one + ten)
        self.note(f"users: {peak / 2:.0f} requests a second, {sum(r['n'] for r in ten)} answers",
                  "p95 alone %.0f us, of ten %.0f us" % tuple(p95))
        self.bar("store_users_pool_timeouts", int(timeouts), "0", timeouts == 0)
        self.bar("store_users_p95_of_single", f"{p95[1] / p95[0]:.2f}x", "<=2x", p95[1] <= 2 * p95[0])
        self.bar("store_users_errors", errors, "0", errors == 0)

    # ---- what others measure; each prints its own bars
    def child(self, *argv, **env):
        r = subprocess.run(argv, cwd=ROOT, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        n = 0
        for line in r.stdout.splitlines():
            words = line.split()
            if len(words) >= 4 and ("ok" in words[3:] or "SHORT" in words[3:]):
                n += 1
                self.bars.append({"name": words[0], "measured": words[1], "bar": words[2], "ok": "SHORT" not in words})
            print(line, flush=True)
        if r.returncode != 0 or n == 0:
            self.short += 1
            print(f"{os.path.basename(argv[-1])} exit={r.returncode} 0 SHORT", flush=True)

    def faults(self):
        """Restarts and terminated backends, in the long form of tests/faults."""
        self.child("tests/faults/run.sh", "tests/faults/test_f21.py", "tests/faults/test_f27.py", FAULTS_LONG=pick("1", "0"))

    def janitor(self):
        self.child(sys.executable, "tests/bench/janitor_bench.py", PYTHONPATH="tests/kit")

    def imports(self):
        self.child(sys.executable, "tests/bench/import_bench.py", PYTHONPATH="tests/kit")

    def months(self):
        self.child(sys.executable, "tests/bench/months_bench.py", PYTHONPATH="tests/kit")


def main():
    wanted = ONLY or PARTS
    unknown = set(wanted) - set(PARTS)
    if unknown:
        sys.exit(f"ONLY: unknown {' '.join(unknown)}; there are {' '.join(PARTS)}")
    b, together = Bench(), [p for p in wanted if p not in APART]
    if together:
        b.start()
        try:
            for part in together:
                print(f"# {part}", flush=True)
                getattr(b, part)()
        finally:
            b.close()
    for part in wanted:
        if part in APART:
            print(f"# {part}", flush=True)
            {"faults": b.faults, "janitor": b.janitor, "import": b.imports, "months": b.months}[part]()
    os.makedirs(os.path.join(ROOT, "build", "bench"), exist_ok=True)
    with open(os.path.join(ROOT, "build", "bench", "store.json"), "w") as f:
        json.dump({"bars": b.bars, "info": b.info, "short_run": SHORT, "parts": wanted}, f, indent=1)
    sys.exit(1 if b.short else 0)


if __name__ == "__main__":
    main()
