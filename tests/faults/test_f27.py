"""F27: a backend of the store is terminated every 200 ms under 50 questions a second: nobody notices."""
import time

import pytest

from pg_faults_kit import suite


@pytest.fixture(scope="module")
def pg_suite():
    yield from suite()


@pytest.mark.limit(180)
def test_terminated_backends_fail_no_request(run, pg_suite):
    s, seconds, killed = pg_suite, run.pick(8, 60), 0
    load = s.load(rate=50, seconds=seconds, seed=run.seed)
    end, c = time.monotonic() + seconds, s.pg()
    with c.cursor() as cur:
        while time.monotonic() < end:
            cur.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'footnote-store'"
                        " ORDER BY random() LIMIT 1")
            killed += cur.rowcount
            time.sleep(0.2)
    c.close()
    load.wait()
    run.none("F27_failed", load.failed())
    run.least("F27_terminated", killed, 4 * seconds * 0.8)
    s.whole(run, "F27", load)
