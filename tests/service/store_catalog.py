"""The schema as Postgres has it: what expires says when, what belongs to something goes with it, ids come from outside, and of a
session's secret there is only the SHA-256."""
import hashlib
import time
import uuid

import pytest

from busfake import Hub, Service
from pg import Postgres
from store_kit import begin_req, finish_req, session, turn

# table → what makes its rows go
LIVES = {
    "user_sessions": "expires_at", "conversations": "expires_at", "messages": "expires_at", "idempotency": "expires_at",
    "jobs": "expires_at", "changes": "expires_at", "erased_sessions": "expires_at", "api_keys": "expires_at",
    "ingest_waits": "expires_at",
    "citations": "messages", "chunks": "documents", "uploads": "documents", "documents": "collections",
    "audit": "expires_at", "tenant_usage": None, "revoked_keys": "expires_at", "key_head": None, "collections": None, "feed_head": None, "cleanup_runs": None, "schema_migrations": None, "imports": None,
}
CASCADES = {
    ("conversations", "user_sessions"), ("messages", "conversations"), ("citations", "messages"), ("idempotency", "user_sessions"),
    ("documents", "collections"), ("uploads", "documents"), ("chunks", "documents"),
}


@pytest.fixture(scope="module")
def hub(pg):
    with Hub() as h, Service("store", h, DATABASE_URL=pg.url):
        yield h


@pytest.fixture(scope="module")
def columns(pg, hub):
    """{table: {column: (type, nullable, default, generated)}}"""
    got = {}
    for table, column, *rest in pg.query("select table_name, column_name, data_type, is_nullable = 'YES', column_default,"
                                         " is_generated = 'ALWAYS' from information_schema.columns where table_schema = 'footnote'"):
        got.setdefault(table, {})[column] = tuple(rest)
    return got


def test_every_table_says_when_its_rows_go_or_whose_they_are(columns):
    assert set(columns) == set(LIVES)
    for table, why in LIVES.items():
        if why == "expires_at":
            assert columns[table]["expires_at"][0] == "timestamp with time zone", table
            # always set, but for what need not expire: keys without an end, changes that are no deletions
            optional = table in ("api_keys", "changes") or columns[table]["expires_at"][3]
            assert optional or not columns[table]["expires_at"][1], table
        elif why:
            assert (table, why) in CASCADES


def test_what_belongs_to_something_goes_with_it(pg, hub):
    rows = pg.query("select c.conrelid::regclass::text, c.confrelid::regclass::text, c.confdeltype, c.convalidated from pg_constraint c"
                    " where c.contype = 'f' and c.connamespace = 'footnote'::regnamespace")
    assert {(a, b) for a, b, *_ in rows} == CASCADES
    assert {(d, v) for *_, d, v in rows} == {("c", True)}


def test_rows_that_are_deleted_leave_nothing_below_them(pg, hub):
    s = session()
    b, _ = turn(hub, s, idem_key="below", idem_scope="r", idem_hash=b"h" * 32, idem_lease_ms=1)
    below = {"conversations": 1, "messages": 2, "citations": 1, "idempotency": 1}

    def count():
        return {t: pg.value(f"select count(*) from {t}") for t in below}
    before = count()
    pg.query("delete from user_sessions where session_id = %s", s)
    assert {t: before[t] - n for t, n in count().items()} == below


def test_ids_are_uuids_that_no_table_makes(columns):
    for table, cols in columns.items():
        for name, (kind, _, default, generated) in cols.items():
            if name == "id" or name.endswith("_id"):
                text = {("user_sessions", "user_id"), ("documents", "external_id"), ("citations", "external_id"),
                        ("audit", "request_id")}  # as clients send it
                want = "bytea" if name == "session_id" else "text" if (table, name) in text else "uuid"
                assert kind == want and default is None and not generated, (table, name)
        assert not any(str(d).startswith(("nextval", "gen_random_uuid", "uuid")) for _, _, d, _ in cols.values()), table


def test_the_ids_that_the_store_makes_are_ordered_by_time(pg, hub):
    """UUIDv7 (RFC 9562): 48 bits of milliseconds, then the version. Messages bring theirs, so that a repeated write is the same row."""
    before = time.time_ns() // 1000000
    ids = [uuid.UUID(bytes=bytes(turn(hub, session())[1]["conversation_id"])) for _ in range(3)]
    assert [i.version for i in ids] == [7, 7, 7] and ids == sorted(ids)
    assert before - 1 <= ids[0].int >> 80 <= time.time_ns() // 1000000 + 1
    s, b = session(), None
    b = begin_req(s)
    for _ in range(2):
        hub.ok("turn.begin", b)
        hub.ok("turn.finish", finish_req(b))
    assert pg.value("select count(*) from messages where id in (%s, %s)", *(str(uuid.UUID(bytes=b[k])) for k in ("question_id", "message_id"))) == 2


def test_a_session_is_stored_as_its_sha256(pg, hub, columns):
    secret = str(uuid.uuid4())
    turn(hub, hashlib.sha256(secret.encode()).digest())
    assert {t for t in columns for c in columns[t] if c == "session_id"} == {"user_sessions", "erased_sessions"}
    for table in ("user_sessions", "erased_sessions"):
        checks = pg.query("select pg_get_constraintdef(oid) from pg_constraint where contype = 'c' and conrelid = %s::regclass", table)
        assert any("octet_length(session_id) = 32" in c[0] for c in checks), table
    for table in columns:
        assert pg.value(f"select count(*) from {table} t where t::text like %s", f"%{secret}%") == 0, table
    assert pg.value("select count(*) from user_sessions where session_id = sha256(%s)", secret.encode()) == 1
