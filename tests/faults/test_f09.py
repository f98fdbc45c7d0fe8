"""F09: a worker hangs (SIGSTOP) with a call on it: out after 3.0 to 3.5 s of silence, its call runs elsewhere; when it goes
on its late replies are dropped and it registers again."""
import time

import pytest

from faults_kit import Background, ms_since, wait_for
from test_f03 import holder


@pytest.mark.limit(200)
def test_a_hung_worker_is_out_within_3_5_s_and_its_late_reply_is_dropped(run, two):
    out, answered = [], []
    for i in range(run.pick(1, 8)):
        word = f"canary-{run.seed:04x}{i:08x}"
        two.stub.reset()
        two.stub.script({"route": "chat", "delay_ms": 500, "times": 0})
        before = two.metrics("gateway").value("bus_worker_joined_total")
        b = Background(lambda: two.ask(f"What does fault code E14 of the pump mean? {word}"))
        victim = wait_for("the call is at a worker", lambda: holder(two, "embedder", "chat"), 5)
        two.stop(victim.name)
        begun = time.monotonic()
        wait_for("it is out", lambda: two.metrics("gateway").value("bus_workers", service="chat") == 1, 8, every=0.005)
        out.append(ms_since(begun))
        r = b.wait()[0]
        answered.append(ms_since(begun))
        assert r.status_code == 200 and word in r.json()["answer"], r.text
        time.sleep(max(0, run.pick(5.5, 10) - ms_since(begun) / 1e3))
        two.cont(victim.name)
        wait_for("it is back", lambda: two.workers() == two.expected(), 8)
        joined = two.metrics("gateway").value("bus_worker_joined_total") - before
        assert joined >= 1, joined
        n = two.sql("SELECT count(*) FROM messages WHERE role = 'assistant' AND content LIKE %s", (f"%{word}%",))[0][0]
        assert n == 1, n
    # 3.0 to 3.5 s after its last word, which came up to a second (a heartbeat) before it was stopped
    run.bar("F09_out_ms", f"{min(out):.0f}..{max(out):.0f}", "2000..3500", min(out) >= 2000 and max(out) <= 3500)
    run.most("F09_answered_ms", max(answered), 3500 + 500 + 300)
    run.bar("F09_answers_stored_twice", 0, 0, True)
