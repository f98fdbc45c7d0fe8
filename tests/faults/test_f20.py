"""F20: Postgres is down: new questions 503 within 2.1 s and before any paid call, cached answers go on, nothing told is lost."""
import time

import pytest

from faults_kit import new_session
from pg_faults_kit import QUESTION, ms_since, not_as_down, refusals, suite, wait_for


@pytest.fixture(scope="module")
def pg_suite():
    yield from suite()


@pytest.mark.limit(180)
def test_postgres_down_costs_only_what_needs_it(run, pg_suite):
    s, session = pg_suite, new_session()
    before = s.load(rate=30, seconds=2, seed=run.seed)
    before.wait()
    s.answered(QUESTION, session)
    assert s.answered(QUESTION, session)["cached"] == "query"
    wait_for("the queue is empty", lambda: s.redis.client().xlen("fn:turns") == 0, 5)
    rows = s.sql("SELECT count(*) FROM messages")[0][0]
    paid, began = s.paid(), time.monotonic()
    s.postgres.stop("fast")
    load, hits = s.load(rate=10, seconds=run.pick(3, 25), seed=run.seed), []
    for _ in range(run.pick(5, 40)):
        t, r = time.monotonic(), s.ask(QUESTION, session)
        hits.append((r.status_code, r.headers.get("X-Cache"), r.json().get("saved"), ms_since(t)))
        time.sleep(0.3)
    load.wait()
    told = refusals(load.records())
    run.none("F20_not_503_store_unavailable", not_as_down(run, told))
    run.least("F20_refused", len(told), 20)
    run.most("F20_refused_after_ms_worst", max(x[2] for x in told), 2100)
    run.bar("F20_paid_calls_meanwhile", s.paid() - paid, "0", s.paid() == paid)
    run.none("F20_cached_answers_that_failed", [x for x in hits if x[:3] != (200, "hit", "queued")])
    r = s.ask(QUESTION + " not cached")
    run.bar("F20_retry_after", r.headers.get("Retry-After"), "2", r.headers.get("Retry-After") == "2")
    time.sleep(max(0, run.pick(0, 30) - (time.monotonic() - began)))
    s.postgres.start()
    run.most("F20_first_good_ms_after_accept", s.first_good_ms(), 1000)
    wait_for("queued turns are written", lambda: s.redis.client().xlen("fn:turns") == 0, 5)
    mine = s.sql("SELECT count(*) FROM messages m JOIN conversations c ON c.id = m.conversation_id"
                 " WHERE m.content = %s AND c.user_session_id IN (SELECT user_session_id FROM conversations c2 JOIN messages m2"
                 " ON m2.conversation_id = c2.id WHERE m2.content = %s GROUP BY 1 HAVING count(*) > 2)", (QUESTION, QUESTION))[0][0]
    run.bar("F20_queued_turns_written", mine - 2, len(hits), mine - 2 == len(hits))
    run.bar("F20_rows_lost", max(0, rows - s.sql("SELECT count(*) FROM messages")[0][0]), "0",
            s.sql("SELECT count(*) FROM messages")[0][0] >= rows)
    s.whole(run, "F20_before", before)
    s.whole(run, "F20_meanwhile", load)


@pytest.mark.limit(60)
def test_an_answer_that_exists_is_delivered_and_queued_when_postgres_goes_meanwhile(run, pg_suite):
    s = pg_suite
    s.stub.script({"route": "chat", "delay_ms": 1500, "times": 1})
    load = s.load(rate=20, count=1, seconds=10, seed=run.seed)
    wait_for("the model writes", lambda: s.stub.stats()["concurrent"] == 1, 5, every=0.005)
    s.postgres.stop("fast")
    record = load.records()[0]
    run.bar("F20_answer_while_away", f"{record['status']} {record['saved']}", "200 queued",
            (record["status"], record["saved"]) == (200, "queued"))
    s.postgres.start()
    s.first_good_ms()
    s.whole(run, "F20_queued", load)
    s.stub.reset()
