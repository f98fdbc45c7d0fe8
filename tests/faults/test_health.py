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
        while not seen or (seen[-1][1:] != (503, "store") and len(seen) < 200):
            seen.append(look(one))
            time.sleep(0.1)
    finally:
        one.cont("store")
    said = [x[1:] for x in seen]
    run.most("health_hung_store_longest_ms", max(t for t, _, _ in seen), 300)
    # it was there and answered; it is there and does not answer; the bus has given it up
    in_order = [x for i, x in enumerate(said) if i == 0 or x != said[i - 1]]
    run.bar("health_hung_store_said", " then ".join(f"{code} {missing}".strip() for code, missing in in_order), "503 store: no answer, then 503 store",
            [x for x in in_order if x != (200, "")] == [(503, "store: no answer"), (503, "store")])
    wait_for("ready again", one.gateway_ready, 10)
