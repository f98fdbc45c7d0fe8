"""F10: one of four slots of a worker hangs while its heartbeats go on: throughput falls by a quarter, not to nothing."""
import pytest

from faults_kit import Background, FaultSuite, wait_for


@pytest.mark.limit(90)
def test_one_hung_slot_of_four_costs_a_quarter_of_the_throughput(run):
    with FaultSuite(service_env={"embedder": {"EMBED_CAPACITY": "4"}}, stub_args=("--embed-delay-ms", "50")) as s:
        whole = s.load(route="search", closed=12, seconds=run.pick(4, 20)).wait()["goodput"]
        s.stub.script({"route": "embeddings", "hang": True, "times": 1})
        b = Background(lambda: s.search("a question that hangs the model for ever"))
        wait_for("a slot hangs", lambda: s.stub.stats()["concurrent"] == 1, 5)
        less = s.load(route="search", closed=12, seconds=run.pick(4, 6), seed=2)
        result = less.wait()
        run.least("F10_throughput_with_3_of_4_slots", result["goodput"] / whole, 0.68)
        run.none("F10_failed", less.failed())
        b.wait(30)
        after = s.load(route="search", closed=12, seconds=4, seed=3).wait()["goodput"]
        run.least("F10_throughput_once_the_attempt_timed_out", after / whole, 0.68)
