"""What a tenant was asked, day by day: its own, and nobody else's."""
import pytest

from busfake import CODES, Hub, Service
from store_kit import session, turn

DAY = 86400000


@pytest.fixture(scope="module")
def hub(pg):
    with Hub() as h, Service("store", h, DATABASE_URL=pg.url):
        yield h


def test_usage_counts_each_day_of_ones_own_tenant(hub, pg):
    for tenant, n in (("default", 3), ("acme", 1)):
        s = session()
        for _ in range(n):
            turn(hub, s, tenant=tenant)
    old = session()
    turn(hub, old)
    for table, column in (("conversations c", "created_at"), ("messages m", "timestamp")):
        pg.query(f"update {table} set {column} = {column} - interval '48 hours' where tenant = 'default' and"
                 " exists (select 1 from user_sessions s join conversations k on k.user_session_id = s.id where s.session_id = %s and k.id = "
                 + ("c.id)" if table[0] == "c" else "m.conversation_id)"), old)
    days = hub.ok("usage", {"days": 3})["items"]
    assert [d["day_ms"] % DAY for d in days] == [0, 0, 0] and [days[0]["day_ms"] - d["day_ms"] for d in days] == [0, DAY, 2 * DAY]
    counted = [[d.get(k, 0) for k in ("conversations", "questions", "answers", "grounded", "from_cache")] for d in days]
    assert counted == [[1, 3, 3, 3, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 0]]
    assert [d.get("questions", 0) for d in hub.ok("usage", {"days": 31}, tenant="acme")["items"]] == [1] + 30 * [0]
    assert hub.ok("usage", {"days": 1}, tenant="nobody")["items"][0].get("questions", 0) == 0


def test_a_range_that_is_none_is_refused(hub):
    for days in (0, -1, 32, 2**62):
        assert hub.ask("usage", {"days": days})[0] == CODES["VALIDATION"]
