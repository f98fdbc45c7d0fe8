"""F43: twice the capacity: at least 80 % of the peak is served, the rest is refused with 503 and Retry-After within 50 ms.
F09's other half: a machine at 100 % CPU expels no worker that lives."""
import os
import subprocess
import sys

import pytest

from faults_kit import FaultSuite, wait_for


@pytest.mark.limit(200)
def test_at_twice_the_capacity_80_percent_of_the_peak_is_served_and_the_rest_refused_at_once(run):
    """Capacity is the model's, so that the load generator does not compete with what it measures."""
    env = {"embedder": {"CHAT_CAPACITY": "16", "EMBED_CAPACITY": "64"}}
    with FaultSuite(service_env=env, stub_args=("--chat-delay-ms", "100")) as s:
        peak = s.peak(seconds=run.pick(3, 8), closed=24, seed=run.seed)
        load = s.load(rate=2 * peak, seconds=run.pick(6, 30), timeout_ms=40000, seed=run.seed)
        result = load.wait()
        run.bar("F43_peak_per_s", peak, "-", True)
        run.least("F43_goodput_of_peak", result["goodput"] / peak, 0.8)
        other = {k: v for k, v in load.failed().items() if k not in ("overloaded", "service_unavailable")}
        run.none("F43_other_failures", other)
        run.most("F43_refused_p99_ms", result["refused_ms"].get("p99", 0), 50)
        run.bar("F43_served_p99_ms", result["ok_ms"].get("p99", 0.0), "-", True)
        after = s.load(rate=peak / 4, seconds=2, seed=run.seed)
        run.none("F43_failed_afterwards", after.failed())


@pytest.mark.limit(900)
def test_a_machine_at_100_percent_cpu_expels_no_worker(run, two):
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
               for _ in range(2 * (os.cpu_count() or 2))]
    try:
        def sums():
            g = two.metrics("gateway")
            return g.value("bus_worker_expired_total"), g.value("bus_worker_lost_total"), g.value("bus_worker_joined_total")
        before = sums()
        load = two.load(rate=30, seconds=run.pick(10, 600), seed=run.seed)
        load.wait()
        after = sums()
    finally:
        for b in burners:
            b.kill()
            b.wait()
    run.bar("no_false_positive_expired", after[0] - before[0], 0, after[0] == before[0])
    run.bar("no_false_positive_lost", after[1] - before[1], 0, after[1] == before[1])
    run.bar("no_false_positive_joined_again", after[2] - before[2], 0, after[2] == before[2])
    wait_for("all are there", lambda: two.workers() == two.expected(), 5)
    run.none("cpu_failed", load.failed())
