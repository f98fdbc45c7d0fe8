"""`footnote-store --import-from`: the tables of a Python backend come over whole, once, and what cannot be taken is named."""
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys

import pytest

from busfake import BIN, SLOW, Hub, Service, wait_for
from pg import Postgres
from python_schema import fill, make

TABLES = ("user_sessions", "conversations", "messages", "citations")


@pytest.fixture(scope="module")
def source(pg):
    """A database of its own with ten sessions in schema public."""
    pg.psql("CREATE DATABASE old", db="postgres")
    old = Old(pg)
    old.psql("DROP SCHEMA public")
    make(old, "public")
    fill(old, "public")
    return old


class Old:
    """The other database of the same server."""

    def __init__(self, pg):
        self.pg, self.url = pg, pg.url.rsplit("/", 1)[0] + "/old"

    def psql(self, sql):
        return self.pg.psql(sql, db="old")


class Target:
    """A schema of its own to import into."""
    count = 0

    def __init__(self, pg):
        Target.count += 1
        self.pg, self.schema = pg, f"fn{Target.count}"

    def argv(self, url, *args):
        return [os.path.join(BIN, "footnote-store"), "--import-from", url, "--metrics-port", "0", *args]

    def env(self):
        return {"PATH": os.environ["PATH"], "DATABASE_URL": self.pg.url, "DATABASE_SCHEMA": self.schema,
                "HUB_ENDPOINTS": "tcp://127.0.0.1:1", "ASAN_OPTIONS": "exitcode=99"}

    def run(self, url, *args):
        return subprocess.run(self.argv(url, *args), env=self.env(), capture_output=True, text=True, timeout=50 * SLOW,
                              stdin=subprocess.DEVNULL)

    def take(self, url, *args):
        r = self.run(url, *args)
        assert r.returncode == 0, r.stdout + r.stderr
        return r

    def sql(self, text, *args):
        return self.pg.query(f"SET search_path = {self.schema}; {text}", *args)

    def count_of(self, table, where="true"):
        return self.sql(f"SELECT count(*) FROM {table} WHERE {where}")[0][0]

    def counts(self):
        return [self.count_of(t) for t in TABLES]

    def sums(self):
        """One digest a table: equal when all rows are."""
        return [self.sql(f"SELECT md5(string_agg(x::text, '|' ORDER BY x::text)) FROM {t} x")[0][0] for t in TABLES]


@pytest.fixture
def target(pg):
    return Target(pg)


def test_every_session_conversation_message_and_citation_comes_over(pg, source, target):
    r = target.take(source.url)
    assert target.counts() == [10, 10, 40, 40]
    assert "counts agree" in r.stderr and "importing" in r.stderr or "imported" in r.stderr
    assert any(line.split() == ["messages", "40", "40", "0"] for line in r.stdout.splitlines()), r.stdout
    rows = target.sql("SELECT id::text, conversation_id::text, role, content, extract(epoch FROM timestamp)::int8,"
                      " extract(epoch FROM expires_at)::int8 FROM messages ORDER BY id")
    old = source.psql("SELECT id, conversation_id, role, content, extract(epoch FROM timestamp)::int8,"
                      " extract(epoch FROM expires_at)::int8 FROM messages ORDER BY id::text COLLATE \"C\"")
    assert ["|".join(map(str, row)) for row in rows] == old.splitlines()
    assert target.sql("SELECT n, chapter, section, excerpt, url, score FROM citations ORDER BY message_id, n LIMIT 2")[0][3:] \
        in [(f"An excerpt of the chapter, number {n}", f"https://book.example.org/{n}#s", 0.5 + n / 100) for n in (1, 2)]
    assert target.count_of("citations", "n IN (1, 2)") == 40
    assert target.count_of("messages", "page_context LIKE '%intro%'") == 20
    assert target.count_of("user_sessions", "user_id IS NOT NULL") == 3


