"""F22: Postgres crashes (kill -9, -m immediate): as F20 until its recovery ends; nothing acknowledged is lost. A server that may
lose commits is refused."""
import pytest

from busfake import Hub, Service
from pg import Postgres
from pg_faults_kit import not_as_down, refusals, suite, wait_for


@pytest.fixture(scope="module")
def pg_suite():
    yield from suite()


@pytest.mark.limit(300)
def test_crashes_lose_nothing_that_was_acknowledged(run, pg_suite):
    s, back = pg_suite, []
    load = s.load(rate=30, seconds=280, seed=run.seed)
    for i in range(run.pick(3, 20)):
        saved = s.sql("SELECT count(*) FROM messages")[0][0]
        wait_for("questions between two crashes", lambda: s.sql("SELECT count(*) FROM messages")[0][0] > saved + 60, 20)
        s.postgres.restart(("kill", "immediate")[i % 2])
        back.append(s.first_good_ms())
    load.end()
    told = refusals(load.records())
    run.none("F22_refusals_not_503", not_as_down(run, told))
    run.most("F22_refused_after_ms_worst", max([x[2] for x in told] or [0]), 2100)
    run.most("F22_first_good_ms_after_ready_worst", max(back), 1000)
    s.whole(run, "F22", load)


@pytest.mark.parametrize("setting", ("fsync", "synchronous_commit"))
def test_a_server_that_may_lose_commits_is_refused_unless_allowed(run, setting):
    with Postgres(**{setting: "off"}) as pg, Hub() as hub:
        s = Service("store", hub, DATABASE_URL=pg.url, wait=False)
        code = s.process.wait(20)
        run.bar(f"F22_{setting}_off", f"exit {code}", "exit 1", code == 1 and "may lose commits" in s.text())
        with Service("store", hub, DATABASE_URL=pg.url, ALLOW_UNSAFE_PG=1):
            run.bar(f"F22_{setting}_off_allowed", "ready", "ready", True)
