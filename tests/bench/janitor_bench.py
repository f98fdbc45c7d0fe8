#!/usr/bin/env python3
"""Clean-up under traffic: a million expired messages (with citations) go while 50 questions a second are answered.

    tests/bench/janitor_bench.py      prints bars, a line each; exit code 1 when one is short

The suite is whole and private (built-in models, so that nothing hides behind a slow model's time). The load never stops;
the janitor is held (SIGSTOP) and let go in turn, for less time than the hub needs to think it dead. A block is BLOCK pairs
of such windows; each block gives a p99 with and one without the janitor, and the bar is about the medians of all blocks.
Then it is killed in the middle, orphans are counted, and a second run finishes, the load still on.
"""
import json
import os
import signal
import statistics
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(TOP, "tests/kit")]
from bench_kit import SHORT, Bars, say  # noqa: E402
from faults_kit import BIN_JANITOR, FaultSuite, Proc, wait_for  # noqa: E402

RATE, WINDOW, EDGE, BLOCK = 50, 2.6, 0.6, 4  # EDGE: what was asked before it was held ends
BLOCKS = 2 if SHORT else 5
CONVERSATIONS = 30000 if SHORT else 100000   # of ten messages each
FILL = """
INSERT INTO user_sessions (id, tenant, session_id, created_at, expires_at)
  SELECT gen_random_uuid(), %(t)s, sha256((%(t)s || i)::bytea), now() - interval '60 days', now() + %(e)s::interval
  FROM generate_series(1, %(n)s) i;
INSERT INTO conversations (id, tenant, user_session_id, is_open, created_at, expires_at)
  SELECT gen_random_uuid(), %(t)s, id, true, created_at, expires_at FROM user_sessions WHERE tenant = %(t)s;
INSERT INTO messages (id, tenant, conversation_id, role, content, status, timestamp, expires_at)
  SELECT gen_random_uuid(), %(t)s, c.id, CASE k %% 2 WHEN 0 THEN 'user' ELSE 'assistant' END,
         repeat('Words of an old message. ', 8), 'complete', c.created_at + k * interval '1 minute',
         c.expires_at - (10 - k) * interval '1 minute' FROM conversations c, generate_series(0, 9) k WHERE c.tenant = %(t)s;
INSERT INTO citations (id, tenant, message_id, n, document_id, chunk_id, excerpt, start_byte, end_byte, score)
  SELECT gen_random_uuid(), %(t)s, id, 1, id, id, 'words that were quoted', 0, 22, 0.5 FROM messages
  WHERE tenant = %(t)s AND role = 'assistant' AND get_byte(uuid_send(id), 15) < 128;
"""
ORPHANS = """SELECT (SELECT count(*) FROM messages m WHERE NOT EXISTS (SELECT 1 FROM conversations c WHERE c.id = m.conversation_id))
 + (SELECT count(*) FROM conversations c WHERE NOT EXISTS (SELECT 1 FROM user_sessions s WHERE s.id = c.user_session_id))
 + (SELECT count(*) FROM citations t WHERE NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = t.message_id))"""


def p99(values):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * 0.99))]


class Windows:
    """What the janitor did when, and how long requests took that began meanwhile."""

    def __init__(self):
        self.spans = []   # (begun, ended, working) in ms of the monotonic clock

    def hold(self, working, seconds):
        begun = time.monotonic()
        time.sleep(seconds)
        self.spans.append(((begun + (0 if working else EDGE)) * 1e3, time.monotonic() * 1e3, working))

    def latencies(self, records, spans):
        return [r["ended"] - r["begun"] for r in records for a, b, _ in spans if a <= r["begun"] < b]

    def medians(self, records):
        """(median p99 without, with the janitor)"""
        out = []
        for working in (False, True):
            spans = [s for s in self.spans if s[2] == working]
            blocks = [spans[i:i + BLOCK] for i in range(0, len(spans), BLOCK)]
            out.append(statistics.median(p99(self.latencies(records, b)) for b in blocks if len(b) == BLOCK))
        return out


