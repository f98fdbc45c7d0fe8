#!/usr/bin/env python3
"""The import of a Python backend's schema: 1,000,000 messages at 20,000 a second or more, and twice the same rows.

    tests/bench/import_bench.py      prints bars, a line each; exit code 1 when one is short

The rate is that of the whole run: sessions, conversations, messages and citations, checks and counts, from the start of the
process to its end, from one schema of a private Postgres into another. The second run finds everything there. The server has
the memory that one with a million messages has (the kit's 32 MB would measure how it writes its pages out and in again).
"""
import os
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(TOP, "tests/kit")]
from bench_kit import BIN, SHORT, Bars, say  # noqa: E402
from pg import Postgres  # noqa: E402
from python_schema import fill, make  # noqa: E402

SESSIONS, MESSAGES, MANY = 5000 if SHORT else 50000, 20, 1  # a citation in every tenth answer
TABLES = ("user_sessions", "conversations", "messages", "citations")


def digests(pg):
    """One figure a table that changes with any row."""
    return [pg.query(f"SELECT count(*), sum(hashtextextended(x::text, 0)) FROM footnote.{t} x")[0] for t in TABLES]


def run(pg, *args):
    begun = time.monotonic()
    r = subprocess.run([os.path.join(TOP, BIN, "footnote-store"), "--import-from", pg.url, "--import-schema", "old",
                        "--metrics-port", "0", *args],
                       env={"PATH": os.environ["PATH"], "DATABASE_URL": pg.url, "HUB_ENDPOINTS": "tcp://127.0.0.1:1"},
                       capture_output=True, text=True, stdin=subprocess.DEVNULL)
    seconds = time.monotonic() - begun
    say("\n".join(line for line in r.stderr.splitlines() if 'msg="imported"' in line) + "\n" + r.stdout)
    return r, seconds


def main():
    bars = Bars()
    with Postgres(shared_buffers="512MB", max_wal_size="4GB") as pg:
        make(pg, "old")
        fill(pg, "old", sessions=SESSIONS, messages=MESSAGES, citations=0)
        pg.psql("INSERT INTO old.citations (message_id, chapter, section, content_excerpt, link, confidence_score)"
                " SELECT id, 'Chapter', 'Section', 'An excerpt', 'https://book.example.org/' || left(id::text, 2), 0.7"
                " FROM old.messages WHERE role = 'assistant' AND get_byte(uuid_send(id), 15) < 26; ANALYZE old.citations")
        pg.psql("CHECKPOINT")
        n = pg.value("SELECT count(*) FROM old.messages")
        r, seconds = run(pg)
        bars.line("import_exit_code", str(r.returncode), "0", r.returncode == 0)
        bars.shown("import_messages", n)
        bars.least("import_messages_a_second_of_the_whole_run", n / seconds, 2000 if SHORT else 20000, "/s")
        first = digests(pg)
        counts = [c for c, _ in first]
        source = [pg.value(f"SELECT count(*) FROM old.{t}") for t in TABLES]
        bars.line("import_rows", "+".join(map(str, counts)), "+".join(map(str, source)), counts == source)
        r, seconds = run(pg)
        bars.shown("import_second_run_messages_a_second", n / seconds, "/s")
        bars.line("import_twice_gives_the_same_rows", str(digests(pg) == first and r.returncode == 0), "True",
                  digests(pg) == first and r.returncode == 0)
    return bars.end()


if __name__ == "__main__":
    sys.exit(main())
