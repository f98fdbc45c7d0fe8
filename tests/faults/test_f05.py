"""F05: SIGTERM of workers under load, another one beside: rolling restarts fail nobody, streams included."""
import time

import pytest

from checker import check
from faults_kit import FaultSuite, ms_since, wait_for


def restart(s, name):
    """SIGTERM, wait for the end, start, wait until the hub has it; the exit code."""
    service, code = s.services[name].service, s.stop_service(name)
    s.start(service, name)
    wait_for(f"{name} is back", lambda: s.services[name].ready() and all(s.workers(g) == s.expected() for g in s.gateway_names()), 15)
    return code


def delays(run):
    """Answers of 1 to 10 s (short form: 0.2 to 1.5 s), half of that before the first word."""
    least, most = run.pick((100, 700), (500, 5000))
    return {"route": "chat", "times": 0, "delay_ms": least, "delay_to_ms": most, "drip_ms": least // 14,
            "drip_to_ms": most // 14}


@pytest.mark.limit(1500)
@pytest.mark.parametrize("service", ("embedder", "retriever", "store"))
def test_rolling_restarts_fail_no_request(run, service):
    n = 3 if service == "embedder" else 2
    env = {"embedder": {"DRAIN_TIMEOUT": "120"}}
    with FaultSuite(replicas={service: n}, service_env=env) as s:
        s.stub.script(delays(run))
        load = s.load(closed=run.pick(40, 200), count=run.pick(100000, 3400), seconds=600, streams=0.34, seed=run.seed)
        names, rounds, codes = [p.name for p in s.services.values() if p.service == service], 0, []
        wait_for("answers are being written", lambda: s.stub.stats()["concurrent"] >= 20, 10)
        while rounds < run.pick(1, 10) or (run.long and load.popen.poll() is None):
            for name in names:
                codes.append(restart(s, name))
            rounds += 1
        load.end()
        run.none(f"F05_{service}_bad_exit_codes", [c for c in codes if c])
        result = load.wait()
        run.none(f"F05_{service}_failed_of_{result['requests']}_in_{len(codes)}_restarts", load.failed())
        run.clean(f"F05_{service}", check(s, load.records(), cuts_allowed=False))


def test_a_worker_that_drains_is_given_no_more_work_within_50_ms(run, two):
    worst = 0.0
    for name in ("embedder", "retriever.2", "store"):
        begun = time.monotonic()
        two.services[name].signal(15)
        wire = {"embedder": "chat", "retriever.2": "retrieve", "store": "store"}[name]
        one_left = f'\nfootnote_bus_workers{{service="{wire}"}} 1\n'  # as text: to read all of them takes 20 ms
        wait_for("the hub knows", lambda: one_left in two.services["gateway"].admin("/metrics").text, 5, every=0.002)
        worst = max(worst, ms_since(begun))
        two.services[name].wait(15)
        two.expected_exit.add(name)
        two.start(two.services[name].service, name)
        two.wait_ready()
        two.wait_workers()
    run.most("F05_drain_honoured_ms", worst, 50)
