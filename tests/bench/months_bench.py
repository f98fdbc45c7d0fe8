#!/usr/bin/env python3
"""Messages by month beside messages in one table: the clean-up of a month of 1,000,000 messages, and what the months cost a turn.

    tests/bench/months_bench.py      prints bars, a line each; exit code 1 when one is short        BENCH_SHORT=1: 100,000 messages

Two installations, each with a Postgres and a store of its own. The clean-up is asked of the store as the janitor asks it, while
somebody goes on with turns; the one table's is asked for some batches, and the rest is said from those.
"""
import os
import statistics
import sys
import threading
import time
import uuid

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(TOP, p) for p in ("tests/kit", "tests/service", "tests/bench")]
from bench_kit import SHORT, Bars, say  # noqa: E402
from busfake import BIN, Hub, Service  # noqa: E402
from pg import Postgres, free_port  # noqa: E402
from store_bench import Peer  # noqa: E402
from store_kit import session, turn  # noqa: E402

MESSAGES = 100000 if SHORT else 1000000
BATCHES = 5
OLD = "'2026-03-01'::timestamp"
FILL = f"""
insert into user_sessions (id, tenant, session_id, expires_at) select gen_random_uuid(), 'default', sha256(i::text::bytea), now() - interval '1 day'
    from generate_series(1, {MESSAGES} / 100) i;
insert into conversations (id, tenant, user_session_id, is_open, expires_at) select gen_random_uuid(), 'default', id, true, expires_at from user_sessions;
insert into messages (id, tenant, conversation_id, role, content, status, timestamp, expires_at)
    select (left(messages_month_id({OLD} + n * interval '28 days' / 100)::text, 15) || right(gen_random_uuid()::text, 21))::uuid, 'default', c.id,
    case n % 2 when 0 then 'assistant' else 'user' end, repeat('Words of an old message. ', 8), 'complete', {OLD}, now() - interval '1 day'
    from conversations c, generate_series(1, 100) n;
insert into citations (id, tenant, message_id, n, document_id, chunk_id, excerpt, start_byte, end_byte, score)
    select gen_random_uuid(), 'default', id, 1, id, id, 'words that were quoted', 0, 22, 0.5 from messages where role = 'assistant';
"""


def uuid7():
    return (int(time.time() * 1000) << 80 | 7 << 76 | 1 << 63 | uuid.uuid4().int & (1 << 62) - 1).to_bytes(16, "big")


class Installation:
    def __init__(self, by_month):
        self.pg = Postgres(max_connections=120, max_wal_size="4GB")
        self.hub = Hub()
        self.env = {"DATABASE_URL": self.pg.url, "MESSAGES_PARTITIONED": "on" if by_month else "off", "LOG_LEVEL": "warn"}
        self.store = Service("store", self.hub, **self.env)

    def fill(self):
        begun = time.monotonic()
        if self.pg.value("select messages_form()") == "months":
            self.pg.query(f"select messages_month_make({OLD})")
        self.pg.query(FILL)
        self.pg.query("vacuum analyze")
        self.pg.query("checkpoint")
        say(f"{self.pg.value('select count(*) from messages')} messages in {time.monotonic() - begun:.0f} s")

    def clean(self, job="messages", **kw):
        begun = time.monotonic()
        return self.hub.ok("cleanup", {"job": job, "limit": 5000, **kw}, ttl_ms=30000)["deleted"], time.monotonic() - begun

    def load(self):
        """A load program with a hub of its own, and a store there."""
        endpoint = f"tcp://127.0.0.1:{free_port()}"
        peer = Peer(os.path.join(BIN, "bench", "store-load"), endpoint)
        store = Service("store", None, HUB_ENDPOINTS=endpoint, **self.env)
        assert peer.line() == "ready"
        peer("turn", 1, 30)
        return peer, store

    def close(self):
        self.store.stop()
        self.hub.close()
        self.pg.close()


class Asking(threading.Thread):
    """One turn after the other; how long the longest took."""

    def __init__(self, hub):
        super().__init__()
        self.hub, self.end, self.longest, self.turns = hub, False, 0.0, 0
        self.start()

    def run(self):
        while not self.end:
            begun = time.monotonic()
            turn(self.hub, session(), question_id=uuid7(), message_id=uuid7())
            self.longest, self.turns = max(self.longest, time.monotonic() - begun), self.turns + 1

    def stop(self):
        self.end = True
        self.join()


def clean_up(bars, one, months):
    for i in (one, months):
        i.fill()
    pace = [one.clean() for _ in range(BATCHES)]
    rows, took = sum(p[0] for p in pace), sum(p[1] for p in pace)
    bars.shown("months_one_table_would_take", MESSAGES / rows * took, "s")
    living, asking = months.pg.value("select count(*) from messages where expires_at > now()"), Asking(months.hub)
    counted, count_took = months.clean(dry_run=True, all=True)
    gone, took = months.clean()
    asking.stop()
    bars.shown("months_count", 1000 * count_took, "ms")
    bars.most("months_clean_up_of_a_month", took, 1, "s")
    bars.shown("months_longest_turn_meanwhile", 1000 * asking.longest, "ms")
    left = months.pg.value("select count(*) from messages where expires_at <= now()")
    bars.line("months_messages_left", str(left), "0", left == 0 and months.pg.value("select to_regclass('messages_2026_03')") is None)
    lost = living + 2 * asking.turns - months.pg.value("select count(*) from messages")
    bars.line("months_living_messages_lost", str(lost), "0", lost == 0)
    say(f"counted {counted}, said to be gone {gone}, of {MESSAGES}")


def turns(bars, one, months):
    pairs = [i.load() for i in (one, months)]
    rates, errors = [[], []], 0
    for _ in range(3 if SHORT else 7):
        for k, (peer, _) in enumerate(pairs):
            r = peer("turn", 1 if SHORT else 3, 30, 0)
            errors += r["errors"]
            rates[k].append(r["rate"])
    for peer, store in pairs:
        peer.close()
        store.stop()
    say(f"turns a second: one table {[round(x) for x in rates[0]]}, months {[round(x) for x in rates[1]]}")
    bars.line("months_turn_errors", str(errors), "0", errors == 0)
    bars.least("months_turns_of_one_table", 100 * statistics.median(rates[1]) / statistics.median(rates[0]), 75, "%")


def main():
    bars = Bars()
    one, months = Installation(False), Installation(True)
    try:
        clean_up(bars, one, months)
        turns(bars, one, months)
    finally:
        one.close()
        months.close()
    return bars.end()


if __name__ == "__main__":
    sys.exit(main())