def test_a_reader_sees_the_imported_history_under_the_old_session_id(pg, source):
    t = Target(pg)
    t.take(source.url)
    sid = source.psql("SELECT session_id FROM user_sessions LIMIT 1").strip()
    with Hub() as hub, Service("store", hub, DATABASE_URL=pg.url, DATABASE_SCHEMA=t.schema):
        rep = hub.ok("history", {"session": hashlib.sha256(sid.encode()).digest(), "limit": 50})
    assert [m["role"] for m in rep["items"]] == ["user", "assistant"] * 2
    assert len(rep["items"][1]["citations"]) == 2 and rep["items"][1]["citations"][0]["url"].startswith("https://book")


def test_a_second_run_changes_nothing_and_finds_what_is_new(pg, source, target):
    pg.psql("DROP SCHEMA IF EXISTS again CASCADE")
    make(pg, "again")
    fill(pg, "again", sessions=5)
    target.take(pg.url, "--import-schema", "again")
    before = target.sums()
    target.take(pg.url, "--import-schema", "again")
    assert target.sums() == before
    fill(pg, "again", sessions=1)
    target.take(pg.url, "--import-schema", "again")
    assert target.counts() == [pg.value(f"SELECT count(*) FROM again.{t}") for t in TABLES] and target.counts()[0] == 6


def test_integer_ids_become_the_same_uuids_each_time_and_zones_are_kept(pg, target):
    make(pg, "ints", ids="int")
    fill(pg, "ints", ids="int")
    target.take(pg.url, "--import-schema", "ints")
    before = target.sums()
    assert target.counts() == [10, 10, 40, 40]
    target.take(pg.url, "--import-schema", "ints")
    assert target.sums() == before
    assert target.sql("SELECT extract(epoch FROM min(timestamp))::int8 FROM messages") == \
        pg.query("SELECT extract(epoch FROM min(timestamp))::int8 FROM ints.messages")


def test_rows_that_cannot_be_taken_are_named_and_nothing_else_is_lost(pg, target):
    make(pg, "bad", keys=False)
    fill(pg, "bad", sessions=3)
    some = "(SELECT id FROM bad.conversations LIMIT 1)"
    m = "11111111-1111-4111-8111-11111111111"
    pg.psql(f"INSERT INTO bad.messages (id, conversation_id, role, content, timestamp) VALUES"
            f" ('{m}1', {some}, 'system', 'words', now()), ('{m}2', {some}, 'user', repeat('x', 70000), now()),"
            f" ('{m}3', {some}, 'assistant', repeat('x', 300000), now()), ('{m}4', {some}, 'user', NULL, now()),"
            f" ('{m}5', gen_random_uuid(), 'user', 'an orphan', now()), ('{m}6', {some}, 'user', 'infinite', 'infinity'),"
            f" ('{m}7', {some}, 'Assistant', 'taken: Python''s enums are upper case', now());"
            f"INSERT INTO bad.citations (message_id, content_excerpt) VALUES ('{m}5', 'of an orphan'),"
            f" ('{m}7', repeat('é', 5000)); INSERT INTO bad.citations (message_id, link) VALUES ('{m}7', repeat('l', 3000))")
    r = target.take(pg.url, "--import-schema", "bad")
    refused = [line for line in r.stdout.splitlines() if line.startswith("refused ")]
    assert target.counts() == [3, 3, 13, 13]
    assert len(refused) == 8, r.stdout
    for i in range(1, 7):
        assert sum(m + str(i) in line for line in refused) == 1, r.stdout
    assert any(line.split() == ["messages", "19", "13", "6"] for line in r.stdout.splitlines()), r.stdout
    assert any(line.split() == ["citations", "15", "13", "2"] for line in r.stdout.splitlines()), r.stdout
    assert "shortened to their limit: 1" in r.stdout
    assert target.sql("SELECT max(octet_length(excerpt)) FROM citations") == [(1200,)]


