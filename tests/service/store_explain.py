"""Plans on 1,000,000 messages: each index, the named statement it is for, and what a page of history costs near and far.

Every index of the schema is listed here with its statement; one that is missing here, or that no statement needs, fails. A
statement must find its rows by that index without reading a whole table and without sorting more rows than it returns
(the clean-up: than a batch has), in the plan that the server makes once for all parameters (generic) and in the one for these (custom): a connection may use either.
EXPLAIN_MESSAGES: another size."""
import hashlib

import pytest

from busfake import Hub, Service
from pg import Postgres
from sql_kit import Plans, buffers, indexes, nodes, shape
from store_big_kit import LONG, LONG_CONVERSATIONS, MESSAGES, fill

pytestmark = pytest.mark.limit(240)                  # the first one waits until all is there
LAST = "ffffffff-ffff-ffff-ffff-ffffffffffff"
NEW = "00000000-0000-7000-8000-000000000000"
START = ("infinity", LAST, "infinity", LAST)        # before the newest
SESSION = hashlib.sha256(b"the long one").digest()
PAGE = 50
SMALL = {"collections_pkey", "feed_head_pkey", "cleanup_runs_pkey", "schema_migrations_pkey", "imports_pkey",
         "ingest_waits_pkey", "key_head_pkey", "tenant_usage_pkey", "collection_models_pkey", "budget_days_pkey", "budget_holds_pkey"}   # tables of a few rows
NO_QUERY = {"citations_pkey": "an id is said twice by nobody; citations are read by their message",
            "audit_pkey": "a line is written twice by nobody; they are read by their time",
            "ix_budget_days_day": "no budget is spent here: a clean-up asks for days before one",
            "ix_budget_holds_owner": "nothing is reserved here: BUDGET_LOCK asks for what an owner has reserved",
            "ix_budget_holds_expires_at": "nothing is reserved here: a clean-up asks for what has ended",
            "ix_api_keys_limits": "no key here shares another one's limits: a change asks for those that do",
            "revoked_keys_pkey": "what the trigger of api_keys writes once more"}
EXTRA = {"CLAIM": 16, "MODEL_TIDY": 100}     # rows that a statement may sort beyond those it returns: of the newest jobs, which go first; its batch
CASCADE = {"ix_idempotency_user_session_id": ("idempotency", "user_session_id")}                         # the foreign key's own look-up


