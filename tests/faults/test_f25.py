"""F25: more work than the pool has connections. Through the hub it cannot happen: it gives a store no more calls than it has
connections, so the rest waits there. What the pool itself does then is in tests/unit/store/pool.c (its ten rules, 64 clients
first come, first served) and tests/service/store_pool.py (64 clients on threads of their own, 503 store_busy)."""
import threading

import pytest

from pg_faults_kit import suite


@pytest.fixture(scope="module")
def pg_suite():
    yield from suite()


@pytest.mark.limit(120)
def test_64_users_at_once_never_wait_for_a_connection(run, pg_suite):
    s, most, waiting, ended = pg_suite, [0], [0], threading.Event()

    def watch():
        while not ended.is_set():
            most[0] = max(most[0], s.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'footnote-store'")[0][0])
            waiting[0] = max(waiting[0], s.store("store_pool_waiting"))
    watcher = threading.Thread(target=watch)
    watcher.start()
    load = s.load(closed=64, seconds=run.pick(4, 30), seed=run.seed)
    load.wait()
    ended.set()
    watcher.join()
    run.none("F25_failed", load.failed())
    run.most("F25_connections_most", most[0], 30)
    run.bar("F25_pool_timeouts", int(s.store("store_pool_timeouts_total")), "0", s.store("store_pool_timeouts_total") == 0)
    run.most("F25_waiting_in_the_pool_most", waiting[0], 30)
    s.whole(run, "F25", load)
