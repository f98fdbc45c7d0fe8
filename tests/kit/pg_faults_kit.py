"""What the Postgres rows of the fault tests share: a suite with one of each, and what users were told while it was away."""
import time

import requests

from checker import check
from faults_kit import FaultSuite, ms_since, wait_for

QUESTION = "What does fault code E14 of the pump mean?"


class PgSuite(FaultSuite):
    """One of each. first_good_ms(): from now to the first 200 of a new question."""

    def __init__(self, **kw):
        super().__init__(**kw)
        self.asked = 0

    def first_good_ms(self, seconds=15):
        begun = time.monotonic()

        def good():
            self.asked += 1
            try:
                return self.ask(f"{QUESTION} again {self.asked}").status_code == 200
            except requests.RequestException:
                return False
        wait_for("a question is answered", good, seconds)
        return ms_since(begun)

    def paid(self):
        """Calls that a model server would charge for."""
        stats = self.stub.stats()
        return sum(stats[k] for k in ("chat", "embeddings"))

    def store(self, name, **labels):
        return self.metrics("store").value(name, **labels)

    def whole(self, run, row, load, **kw):
        """Bars of the invariants for all that this load was told."""
        run.clean(row, check(self, load.records(), cuts_allowed=False, **kw))


def suite(**kw):
    with PgSuite(**kw) as s:
        yield s
        bad = s.down()
        assert not bad, f"services that did not end with 0: {bad}"


def refusals(records):
    """(status, code, ms) of every attempt that got no answer."""
    return [(a["status"], a["code"], a["ended"] - a["begun"]) for r in records for a in r["attempts"] if a["code"] != "ok"]


def not_as_down(run, told):
    """Refusals that are none of a database that is away. How many requests wait beside one another is a matter of the machine's time:
    where times are shown, not judged, those that the overload refused first are right, too."""
    right = {(503, "store_unavailable")} | (set() if run.TIMED else {(503, "overloaded")})
    return [x for x in told if x[:2] not in right]


__all__ = ["PgSuite", "QUESTION", "check", "ms_since", "not_as_down", "refusals", "suite", "wait_for"]
