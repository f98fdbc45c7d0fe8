"""F23: Postgres is slow (a lock held by others, 2 s on the way): 503 or 504 in time, connections are kept, the next one is served."""
import time

import pytest

from faults_kit import Background, Proxy, new_session
from pg_faults_kit import QUESTION, PgSuite, ms_since

SLOW_CODES = {(503, "store_busy"), (504, "deadline_exceeded"), (503, "store_unavailable")}


class SlowPg(PgSuite):
    """A proxy stands before Postgres."""
    pg_proxy = None

    def environment(self, service):
        env = super().environment(service)
        if self.pg_proxy is None:
            self.pg_proxy = Proxy(self.folder, {"pg": self.postgres.port})
        env["DATABASE_URL"] = self.postgres.url.replace(f":{self.postgres.port}/", f":{self.pg_proxy.port('pg')}/")
        return env


@pytest.fixture(scope="module")
def slow():
    with SlowPg() as s:
        yield s
        s.pg_proxy.say("clear")
        bad = s.down()
        s.pg_proxy.end()
        assert not bad, bad


def asked(s, n, timeout_ms):
    """(status, code, ms) of so many questions at once."""
    def one():
        t = time.monotonic()
        r = s.request("POST", "/api/v1/chat/query", json={"question": QUESTION + f" {t}", "session_id": new_session()},
                      headers={"X-Request-Timeout-Ms": str(timeout_ms)})
        return r.status_code, r.json().get("code"), ms_since(t)
    return Background(*[one] * n).wait()


@pytest.mark.limit(60)
def test_a_lock_costs_no_connection_and_no_more_than_the_time_there_was(run, slow):
    s, seconds = slow, run.pick(2, 10)
    s.first_good_ms()
    before = s.metrics("store")
    seen, end = [], time.monotonic() + seconds
    with s.pg() as c, c.cursor() as cur:
        cur.execute("BEGIN; LOCK TABLE messages")
        while time.monotonic() < end:
            seen += asked(s, 4, 1200)
        cur.execute("ROLLBACK")
    run.most("F23_next_request_ms", s.first_good_ms(), 500)
    run.none("F23_lock_other_answers", [x for x in seen if x[:2] not in SLOW_CODES])
    run.most("F23_lock_answer_ms_worst", max(x[2] for x in seen), 1300)
    after = s.metrics("store")
    lost = sum(after.value("store_pool_closed_total", reason=r) - before.value("store_pool_closed_total", reason=r)
               for r in ("lost", "timeout", "invalidated"))
    run.bar("F23_lock_connections_lost", int(lost), "0", lost == 0)
    run.least("F23_timeouts_counted", sum(after.value("store_errors_total", **{"class": k}) -
                                          before.value("store_errors_total", **{"class": k}) for k in ("timeout", "lock")), 4)


@pytest.mark.limit(60)
def test_two_seconds_of_latency_end_at_the_deadline(run, slow):
    s = slow
    s.first_good_ms()
    s.pg_proxy.say("pg latency 2000")
    seen = [x for _ in range(run.pick(1, 5)) for x in asked(s, 4, 1500)]
    s.pg_proxy.say("clear")
    run.none("F23_latency_other_answers", [x for x in seen if x[:2] not in SLOW_CODES])
    run.most("F23_latency_answer_ms_worst", max(x[2] for x in seen), 1600)
    run.most("F23_latency_next_request_ms", s.first_good_ms(), 2500)  # what was on its way is still late
