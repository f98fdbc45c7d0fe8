"""F46: a gateway that is killed in the middle of resumable streams: each goes on at the other one, without a missing or doubled word."""
import pytest

from faults_kit import FaultSuite, wait_for
from resume_kit import Reader, check_whole, words_text


@pytest.mark.limit(240)
def test_a_killed_gateways_streams_go_on_at_another_one(run):
    text = words_text()
    n = run.pick(20, 200)
    with FaultSuite(gateways=2, replicas={"embedder": 2}) as s:
        s.stub.script({"route": "chat", "times": 0, "text": text, "drip_ms": 60})
        readers = [Reader(s.ports, f"What does fault code E14 of the pump mean? ({i})").start(seconds=90) for i in range(n)]
        wait_for("all streams are in the middle of their text", lambda: all(len(r.events) >= 12 for r in readers), 60)
        assert not any(r.ended for r in readers)
        s.kill("gateway")
        for r in readers:
            r.thread.join(120)
        done = [check_whole(r, text) for r in readers]
        run.least("F46_streams_that_went_on", sum(r.resumes > 0 for r in readers), n)
        run.least("F46_saved", sum(d["saved"] == "yes" for d in done), n)
        run.least("F46_grounded", sum(d["grounded"] for d in done), n)
        with s.pg() as c, c.cursor() as cur:
            cur.execute("select count(*), count(distinct id) from messages where role = 'assistant' and id = any(%s::uuid[])",
                        ([r.message_id for r in readers],))
            assert cur.fetchone() == (n, n), "each answer is stored once"
        run.least("F46_written_on", sum(s.metrics(e).value("chat_orphans_total") for e in ("embedder", "embedder.2")), n)
        m = s.metrics("gateway.2")
        run.least("F46_taken_over", m.value("streams_resumable_total", event="taken_over"), n)
        assert m.value("streams_resumable_total", event="restarted") == 0