def left(s):
    return s.sql("SELECT count(*) FROM messages WHERE tenant = 'past'")[0][0]


def janitor(s, name):
    return Proc(name, [BIN_JANITOR, "--once"], {**s.environment("janitor"), "METRICS_PORT": "0"}, s.folder)


def dead_share(s, table):
    live, dead = s.sql("SELECT n_live_tup, n_dead_tup FROM pg_stat_user_tables WHERE relname = %s AND schemaname = 'footnote'",
                       (table,))[0]
    return 100 * dead / max(live + dead, 1)


def interleave(s, bars):
    """The windows; then the kill. The records of the load and the windows."""
    windows, p = Windows(), janitor(s, "janitor-bench-1")
    before = left(s)
    wait_for("the first rows are gone", lambda: left(s) < before, 30)
    for _ in range(BLOCKS * BLOCK):
        p.signal(signal.SIGSTOP)
        windows.hold(False, WINDOW)
        p.signal(signal.SIGCONT)
        windows.hold(True, WINDOW)
    gone = before - left(s)
    bars.shown("janitor_rows_a_second_while_it_works", gone / (BLOCKS * BLOCK * WINDOW), "/s")
    bars.line("janitor_still_at_work_in_the_last_window", str(p.running()), "True", p.running())
    p.signal(signal.SIGKILL)
    p.wait(10)
    return windows


def measure(s, bars):
    load = s.load(rate=RATE, seconds=900, route="query")
    wait_for("the load is warm", lambda: len(s.sql("SELECT 1 FROM messages WHERE tenant = 'default' LIMIT 200")) == 200, 30)
    windows = interleave(s, bars)
    orphans = s.sql(ORPHANS)[0][0]
    bars.line("janitor_orphans_after_kill", str(orphans), "0", orphans == 0)
    code = (p := janitor(s, "janitor-bench-2")).wait(450)
    under_load = load.popen.poll() is None
    load.end()
    bars.line("janitor_second_run_exit_code", str(code), "0", code == 0)
    rows, orphans = left(s), s.sql(ORPHANS)[0][0]
    bars.line("janitor_all_gone_while_the_load_went_on", str(under_load and rows == 0), "True", under_load and rows == 0)
    bars.line("janitor_expired_rows_left", str(rows + orphans), "0", rows + orphans == 0)
    wait_for("the VACUUM of messages", lambda: any(e.get("msg") == "vacuumed" and e.get("table") == "messages"
                                                   for e in s.services["store"].log_lines()), 120)
    with open(load.path) as f:
        records = [json.loads(line) for line in f]
    bad = [r for r in records if r["status"] != 200]
    bars.line("janitor_questions_not_answered", f"{len(bad)}/{len(records)}", "0", not bad)
    quiet, busy = windows.medians(records)
    bars.shown("janitor_p99_held_ms", quiet)
    bars.shown("janitor_p99_at_work_ms", busy)
    bars.most("janitor_p99_at_work_over_held", 100 * (busy / quiet - 1), 25, "%")
    for table in ("messages", "citations"):
        bars.most(f"janitor_dead_{table}_after_vacuum", dead_share(s, table), 20, "%")
    living = s.sql("SELECT count(*) FROM messages WHERE tenant = 'living'")[0][0]
    bars.line("janitor_living_rows_lost", str(CONVERSATIONS // 4 * 10 - living), "0", living == CONVERSATIONS // 4 * 10)
    say(f"exit of the second run: {p.tail(3)}")


def main():
    bars = Bars()
    with FaultSuite(stub=False) as s:
        begun = time.monotonic()
        s.sql(FILL, {"t": "past", "e": "-1 hour", "n": CONVERSATIONS})
        s.sql(FILL, {"t": "living", "e": "20 days", "n": CONVERSATIONS // 4})
        s.sql("VACUUM ANALYZE")
        s.sql("CHECKPOINT")
        say(f"{left(s)} expired messages stand after {time.monotonic() - begun:.0f} s")
        measure(s, bars)
    return bars.end()


if __name__ == "__main__":
    sys.exit(main())