def test_source_references_become_citations_where_there_are_none(pg, target):
    make(pg, "refs")
    fill(pg, "refs", sessions=1, citations=0)
    pg.psql("""UPDATE refs.messages SET source_references = '[{"chapter": "1", "section": "1.2", "content_excerpt": "words",
        "link": "https://b.example/1", "confidence_score": 0.9}, "Chapter 7"]' WHERE role = 'assistant';
        UPDATE refs.messages SET source_references = '{"not": "a list"}' WHERE id = (SELECT id FROM refs.messages WHERE role = 'user' LIMIT 1);
        INSERT INTO refs.citations (message_id, chapter) SELECT id, 'its own' FROM refs.messages WHERE role = 'assistant' LIMIT 1""")
    r = target.take(pg.url, "--import-schema", "refs")
    assert target.sql("SELECT count(*), count(DISTINCT message_id) FROM citations") == [(3, 2)]
    assert target.sql("SELECT n, chapter, section, excerpt, url, score, title FROM citations WHERE chapter IS DISTINCT FROM 'its own'"
                      " ORDER BY n") == [(1, "1", "1.2", "words", "https://b.example/1", 0.9, None), (2, None, None, "", None, 0, "Chapter 7")]
    assert "refused references" in r.stdout
    before = target.sums()
    target.take(pg.url, "--import-schema", "refs")
    assert target.sums() == before


@pytest.mark.parametrize("link, kept", [
    ("https://b.example/1?a=b#c", True), ("HTTP://b.example", True), ("/guide/start", True), ("guide/start.html#a", True), ("?page=2", True),
    ("javascript:alert(1)", False), ("JavaScript:alert(1)", False), (" javascript:x", False), ("java\tscript:x", False), ("data:text/html,x", False),
    ("vbscript:x", False), ("file:///etc/passwd", False), ("mailto:a@b.example", False), ("//evil.example/x", False), ("https://", False),
    ("https://a b", False), ("/\\\\evil.example", False)])
def test_links_that_are_no_web_links_are_dropped_and_their_citation_stays(pg, target, link, kept):
    schema = "link" + hashlib.sha256(link.encode()).hexdigest()[:8]
    make(pg, schema)
    fill(pg, schema, sessions=1, citations=0)
    with contextlib.closing(pg.connect()) as c, c.cursor() as cursor:
        cursor.execute(f"INSERT INTO {schema}.citations (message_id, chapter, link) SELECT id, 'one', %s FROM {schema}.messages WHERE role = 'assistant' LIMIT 1", (link,))
        c.commit()
    target.take(pg.url, "--import-schema", schema)
    assert target.sql("SELECT chapter, url FROM citations") == [("one", link.strip() if kept else None)]


@pytest.mark.parametrize("base, link, kept", [
    ("https://b.example/book", "guide/start.html#a", "https://b.example/book/guide/start.html#a"),
    ("https://b.example/book/", "../blog/?p=1#../x", "https://b.example/blog/?p=1#../x"), ("https://b.example", "a/./b/../../../c", "https://b.example/c"),
    ("https://b.example/book/", "/other/page", "https://b.example/other/page"), ("https://b.example/book/", "?page=2", "https://b.example/book/?page=2"),
    ("https://b.example/book/", "#part", "https://b.example/book/#part"), ("https://b.example/book/", "a/..", "https://b.example/book/"),
    ("https://b.example/book/", "http://c.example/x", "http://c.example/x"), ("https://b.example/book/", "//evil.example/x", None),
    ("https://b.example/book/", "javascript:x", None), ("https://b.example/book/", "a`b", None), ("https://b.example/book/", "", None)])
def test_relative_links_get_the_sites_base(pg, target, base, link, kept):
    schema = "base" + hashlib.sha256((base + link).encode()).hexdigest()[:8]
    make(pg, schema)
    fill(pg, schema, sessions=1, citations=0)
    with contextlib.closing(pg.connect()) as c, c.cursor() as cursor:
        cursor.execute(f"INSERT INTO {schema}.citations (message_id, chapter, link) SELECT id, 'one', %s FROM {schema}.messages WHERE role = 'assistant' LIMIT 1", (link,))
        cursor.execute(f"UPDATE {schema}.messages SET source_references = %s WHERE role = 'assistant'", (json.dumps([{"chapter": "two", "url": link}]),))
        c.commit()
    target.take(pg.url, "--import-schema", schema, "--import-base-url", base)
    assert set(target.sql("SELECT chapter, url FROM citations")) == {("one", kept), ("two", kept)}


