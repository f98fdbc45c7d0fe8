"""Messages by month (MESSAGES_PARTITIONED): what is made when, that nothing is lost or doubled, and that a month goes whole.

The main service tests of the store run over this form, too: with MESSAGES_PARTITIONED=on in their environment (`make test`'s part
service-months)."""
import contextlib
import datetime
import os
import re
import threading
import uuid

import psycopg2
import pytest

from busfake import BIN, Hub, Service, wait_for
from pg import Postgres
from sql_kit import Plans, nodes, shape, statements
from store_kit import begin_req, finish_req, session, turn

STORE = os.path.join(BIN, "footnote-store")
OLD = "2026-03"           # a month that ended long ago
ON = {"MESSAGES_PARTITIONED": "on"}
OFF = {"MESSAGES_PARTITIONED": "off"}


def month_name(ahead=0, now=None):
    now = now or datetime.datetime.now(datetime.timezone.utc)
    n = now.year * 12 + now.month - 1 + ahead
    return f"messages_{n // 12}_{n % 12 + 1:02d}"


def id_of(month, day=2):
    """A new id of that month, as UUIDv7 says it."""
    at = datetime.datetime.fromisoformat(f"{month}-{day:02d}T12:00:00+00:00")
    return uuid.UUID(int=int(at.timestamp() * 1000) << 80 | 7 << 76 | 1 << 63 | uuid.uuid4().int & (1 << 62) - 1)


