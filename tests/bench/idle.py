#!/usr/bin/python3
"""Memory of the five services that have nothing to do, with each embedding model that is inside of the embedder.

    tests/bench/idle.py      prints bars, a line each; exit code 1 when one is short        EMBEDDING_MODEL_FILE=/path: the sentence model

RSS is what the bars are of: each process's own sum, in which pages that several share count for each. PSS shares them out: what the five
take together. Both are read (smaps_rollup) when the services have been ready for IDLE_SECONDS (5) and one question was answered, so that
what a first question makes is there.
"""
import os
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(TOP, "tests/kit"), os.path.join(TOP, "tests/bench")]
from bench_kit import Bars, say  # noqa: E402
from suite import SERVICES, Suite  # noqa: E402

SECONDS = float(os.environ.get("IDLE_SECONDS", "5"))
MODEL = os.environ.get("EMBEDDING_MODEL_FILE") or os.path.join(TOP, "build/model/embedding.model")
MOST = {"ngram": 64, "minilm": 110}     # MB of the five together


def memory(pid):
    """(RSS, PSS) in MB."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        kb = {k: int(v.split()[0]) for k, v in (line.split(":") for line in f if ": " in line)}
    return kb["Rss"] / 1024, kb["Pss"] / 1024


def measure(bars, provider, env):
    with Suite(env={"LOG_LEVEL": "info", "CHAT_PROVIDER": "builtin"}, service_env={"embedder": {"EMBEDDING_PROVIDER": provider, **env}}) as s:
        s.ingest("# Lamps\n\nThe lamp of the lighthouse is lit at dusk by its keeper.\n")
        s.answered("When is the lamp of the lighthouse lit?")
        time.sleep(SECONDS)
        each = {n: memory(s.services[n].pid) for n in SERVICES}
    for name, (rss, pss) in each.items():
        bars.shown(f"idle_{provider}_{name}_rss", round(rss, 1), " MB")
        bars.shown(f"idle_{provider}_{name}_pss", round(pss, 1), " MB")
    bars.shown(f"idle_{provider}_pss", round(sum(p for _, p in each.values()), 1), " MB")
    bars.most(f"idle_{provider}_rss", sum(r for r, _ in each.values()), MOST[provider], " MB")


def main():
    bars = Bars()
    measure(bars, "ngram", {})
    if os.path.exists(MODEL):
        measure(bars, "minilm", {"EMBEDDING_MODEL_FILE": MODEL})
    else:
        say(f"without a sentence model ({MODEL}; make model): its bar is not looked at")
    return bars.end()


if __name__ == "__main__":
    sys.exit(main())
