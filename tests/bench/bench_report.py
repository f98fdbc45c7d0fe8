"""What one run measured: bars, rows of tables, and where they go (build/bench/http.json, docs/benchmarks.md)."""
import json
import os
import statistics

from bench_kit import SHORT, TOP, Bars, spread


def med(results, key):
    return statistics.median(r[key] for r in results)


class Report:
    def __init__(self, last=None):
        self.bars, self.tables, self.notes = Bars(last), {}, {}

    def add(self, part):
        """What a part of the run measured."""
        self.bars.lines += part.bars.lines
        self.bars.short += part.bars.short
        for table, rows in part.tables.items():
            self.tables.setdefault(table, []).extend(rows)
        self.notes.update(part.notes)

    def row(self, table, name, **cells):
        self.tables.setdefault(table, []).append({"name": name, **cells})

    def loads(self, table, name, results, what=""):
        """A row of medians over the rounds of one load."""
        cpu = {p: statistics.median(r["cpu"][p] for r in results) for p in results[0].get("cpu", {})}
        self.row(table, name, what=what, rate=med(results, "rate"), spread=spread([r["rate"] for r in results]),
                 p50=med(results, "p50_us"), p95=med(results, "p95_us"), p99=med(results, "p99_us"),
                 bad=sum(r["bad"] for r in results), cpu=cpu)

    def write(self, parts):
        path = os.path.join(TOP, "build", "bench", "http.json")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        got = {"parts": parts, "short": SHORT, "tables": self.tables, "notes": self.notes,
               "bars": [dict(zip(("name", "measured", "bar", "verdict"), b)) for b in self.bars.lines]}
        with open(path, "w") as f:
            json.dump(got, f, indent=1)
        return got
