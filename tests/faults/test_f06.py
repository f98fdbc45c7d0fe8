"""F06: SIGTERM of the only worker of a service, started again: its queue holds, and nobody fails."""
import time

import pytest

from faults_kit import wait_for


@pytest.mark.limit(200)
@pytest.mark.parametrize("service", ("embedder", "retriever", "store", "janitor"))
def test_a_restart_of_the_only_worker_within_2_s_fails_no_request(run, one, service):
    load = one.load(rate=30, seconds=200, seed=run.seed)
    codes = []
    for _ in range(run.pick(2, 20)):
        time.sleep(0.5)
        codes.append(one.stop_service(service))
        one.start(service)
        wait_for(f"{service} is back", lambda: one.services[service].ready() and one.workers() == one.expected(), 5)
    load.end()
    result = load.wait()
    run.none(f"F06_{service}_bad_exit_codes", [c for c in codes if c])
    run.none(f"F06_{service}_failed_of_{result['requests']}", load.failed())
    run.most(f"F06_{service}_slowest_ms", result["ok_ms"].get("max", 0), 3000)
