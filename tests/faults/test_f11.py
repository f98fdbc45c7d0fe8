"""F11: a request that stops two different workers is poison: 502, and it stops no third one. Others are served."""
import pytest

from corpus_kit import check_problem
from faults_kit import Background, FaultSuite, wait_for
from test_f03 import holder


@pytest.mark.limit(120)
def test_a_request_that_kills_two_workers_is_502_and_the_others_do_not_suffer(run):
    with FaultSuite(replicas={"embedder": 3}) as s:
        load = s.load(route="search", rate=30, seconds=60, seed=run.seed)
        for i in range(run.pick(1, 10)):
            s.stub.reset()
            s.stub.script({"route": "chat", "hang": True, "times": 0})
            b = Background(lambda: s.ask(f"What does fault code E14 of the pump mean? Poison {i}"))
            first = wait_for("the first has it", lambda: holder(s, "embedder", "chat"), 5)
            s.kill(first.name)
            second = wait_for("the second has it", lambda: holder(s, "embedder", "chat"), 5)
            s.kill(second.name)
            r = b.wait()[0]
            check_problem(r, 502, "poison_request")
            third = [p for p in s.services.values() if p.service == "embedder" and p.name not in (first.name, second.name)]
            assert third[0].running()
            for name in (first.name, second.name):
                s.start("embedder", name)
            s.wait_ready()
            s.wait_workers()
        load.end()
        result = load.wait()
        run.bar("F11_poison_answer", "502 poison_request", "502", True)
        run.least("F11_others_served", result["ok"] / result["requests"], 0.99)
        poison = s.metrics("gateway").value("bus_poison_total")
        run.bar("F11_counted", int(poison), run.pick(1, 10), poison == run.pick(1, 10))
