"""Random kills: requests at 60 % of the measured peak while every 2 to 5 s a random process is killed, stopped or told to
end; two of everything behind two gateways and a client that takes them in turn. Nothing acknowledged is lost, nothing is
stored twice, nobody sees another's data, every failure has a documented code."""
import pytest

from checker import check, check_footprint, footprint
from faults_kit import wait_for
from nemesis import Nemesis


@pytest.mark.limit(2400)
def test_random_kills_lose_nothing_that_was_acknowledged(run, pair):
    peak = pair.peak(seconds=run.pick(2, 5), closed=32)
    count, rate = run.pick(500, 100000), min(0.6 * peak, run.pick(60, 1e9))
    run.bar("kills_peak_per_s", peak, "-", True)
    load = pair.load(rate=rate, count=count, seconds=2000, streams=0.33, attempts=60, patience_ms=30000, sources=8,
                     keys=1, lose=0.02, seed=run.seed)
    names = [n for n in pair.services if not n.startswith("janitor")]
    with Nemesis(pair, run.seed, every=run.pick((0.4, 1.0), (2, 5)), names=names, stopped=run.pick((0.2, 1.5), (0.5, 6))) as n:
        result = load.wait()
    run.bar("kills_nemesis", n.counts(), "-", len(n.log) > 0)
    wait_for("all is up again", lambda: pair.gateway_ready(), 10)
    run.clean(f"kills_of_{result['requests']}", check(pair, load.records()))
    run.bar("kills_answers_lost_and_asked_for_again", result["lost"], "-", True)
    failed = load.failed()  # with documented codes, as `codes` above says: a question whose two workers were both killed is given up
    run.bar("kills_given_up", f"{sum(failed.values())} {failed}", "<=0.1 %", sum(failed.values()) <= result["requests"] / 1000)
    run.none("kills_foreign", ["foreign"] * result["foreign"])
    pair.wait_ready()
    pair.wait_workers()
    after = pair.load(rate=rate / 2, seconds=3, seed=run.seed)
    run.least("kills_I5_good_afterwards", after.wait()["ok"] / max(1, after.wait()["requests"]), 0.999)
    # the processes are young: two loads that warm them, then the one after which nothing may have grown
    for _ in range(2):
        pair.load(rate=rate / 2, seconds=run.pick(2, 30), seed=run.seed).wait()
    for _ in range(3):  # a leak grows every time; a stack that is used for the first time does not
        before = footprint(pair)
        pair.load(rate=rate / 2, seconds=run.pick(2, 30), seed=run.seed).wait()
        found = check_footprint(pair, before)
        if not found["I6"]:
            break
    run.clean("kills", found)