def v7():
    return id_of(datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m"), 1).bytes


def parts(pg):
    return {r[0] for r in pg.query("select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid"
                                   " where i.inhparent = to_regclass('messages')")}


def where(pg, message):
    return pg.value("select tableoid::regclass::text from messages where id = %s", str(uuid.UUID(bytes=bytes(message))))


def aged_turn(hub, pg, month=OLD, expired="1 day", **kw):
    """A turn of that month that expired so long ago, with its session; its request."""
    b, _ = turn(hub, session(), **kw)
    new = [str(id_of(month)), str(id_of(month))]
    old = [str(uuid.UUID(bytes=x)) for x in (b["question_id"], b["message_id"])]
    pg.query("alter table messages disable trigger messages_stay")
    for was, now in zip(old, new):
        pg.query("insert into messages select (jsonb_populate_record(m, jsonb_build_object('id', %s, 'expires_at', now() - %s::interval))).*"
                 " from messages m where id = %s", now, expired, was)
        pg.query("insert into citations select (jsonb_populate_record(c, jsonb_build_object('id', gen_random_uuid(), 'message_id', %s))).*"
                 " from citations c where message_id = %s", now, was)
        pg.query("delete from messages where id = %s", was)
    pg.query("alter table messages enable trigger messages_stay")
    pg.query("update conversations set expires_at = now() - %s::interval where user_session_id = (select id from user_sessions"
             " where session_id = %s)", expired, b["session"])
    pg.query("update user_sessions set expires_at = now() - %s::interval where session_id = %s", expired, b["session"])
    return b, [uuid.UUID(x).bytes for x in new]


def clean(hub, job="messages", **kw):
    return hub.ok("cleanup", {"job": job, "limit": 5000, **kw})["deleted"]


def history(hub, s):
    return hub.ok("history", {"session": s, "limit": 50})["items"]


@pytest.fixture(scope="module")
def pg():
    with Postgres() as p:
        yield p


@pytest.fixture(scope="module")
def store(pg, hub):
    with Service("store", hub, DATABASE_URL=pg.url, **ON) as s:
        yield s


@pytest.fixture
def empty(pg, store):
    """No message of an earlier test."""
    pg.query("delete from user_sessions")
    pg.query("delete from cleanup_runs")
    yield
    pg.query("drop table if exists citations_2026_03, messages_2026_03")


@pytest.fixture
def fresh():
    """A database and a hub of the test's own."""
    with Postgres() as p, Hub() as h:
        yield p, h


def test_a_new_installation_has_this_month_and_the_next_two_and_messages_lie_in_theirs(hub, pg, store, empty):
    assert parts(pg) == {"messages_default"} | {month_name(i) for i in range(3)}
    s = session()
    b, _ = turn(hub, s, question_id=v7(), message_id=v7())
    assert where(pg, b["question_id"]) == where(pg, b["message_id"]) == month_name()
    assert pg.value("select tableoid::regclass::text from citations") == month_name().replace("messages", "citations")
    assert [i["role"] for i in history(hub, s)] == ["user", "assistant"]


def test_a_turn_is_stored_once_however_often_and_wherever_it_comes(hub, pg, store, empty):
    """Its id is the key, though its expiry is another one each time; also when a month was made meanwhile."""
    for ids in ((v7(), v7()), (uuid.uuid4().bytes, uuid.uuid4().bytes)):
        s = session()
        for days in (30, 31, 60):
            b = begin_req(s, question_id=ids[0], message_id=ids[1])
            rep = hub.ok("turn.begin", {**b, "expiry_days": days})
            hub.ok("turn.finish", {**finish_req(b, conversation_id=rep["conversation_id"]), "expiry_days": days})
        assert [i["role"] for i in history(hub, s)] == ["user", "assistant"]
    assert pg.value("select count(*) from citations") == 2
    message = v7()
    row = ("insert into messages (id, tenant, conversation_id, role, content, status, timestamp, expires_at) select %s, 'default', id, 'user',"
           " 'q', 'complete', now(), now() + %s::interval from conversations limit 1 on conflict (id) do nothing")
    start, done = threading.Barrier(4), []

    def insert(days):
        with pg.connect() as c, c.cursor() as cur:
            start.wait()
            cur.execute(row, (str(uuid.UUID(bytes=message)), f"{days} days"))
            done.append(cur.rowcount)
    threads = [threading.Thread(target=insert, args=(30 * i,)) for i in range(1, 5)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert sorted(done) == [0, 0, 0, 1]


def test_an_idempotency_key_is_exact(hub, store, empty):
    b = begin_req(session(), question_id=v7(), message_id=v7(), idem_key="once", idem_scope="r", idem_hash=b"h" * 32, idem_lease_ms=60000)
    hub.ok("turn.begin", b)
    hub.ok("turn.finish", finish_req(b, idem_key="once", idem_scope="r", idem_body=b"x", idem_status=200))
    again = hub.ok("turn.begin", {**b, "question_id": v7()})
    assert again["stored"] == b"x" or again["stored"] == "x"


def test_a_message_whose_month_was_not_made_is_kept_and_moves_when_it_is_made(hub, pg, store, empty):
    month = month_name()
    pg.query(f"drop table {month.replace('messages', 'citations')}, {month}")
    s = session()
    b, rep = turn(hub, s, question_id=v7(), message_id=v7())
    before = history(hub, s)
    assert where(pg, b["message_id"]) == "messages_default" and len(before) == 2 and before[1]["citations"]
    assert month not in parts(pg)
    clean(hub, dry_run=True, mark=True)                     # as the janitor ends its run
    assert where(pg, b["message_id"]) == where(pg, b["question_id"]) == month
    assert pg.value("select count(*) from messages_default") == 0 and pg.value("select count(*) from citations_default") == 0
    assert history(hub, s) == before
    hub.ok("turn.finish", finish_req(b, conversation_id=rep["conversation_id"]))
    assert history(hub, s) == before
    hub.ok("session.delete", {"session": s})
    assert pg.value("select count(*) from citations") == 0


def test_a_month_of_which_much_lies_elsewhere_is_not_made(hub, pg, store, empty):
    month = month_name()
    pg.query(f"drop table {month.replace('messages', 'citations')}, {month}")
    b, _ = turn(hub, session(), question_id=v7(), message_id=v7())
    pg.query("insert into messages (id, tenant, conversation_id, role, content, status, timestamp, expires_at)"
             " select overlay(id::text placing lpad(to_hex(i), 12, '0') from 25)::uuid, tenant, conversation_id, role, content, status, timestamp, expires_at"
             " from messages, generate_series(1, 10001) i where role = 'user'")
    clean(hub, dry_run=True, mark=True)
    assert month not in parts(pg) and where(pg, b["message_id"]) == "messages_default"
    pg.query("delete from user_sessions")
    clean(hub, dry_run=True, mark=True)
    assert month in parts(pg)


def test_a_month_that_is_over_goes_whole_and_then_its_conversations_and_sessions(hub, pg, store, empty):
    pg.query("select messages_month_make('2026-03-01')")
    old = [aged_turn(hub, pg) for _ in range(3)]
    s = session()
    living, _ = turn(hub, s, question_id=v7(), message_id=v7())
    assert {where(pg, i) for _, ids in old for i in ids} == {"messages_2026_03"}
    assert clean(hub, dry_run=True) == 6
    assert clean(hub, "conversations") == clean(hub, "sessions") == 0   # not before their messages
    assert clean(hub) == 6
    assert "messages_2026_03" not in parts(pg) and pg.value("select to_regclass('citations_2026_03')") is None
    assert clean(hub) == 0
    assert clean(hub, "conversations", dry_run=True) == clean(hub, "conversations") == 3
    assert clean(hub, "sessions", dry_run=True) == clean(hub, "sessions") == 3
    assert [i["role"] for i in history(hub, s)] == ["user", "assistant"] and pg.value("select count(*) from citations") == 1


def test_one_that_lives_keeps_its_month_for_32_days_longer(hub, pg, store, empty):
    pg.query("select messages_month_make('2026-03-01')")
    late, due = aged_turn(hub, pg, expired="33 days")[1], aged_turn(hub, pg, expired="31 days")[1]
    living = aged_turn(hub, pg, expired="-1 day")[1]
    assert clean(hub, dry_run=True) == 2 and clean(hub) == 2 and clean(hub) == 0
    left = {r[0] for r in pg.query("select id from messages")}
    assert left == {str(uuid.UUID(bytes=i)) for i in due + living} and len(left) == 4 and not left & {str(uuid.UUID(bytes=i)) for i in late}


def test_expired_messages_of_no_month_go_row_by_row(hub, pg, store, empty):
    s = session()
    turn(hub, s, question_id=uuid.uuid4().bytes, message_id=uuid.uuid4().bytes)
    turn(hub, session(), question_id=uuid.uuid4().bytes, message_id=uuid.uuid4().bytes)
    pg.query("update messages set expires_at = now() - interval '1 second' where conversation_id in (select c.id from conversations c"
             " join user_sessions u on u.id = c.user_session_id where u.session_id = %s)", s)
    assert clean(hub, dry_run=True) == 2 and clean(hub, limit=1) == 1 and clean(hub) == 1 and clean(hub) == 0
    assert pg.value("select count(*) from messages") == 2


def test_a_month_in_use_is_dropped_later_and_questions_go_on_meanwhile(hub, pg, store, empty):
    pg.query("select messages_month_make('2026-03-01')")
    aged_turn(hub, pg)
    with pg.connect() as backup, backup.cursor() as cur:
        cur.execute("begin; select count(*) from messages")
        assert clean(hub) == 0 and "messages_2026_03" in parts(pg)
        wait_for("the reason", lambda: "its tables are in use" in store.text())
        turn(hub, session())
        clean(hub, dry_run=True, mark=True)                 # the run ends well
        cur.execute("rollback")
    assert clean(hub) == 2 and "messages_2026_03" not in parts(pg)


def test_an_erasure_takes_a_session_out_of_every_month(hub, pg, store, empty):
    pg.query("select messages_month_make('2026-03-01')")
    b, _ = aged_turn(hub, pg, expired="-5 days")
    turn(hub, b["session"], question_id=v7(), message_id=v7())
    turn(hub, b["session"], question_id=uuid.uuid4().bytes, message_id=uuid.uuid4().bytes)
    other, _ = turn(hub, session(), question_id=v7(), message_id=v7())
    assert len({r[0] for r in pg.query("select tableoid from messages")}) == 3
    hub.ok("session.delete", {"session": b["session"]})
    assert pg.value("select count(*) from messages") == 2 and pg.value("select count(*) from citations") == 1
    assert len(history(hub, other["session"])) == 2


def test_the_clean_up_of_an_earlier_release_takes_no_message_that_lives(hub, pg, store, empty):
    """It names rows by ctid, which two months have in common."""
    turn(hub, session(), question_id=v7(), message_id=v7())
    turn(hub, session(), question_id=uuid.uuid4().bytes, message_id=uuid.uuid4().bytes)
    pg.query("update messages_default set expires_at = now() - interval '1 day'")
    pg.query("vacuum full messages_default")
    pg.query(f"vacuum full {month_name()}")                 # both begin at (0,1)
    text = statements()["CLEAN_MESSAGES"].text.replace("$1", "%s")
    with pytest.raises(psycopg2.errors.RaiseException, match="only with its conversation"):
        pg.query(text, 5000)
    assert pg.value("select count(*) from messages") == 4


def test_a_backup_that_is_restored_is_whole(fresh):
    pg, hub = fresh
    s = session()
    with Service("store", hub, DATABASE_URL=pg.url, **ON):
        pg.query("select messages_month_make('2026-03-01')")
        aged_turn(hub, pg)
        turn(hub, s, question_id=v7(), message_id=v7())
        before, tables = history(hub, s), parts(pg)
    path = pg.dump()
    with Postgres() as other:
        other.query("create schema footnote")
        other.restore(path)
        with Service("store", hub, DATABASE_URL=other.url, **ON) as store:
            assert parts(other) == tables and history(hub, s) == before and "migration applied" not in store.text()
            assert clean(hub) == 2 and "messages_2026_03" not in parts(other)
            turn(hub, s, question_id=v7(), message_id=v7())
            hub.ok("session.delete", {"session": s})
            assert other.value("select (select count(*) from messages) + (select count(*) from citations)") == 0


def test_stores_that_start_together_make_it_once(fresh):
    pg, hub = fresh
    with Service("store", hub, DATABASE_URL=pg.url, wait=False, **ON) as a, Service("store", hub, DATABASE_URL=pg.url, wait=False, **ON) as b:
        wait_for("both", lambda: a.ready() and b.ready())
        assert parts(pg) == {"messages_default"} | {month_name(i) for i in range(3)}


def test_the_role_that_serves_makes_and_drops_months_but_nothing_else(fresh):
    pg, hub = fresh
    pg.migrate(STORE, **ON)
    with Service("store", hub, DATABASE_URL=pg.app_url, **ON) as store:
        pg.query("select messages_month_make('2026-03-01')")
        aged_turn(hub, pg)
        month = month_name(2)
        pg.query(f"drop table {month.replace('messages', 'citations')}, {month}")
        clean(hub, dry_run=True, mark=True)
        assert month in parts(pg) and clean(hub) == 2 and "messages_2026_03" not in parts(pg)
        assert "42501" not in store.text()
    with contextlib.closing(pg.connect(dsn=pg.app_url)) as c, c.cursor() as cur:
        for sql in ("drop table footnote.messages_default", "select footnote.messages_month_make('2026-04-01')",
                    "alter table footnote.messages detach partition footnote.messages_default"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cur.execute(sql)
        # a table of its own does not become ours
        cur.execute("create temp table messages_default (id uuid); select footnote.messages_form()")
        assert cur.fetchone()[0] == "months"


def test_an_installation_with_messages_stays_as_it_is_and_says_what_to_do(fresh):
    pg, hub = fresh
    s, other = session(), session()
    with Service("store", hub, DATABASE_URL=pg.url, **OFF) as store:
        assert "partitioned" not in store.text()
        b, rep = turn(hub, s, question_id=v7(), message_id=v7())
        turn(hub, other)
        before = history(hub, s)
    for _ in range(2):
        with Service("store", hub, DATABASE_URL=pg.url, **ON) as store:
            said = [line for line in store.text().splitlines() if "MESSAGES_PARTITIONED is on, but" in line]
            assert len(said) == 1 and "warn" in said[0] and "messages_partition(true)" in said[0]
            assert parts(pg) == set() and history(hub, s) == before
    pg.query("create role reader; grant select on messages to reader")
    assert pg.value("select messages_partition(true)") == "months"
    with Service("store", hub, DATABASE_URL=pg.url, **OFF) as store:    # what was made decides, not the option
        assert "MESSAGES_PARTITIONED=off changes nothing" in store.text()
        assert history(hub, s) == before and where(pg, b["message_id"]) == month_name()
        hub.ok("turn.finish", finish_req(b, conversation_id=rep["conversation_id"]))
        assert history(hub, s) == before and len(history(hub, other)) == 2
        assert {pg.value("select relkind from pg_class where oid = to_regclass(%s)", t) for t in ("messages", "citations")} == {"p"}
        assert pg.value("select has_table_privilege('reader', 'messages', 'select')")
        hub.ok("session.delete", {"session": s})
        assert pg.value("select count(*) from messages") == 2


FILLED = """
insert into user_sessions (id, tenant, session_id, expires_at) select gen_random_uuid(), 'default', sha256(i::text::bytea), now() + interval '20 days' from generate_series(1, 400) i;
insert into conversations (id, tenant, user_session_id, is_open, expires_at) select gen_random_uuid(), 'default', s.id, i = 1, s.expires_at
    from user_sessions s, generate_series(1, 5) i;
insert into messages (id, tenant, conversation_id, question_id, role, content, status, timestamp, expires_at)
    select (left(messages_month_id(date_trunc('month', now() at time zone 'UTC') + m * interval '1 month')::text, 15) || right(gen_random_uuid()::text, 21))::uuid,
    'default', c.id, c.id, 'assistant', repeat('words ', 20), 'complete', now(), now() + (1 + m) * interval '7 days' from conversations c, generate_series(0, 2) m, generate_series(1, 4);
insert into messages (id, tenant, conversation_id, role, content, status, timestamp, expires_at) select gen_random_uuid(), 'default', id, 'user', 'words', 'complete', now(), expires_at
    from conversations;
insert into citations (id, tenant, message_id, n, document_id, chunk_id, excerpt, start_byte, end_byte, score)
    select gen_random_uuid(), 'default', id, n, id, id, 'words', 0, 5, .5 from messages, generate_series(1, 2) n;
"""
LAST = "ffffffff-ffff-ffff-ffff-ffffffffffff"
NEW = "00000000-0000-7000-8000-000000000000"


@pytest.mark.parametrize("mode", ("force_generic_plan", "force_custom_plan"))
def test_statements_find_their_rows_by_index_in_every_month(fresh, mode):
    pg, hub = fresh
    with Service("store", hub, DATABASE_URL=pg.url, **ON):
        pg.query(FILLED)
        pg.query("analyze")
    row, c, m = pg.query("select user_session_id, c.id, m.id from conversations c join messages m on m.conversation_id = c.id where role = 'assistant' limit 1")[0]
    t = pg.value("select id from citations limit 1")
    plans, bad = Plans(pg), []
    one = {"FEEDBACK": ("default", row, m, "up", None), "ORIGIN_STANDS": ("default", m), "EXPLAIN": ("default", row, m),
           "TURN_JOIN": (c, "default", row, b"s" * 32, None, 30, NEW, "q", None, None),
           "ANSWER_ADD": (NEW, "default", row, c, m, "a", "complete", None, None, False, False, 0, 0, None, 30, *[None] * 18), "CONVERSATION_CLOSE": ("default", row, m)}
    for name, args in {**one, "TURN_HISTORY": ("default", row, c, m, 8), "HISTORY": ("default", row, None, "infinity", LAST, "infinity", LAST, 51, 0),
                       "CONVERSATION_LIST": ("default", row, "infinity", LAST, 51, 0), "CITATION": ("default", row, t, 100), "PASSAGE": (t, 0, 0, 10, 10),
                       "CLEAN_MONTHS_CONVERSATIONS": (5000,), "CLEAN_MONTHS_SESSIONS": (5000,)}.items():
        plan = plans.explain(name, *args, options="" if name.startswith("CLEAN_") else ", ANALYZE", mode=mode)
        if any(n["Node Type"] == "Seq Scan" and re.match("messages|citations", n["Relation Name"]) for n in nodes(plan)):
            bad.append(f"{name}\n{shape(plan)}")
        if name in one:     # the id names its month: no other one is looked into
            read = {n["Relation Name"] for n in nodes(plan) if n.get("Actual Loops", 0) > 0 and "Scan" in n["Node Type"] and
                    n.get("Relation Name", "").startswith("messages") and n["Node Type"] != "ModifyTable"}
            assert len(read) <= 2, (name, shape(plan))
    plans.close()
    assert not bad, "\n".join(bad)


def test_the_parts_have_all_that_the_one_table_has(fresh):
    pg, hub = fresh
    with Service("store", hub, DATABASE_URL=pg.url, **OFF):
        pass

    def shape():
        columns = pg.query("select table_name, column_name, data_type, is_nullable, column_default from information_schema.columns"
                           " where table_schema = 'footnote' and table_name in ('messages', 'citations') order by 1, ordinal_position")
        rules = pg.query("select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint where conrelid in"
                         " (to_regclass('messages'), to_regclass('citations')) and contype <> 'n' order by 1, 2")
        indexes = pg.query("select indexname, regexp_replace(indexdef, ' ON (ONLY )?', ' ON ') from pg_indexes where tablename in ('messages', 'citations') order by 1")
        return columns, rules, indexes
    columns, rules, indexes = shape()
    pg.query("select messages_partition()")
    now_columns, now_rules, now_indexes = shape()
    assert now_columns == columns
    swap = [("citations", "citations_message_id_fkey")]     # from each month to its own
    assert [r for r in now_rules if r[1] != "citations_pkey"] == [r for r in rules if r[:2] not in swap and r[1] != "citations_pkey"]
    assert [i[0] for i in now_indexes] == [i[0] for i in indexes]
    assert [re.sub(r"\bid, message_id\b", "id", i[1]) for i in now_indexes] == [i[1] for i in indexes]
