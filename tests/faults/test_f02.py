"""F02: SIGTERM of the only gateway with requests in flight: they end with their whole bodies, new ones are refused with 503."""
import signal
import time

import pytest
import requests

from corpus_kit import check_problem
from faults_kit import Background, FaultSuite, ms_since, wait_for


@pytest.mark.limit(200)
def test_a_gateway_that_is_told_to_stop_finishes_what_is_in_flight(run):
    n, delay = run.pick(40, 200), run.pick((500, 2500), (1000, 9000))
    with FaultSuite() as s:
        s.stub.script({"route": "chat", "times": 0, "delay_ms": delay[0], "delay_to_ms": delay[1], "drip_ms": 5,
                       "drip_to_ms": 60})
        load = s.load(closed=n, count=n, streams=0.33, seed=run.seed)
        wait_for("all are in flight", lambda: s.metrics("gateway").value("http_in_flight") >= n * 0.9, 8)
        s.services["gateway"].signal(signal.SIGTERM)
        wait_for("it drains", lambda: s.request("GET", "/readyz").status_code == 503, 2)
        r = s.ask("Who?")
        check_problem(r, 503, "draining")
        run.bar("F02_refusal", f"Retry-After={r.headers.get('Retry-After')} Connection={r.headers.get('Connection')}", "2 close",
                r.headers.get("Retry-After") == "2" and r.headers.get("Connection") == "close")
        run.bar("F02_healthz", s.request("GET", "/healthz").status_code, 200, s.request("GET", "/healthz").status_code == 200)
        code = s.services["gateway"].wait(40)
        s.expected_exit.add("gateway")
        result = load.wait(60)
        run.bar("F02_exit_code", code, 0, code == 0)
        run.bar("F02_short_bodies", result["short"], 0, result["short"] == 0)
        run.bar("F02_whole_answers", result["ok"], n, result["ok"] == n)
        run.none("F02_failed", load.failed())


def test_a_second_sigterm_ends_the_gateway_within_a_second(run, one):
    one.stub.script({"route": "chat", "hang": True, "times": 0})

    def ask():
        try:
            one.ask("What does fault code E14 of the pump mean, again?", headers={"X-Request-Timeout-Ms": "9000"})
        except requests.RequestException:
            pass  # cut: nobody gave it more time
    b, g = Background(ask), one.services["gateway"]
    wait_for("the model hangs", lambda: one.stub.stats()["concurrent"] == 1, 5)
    one.expected_exit.add("gateway")
    g.signal(signal.SIGTERM)
    wait_for("it drains", lambda: one.request("GET", "/readyz").status_code == 503, 2)
    begun = time.monotonic()
    g.signal(signal.SIGTERM)
    g.wait(5)
    run.most("F02_second_sigterm_ms", ms_since(begun), 1000)
    b.wait(5)
