"""F24: the primary dies and its replica is promoted, or a primary turns read-only: 503 meanwhile, new questions are answered
within 2 s of the promotion, and every acknowledged row is on the new primary."""
import pytest

from pg_faults_kit import PgSuite, refusals, wait_for

MODES = ("kill", "fast")


class TwoPg(PgSuite):
    """A primary and a synchronous standby; DATABASE_URL names both."""
    standby = None

    def environment(self, service):
        if self.standby is None:
            self.primary, self.standby = self.postgres, self.postgres.replica()
        env = super().environment(service)
        ports = f"{self.primary.port},127.0.0.1:{self.standby.port}"
        env["DATABASE_URL"] = f"postgresql://footnote@127.0.0.1:{ports}/footnote?target_session_attrs=read-write"
        return env

    def down(self):
        try:
            return super().down()
        finally:
            for pg in (self.primary, self.standby):
                pg.close()


@pytest.fixture
def two_pg():
    with TwoPg() as s:
        yield s
        bad = s.down()
        assert not bad, bad


@pytest.mark.limit(120)
@pytest.mark.parametrize("mode", MODES)
def test_a_promoted_replica_serves_within_2_s_with_every_acknowledged_row(run, two_pg, mode):
    if mode != MODES[0] and not run.long:
        pytest.skip("long form")
    s = two_pg
    load = s.load(rate=30, seconds=100, seed=run.seed)
    wait_for("some answers", lambda: s.sql("SELECT count(*) FROM messages")[0][0] > 100, 20)
    s.primary.stop(mode)
    s.standby.promote()
    s.postgres = s.standby
    run.most(f"F24_{mode}_first_good_ms_after_promotion", s.first_good_ms(), 2000)
    n = s.sql("SELECT count(*) FROM messages")[0][0]
    wait_for("the load goes on", lambda: s.sql("SELECT count(*) FROM messages")[0][0] > n + 60, 20)
    load.end()
    told = refusals(load.records())
    run.none(f"F24_{mode}_refusals_not_503", [x for x in told if x[:2] != (503, "store_unavailable")])
    run.most(f"F24_{mode}_refused_after_ms_worst", max([x[2] for x in told] or [0]), 2100)
    s.whole(run, f"F24_{mode}", load)


@pytest.mark.limit(60)
def test_a_primary_that_turns_read_only_is_left_until_it_writes_again(run, two_pg):
    s = two_pg
    s.first_good_ms()

    def read_only(value):
        s.primary.psql(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        s.primary.psql("SELECT pg_reload_conf()")
    read_only("on")
    wait_for("it is read-only", lambda: s.primary.psql("SHOW default_transaction_read_only").strip() == "on")
    seen = [s.ask(f"What does fault code E14 of the pump mean? {i}") for i in range(5)]
    run.none("F24_read_only_other_answers", [(r.status_code, r.text[:90]) for r in seen
                                             if (r.status_code, r.json()["code"]) != (503, "store_unavailable")])
    s.primary._run("psql", "-XqAt", "-h", s.primary.root, "-p", str(s.primary.port), "-U", "footnote", "-d", "footnote", "-c",
                   "SET default_transaction_read_only = off", "-c", "ALTER SYSTEM RESET default_transaction_read_only", "-c",
                   "SELECT pg_reload_conf()")
    run.most("F24_read_only_first_good_ms", s.first_good_ms(), 2000)