def queries(x):
    """index → (statement, its parameters)."""
    page = (PAGE + 1, 0)
    return {
        "user_sessions_pkey": ("SESSION_TOUCH", x.row, "default", SESSION, None, 30),
        "ix_user_sessions_session_id": ("SESSION_DELETE", "default", SESSION),
        "ix_user_sessions_user_id": ("USER_DELETE", "default", "u5", 100, None),
        "ix_user_sessions_expires_at": ("CLEAN_SESSIONS", 5000),
        "conversations_pkey": ("CONVERSATION_TOUCH", x.conversation, "default", x.row, SESSION, None, 30),
        "ix_conversations_user_session_id": ("CONVERSATION_LIST", "default", x.row, "infinity", LAST, *page),
        "ux_conversations_open": ("CONVERSATION_OPEN", LAST, "default", x.row, SESSION, None, 30),
        "ix_conversations_created_at": ("USAGE", "default", 7),
        "ix_conversations_expires_at": ("CLEAN_CONVERSATIONS", 5000),
        "messages_pkey": ("FEEDBACK", "default", x.row, x.message, "up", None),
        "ix_messages_conversation_id": ("TURN_HISTORY", "default", x.row, x.conversation, x.message, 8),
        "ix_messages_timestamp": ("USAGE", "default", 7),
        "ix_messages_expires_at": ("CLEAN_MESSAGES", 5000),
        "ux_citations_message_id": ("HISTORY", "default", x.row, None, *START, *page),
        "idempotency_pkey": ("IDEM_STORED", "default", "key/route", "7"),
        "ix_idempotency_expires_at": ("CLEAN_IDEMPOTENCY", 5000),
        "documents_pkey": ("CHUNKS_DOCUMENT", x.document),
        "documents_tenant_collection_external_id_key": ("DOCUMENT_GET", "default", None, "c7", "d7"),
        "ix_documents_created_at": ("DOCUMENT_LIST", "default", None, "infinity", LAST, *page),
        "ix_documents_updated_at": ("CLEAN_DOCUMENTS", 100),
        "jobs_pkey": ("JOB_GET", "default", x.job),
        "ix_jobs_expires_at": ("CLEAN_JOBS", 5000),
        "uploads_pkey": ("RENEW", x.document, 2, "w", 1000),
        "ix_uploads_queued_at": ("CLAIM", "w", 60000, 64, 1000000),
        "ix_uploads_job_id": ("CLEAN_JOBS", 5000),
        "chunks_pkey": ("CHUNKS_GET", x.document, 0, 513),
        "ix_chunks_hash": ("VECTORS_KNOWN", "default", "m", [hashlib.sha256(str(i).encode()).digest() for i in range(64)], 0),
        "vectors_pkey": ("CHUNKS_GET", x.document, 0, 513),
        "ix_vectors_hash": ("VECTORS_KNOWN", "default", "m2", [hashlib.sha256(str(i).encode()).digest() for i in range(64)], 0),
        "ix_documents_second": ("MODEL_TIDY", "default", "c7", "m2", 1, 100),
        "changes_pkey": ("FEED", 10000, 1000),
        "ux_changes_document_id": ("FINISH_SEQ", x.document),
        "ux_changes_collection": ("COLLECTION_PUT", "default", "x7", None, None, None, 0, 0.0, 0, None, None),
        "ix_changes_expires_at": ("CLEAN_CHANGES", 5000),
        "api_keys_pkey": ("KEY_DELETE", hashlib.sha256(b"7").digest(), "t7", None),
        "key_uses_pkey": ("KEY_LIST", "t7", None, "-infinity", b"", *page),
        "ix_api_keys_expires_at": ("CLEAN_KEYS", 5000),
        "ix_api_keys_tenant": ("KEY_LIST", "t7", None, "-infinity", b"", *page),
        "ix_api_keys_origins": ("KEY_ORIGIN", "https://o6.example"),
        "ux_api_keys_seq": ("KEY_CHANGES", 9000, PAGE + 1),
        "ux_revoked_keys_seq": ("KEY_CHANGES", 9000, PAGE + 1),
        "ix_audit_at": ("AUDIT_LIST", "default", "infinity", LAST, *page),
        "ix_audit_expires_at": ("CLEAN_AUDIT", 5000),
        "ix_revoked_keys_expires_at": ("CLEAN_REVOCATIONS", 5000),
        "erased_sessions_pkey": ("TURN_ADD", LAST, "default", x.row, x.conversation, NEW, "a", "complete", None, None, False,
                                 False, 0, 0, "2026-01-01", 30, *[None] * 18, "q", "2026-01-01", SESSION, "2030-01-01", None),
        "ix_erased_sessions_expires_at": ("CLEAN_ERASURES", 5000),
    }


class Big:
    """The filled database, and rows to ask for."""

    def __init__(self, pg, row):
        self.pg, self.row = pg, row
        self.conversation = pg.value("select id from conversations where user_session_id = %s order by created_at limit 1", row)
        self.message = pg.value("select id from messages where conversation_id = %s and role = 'assistant' limit 1", self.conversation)
        self.document = pg.value("select min(id::text)::uuid from documents")
        self.job = pg.value("select min(id::text)::uuid from jobs")
        self.plans = Plans(pg)

    def place(self, n):
        """The cursor after the first n messages of the long session."""
        return tuple(map(str, self.pg.query(
            "select c.created_at, c.id, m.timestamp, m.id from conversations c join messages m on m.conversation_id = c.id"
            " where c.user_session_id = %s order by c.created_at desc, c.id desc, m.timestamp, m.id offset %s limit 1",
            self.row, n - 1)[0])) if n else START


@pytest.fixture(scope="module")
def big():
    with Postgres(wal_level="minimal", max_wal_senders=0, max_wal_size="4GB", checkpoint_timeout="1h", autovacuum="off") as pg:
        with Hub() as hub, Service("store", hub, DATABASE_URL=pg.url):
            hub.ok("session.put", {"session": SESSION, "expiry_days": 30})
        row = pg.value("select id from user_sessions")
        print(f"{MESSAGES} messages in {fill(pg, row):.1f} s")
        b = Big(pg, row)
        yield b
        b.plans.close()


