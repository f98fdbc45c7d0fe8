"""What a run of `make bench` makes of its parts: one with a bar that is short is measured again, once; each bar stands beside the last
run's; the end is a summary of one screen.

    run = Run(last_results(path, short))
    run.part("hit", lambda report, again: …)    # prints its lines, twice when one is short; the better-founded measurement counts
    run.keep(path)                              # for the next run to compare with
    print("\\n".join(run.summary(…)))"""
import json
import os
import time

from bench_busy import BUSY
from bench_kit import change, number
from bench_report import Report

LINES, COLUMNS = 24, 100       # of the summary
EVEN = 3.0                     # percent of the processors: so near to each other, both measurements were as quiet
ALIKE = 0.02                   # so near to each other, the rounds of both agreed as much
AT_LEAST = 5.0                 # percent: a smaller change is not worth a line of the summary


class Measured:
    """One measurement of a part."""

    def __init__(self, report, others, seconds):
        self.report, self.others, self.seconds = report, others, seconds

    @property
    def short(self):
        return [b for b in self.report.bars.lines if b[3] == "SHORT"]

    @property
    def spread(self):
        """How far its rounds lie from each other, on the mean; None when it has no rounds."""
        found = [row["spread"] for rows in self.report.tables.values() for row in rows if "spread" in row]
        return sum(found) / len(found) if found else None


def better(first, second):
    """(which counts: 0 or 1, why). The quieter machine; as quiet: the rounds that agree more; no rounds: the second, when all is warm.
    What failed never counts before what did not. Never by what was measured."""
    failed = [any(name.endswith("_failed") for name, *_ in m.report.bars.lines) for m in (first, second)]
    if failed[0] != failed[1]:
        return int(failed[0]), "the other one failed"
    if abs(first.others - second.others) > EVEN:
        return int(second.others < first.others), f"something else used {first.others:.0f} % of the processors the first time, {second.others:.0f} % the second"
    a, b = first.spread, second.spread
    if a is not None and b is not None and abs(a - b) > ALIKE:
        return int(b < a), f"its rounds agree more (± {a:.0%} the first time, ± {b:.0%} the second)"
    return 1, "as quiet as the first, and all is warm"


def both(first, second):
    """A line for each bar whose verdict one of the two calls short: what both measured."""
    seen = [{b[0]: b for b in m.report.bars.lines} for m in (first, second)]
    return [f"#   {name}: first " + ", second ".join(f"{s[name][1]} {s[name][3]}" if name in s else "not measured" for s in seen)
            for name in dict.fromkeys(b[0] for m in (first, second) for b in m.short)]


