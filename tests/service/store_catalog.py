"""The schema as Postgres has it: what expires says when, what belongs to something goes with it, ids come from outside, and of a
session's secret there is only the SHA-256."""
import contextlib
import hashlib
import re
import threading
import time
import uuid

import psycopg2
import psycopg2.extensions
import pytest

from busfake import Hub, Service, wait_for
from pg import Postgres
from store_kit import begin_req, finish_req, session, turn

# table → what makes its rows go
LIVES = {
    "user_sessions": "expires_at", "conversations": "expires_at", "messages": "expires_at", "idempotency": "expires_at",
    "jobs": "expires_at", "changes": "expires_at", "erased_sessions": "expires_at", "api_keys": "expires_at",
    "ingest_waits": "expires_at",
    "citations": "messages", "chunks": "documents", "uploads": "documents", "documents": "collections", "vectors": "documents", "collection_models": "collections",
    "key_uses": "api_keys", "budget_holds": "expires_at", "budget_days": None,  # days go by their own date, after two months
    "audit": "expires_at", "tenant_usage": None, "revoked_keys": "expires_at", "key_head": None, "collections": None, "feed_head": None, "cleanup_runs": None, "schema_migrations": None, "imports": None,
}
TAKEN = {("chunks", "documents")}  # by triggers, a statement at a time: a foreign key asked once for each of a thousand chunks
CASCADES = {
    ("conversations", "user_sessions"), ("messages", "conversations"), ("citations", "messages"), ("idempotency", "user_sessions"),
    ("documents", "collections"), ("uploads", "documents"), ("vectors", "documents"),
    ("collection_models", "collections"), ("key_uses", "api_keys"),
}


@pytest.fixture(scope="module")
def hub(pg):
    with Hub() as h, Service("store", h, DATABASE_URL=pg.url):
        yield h


def whole(table):
    """The name of the table that this one is a part of (MESSAGES_PARTITIONED), else its own."""
    return re.sub(r"^(messages|citations)_(default|\d{4}_\d\d)$", r"\1", table)


@pytest.fixture(scope="module")
def columns(pg, hub):
    """{table: {column: (type, nullable, default, generated)}}"""
    got = {}
    for table, column, *rest in pg.query("select table_name, column_name, data_type, is_nullable = 'YES', column_default,"
                                         " is_generated = 'ALWAYS' from information_schema.columns where table_schema = 'footnote'"):
        got.setdefault(whole(table), {})[column] = tuple(rest)
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
            assert (table, why) in CASCADES | TAKEN


def test_what_belongs_to_something_goes_with_it(pg, hub):
    rows = pg.query("select c.conrelid::regclass::text, c.confrelid::regclass::text, c.confdeltype, c.convalidated from pg_constraint c"
                    " where c.contype = 'f' and c.connamespace = 'footnote'::regnamespace")
    assert {(whole(a), whole(b)) for a, b, *_ in rows} == CASCADES
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


# ---- chunks, whose owner no foreign key names
DOCUMENT = "insert into documents (id, tenant, collection, external_id, mime, status) values (%s, 'default', %s, %s, 'text/plain', 'ready')"
CHUNK = ("insert into chunks (id, document_id, generation, ord, tenant, start_byte, end_byte, hash, model)"
         " select gen_random_uuid(), %s, 1, i, 'default', 0, 1, 'h', 'm' from generate_series(1, 3) i")


@pytest.fixture
def owned(pg, hub):
    """A document with three chunks, in a collection of its own; its id."""
    name, ident = uuid.uuid4().hex, str(uuid.uuid4())
    pg.query("insert into collections (tenant, name) values ('default', %s)", name)
    pg.query(DOCUMENT, ident, name, "d")
    pg.query(CHUNK, ident)
    yield ident
    pg.query("delete from collections where name = %s", name)
    assert pg.value("select count(*) from chunks") == 0


def chunks(pg, ident):
    return pg.value("select count(*) from chunks where document_id = %s", ident)