def test_the_index_list_is_exactly_this(big):
    there = {r[0] for r in big.pg.query("select indexname from pg_indexes where schemaname = 'footnote'")}
    assert there == set(queries(big)) | SMALL | set(NO_QUERY) | set(CASCADE)


@pytest.mark.parametrize("mode", ("force_generic_plan", "force_custom_plan"))
def test_each_index_serves_its_statement_without_reading_a_table_or_sorting(big, mode):
    bad, few = [], {i.removesuffix("_pkey") for i in SMALL} | {"uploads"}
    for index, (name, *args) in queries(big).items():
        batch = name.startswith("CLEAN_")                # planned only: it would delete, and take it back
        plan = big.plans.explain(name, *args, options="" if batch else ", ANALYZE", mode=mode)
        whole = [n for n in nodes(plan) if n["Node Type"] == "Seq Scan" and n["Relation Name"] not in few]
        most = args[0] if batch else max(plan["Actual Rows"], PAGE) + EXTRA.get(name, 0)
        sorts = [n for n in nodes(plan) if "Sort" in n["Node Type"] and
                 (n["Plan Rows"] if batch else n["Actual Rows"] * n["Actual Loops"]) > most]
        if index not in indexes(plan) or whole or sorts:
            bad.append(f"{index} for {name}: {'not used' if index not in indexes(plan) else 'reads or sorts too much'}\n{shape(plan)}")
    assert not bad, "\n".join(bad)


def test_a_cascade_finds_its_rows_by_index(big):
    for index, (table, column) in CASCADE.items():
        with big.plans.conn.cursor() as cur:
            cur.execute(f"explain (format json) delete from {table} where {column} = %s", (big.row,))
            assert index in indexes(cur.fetchone()[0][0]["Plan"])


@pytest.mark.parametrize("mode", ("force_generic_plan", "force_custom_plan"))
def test_by_cursor_page_10_000_costs_what_page_1_costs(big, mode):
    """Counted in pages of the database that were touched, which no other load of the machine changes."""
    pages = LONG // PAGE if MESSAGES < 1000000 else 10000
    cost = {}
    for page in (1, 2, pages // 2, pages):
        args = ("default", big.row, None, *big.place((page - 1) * PAGE), PAGE + 1, 0)
        big.plans.explain("HISTORY", *args, options=", ANALYZE, BUFFERS", mode=mode)          # hint bits, catalogue
        plan = big.plans.explain("HISTORY", *args, options=", ANALYZE, BUFFERS", mode=mode)
        assert not [n for n in nodes(plan) if n["Node Type"] == "Seq Scan"]
        read = [n for n in nodes(plan) if n.get("Relation Name") == "messages"]
        assert sum(n["Actual Rows"] * n["Actual Loops"] for n in read) == PAGE + 1, shape(plan)
        cost[page] = buffers(plan)
    print(f"buffers by page ({mode}): {cost}")
    assert max(cost.values()) <= 1.1 * min(cost.values()) + 4, cost        # a page may stand in one more leaf


def test_pages_of_50_by_number_and_by_cursor_are_the_same(big):
    last = LONG // PAGE
    for page in (1, 2, LONG // LONG_CONVERSATIONS // PAGE + 1, last):
        rows = []
        for place, skip in ((big.place((page - 1) * PAGE), 0), (START, (page - 1) * PAGE)):
            big.plans.prepare("HISTORY")
            args = ("default", big.row, None, *place, PAGE, skip)
            big.plans.cur.execute("EXECUTE fn_HISTORY (" + ", ".join(["%s"] * 9) + ")", [a if a is None else str(a) for a in args])
            rows.append([(r[1], r[0], r[9]) for r in big.plans.cur.fetchall()])
        assert rows[0] == rows[1] and len(dict.fromkeys(r[1] for r in rows[0])) == PAGE, page


def test_the_database_is_as_big_as_it_says(big):
    assert abs(big.pg.value("select count(*) from messages") - MESSAGES) < MESSAGES // 100
    assert big.pg.value("select count(*) from citations") >= MESSAGES // 2
    for child, column, parent in (("conversations", "user_session_id", "user_sessions"), ("messages", "conversation_id", "conversations"),
                                  ("citations", "message_id", "messages")):
        assert big.pg.value(f"select count(*) from {child} c where not exists (select 1 from {parent} p where p.id = c.{column})") == 0