class Run:
    def __init__(self, last=None, say=print, watch=None):
        self.last, self.say, self.watch = last or {}, say, watch
        self.whole, self.parts, self.twice = Report(), {}, {}

    def _measure(self, name, work, again):
        report, mark, begun = Report(self.last), self.watch.mark() if self.watch else None, time.monotonic()
        work(report, again)
        got = Measured(report, self.watch.since(mark) if self.watch else 0.0, time.monotonic() - begun)
        if got.others >= BUSY:
            self.say(f"# {name}: marked: busy machine: something else used {got.others:.0f} % of the processors")
        return got

    def part(self, name, work):
        got = self._measure(name, work, False)
        if got.short:
            self.say(f"# {name}: short: {', '.join(b[0] for b in got.short)}; once more")
            second = self._measure(name, work, True)
            which, why = better(got, second)
            for line in both(got, second):
                self.say(line)
            self.say(f"# {name}: the {('first', 'second')[which]} counts: {why}")
            self.twice[name] = (which, why)
            got = (got, second)[which]
        self.parts[name] = got
        self.whole.add(got.report)
        return got

    @property
    def busy(self):
        """Percent that others used in the busiest part; 0 when none is marked."""
        most = max((m.others for m in self.parts.values()), default=0.0)
        return most if most >= BUSY else 0.0

    @property
    def short(self):
        return [(part, b) for part, m in self.parts.items() for b in m.short]

    def keep(self, path, mode, build):
        """The counted measurements, over those that stand there; a mode is compared with its own kind."""
        every = read(path)
        bars = every.setdefault(mode, {})
        for m in self.parts.values():
            for name, measured, _, verdict, *_ in m.report.bars.lines:
                if not name.endswith("_failed"):
                    bars[name] = {"measured": str(measured), "verdict": verdict, "busy": round(m.others) if m.others >= BUSY else 0,
                                  "when": time.strftime("%Y-%m-%d %H:%M"), "build": build}
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "w") as f:
            json.dump(every, f, indent=1, sort_keys=True)
        os.replace(path + ".new", path)

    # ---- one screen
    def summary(self, head, before=""):
        busy = {n: m.others for n, m in self.parts.items() if m.others >= BUSY}
        lines = [f"== {head}", *([f"compared with {before}"] if before else []),
                 "marked: busy machine: something else used " + ", ".join(f"{n} {p:.0f}" for n, p in busy.items()) + " %"
                 if busy else f"nothing else used {BUSY:.0f} % of the processors"]
        lines.append(f"{'part':<10}{'bars':>5}{'short':>7}{'else':>8}{'seconds':>9}")
        for n, m in self.parts.items():
            again = f"   measured twice, the {('first', 'second')[self.twice[n][0]]} counts" if n in self.twice else ""
            lines.append(f"{n:<10}{len([b for b in m.report.bars.lines if b[2] != '-']):>5}{len(m.short):>7}{m.others:>6.0f} %{m.seconds:>9.0f}{again}")
        end = [self.verdict()]
        changed = self._changed()
        room = LINES - len(lines) - len(end)
        shown = some(self._short_lines(), max(room - min(len(changed), 5), room // 2))
        lines += shown + some(changed, room - len(shown)) + end
        return [line if len(line) <= COLUMNS else line[:COLUMNS - 1] + "…" for line in lines]

    def verdict(self):
        judged = sum(b[2] != "-" for b in self.whole.bars.lines)
        return f"{judged} bars: {judged - len(self.short)} ok, {len(self.short)} SHORT" + (" (on a busy machine)" if self.busy else "")

    def _short_lines(self):
        lines = [f"  {name:<36} {measured!s:>12}  {bar:<10} {change(measured, self.last.get(name))}".rstrip()
                 for _, (name, measured, bar, *_) in self.short]
        return ["short:", *lines] if lines else []

    def _changed(self):
        found = []
        for name, measured, _, verdict, *_ in self.whole.bars.lines:
            was = self.last.get(name)
            a, b = number(was["measured"]) if was else None, number(measured)
            if a and b is not None and abs(b / a - 1) * 100 >= AT_LEAST and verdict == "ok":
                found.append((abs(b / a - 1), f"  {name:<36} {measured!s:>12}  {change(measured, was)}"))
        lines = [text for _, text in sorted(found, reverse=True)]
        return ["ok, and changed most since the last run:", *lines] if lines else []


def some(lines, most):
    """As many as fit; the last one says how many do not."""
    if len(lines) <= most:
        return lines
    return [*lines[:most - 1], f"  and {len(lines) - most + 1} more"] if most > 1 else []


def read(path):
    try:
        with open(path) as f:
            got = json.load(f)
        return got if isinstance(got, dict) else {}
    except (OSError, ValueError):
        return {}


def last_results(path, mode):
    return read(path).get(mode, {})


def compared_with(last):
    """"2026-12-01 01:20, build 9ddf20e": the newest of what is compared with; "" when there is nothing."""
    newest = max(last.values(), key=lambda b: b["when"], default=None)
    return f"{newest['when']}, build {newest['build']}{', marked: busy machine' if newest['busy'] else ''}" if newest else ""
