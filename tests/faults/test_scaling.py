"""Workers scale: with a model that takes 50 ms and 8 calls a worker, two embedders serve twice and four serve four times the
embeddings of one; one that is added under load is used without a restart or a setting."""
import pytest

from faults_kit import FaultSuite, wait_for


def rate(s, run, n):
    return max(s.load(route="search", closed=16 * n + 16, seconds=run.pick(3, 10), seed=run.seed).wait()["goodput"]
               for _ in range(run.pick(1, 3)))


@pytest.mark.limit(300)
def test_two_and_four_embedders_serve_two_and_four_times_as_much(run):
    with FaultSuite(service_env={"embedder": {"EMBED_CAPACITY": "8"}}, stub_args=("--embed-delay-ms", "50")) as s:
        one = rate(s, run, 1)
        run.bar("scaling_1_embedder_per_s", one, "-", True)
        load = s.load(route="search", closed=80, seconds=6, seed=run.seed)  # joins under load
        s.start("embedder", "embedder.2")
        wait_for("it runs", s.services["embedder.2"].ready, 6)
        wait_for("the hub uses it", lambda: s.services["embedder.2"].metrics().value("bus_calls_total", kind="embed") > 10, 6)
        run.none("scaling_failed_while_one_is_added", load.failed())
        two = rate(s, run, 2)
        run.least("scaling_2_embedders", two / one, 1.9)
        for i in (3, 4):
            s.start("embedder", f"embedder.{i}")
        s.wait_ready()
        s.wait_workers()
        four = rate(s, run, 4)
        run.least("scaling_4_embedders", four / one, 3.8)
