"""F19: Redis wants another password than ours: 200, degraded, counted as an alarm, asked again sparingly."""
import time

import pytest

from faults_kit import wait_for
from redis_kit import QUESTION, RedisSuite, redis


@pytest.fixture(scope="module")
def plain():
    with RedisSuite() as s:
        yield s
        assert not s.down()


@pytest.mark.limit(90)
def test_a_wrong_password_degrades_alarms_and_heals(run, plain):
    s, admin = plain, plain.redis.client()
    other = redis.Redis(unix_socket_path=s.redis.socket, password="another")
    errors, lines = s.counter("redis_auth_errors_total"), len(s.redis_lines())
    load = s.load(rate=20, seconds=80, seed=run.seed)
    admin.config_set("requirepass", "another")
    try:
        other.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        begun = time.monotonic()
        wait_for("degraded", s.degraded, 3)
        wait_for("counted", lambda: s.counter("redis_auth_errors_total") > errors, 3)
        r = s.ask(QUESTION)
        run.bar("F19_answer", f"{r.status_code} {r.headers.get('X-Cache')}", "200 bypass",
                (r.status_code, r.headers.get("X-Cache")) == (200, "bypass"))
        time.sleep(run.pick(2, 20))
        asked = s.counter("redis_auth_errors_total") - errors
        seconds = time.monotonic() - begun
    finally:
        other.config_set("requirepass", "")
    run.most("F19_probes", asked, 8 + seconds)
    run.most("F19_log_lines", len(s.redis_lines()) - lines, 4 + seconds)
    begun = time.monotonic()
    wait_for("whole", s.whole, 12)
    run.most("F19_back_s", time.monotonic() - begun, 10)
    load.end()
    run.none("F19_failed", load.failed())
