"""Bar lines of an attack (run.sh has the contract):

    from bars import Bars
    with Bars() as b:                       # exits with 1 when one was SHORT or the block raised
        b.none("A09_second_answers", found) # a list or a number: 0 is ok; what was found is shown
        b.most("A07_honest_p99_ms", p99, 2 * calm, timed=True)

`timed`: a time or rate, which the short form shows and does not judge.
"""
import os
import random
import sys
import traceback

SHORT = os.environ.get("ATTACKS_SHORT") == "1"
SEED = int(os.environ.get("ATTACKS_SEED", "1"))


def pick(short, long):
    """How much: in `make test`, and in `make attacks`."""
    return short if SHORT else long


def shown(v):
    return f"{v:.4g}" if isinstance(v, float) else str(v).replace(" ", "_").replace("\n", "_")[:60]


class Bars:
    def __init__(self):
        self.failed, self.rng = 0, random.Random(SEED)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None and issubclass(kind, Exception):
            traceback.print_exception(kind, value, trace)
        elif kind is not None:
            return False
        sys.stdout.flush()
        sys.exit(1 if self.failed or kind is not None else 0)

    def bar(self, name, measured, bar, ok, timed=False):
        verdict = "ok" if ok else "slow" if timed and SHORT else "SHORT"
        self.failed += verdict == "SHORT"
        print(f"{name:<44} {shown(measured):<18} {shown(bar):<12} {verdict}", flush=True)
        return ok

    def most(self, name, measured, most, timed=False):
        return self.bar(name, measured, "<=" + shown(most), measured <= most, timed)

    def least(self, name, measured, least, timed=False):
        return self.bar(name, measured, ">=" + shown(least), measured >= least, timed)

    def equal(self, name, measured, wanted):
        return self.bar(name, measured, shown(wanted), measured == wanted)

    def none(self, name, found):
        """found: a list of what should not be there, or how many."""
        n = found if isinstance(found, (int, float)) else len(found)
        if n and n is not found:
            for one in list(found)[:10]:
                print(f"  {name}: {str(one)[:250]}", flush=True)
        return self.bar(name, n, 0, n == 0)
