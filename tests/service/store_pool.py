"""The store's pool as the bus and Postgres see it: 64 clients at once, how much is used, PgBouncer, and time limits."""
import threading
import time

import pytest

from busfake import Service, wait_for
from pg import PgBouncer, Postgres
from store_kit import begin_req, finish_req, session, turn
from tcp_kit import silence


def own_connections(pg):
    return pg.value("select count(*) from pg_stat_activity where application_name = 'footnote-store'")


def usage_lines(store):
    return store.text().count("the pool is over 80 % in use")


def used_up(hub, pg, store, calls=8):
    """Calls that wait for a lock, more than there are connections; (connection that holds it, calls)."""
    c = pg.connect()
    c.autocommit = False
    c.cursor().execute("lock table footnote.user_sessions")
    return c, [hub.begin("turn.begin", begin_req(session()), ttl_ms=8000) for _ in range(calls)]


def test_64_clients_at_once_use_no_more_connections_than_there_may_be_and_all_get_theirs(hub, pg):
    """F25: the pool is one loop, so 64 clients stand for its 64 threads: none is lost, none waits for ever, 30 at most."""
    with Service("store", hub, DATABASE_URL=pg.url) as store:
        most, bad, done, end = 0, [], [0] * 64, time.monotonic() + 3

        def client(i):
            while time.monotonic() < end:
                call = hub.begin("turn.begin", begin_req(session())).wait()
                if call.code != 0:
                    bad.append(call.name)
                done[i] += 1
        threads = [threading.Thread(target=client, args=(i,)) for i in range(64)]
        for t in threads:
            t.start()
        while time.monotonic() < end:
            most = max(most, own_connections(pg))
        for t in threads:
            t.join()
        assert bad == [] and 10 <= most <= 30 and min(done) > 0
        assert max(done) <= 2 * min(done) + 5, "first come, first served"
        wait_for("what is kept", lambda: own_connections(pg) == 10)
        store.counted(0, "store_pool_active")
        store.counted(0, "store_pool_overflow")


def test_both_ends_of_an_idle_connection_ask_whether_the_other_is_there(hub, pg):
    """F47: without that a store that the network took away leaves its sessions, and what they have locked, for two hours."""
    with Service("store", hub, DATABASE_URL=pg.url) as store:
        turn(hub, session())

        def asked():
            found = silence(store.pid, pg.port)
            return found and all(ours and theirs and ours <= 5.1 and theirs <= 10.1 for ours, theirs in found)
        wait_for("questions within 5 and 10 s", asked)


def test_a_full_pool_makes_wait_for_the_time_left_and_then_says_busy(hub, pg):
    with Service("store", hub, DATABASE_URL=pg.url, DATABASE_POOL_SIZE=1, DATABASE_MAX_OVERFLOW=0) as store:
        turn(hub, session())
        with pg.connect() as c, c.cursor() as cur:
            cur.execute("begin; lock table footnote.user_sessions")
            first = hub.begin("turn.begin", begin_req(session()), ttl_ms=3000)
            wait_for("it at work", lambda: store.metric("store_pool_active") == 1)
            call = hub.begin("session.get", {"session": session()}, ttl_ms=300).wait()
            assert call.name == "STORE_BUSY" and 0.25 < call.seconds < 1.5
            assert call.head["retryable"] and call.head["retry_after_ms"] == 1000
            cur.execute("rollback")
        first.wait()
        store.counted(1, "store_pool_timeouts_total")


def test_usage_is_in_the_metrics_and_above_80_percent_in_one_log_line(hub, pg):
    with Service("store", hub, DATABASE_URL=pg.url, DATABASE_POOL_SIZE=3, DATABASE_MAX_OVERFLOW=2) as store:
        turn(hub, session())
        begun, said = time.monotonic(), usage_lines(store)
        assert said == 0
        store.counted(1, "store_pool_idle")
        store.counted(5, "store_pool_max")
        lock, calls = used_up(hub, pg, store)
        wait_for("all at work", lambda: store.metric("store_pool_active") == 5)
        wait_for("the others wait", lambda: store.metric("store_pool_waiting") == 3)
        store.counted(2, "store_pool_overflow")
        store.counted(0, "store_pool_idle")
        wait_for("the longest wait grows", lambda: store.metric("store_pool_longest_wait_seconds") > 0.1)
        lock.rollback()
        for c in calls:
            c.wait()
        for _ in range(3):
            c, more = used_up(hub, pg, store)
            wait_for("all at work", lambda: store.metric("store_pool_active") == 5)
            c.rollback()
            assert all(m.wait().code is not None for m in more)
            c.close()
        lock.close()
        assert usage_lines(store) == 1 or time.monotonic() - begun > 9 and usage_lines(store) <= 3  # one in 10 s
        wait_for("rest", lambda: store.metric("store_pool_longest_wait_seconds") == 0 and store.metric("store_pool_overflow") == 0)