@pytest.mark.parametrize("how", ("alone", "beside one that has"))
def test_a_chunk_without_a_document_is_refused(pg, owned, how):
    nobody = str(uuid.uuid4())
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        pg.query(CHUNK.replace("1, i", "2, i").replace("%s", "(array[%s, %s]::uuid[])[1 + mod(i, 2)]"), nobody, nobody if how == "alone" else owned)
    assert chunks(pg, nobody) == 0 and chunks(pg, owned) == 3


@pytest.mark.parametrize("sql", ("delete from documents where id = %s", "delete from collections where name = (select collection from documents where id = %s)"))
def test_a_deleted_document_takes_its_chunks_along(pg, owned, sql):
    pg.query(sql, owned)
    assert chunks(pg, owned) == 0


def test_neither_end_can_be_moved_away_from_the_other(pg, owned):
    for sql in ("update chunks set document_id = gen_random_uuid() where document_id = %s", "update documents set id = gen_random_uuid() where id = %s"):
        with pytest.raises(psycopg2.errors.ForeignKeyViolation):
            pg.query(sql, owned)
    pg.query("update chunks set model = 'n', document_id = document_id where document_id = %s", owned)
    assert chunks(pg, owned) == 3


@contextlib.contextmanager
def held(pg, sql, *args, level=None):
    """A transaction that has run a statement and has not ended; what it has not committed by the end is taken back."""
    conn = pg.connect()
    conn.autocommit = False
    if level is not None:
        conn.set_isolation_level(level)
    try:
        with conn.cursor() as cur:
            cur.execute(sql, args)
        yield conn
    finally:
        conn.close()


def apart(pg, sql, *args):
    """The same statement elsewhere, which waits; its error, when it is over."""
    got = []

    def run():
        try:
            pg.query(sql, *args)
            got.append(None)
        except psycopg2.Error as e:
            got.append(e)
    t = threading.Thread(target=run)
    t.start()
    wait_for("it waits", lambda: pg.value("select count(*) from pg_locks where not granted"), 10)

    def over():
        t.join()
        return got[0]
    return over


@pytest.mark.parametrize("end", ("commit", "rollback"))
def test_a_deletion_waits_for_chunks_that_are_being_stored_and_takes_them_too(pg, owned, end):
    with held(pg, CHUNK.replace("1, i", "2, i"), owned) as conn:
        over = apart(pg, "delete from documents where id = %s", owned)
        getattr(conn, end)()
        assert over() is None
    assert chunks(pg, owned) == 0


def test_chunks_that_come_while_their_document_is_deleted_are_refused(pg, owned):
    with held(pg, "delete from documents where id = %s", owned) as conn:
        over = apart(pg, CHUNK.replace("1, i", "2, i"), owned)
        conn.commit()
        assert isinstance(over(), psycopg2.errors.ForeignKeyViolation)
    assert chunks(pg, owned) == 0


def test_chunks_that_come_while_a_deletion_is_taken_back_stay(pg, owned):
    with held(pg, "delete from documents where id = %s", owned) as conn:
        over = apart(pg, CHUNK.replace("1, i", "2, i"), owned)
        conn.rollback()
        assert over() is None
    assert chunks(pg, owned) == 6


def test_a_deletion_that_cannot_see_what_came_since_it_began_is_refused(pg, owned):
    with held(pg, "select 1", level=psycopg2.extensions.ISOLATION_LEVEL_REPEATABLE_READ) as conn:
        pg.query(CHUNK.replace("1, i", "2, i"), owned)
        with pytest.raises(psycopg2.errors.FeatureNotSupported), conn.cursor() as cur:
            cur.execute("delete from documents where id = %s", (owned,))
    assert chunks(pg, owned) == 6


def test_all_documents_go_with_all_chunks(pg, owned):
    pg.query("truncate documents cascade")
    assert pg.value("select count(*) from chunks") == 0


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
