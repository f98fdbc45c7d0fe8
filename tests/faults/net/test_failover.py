"""F49: a server's machine falls silent under load, without a word to anybody: the synchronous standby of Postgres is promoted, or the
replica of Redis takes over its address. Nothing that was acknowledged is lost."""
import time

import pytest

from faults_kit import ms_since, wait_for
from net_kit import NetPostgres, NetRedis, NetSuite, why_not
from partition_kit import Known, findings, first_good_s, is_well
from pg_faults_kit import refusals
from checker import check

cannot = why_not()
pytestmark = pytest.mark.skipif(bool(cannot), reason=f"no network namespaces, bridge, veth or iptables here: {cannot}")


class TwoPostgres(NetSuite):
    """A primary and a synchronous standby, each on its machine; DATABASE_URL names both."""
    standby = None

    def start_neighbours(self):
        super().start_neighbours()
        self.primary = self.postgres
        self.standby = self.primary.replica(make=lambda **kw: NetPostgres(self.net["postgres.2"], **kw))

    def database_url(self):
        both = ",".join(f"{pg.host}:{pg.port}" for pg in (self.primary, self.standby))
        return f"postgresql://footnote_app@{both}/footnote?target_session_attrs=read-write"

    def down(self):
        try:
            return super().down()
        finally:
            for pg in (self.primary, self.standby):
                pg.close()


def silence(net, name):
    for other in net.all():
        if other.name != name:
            net.cut(name, other.name)


@pytest.mark.limit(180)
def test_the_primarys_machine_falls_silent_and_its_standby_is_promoted(run):
    with TwoPostgres() as s:
        load = s.load(rate=15, seconds=170, streams=0.33, attempts=60, patience_ms=60000, keys=1, seed=run.seed)
        wait_for("some answers", lambda: s.sql("SELECT count(*) FROM messages")[0][0] > 60, 20)
        silence(s.net, "postgres")
        time.sleep(run.pick(3, 10))  # until somebody decides that it is gone
        s.primary.stop("kill")       # it must not come back as a second primary
        s.standby.promote()
        s.postgres = s.standby
        begun = time.monotonic()
        first = [first_good_s(url, 30) for url in s.urls().values()]
        wait_for("all is well", lambda: is_well(s), 30, every=0.02)
        run.most("F49_postgres_first_good_ms", max(first) * 1e3, 5000)
        run.most("F49_postgres_well_ms", ms_since(begun), 5000)
        n = s.sql("SELECT count(*) FROM messages")[0][0]
        wait_for("the load goes on", lambda: s.sql("SELECT count(*) FROM messages")[0][0] > n + 60, 20)
        load.end()
        told = refusals(load.records())
        run.none("F49_postgres_failed_for_good", load.failed())
        run.most("F49_postgres_refused_after_ms_worst", max([x[2] for x in told] or [0]), 8500)
        run.clean("F49_postgres", check(s, load.records(), cuts_allowed=False))
        bad = s.down()
        assert not bad, bad


class TwoRedis(NetSuite):
    """A replica follows; the services know one address, which moves."""
    ADDRESS = "10.77.0.200"

    def start_neighbours(self):
        super().start_neighbours()
        self.second = NetRedis(self.net["proxy"], self.folder + "/second", self.redis.port)
        self.second.client().execute_command("REPLICAOF", self.net["redis"].address, self.redis.port)
        wait_for("the replica follows", lambda: self.second.client().info("replication")["master_link_status"] == "up", 20)
        self.net["redis"].run("ip", "addr", "add", self.ADDRESS + "/32", "dev", "eth0")
        self.redis.url = f"redis://{self.ADDRESS}:{self.redis.port}/0"

    def move(self):
        """The address goes to the other machine, and everybody on the network is told."""
        self.second.client().execute_command("REPLICAOF", "NO", "ONE")
        self.net["redis"].run("ip", "addr", "del", self.ADDRESS + "/32", "dev", "eth0")
        self.net["proxy"].run("ip", "addr", "add", self.ADDRESS + "/32", "dev", "eth0")
        for m in self.net.all():
            m.run("ip", "neigh", "flush", "dev", "eth0")

    def down(self):
        if not self.is_down:
            self.second.stop()
        return super().down()


@pytest.mark.limit(180)
def test_the_machine_of_redis_falls_silent_and_a_replica_takes_its_address(run):
    with TwoRedis() as s:
        known = Known(s, run.seed)
        load = s.load(rate=8, seconds=170, streams=0.33, keys=1, seed=run.seed)
        wait_for("questions are answered", lambda: len(known.records) > 10, 20)
        for name in s.urls():
            s.net.cut(name, "redis")
        for name in ("embedder", "store", "proxy"):
            s.net.cut(name, "redis")
        time.sleep(run.pick(2, 10))
        s.move()
        begun = time.monotonic()
        wait_for("all is well", lambda: is_well(s), 30, every=0.02)
        run.most("F49_redis_used_again_ms", ms_since(begun), 2000)
        n = len(known.records)
        wait_for("questions are answered", lambda: len(known.records) > n + 10, 20)
        known.end()
        load.end()
        run.none("F49_redis_failed", load.failed())
        run.none("F49_redis_cached_failed", known.failed())
        run.none("F49_redis_cached_wrong", known.wrong())
        run.none("F49_redis_cached_lost", known.lost())
        run.clean("F49_redis", findings(s, load))
        bad = s.down()
        assert not bad, bad
