"""Whose rows a statement may touch: read from the plans that Postgres makes of the statement table, and from the live catalog.

A plan shows what is really compared on every table that is read, whatever the text looks like; so a condition that stands
in the wrong place, or on another alias, is found out."""
import glob
import os
import re
import subprocess

import pytest

from busfake import Hub, Service
from pg import Postgres
from sql_kit import FILES, ROOT, Plans, generate, index_tables, nodes, shape, statements

TABLE = statements()
# What retrievers (claims, feed), gateways (keys) and the janitor ask across tenants, and what concerns no row at all. A new
# statement is either TENANT or is added here on purpose.
SHARED = {
    "no row": {"SETTLE"},
    "connections": {"TIMEOUT", "SETTINGS", "SAFETY"},
    "held by document, generation and lease": {"RENEW", "JOB_TEXT", "CHUNKS_CHECK", "CHUNKS_ADD", "FINISH_LOCK", "FINISH_SWAP",
                                               "FINISH_DROP", "FINISH_JOB", "FINISH_FEED", "FINISH_SEQ", "FINISH_AGAIN", "FINISH_LATER", "FINISH_FAIL",
                                               "CLAIMED", "CLAIM_BACK", "DONE_LOCK", "DONE_CHUNKS", "DONE_SWAP", "DONE_DROP", "DONE_JOBS",
                                               "DONE_FEED", "DONE_BEFORE", "FINISH_MODEL", "DONE_MODEL", "MODEL_RENEW", "MODEL_PUT_CHECK", "MODEL_PUT_CLEAR",
                                           "MODEL_PUT", "MODEL_PUT_WHOLE"},
    "work and index of all tenants": {"CLAIM", "CLAIM_GIVE_UP", "CHUNKS_DOCUMENT", "CHUNKS_GET", "LOAD_DOCUMENTS", "LOAD_CHUNKS",
                                      "FEED_HEAD", "FEED", "ASIDE_SET",
                                      "ASIDE_END", "WAIT_SET", "WAIT_END", "MODEL_LOOK", "MODEL_FIND", "MODEL_BEGIN", "MODEL_STOP", "MODEL_FREE",
                                      "MODEL_LEASE",
                                      "MODEL_WORK", "MODEL_QUESTIONS", "MODEL_LOCK", "MODEL_SWITCH", "MODEL_TIDY", "MODEL_TIDIED"},
    "the search index of all tenants; its functions compare tenant and collections (tests/pgvector)": {
        "INDEX_REACHED", "INDEX_STATE", "INDEX_PUT", "INDEX_DROP", "INDEX_COUNT", "INDEX_FIND"},
    "the store's own walk over all documents": {"TEXTS_PLAIN"},
    "the link that names the citation holds a proof of its session, which the gateway checks": {"PASSAGE"},
    "keys say which tenant one is": {"KEY_LIST_ALL", "KEY_HEAD", "KEY_CHANGES", "KEY_GET", "KEY_ORIGIN", "KEY_USED"},
}
JANITOR = re.compile("(CLEAN|COUNT)_")
IMPORT = re.compile("IMPORT_")       # an administrator's command fills a whole tenant: any session of it, but of no other
# Statements that find a message by its id and tenant alone, and why no session is needed.
BY_MESSAGE = {
    "IDEM_STORED": "the key's own question",
    "ORIGIN_STANDS": "asks whether another session's shared answer is still there, and reads nothing of it",
    "USAGE": "counts of the tenant, for its admin",
    "REPORT": "unanswered questions of the tenant, for its admin",
}


@pytest.fixture(scope="module")
def pg():
    with Postgres() as p, Hub() as h:
        with Service("store", h, DATABASE_URL=p.url):
            pass
        index_tables(p)
        yield p


@pytest.fixture(scope="module")
def plans(pg):
    p = Plans(pg)
    yield p
    p.close()


def plan_of(plans, name):
    if IMPORT.match(name):                   # an import plans as its first statement says
        plans.cur.execute(TABLE["IMPORT_PLAN"].text.replace("true)", "false)"))
        try:
            return plans.explain(name, *[None] * TABLE[name].params, options=", VERBOSE")
        finally:
            plans.cur.execute("RESET ALL")
    return plans.explain(name, *[None] * TABLE[name].params, options=", VERBOSE")


def conditions(node):
    return " ".join(str(node[k]) for k in ("Index Cond", "Filter", "Recheck Cond", "TID Cond", "Conflict Filter") if k in node)


def columns(pg, table):
    return {r[0] for r in pg.query("select column_name from information_schema.columns where table_schema = 'footnote'"
                                   " and table_name = %s", table)}


def with_tenant(pg):
    return {r[0] for r in pg.query("select table_name from information_schema.columns where table_schema = 'footnote'"
                                   " and column_name = 'tenant'")}


TENANT = sorted(n for n, s in TABLE.items() if s.scope == "TENANT")


def test_what_is_shared_between_tenants_is_listed():
    shared = {n for n, s in TABLE.items() if s.scope == "SHARED" and not JANITOR.match(n)}
    assert {n for n in shared if not IMPORT.match(n)} == set().union(*SHARED.values())


