"""Expand, then contract: the programs of the release before go on working on this release's schema.

Here from a snapshot of that release (tests/upgrade/previous.json), so that it can be tried in any copy; `make test-upgrade` does it
with the release's real programs, built from git."""
import json
import os
import re
import time

import pytest

from busfake import Service, wait_for
from pg import Postgres
from sql_kit import ROOT, Plans, Statement
from store_kit import session, turn

MIGRATIONS = os.path.join(ROOT, "store", "migrations")
with open(os.path.join(ROOT, "tests", "upgrade", "previous.json")) as f:
    PREVIOUS = json.load(f)


def files():
    return sorted(n for n in os.listdir(MIGRATIONS) if re.fullmatch(r"\d{4}_\w+\.sql", n))


NEWEST = int(files()[-1][:4])


def as_the_previous_release_left_it(pg):
    """Its schema, as its store would have made it, with a session, a conversation, two messages and a citation."""
    pg.query("create schema footnote")
    pg.query("create table schema_migrations (version integer primary key, name text not null, applied_at timestamptz not null default now())")
    for name in files()[:PREVIOUS["migrations"]]:
        with open(os.path.join(MIGRATIONS, name)) as sql:
            pg.query(sql.read())
        pg.query("insert into schema_migrations (version, name) values (%s, %s)", int(name[:4]), name[5:-4])


@pytest.fixture(scope="module")
def pg():
    with Postgres() as p:
        as_the_previous_release_left_it(p)
        yield p


ROWS = """
insert into jobs (id, tenant, collection, updated_at) values ('00000000-0000-7000-8000-000000000001', 'default', 'docs', now() - interval '8 days'),
    ('00000000-0000-7000-8000-000000000002', 'default', 'docs', now());
insert into erased_sessions (tenant, session_id, erased_at) values ('default', sha256('a'), now() - interval '3 days'), ('default', sha256('b'), now());
insert into changes (seq, tenant, collection, document_id, op, at) values
    (1, 'default', 'docs', '00000000-0000-7000-8000-000000000003', 'delete', now() - interval '8 days'),
    (2, 'default', 'docs', '00000000-0000-7000-8000-000000000004', 'ready', now() - interval '8 days');
insert into user_sessions (id, tenant, session_id, expires_at) values ('00000000-0000-8000-8000-000000000005', 'default', sha256('old'), now() + interval '1 day')
"""


def test_rows_of_the_previous_release_are_kept_and_expire_as_they_did(pg, hub):
    pg.query(ROWS)
    with Service("store", hub, DATABASE_URL=pg.url):
        assert pg.value("select max(version) from schema_migrations") == NEWEST
        assert pg.value("select count(*) from user_sessions where session_id = sha256('old')") == 1
        assert {j: hub.ok("cleanup", {"job": j, "limit": 100})["deleted"] for j in ("jobs", "erasures", "changes")} == \
               {"jobs": 1, "erasures": 1, "changes": 1}
        s = session()
        turn(hub, s)
        assert len(hub.ok("history", {"session": s, "limit": 50})["items"]) == 2


def test_every_statement_of_the_previous_release_is_accepted_by_this_schema(pg, hub):
    """Parsed, typed and planned: no column, table, function or arbiter index that it names has gone."""
    with Service("store", hub, DATABASE_URL=pg.url):
        pass
    table = {n: Statement(n, len(set(re.findall(r"\$(\d+)", text))), "", text) for n, text in PREVIOUS["statements"].items()}
    plans, bad = Plans(pg, table), []
    for name, s in table.items():
        try:
            plans.prepare(name)
            count = plans.conn.cursor()
            count.execute("select cardinality(parameter_types) from pg_prepared_statements where name = %s", (f"fn_{name.lower()}",))
            n = count.fetchone()[0]
            plans.table[name] = s._replace(params=n)
            plans.explain(name, *[None] * n)
        except Exception as e:
            bad.append(f"{name}: {e}")
    plans.close()
    assert len(table) > 50 and not bad, "\n".join(bad)


@pytest.mark.limit(60)
def test_a_migration_that_waits_for_a_lock_lets_the_previous_release_work_meanwhile(hub):
    """Behind a backup, for an hour perhaps: who waits in its queue has given up before the previous release's requests do."""
    with Postgres() as pg:
        as_the_previous_release_left_it(pg)
        pg.query(ROWS)
        with pg.connect() as backup, pg.connect() as served, backup.cursor() as b, served.cursor() as c:
            b.execute("begin; select count(*) from user_sessions")
            c.execute("set lock_timeout = 500")
            with Service("store", hub, wait=False, DATABASE_URL=pg.url) as s:
                wait_for("the migration to wait", lambda: "a migration waits until" in s.text(), 20)
                for _ in range(40):
                    c.execute("update user_sessions set expires_at = now() + interval '2 days'; commit")
                    time.sleep(0.05)
                assert s.readyz()[0] != 200 and pg.value("select max(version) from schema_migrations") < NEWEST
                b.execute("rollback")
                wait_for("the schema", lambda: s.readyz()[0] == 200, 20)
                assert pg.value("select max(version) from schema_migrations") == NEWEST


def test_a_statement_that_lost_its_column_would_be_noticed(pg):
    plans = Plans(pg, {"OLD": Statement("OLD", 0, "", "SELECT a_column_that_went FROM messages")})
    with pytest.raises(Exception, match="a_column_that_went"):
        plans.prepare("OLD")
    plans.close()
