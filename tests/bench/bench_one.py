"""The part `one` of `make bench`: uncached questions of one client, one after the other, beside the two durable commits that each of them makes. Bare that is
pgbench on the same server: a row of a question's size and one of an answer's, each with a commit of its own, over one connection."""
import glob
import os
import subprocess
import tempfile

from bench_kit import median
from bench_lab import measure
from bench_parts import PER_REQUEST_MS, SECONDS, in_turn, prime_embeddings
from bench_report import med
from pg import BIN as PG_BIN

TWO_COMMITS = "".join(f"INSERT INTO bare_commit VALUES (gen_random_uuid(), repeat('x', {n}));\n" for n in (80, 600))


def two_commits(lab, folder):
    """Their time, at the median."""
    script, log = os.path.join(folder, "two.sql"), tempfile.mkdtemp(dir=folder)
    with open(script, "w") as f:
        f.write(TWO_COMMITS)
    subprocess.run([os.path.join(PG_BIN, "pgbench"), "-n", "-M", "prepared", "-T", "1", "-f", script, "--log", "--log-prefix", os.path.join(log, "bare"),
                    lab.suite.postgres.url], check=True, capture_output=True, timeout=60)
    took = [int(line.split()[2]) for name in glob.glob(os.path.join(log, "bare*")) for line in open(name)]
    return {"p50_us": median(took), "rate": len(took), "bad": 0}


def one(lab, report):
    ours = lab.rival("ours")
    prime_embeddings(lab, ours)
    lab.suite.postgres.psql("CREATE TABLE IF NOT EXISTS bare_commit (id uuid PRIMARY KEY, t text)")
    with tempfile.TemporaryDirectory(prefix="footnote-one-", dir="/tmp") as folder:
        got = in_turn(lab, [("ours", lambda: measure(ours, ours.load(lab.uncached(ours, 4000)), closed=1, seconds=SECONDS, warm=0.3)),
                            ("bare", lambda: two_commits(lab, folder))])
    ms = {name: med(results, "p50_us") / PER_REQUEST_MS for name, results in got.items()}
    bars = report.bars
    bars.shown("one_two_bare_commits_p50", ms["bare"], "ms")
    bars.shown("one_uncached_p50", ms["ours"], "ms")
    bars.most("one_uncached_over_two_commits", ms["ours"] - ms["bare"], 1.5, "ms")
    bars.most("one_bad_answers", sum(r["bad"] for r in got["ours"]), 0)