def test_every_table_that_a_tenants_statement_reads_is_held_to_the_tenant(pg, plans):
    tables, bad = with_tenant(pg), []
    for name in TENANT:
        plan = plan_of(plans, name)
        held = any(n["Node Type"] == "Subquery Scan" and re.search(r"\bup\.tenant = \$1", conditions(n)) for n in nodes(plan))
        for n in nodes(plan):
            if n.get("Relation Name") not in tables or n["Node Type"] in ("ModifyTable", "Bitmap Index Scan"):
                continue
            if IMPORT.match(name) and n["Node Type"] == "Index Only Scan" and re.search(r"id = ", conditions(n)):
                continue  # is that id taken, by whomsoever
            if held and IMPORT.match(name) and n["Node Type"] == "Index Scan" and re.search(r"\bx(_\d)?\.id = ", conditions(n)):
                continue  # the parent by its key; the node above compares its tenant
            if not re.search(r"\btenant = (\$\d|\(?\w+\.tenant)|\(tenant = ", conditions(n)):
                bad.append(f"{name}: {n['Node Type']} on {n['Relation Name']} {n.get('Alias', '')}: {conditions(n)}")
    assert not bad, "\n".join(bad)


def test_a_row_is_found_by_its_key_on_a_new_database_too(pg, plans):
    """Such a plan is kept as long as its connection, and nobody has counted anything yet. By tenant alone it would read all that a tenant has, for each row."""
    bad = []
    plans.cur.execute("SET enable_seqscan = off")     # as the store's connections do
    try:
        for name in sorted(set(TABLE) - {n for n in TABLE if IMPORT.match(n)}):
            for n in nodes(plan_of(plans, name)):
                by = n.get("Index Cond", "")
                if re.fullmatch(r"\(+\w+\.tenant = [^()]*\)( AND \(\w+\.\"?\w+\"? IS NOT NULL\)\))?", by) and re.search(r"\.(conversation_|message_)?id = ", n.get("Filter", "")):
                    bad.append(f"{name}: {n['Index Name']} by {by}, filtered by {n['Filter']}")
    finally:
        plans.cur.execute("RESET enable_seqscan")
    assert not bad, "\n".join(bad)


def test_every_row_that_a_tenants_statement_writes_carries_the_tenant(pg, plans):
    """Inserts name it; an insert that may change a row instead compares it, or conflicts by a key that holds it."""
    tables, bad = with_tenant(pg), []
    keys = dict(pg.query("select indexname, indexdef from pg_indexes where schemaname = 'footnote'"))
    for name in TENANT:
        for table in re.findall(r"INSERT INTO (\w+)(?: AS \w+)? \(([^)]*)\)", TABLE[name].text):
            if table[0] in tables and "tenant" not in re.split(r",\s*", table[1]):
                bad.append(f"{name}: inserts into {table[0]} without the tenant")
        for n in nodes(plan_of(plans, name)):
            if n.get("Conflict Resolution") == "UPDATE" and n["Relation Name"] in tables:
                by_key = all(re.search(r"\((.*, )?tenant\b", keys[i]) for i in n["Conflict Arbiter Indexes"])
                if not by_key and not re.search(rf"\b{n['Alias']}\.tenant = excluded(_\d+)?\.tenant\b", n.get("Conflict Filter", "")):
                    bad.append(f"{name}: a conflict on {n['Conflict Arbiter Indexes']} changes a row of whichever tenant")
    assert not bad, "\n".join(bad)


def test_what_a_session_owns_is_found_through_that_session(pg, plans):
    """Conversations by user_session_id, messages through such a conversation, sessions by their hash, user or own id."""
    bad = []
    for name in TENANT:
        if IMPORT.match(name):
            continue
        plan = plan_of(plans, name)
        reads = [n for n in nodes(plan) if n.get("Relation Name") in ("conversations", "messages", "user_sessions")
                 and n["Node Type"] != "ModifyTable"]
        tables = {n["Relation Name"] for n in reads}
        for n in reads:
            if n["Relation Name"] == "conversations" and "user_session_id = " not in conditions(n) and name not in BY_MESSAGE:
                bad.append(f"{name}: conversations of any session: {conditions(n)}")
            if n["Relation Name"] == "user_sessions" and not re.search(r"session_id = |user_id = |\bid = ", conditions(n)):
                bad.append(f"{name}: any session: {conditions(n)}")
        if "messages" in tables and "conversations" not in tables and name not in BY_MESSAGE:
            bad.append(f"{name}: messages without their conversation\n{shape(plan)}")
    assert not bad, "\n".join(bad)


def test_every_statement_of_the_table_is_used(tmp_path):
    """Named by the store's code as the compiler sees it, apart from the list itself."""
    named = set()
    made = tmp_path / "store_sql.tbl"
    made.write_text(generate(*FILES).stdout)
    for name in ("make", "tables"):
        (tmp_path / f"pgvector_{name}.inc").write_text('""')
    flags = ["-I", str(tmp_path)] + subprocess.run(["pkg-config", "--cflags", "libpq", "hiredis", "jansson"], capture_output=True, text=True).stdout.split()
    for f in sorted(glob.glob(os.path.join(ROOT, "store/**/*.c"), recursive=True)):
        text = subprocess.run(["cc", "-E", "-P", "-D_GNU_SOURCE", "-I", ROOT, *flags, f], capture_output=True, text=True, check=True).stdout
        named |= set(re.findall(r"\bSQL_(\w+)", re.sub(r"enum sql_id \{.*?\};", "", text, flags=re.S)))
    assert set(TABLE) - named == set()


def test_no_statement_makes_an_id_or_reads_the_clients_time_as_text():
    """Ids come from outside (UUIDv7), so that a repeated write has the same."""
    for name, s in TABLE.items():
        assert not re.search(r"gen_random_uuid|uuid_generate|nextval|serial", s.text), name
