"""`make profile`: where a hit of the query cache and an uncached question spend their time. For each of the two, under 32 clients:

    the stages of a question (question_stage_seconds), a mean in microseconds
    processor time of each process, microseconds a request, and each process's dearest functions (perf, cpu-clock: no counters needed)
    Redis's own time by command (INFO commandstats), and the gateway's system calls a request (strace -c: only counts are shown,
    since being traced changes every time)

Everything is also written to build/bench/profile.txt. The suite is the one of `make bench` (bench_lab.py)."""
import os
import re
import subprocess
import sys

import redis

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from bench_kit import TOP  # noqa: E402
from bench_lab import Lab, measure  # noqa: E402
from bench_parts import CLIENTS, hit_load, prime_embeddings  # noqa: E402

SECONDS = float(os.environ.get("SECONDS_EACH", "4"))
FUNCTIONS = 12
STAGES = ("auth", "cache", "begin", "embed", "search", "generate", "cite", "finish")
PROCESSES = ("gateway", "embedder", "retriever", "store", "redis")
OUT = os.path.join(TOP, "build", "bench", "profile.txt")


class Page:
    def __init__(self):
        os.makedirs(os.path.dirname(OUT), exist_ok=True)
        self.file = open(OUT, "w")

    def line(self, text=""):
        print(text, flush=True)
        self.file.write(text + "\n")


def stages(lab):
    """{stage: (seconds, questions)} so far."""
    m = lab.suite.metrics("gateway")
    return {s: (m.value("question_stage_seconds_sum", stage=s), m.value("question_stage_seconds_count", stage=s)) for s in STAGES}


def commands(lab):
    """{command: (calls, microseconds)} that Redis has counted so far."""
    info = redis.Redis(port=lab.redis_port).info("commandstats")
    return {k.removeprefix("cmdstat_"): (v["calls"], v["usec"]) for k, v in info.items()}


def functions(pids, run):
    """Runs the load under perf; {process: [(share, function, library)]}, shares of that process's own time."""
    data = os.path.join(TOP, "build", "bench", "perf.data")
    told, tell = os.pipe()
    heard, answer = os.pipe()
    perf = subprocess.Popen(["perf", "record", "-q", "-a", "-e", "cpu-clock", "-F", "1999", "-o", data, "-D", "-1",
                             f"--control=fd:{told},{answer}"], stderr=subprocess.PIPE, text=True, pass_fds=(told, answer))
    os.close(answer)
    os.write(tell, b"enable\n")   # it first reads of all threads that run, which can take longer than the load
    os.read(heard, 16)
    got = run()
    perf.send_signal(2)
    said = perf.communicate(timeout=60)[1]
    for fd in (told, tell, heard):
        os.close(fd)
    if not os.path.exists(data):
        sys.exit(f"perf: {said}")
    out = {}
    for name, pid in pids.items():
        text = subprocess.run(["perf", "report", "-q", "-i", data, "--pid", str(pid), "--sort", "sym,dso", "--percentage", "relative"],
                              capture_output=True, text=True, errors="replace").stdout
        rows = re.findall(r"^\s*([\d.]+)%\s+\[(.)\]\s+(\S.*?)\s{2,}(\S+)", text, re.M)
        out[name] = [(float(p), ("kernel: " if k == "k" else "") + s, d) for p, k, s, d in rows[:FUNCTIONS]]
    os.remove(data)
    return got, out


def syscalls(pid, load, options):
    """{call: how often a request}."""
    trace = subprocess.Popen(["strace", "-q", "-c", "-f", "-U", "calls,name", "-p", str(pid)], stderr=subprocess.PIPE, text=True)
    got = load().run(**{**options, "seconds": 2})
    trace.send_signal(2)
    text = trace.communicate(timeout=30)[1]
    return {name: int(n) / max(got["requests"], 1) for n, name in re.findall(r"^\s*(\d+)\s+(\w+)$", text, re.M) if name != "total"}


def show(page, title, lab, load):
    """load(): a Load for questions of that kind."""
    rival, options = lab.rival("ours"), {"closed": CLIENTS, "seconds": SECONDS, "warm": 0.5}
    pids = {n: rival.pids[n] for n in PROCESSES}
    load().run(closed=CLIENTS, seconds=1)
    lab.settle()
    was, counted = stages(lab), commands(lab)
    got, dear = functions(pids, lambda: measure(rival, load(), **options))
    now, counts = stages(lab), commands(lab)
    page.line(f"== {title}: {got['rate']:.0f} a second, p50 {got['p50_us']} us, p99 {got['p99_us']} us, {got['bad']} not 200")
    page.line("stages, us:  " + "  ".join(f"{s} {1e6 * (now[s][0] - was[s][0]) / (now[s][1] - was[s][1]):.0f}"
                                          for s in STAGES if now[s][1] > was[s][1]))
    page.line("processor time, us a request:  " + "  ".join(f"{n} {us:.0f}" for n, us in got["cpu"].items()))
    rows = [(us - counted.get(c, (0, 0))[1], n - counted.get(c, (0, 0))[0], c) for c, (n, us) in counts.items()]
    page.line("in Redis, us a request (calls):  " + "  ".join(f"{c} {us / got['requests']:.1f} ({n / got['requests']:.2f})"
                                                              for us, n, c in sorted(rows, reverse=True)[:8] if n))
    lab.settle()
    made = syscalls(pids["gateway"], load, options)
    page.line("system calls of the gateway, a request:  " + "  ".join(f"{c} {n:.2f}" for c, n in sorted(made.items(), key=lambda x: -x[1])[:10]))
    for name, rows in dear.items():
        page.line(f"{name}:" if rows else f"{name}: perf has no samples of it")
        for share, function, library in rows:
            page.line(f"  {share:5.1f} %  {function}  ({library})")
    page.line()
    lab.settle()


def main():
    wanted = os.environ.get("ONLY", "hit,uncached").replace(",", " ").split()
    page = Page()
    with Lab() as lab:
        ours = lab.rival("ours")
        if "hit" in wanted:
            hits = hit_load(lab, ours)
            show(page, "a hit of the query cache", lab, lambda: hits)
        if "uncached" in wanted:
            prime_embeddings(lab, ours)
            show(page, "an uncached question, its embedding cached", lab, lambda: ours.load(lab.uncached(ours, 12000)))


if __name__ == "__main__":
    main()
