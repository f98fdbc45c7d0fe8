"""F47: each part on a machine of its own (network namespaces), and for 10 s packets between two of them vanish, in both directions
or in one, without a word to the sender. What was acknowledged is there, once; nobody is given another's answer; every refusal
comes in time and has its code; and within 5 s of the end all is as before."""
import os
import time

import pytest

from net_kit import why_not
from partition_kit import Case, Partition

cannot = why_not()
pytestmark = pytest.mark.skipif(bool(cannot), reason=f"no network namespaces, bridge, veth or iptables here: {cannot}")

# overloaded: what has waited in the hub for the time that it may, and what comes while others wait
BUS = ("service_unavailable", "overloaded")
# a claim on an Idempotency-Key that could not be given back is another gateway's in_progress until it ends
STORE = (*BUS, "store_unavailable", "in_progress")
POSTGRES = ("store_unavailable", "store_busy", "in_progress", "overloaded")
MODEL = ("upstream_timeout", "upstream_error", "upstream_interrupted")
CASES = [
    Case("gateway", "embedder", told=BUS, most_ms=6500),
    Case("gateway", "embedder", "there", told=BUS, most_ms=8500),
    Case("gateway", "embedder", "back", told=BUS, most_ms=6500),
    Case("gateway", "retriever", told=BUS, most_ms=6500),
    Case("gateway", "retriever", "there", told=BUS, most_ms=6500),
    Case("gateway", "retriever", "back", told=BUS, most_ms=6500),
    Case("gateway", "store", told=STORE, most_ms=8500, cached=False),
    Case("gateway", "store", "there", told=STORE, most_ms=8500, cached=False),
    Case("gateway", "store", "back", told=STORE, most_ms=8500, cached=False),
    Case("gateway", "janitor"),
    Case("gateway", "redis"),
    Case("gateway", "redis", "there"),
    Case("gateway", "redis", "back"),
    Case("store", "postgres", told=POSTGRES, most_ms=6500, then_ms=500, cached=False),
    Case("store", "postgres", "there", told=POSTGRES, most_ms=6500, then_ms=500, cached=False),
    Case("store", "postgres", "back", told=POSTGRES, most_ms=6500, then_ms=500, cached=False),
    Case("store", "redis"),
    Case("embedder", "redis"),
    Case("embedder", "model", told=MODEL, most_ms=16500, then_ms=4500),
    Case("embedder", "model", "there", told=MODEL, most_ms=16500, then_ms=4500),
    Case("embedder", "model", "back", told=MODEL, most_ms=16500, then_ms=4500),
]
SHORT = ("gateway_embedder", "store_postgres_back")
LETS_GO_S = 30  # after that Postgres has ended the sessions whose store has forgotten them


def forgotten_sessions(s):
    """Sessions that Postgres has and the store has not; one may be opened, one closed, just now."""
    m = s.metrics("store")
    ours = m.value("store_pool_active") + m.value("store_pool_idle") + 2
    return max(0, s.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'footnote_app'")[0][0] - ours)


@pytest.mark.limit(150)
@pytest.mark.parametrize("case", [c for c in CASES if os.environ.get("FAULTS_LONG") == "1" or c.name in SHORT], ids=lambda c: c.name)
def test_a_partition_loses_nothing_and_is_healed_within_5_s(run, apart, case):
    p = Partition(run, apart, case, run.pick(5, 10))
    p.happen()
    p.judge()
    if run.long and case.b == "postgres":
        at_first = forgotten_sessions(apart)
        while forgotten_sessions(apart) and time.monotonic() < p.healed_at + LETS_GO_S:
            time.sleep(0.2)
        run.bar(f"{p.name}_sessions_forgotten", at_first, "-", True)
        run.most(f"{p.name}_sessions_forgotten_for_good", forgotten_sessions(apart), 0)
