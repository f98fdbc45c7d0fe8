"""What the benchmarks share: the client, processor time of processes, and bars.

    load = Load("127.0.0.1:8080", "/api/v1/chat/query", bodies)
    load.run(closed=32, seconds=5)  -> {"rate", "p50_us", "p95_us", "p99_us", "codes", "broken", "late", …}  (tests/bench/httpbench.c)

    with Cpu(pid, pid) as cpu: load.run(…)
    cpu.us                          -> processor time (user and system) that all threads of these processes used, in microseconds
"""
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("FOOTNOTE_BIN", os.path.join(TOP, "build/release"))
TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")
SHORT = os.environ.get("BENCH_SHORT") == "1"    # a quick look: shorter windows, fewer rounds


def cpu_us(pid):
    """Processor time of a process with all its threads and its ended children, in microseconds."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return sum(int(x) for x in fields[11:15]) * TICK_US


def rss_mb(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Rss:")) / 1024


def tree(pid):
    """A process and everything below it."""
    out = [pid]
    for child in subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split():
        out += tree(int(child))
    return out


class Cpu:
    def __init__(self, *pids):
        self.pids = pids

    def __enter__(self):
        self.before = {p: cpu_us(p) for p in self.pids}
        return self

    def __exit__(self, *_):
        self.each = {p: cpu_us(p) - self.before[p] for p in self.pids}
        self.us = sum(self.each.values())


class Load:
    """Requests to one address; bodies are sent in turn."""

    def __init__(self, target, path, bodies, headers=(), method="POST"):
        self.args = [os.path.join(BIN, "bench/httpbench"), "--target", target, "--path", path, "--method", method]
        for h in headers:
            self.args += ["--header", h]
        if bodies:
            self.file = tempfile.NamedTemporaryFile("w", prefix="footnote-bench-", suffix=".jsonl")
            self.file.writelines(json.dumps(b) + "\n" for b in bodies)
            self.file.flush()
            self.args += ["--bodies", self.file.name]

    def run(self, **options):
        args = list(self.args)
        for k, v in options.items():
            args += ["--" + k.replace("_", "-"), str(v)]
        out = subprocess.run(args, capture_output=True, text=True, timeout=600)
        if out.returncode != 0:
            raise RuntimeError(out.stderr.strip())
        got = json.loads(out.stdout)
        got["bad"] = got["broken"] + sum(n for code, n in got["codes"].items() if code != "200")
        return got


def median(values):
    return statistics.median(values)


def spread(values):
    """Half of the distance between the smallest and the largest, as a share of the median."""
    return (max(values) - min(values)) / 2 / median(values) if median(values) else 0


def number(measured):
    """The number that a measured value begins with; None when it begins with none."""
    found = re.match(r"-?\d+(\.\d+)?(e[+-]?\d+)?", str(measured))
    return float(found.group()) if found else None


def change(measured, was):
    """"(was 1.2x, +16 %)" beside what the last run kept ({"measured", "busy"}); "" when it kept nothing."""
    if not was:
        return ""
    a, b = number(was["measured"]), number(measured)
    text = "was " + was["measured"] + (" on a busy machine" if was.get("busy") else "")
    return f"({text}, {100 * (b / a - 1):+.0f} %)" if a and b is not None else f"({text})"


class Bars:
    """A line per bar: name, measured, bar, ok or SHORT; with the last run's results its change, too. `end()` gives the exit code."""

    def __init__(self, last=None):
        self.lines, self.short, self.last = [], 0, last or {}

    def line(self, name, measured, bar, ok):
        measured = f"{measured:.4g}" if isinstance(measured, float) else measured
        self.short += not ok
        self.lines.append((name, measured, bar, "ok" if ok else "SHORT"))
        print(name, measured, bar, "ok" if ok else "SHORT", *filter(None, [change(measured, self.last.get(name))]), flush=True)

    def most(self, name, measured, most, unit=""):
        self.line(name, f"{measured:.4g}{unit}", f"<={most}{unit}", measured <= most)

    def least(self, name, measured, least, unit=""):
        self.line(name, f"{measured:.4g}{unit}", f">={least}{unit}", measured >= least)

    def shown(self, name, measured, unit=""):
        self.line(name, f"{measured:.4g}{unit}" if isinstance(measured, float) else f"{measured}{unit}", "-", True)

    def end(self):
        return 1 if self.short else 0


def say(text):
    print(text, file=sys.stderr, flush=True)
