"""`make bench`: the guide's table, the limits, and what people run today, in one run on one machine; rivals in turn, medians.

A line a bar, "name measured bar ok|SHORT"; exit 1 when one is short. Everything also goes to build/bench/http.json, and a whole
run writes docs/benchmarks.md and docs/benchmarks.svg (bench_doc.py).

    ONLY=hit,uncached     some parts: limits hit uncached guide zipf start
    BENCH_SHORT=1         shorter windows, fewer rounds: to try things, not to judge them; BENCH_DOC=1 writes the page all the same"""
import os
import signal
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import bench_doc  # noqa: E402
from bench_guide import guide, start, zipf_stream  # noqa: E402
from bench_kit import SHORT, say  # noqa: E402
from bench_lab import Lab  # noqa: E402
from bench_parts import hit, limits, uncached  # noqa: E402
from bench_report import Report  # noqa: E402

PARTS = {"limits": limits, "hit": hit, "uncached": uncached, "guide": guide, "zipf": zipf_stream, "start": start}


def main():
    wanted = [p for p in os.environ.get("ONLY", "").replace(",", " ").split() if p] or list(PARTS)
    unknown = set(wanted) - set(PARTS)
    if unknown:
        sys.exit(f"ONLY: unknown {' '.join(unknown)}; there are {' '.join(PARTS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))   # what was started is stopped then, too
    report, begun = Report(), time.monotonic()
    with Lab() as lab:
        for part in wanted:
            say(f"# {part} ({time.monotonic() - begun:.0f} s)")
            try:
                PARTS[part](lab, report)
            except Exception:  # the other parts still say what they measure
                traceback.print_exc()
                report.bars.line(f"{part}_failed", "yes", "no", False)
    report.notes["seconds"] = round(time.monotonic() - begun)
    got = report.write(wanted)
    whole = wanted == list(PARTS) and not any(name.endswith("_failed") for name, *_ in report.bars.lines)
    if whole and (not SHORT or os.environ.get("BENCH_DOC") == "1"):
        bench_doc.write(got)
    sys.exit(report.bars.end())


if __name__ == "__main__":
    main()
