"""/readyz while the store hangs: it says what it knows within a moment, and holds no thread until the store's time is over."""
import time

import requests

from faults_kit import ms_since, wait_for


def look(s):
    begun = time.monotonic()
    r = requests.get(s.url + "/readyz", timeout=10)
    return ms_since(begun), r.status_code, r.json()["missing"]


def test_a_store_that_hangs_does_not_hang_readyz(run, one):
    wait_for("ready", one.gateway_ready, 10)
    one.stop("store")
    try:
        seen = []
        while not seen or (seen[-1][1] == 200 and len(seen) < 60):
            seen.append(look(one))
            time.sleep(0.1)
    finally:
        one.cont("store")
    run.most("health_hung_store_longest_ms", max(t for t, _, _ in seen), 300)
    run.bar("health_hung_store_said", f"{seen[-1][1]} {seen[-1][2]}", "503 postgres",
            seen[-1][1] == 503 and "postgres" in seen[-1][2])
    wait_for("ready again", one.gateway_ready, 10)