def test_statement_timeout_comes_from_the_request_and_keeps_the_connection(hub, pg):
    with Service("store", hub, DATABASE_URL=pg.url) as store:
        turn(hub, session())
        wait_for("the walk over old texts, which takes a connection", lambda: "text of a document" in store.text())
        opened = store.metric("store_pool_opened_total")
        with pg.connect() as c, c.cursor() as cur:
            cur.execute("begin; lock table footnote.user_sessions")
            for ttl in (200, 400):
                call = hub.begin("turn.begin", begin_req(session()), ttl_ms=ttl).wait()
                assert call.name == "DEADLINE" and ttl / 1e3 - 0.06 < call.seconds < ttl / 1e3 + 0.5, (ttl, call.seconds)
            cur.execute("rollback")
        store.counted(2, "store_errors_total", **{"class": "timeout"})
        assert "57014" in store.text()
        turn(hub, session())
        store.counted(opened, "store_pool_opened_total")


def whole_round(hub, pg):
    """Turns, history, a clean-up batch whose advisory lock is the transaction's, from several clients at once."""
    def client(sessions):
        for s in sessions:
            b, rep = turn(hub, s)
            hub.ok("turn.finish", finish_req(b, conversation_id=rep["conversation_id"]))  # twice is once
            history = hub.ok("history", {"session": s, "limit": 50})
            roles = [m["role"] for m in history["items"]]
            assert sorted(roles) == ["assistant", "user"], roles
            assert sum(len(m.get("citations") or []) for m in history["items"]) == 1
    threads = []
    errors = []

    def run():
        try:
            client([session() for _ in range(15)])
        except BaseException as e:
            errors.append(repr(e))
    for _ in range(6):
        threads.append(threading.Thread(target=run))
        threads[-1].start()
    for t in threads:
        t.join()
    assert errors == []
    assert hub.ok("cleanup", {"job": "messages", "limit": 100, "mark": True}).get("deleted", 0) == 0
    assert pg.value("select count(*) from pg_locks where locktype = 'advisory'") == 0


@pytest.mark.parametrize("mode,prepared", (("session", "on"), ("transaction", "off")))
def test_pgbouncer_in_front(hub, mode, prepared):
    with Postgres() as pg, PgBouncer(pg, mode) as bouncer:
        with Service("store", hub, DATABASE_URL=bouncer.url, DATABASE_PREPARED=prepared) as store:
            whole_round(hub, pg)
            if mode == "transaction":
                others = pg.connect(dsn=bouncer.url)  # another program behind the same PgBouncer meets no settings of ours
                with others.cursor() as cur:
                    cur.execute("show search_path")
                    assert "footnote" not in cur.fetchone()[0]
                    cur.execute("show lock_timeout")
                    assert cur.fetchone()[0] == "0"
                others.close()
            hub.ok("cleanup", {"job": "messages", "limit": 1, "dry_run": True, "vacuum": True})
            wait_for("the tables vacuumed", lambda: '"vacuumed"' in store.text(), 10)
            store.counted(0, "store_errors_total", **{"class": "other"})
            pg.restart("fast")
            wait_for("a turn after a restart", lambda: hub.ask("turn.begin", begin_req(session()))[0] == 0, 5)
        assert pg.value("select count(*) from messages where role = 'assistant'") == 90


def test_prepared_statements_behind_transaction_mode_are_named_as_the_mistake(hub):
    with Postgres() as pg, PgBouncer(pg, "transaction", pool=2) as bouncer:
        with Service("store", hub, DATABASE_URL=bouncer.url) as store:
            def hinted():
                for call in [hub.begin("turn.begin", begin_req(session())) for _ in range(20)]:
                    call.wait()
                return "DATABASE_PREPARED=off" in store.text().split("started", 1)[1].split("\n", 1)[1]
            wait_for("the hint", hinted, 15)
