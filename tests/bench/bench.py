"""`make bench`: a usual model server, the limits, and what people run today, in one run on one machine; rivals in turn, medians.

A line a bar, "name measured bar ok|SHORT (was …)"; a part with a bar that is short is measured once more; the end is a summary of one
screen; exit 1 when one is short. When something else uses the processors it says so at once and marks the run. Everything also goes to
build/bench/http.json, what the next run is compared with to build/bench/last.json, and a whole run of a machine that nothing else
used writes docs/benchmarks.md and docs/benchmarks.svg (bench_doc.py).

    ONLY=hit,uncached     some parts: limits hit near uncached one trace usual zipf shared start
    BENCH_SHORT=1         shorter windows, fewer rounds: to try things, not to judge them; BENCH_DOC=1 writes the page all the same"""
import os
import signal
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import bench_doc  # noqa: E402
from bench_busy import Others, Watch  # noqa: E402
from bench_shared import shared  # noqa: E402
from bench_near import near  # noqa: E402
from bench_one import one  # noqa: E402
from bench_usual import usual, start, zipf_stream  # noqa: E402
from bench_kit import SHORT, TOP  # noqa: E402
from bench_lab import Lab  # noqa: E402
from bench_parts import hit, limits, uncached  # noqa: E402
from bench_runs import Run, compared_with, last_results  # noqa: E402
from bench_trace import trace  # noqa: E402

LAST = os.path.join(TOP, "build", "bench", "last.json")
PARTS = {"limits": limits, "hit": hit, "near": near, "uncached": uncached, "one": one, "trace": trace, "usual": usual, "zipf": zipf_stream, "shared": shared, "start": start}


def said(text):
    print(text, flush=True)


def measured(lab, part, report):
    try:
        PARTS[part](lab, report)
    except Exception:  # the other parts still say what they measure
        traceback.print_exc()
        report.bars.line(f"{part}_failed", "yes", "no", False)


def measure_all(wanted, last, begun):
    with Watch(Others(me=int(os.environ.get("FOOTNOTE_BENCH_ROOT", os.getpid()))), lambda text: said(f"# {text}")) as watch, Lab() as lab:
        run = Run(last, said, watch)
        for part in wanted:
            said(f"# {part} ({time.monotonic() - begun:.0f} s)")

            def work(report, again, part=part):
                lab.again = again
                measured(lab, part, report)
            run.part(part, work)
    return run


def main():
    wanted = [p for p in os.environ.get("ONLY", "").replace(",", " ").split() if p] or list(PARTS)
    unknown = set(wanted) - set(PARTS)
    if unknown:
        sys.exit(f"ONLY: unknown {' '.join(unknown)}; there are {' '.join(PARTS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))   # what was started is stopped then, too
    mode, begun = "short" if SHORT else "whole", time.monotonic()
    last, build = last_results(LAST, mode), bench_doc.said("git", "rev-parse", "--short", "HEAD")
    run = measure_all(wanted, last, begun)
    report, seconds = run.whole, round(time.monotonic() - begun)
    report.notes.update(seconds=seconds, busy=round(run.busy), twice={part: f"the {('first', 'second')[which]} counts, {why}" for part, (which, why) in run.twice.items()})
    got = report.write(wanted)
    run.keep(LAST, mode, build)
    whole = wanted == list(PARTS) and not any(name.endswith("_failed") for name, *_ in report.bars.lines)
    if whole and (os.environ.get("BENCH_DOC") == "1" or not (SHORT or run.busy)):
        bench_doc.write(got)
    head = f"make bench{', short' if SHORT else ''}, {time.strftime('%Y-%m-%d %H:%M')}, build {build}, {os.cpu_count()} cores, {seconds} s"
    print("\n".join(["", *run.summary(head, compared_with(last))]), flush=True)
    sys.exit(report.bars.end())


if __name__ == "__main__":
    main()
