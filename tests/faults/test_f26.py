"""F26: other programs hold all of Postgres's connections: 503, attempts 100 ms to 2 s apart, never a spin; back within 2 s."""
import os
import time

import psycopg2
import pytest

from pg_faults_kit import refusals, suite, wait_for

TICK = os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="module")
def pg_suite():
    for s in suite():
        s.postgres.conf(max_connections=10, superuser_reserved_connections=0, autovacuum="off")
        s.postgres.restart("fast")
        s.first_good_ms()
        yield s


def cpu(s):
    """Seconds of processor time that the store has used."""
    with open(f"/proc/{s.services['store'].pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def take(s, n):
    """So many connections of another program, taken from the store if need be."""
    held, end = [], time.monotonic() + 20
    while len(held) < n:
        assert time.monotonic() < end, f"only {len(held)} of {n} connections"
        try:
            held.append(s.pg())
        except psycopg2.OperationalError:
            time.sleep(0.005)
        if held:
            with held[0].cursor() as cur:
                cur.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'footnote-store'")
    return held


@pytest.mark.limit(120)
def test_no_connection_left_is_503_without_a_spin_and_over_in_2_s(run, pg_suite):
    s, seconds = pg_suite, run.pick(4, 20)
    held = take(s, 10)
    wait_for("it is noticed", lambda: s.ask("What is it?").status_code == 503, 10)
    tries, used, begun = s.store("store_pool_closed_total", reason="refused"), cpu(s), time.monotonic()
    load = s.load(rate=10, seconds=seconds, seed=run.seed)
    load.wait()
    took = time.monotonic() - begun
    told = refusals(load.records())
    run.none("F26_other_answers", [x for x in told if x[:2] not in ((503, "store_unavailable"), (503, "store_busy"))])
    run.least("F26_refused", len(told), 10 * seconds)
    run.most("F26_refused_after_ms_worst", max(x[2] for x in told), 2100)
    attempts = (s.store("store_pool_closed_total", reason="refused") - tries) / took
    run.most("F26_attempts_a_second", attempts, 10)
    run.least("F26_attempts_a_second", attempts, 0.4)
    run.most("F26_processor_share_while_away", (cpu(s) - used) / took, 0.2)
    for c in held:
        c.close()
    run.most("F26_first_good_ms", s.first_good_ms(), 2000)


@pytest.mark.limit(120)
def test_a_few_connections_left_are_enough(run, pg_suite):
    s = pg_suite
    s.first_good_ms()
    held = take(s, 7)
    wait_for("it goes on with what is left", lambda: s.ask("What does fault code E14 of the pump mean?").status_code == 200, 10)
    tries = s.store("store_pool_closed_total", reason="refused")
    load = s.load(closed=16, seconds=run.pick(4, 20), seed=run.seed)
    load.wait()
    run.none("F26_failed_with_3_connections", load.failed())
    run.most("F26_attempts_a_second_with_3", (s.store("store_pool_closed_total", reason="refused") - tries) / run.pick(4, 20), 10)
    for c in held:
        c.close()
