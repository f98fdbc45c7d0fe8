"""F21: Postgres restarts (-m fast) under 50 questions a second: nobody notices; the first success within 1 s of its accept."""
import pytest

from pg_faults_kit import suite, wait_for


@pytest.fixture(scope="module")
def pg_suite():
    yield from suite()


@pytest.mark.limit(300)
def test_fast_restarts_fail_no_request(run, pg_suite):
    s, back = pg_suite, []
    # 50 a second is for a machine of its own: in make test something else may stretch a restart of 0.2 s to a second, and the
    # hub then says "overloaded" as it should
    load = s.load(rate=run.pick(20, 50), seconds=280, seed=run.seed)
    for _ in range(run.pick(3, 20)):
        saved = s.sql("SELECT count(*) FROM messages")[0][0]
        wait_for("questions between two restarts", lambda: s.sql("SELECT count(*) FROM messages")[0][0] > saved + 60, 20)
        s.postgres.query("CHECKPOINT")  # the restart has its own, which should be short
        s.postgres.restart("fast")
        back.append(s.first_good_ms())
    load.end()
    run.none("F21_failed", load.failed())
    run.most("F21_first_good_ms_after_accept_worst", max(back), 1000)
    run.bar("F21_transactions_begun_again", int(s.store("store_retries_total")), "any", True)
    s.whole(run, "F21", load)