def test_a_link_that_the_base_makes_too_long_is_refused_and_a_base_that_is_none_stops_the_start(pg, target):
    make(pg, "longbase")
    fill(pg, "longbase", sessions=1, citations=0)
    pg.psql("INSERT INTO longbase.citations (message_id, link) SELECT id, repeat('l', 2040) FROM longbase.messages WHERE role = 'assistant' LIMIT 1")
    r = target.take(pg.url, "--import-schema", "longbase", "--import-base-url", "https://b.example/")
    assert "its link is longer than 2048 bytes" in r.stdout and target.count_of("citations") == 0
    for bad in ("b.example", "/book", "javascript:x", "https://", "https:///x", "https://b.example/?a", "https://b.example/#a", "https://b example"):
        r = target.run(pg.url, "--import-base-url", bad)
        assert r.returncode != 0 and "IMPORT_BASE_URL" in r.stderr, bad


HOLD = """CREATE OR REPLACE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.step = 'messages' AND NEW.seen >= LEAST THEN PERFORM pg_advisory_xact_lock(5); END IF; RETURN NEW; END $$;
    CREATE OR REPLACE TRIGGER hold BEFORE INSERT OR UPDATE ON imports FOR EACH ROW EXECUTE FUNCTION hold()"""
HELD = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@contextlib.contextmanager
def half_done(pg, target, least):
    """A run of big's import that stands still before the commit of the batch in which `least` messages are reached."""
    make(pg, f"none_{least}")
    target.take(pg.url, "--import-schema", f"none_{least}")    # makes the tables, so that the trigger has one
    with contextlib.closing(pg.connect()) as holder:
        with holder.cursor() as cursor:
            cursor.execute(f"SET search_path = {target.schema}; " + HOLD.replace("LEAST", str(least)))
            cursor.execute("SELECT pg_advisory_lock(5)")
        p = subprocess.Popen(target.argv(pg.url, "--import-schema", "big"), env=target.env(), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            wait_for("the run is held", lambda: p.poll() is not None or pg.query(HELD), 30 * SLOW)
            assert p.poll() is None, p.communicate()[0]
            yield p
        finally:
            p.kill()
            p.wait()
            p.stdout.close()


@pytest.mark.limit(90)
def test_a_killed_run_is_taken_up_where_it_stopped_and_gives_the_same_rows(pg, target):
    make(pg, "big")
    fill(pg, "big", sessions=3000, messages=10, citations=1)
    for least in (3000, 12000):
        with half_done(pg, target, least) as p:
            p.send_signal(signal.SIGKILL)
            p.wait()
            pg.query(HELD.replace("pid", "pg_terminate_backend(pid)", 1))
            wait_for("its transaction is gone", lambda: not pg.query(HELD), 30 * SLOW)
            assert target.count_of("messages") < 30000
    r = target.take(pg.url, "--import-schema", "big")
    assert "goes on" in r.stderr
    assert target.counts() == [3000, 3000, 30000, 15000]
    resumed = target.sums()
    target.take(pg.url, "--import-schema", "big")
    assert target.sums() == resumed
    whole = Target(pg)
    whole.take(pg.url, "--import-schema", "big")
    assert whole.sums()[2] == resumed[2]


@pytest.mark.limit(90)
def test_a_server_that_crashes_in_mid_import_is_waited_for_and_gives_the_same_rows():
    """Both databases are on it: the run reads and writes again from the last position that was committed."""
    with Postgres() as pg:
        make(pg, "big")
        fill(pg, "big", sessions=3000, messages=10, citations=1)
        pg.psql("CHECKPOINT")
        whole, target = Target(pg), Target(pg)
        whole.take(pg.url, "--import-schema", "big")
        with half_done(pg, target, 3000) as p:
            pg.stop("kill")    # the holder's lock goes with the server
            pg.start()
            out = p.communicate(timeout=40 * SLOW)[0]
        assert p.returncode == 0, out
        assert target.counts() == [3000, 3000, 30000, 15000]
        assert target.sums() == whole.sums()


# The kernel counts into a process's peak what its starter had when it started it: a small program starts it, not pytest.
PEAK = """
import os, sys
_, status, used = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ), 0)
print(used.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peak_kb(argv, env):
    """Runs it to its end; the most memory it ever had, in KiB."""
    r = subprocess.run([sys.executable, "-I", "-S", "-c", PEAK, *argv], env=env, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert r.returncode == 0
    return int(r.stdout.split()[-1])


@pytest.mark.skipif("asan" in BIN or "tsan" in BIN, reason="a sanitizer's own memory is most of it")
def test_wide_rows_after_many_small_ones_take_no_more_memory_than_a_few_batches(pg, target):
    """1,500 answers of 250 KB, 375 MB in all, where the batches have grown to thousands of rows."""
    make(pg, "wide", ids="int")
    fill(pg, "wide", ids="int", sessions=2000, messages=8, citations=0)
    pg.psql("INSERT INTO wide.messages (conversation_id, role, content, timestamp) SELECT (SELECT min(id) FROM wide.conversations),"
            " 'assistant', repeat('wide words of an answer ', 10400), now() FROM generate_series(1, 1500)")
    assert peak_kb(target.argv(pg.url, "--import-schema", "wide"), target.env()) < 200 * 1024
    assert target.count_of("messages") == 17500
    assert target.sql("SELECT count(*), min(octet_length(content)) FROM messages WHERE octet_length(content) > 100000") == [(1500, 249600)]


def test_a_dry_run_checks_everything_and_writes_nothing(pg, source, target):
    r = target.take(source.url, "--dry-run")
    assert any(line.split() == ["messages", "40", "40", "0"] for line in r.stdout.splitlines()), r.stdout
    assert pg.query("SELECT to_regnamespace(%s)", target.schema) == [(None,)]


def test_rows_go_to_the_tenant_that_was_named(pg, source, target):
    target.take(source.url, "--import-tenant", "acme")
    assert [target.count_of(t, "tenant = 'acme'") for t in TABLES] == target.counts() == [10, 10, 40, 40]


def test_a_session_that_was_erased_is_not_brought_back(pg, source, target):
    target.take(source.url)
    sid = source.psql("SELECT session_id FROM user_sessions LIMIT 1").strip()
    sha = hashlib.sha256(sid.encode()).digest()
    target.sql("DELETE FROM user_sessions WHERE session_id = %s; INSERT INTO erased_sessions VALUES ('default', %s, now())", sha, sha)
    r = target.take(source.url)
    assert target.counts() == [9, 9, 36, 36] and "was erased" in r.stdout


def test_counts_that_do_not_agree_are_an_error_that_says_which(pg, target):
    make(pg, "nokey", keys=False)
    fill(pg, "nokey", sessions=2)
    pg.psql("ALTER TABLE nokey.citations DROP CONSTRAINT citations_pkey; ALTER TABLE nokey.citations ALTER id DROP NOT NULL;"
            " INSERT INTO nokey.citations (id, message_id) SELECT id, message_id FROM nokey.citations ORDER BY id LIMIT 1")
    pg.psql("INSERT INTO nokey.citations SELECT * FROM nokey.citations, generate_series(1, 600)"
            .replace("SELECT *", "SELECT id, message_id"))
    r = target.run(pg.url, "--import-schema", "nokey")
    assert r.returncode == 1
    assert any(line.startswith("citations") and "counts differ" in line for line in r.stdout.splitlines()), r.stdout
    assert not any("differ" in line for line in r.stdout.splitlines() if not line.startswith("citations"))


@pytest.mark.parametrize("schema, words", [("nowhere", "missing: user_sessions"), ("footnote_own", "pg_dump")])
def test_a_source_that_is_not_the_guides_is_refused_with_what_is_wrong(pg, target, schema, words):
    if schema == "footnote_own":
        own = Target(pg)
        pg.psql("DROP SCHEMA IF EXISTS small CASCADE")
        make(pg, "small")
        own.take(pg.url, "--import-schema", "small")
        schema = own.schema
    r = target.run(pg.url, "--import-schema", schema)
    assert r.returncode == 1 and words in r.stderr, r.stderr
