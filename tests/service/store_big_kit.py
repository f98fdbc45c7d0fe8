"""A database as it is after a month: sessions, conversations, messages and citations by the million, made by the server itself.

Half of the messages belong to many visitors, half to one session of 250 conversations, so that its page 10,000 exists.
Ids are ordered by time, as UUIDv7 are. One in 30 rows has expired. Keys (idempotency), jobs and documents stand beside.
"""
import os
import time

MESSAGES = int(os.environ.get("EXPLAIN_MESSAGES", "1000000"))
LONG = MESSAGES // 2 + 1000             # messages of the one session
LONG_CONVERSATIONS = 250
DAYS = 31

# the n-th id of a kind: ordered, like those that are made from the clock
ID = "(lpad(to_hex({kind}), 2, '0') || lpad(to_hex(({n})::int8), 10, '0') || '7000800000000000' || lpad(to_hex({kind}), 4, '0'))::uuid"
# the n-th of m moments of the last month, oldest first; a message lives 30 days
AT = f"now() - interval '{DAYS} days' + ({{n}}) * interval '{DAYS} days' / {{m}}"
TEXT = "left(repeat('words of the ' || {n} || 'th message, as long as they are; ', 8), 80 + ({n} % 5) * 50)"


def ident(kind, n):
    return ID.format(kind=kind, n=n)


def at(n, m):
    return AT.format(n=n, m=m)


def script(session_row, tenant="default"):
    """The statements that fill everything; session_row: the id of the session with the long history."""
    rest = MESSAGES - LONG
    talks, people = rest // 10, rest // 25
    per = LONG // LONG_CONVERSATIONS
    yield f"""INSERT INTO user_sessions (id, tenant, session_id, user_id, created_at, expires_at)
        SELECT {ident(1, 'i')}, CASE i % 10 WHEN 0 THEN 'acme' ELSE '{tenant}' END, sha256(i::text::bytea),
        CASE WHEN i % 4 = 0 THEN 'u' || i / 40 END, {at('i', people)}, {at('i', people)} + interval '30 days'
        FROM generate_series(1, {people}) i"""
    yield f"""INSERT INTO conversations (id, tenant, user_session_id, is_open, created_at, expires_at)
        SELECT {ident(2, 'i')}, CASE (i % {people} + 1) % 10 WHEN 0 THEN 'acme' ELSE '{tenant}' END,
        {ident(1, f'i % {people} + 1')}, i > {talks - people}, {at('i', talks)}, {at('i', talks)} + interval '30 days'
        FROM generate_series(1, {talks}) i"""
    yield f"""INSERT INTO conversations (id, tenant, user_session_id, is_open, created_at, expires_at)
        SELECT {ident(3, 'i')}, '{tenant}', '{session_row}', i = {LONG_CONVERSATIONS}, {at('i', LONG_CONVERSATIONS)},
        now() + interval '30 days' FROM generate_series(1, {LONG_CONVERSATIONS}) i"""
    columns = """id, tenant, conversation_id, question_id, role, content, status, model, confidence, grounded,
        prompt_tokens, completion_tokens, timestamp, expires_at"""
    answer = "CASE i % 2 WHEN 0 THEN {q} END, CASE i % 2 WHEN 0 THEN 'assistant' ELSE 'user' END"
    yield f"""INSERT INTO messages ({columns}) SELECT {ident(4, 'i')}, c.tenant, c.id,
        {answer.format(q=ident(4, 'i - 1'))}, {TEXT.format(n='i')}, 'complete', 'm', 0.5, i % 2 = 0, 900, 90,
        {at('i', rest)}, {at('i', rest)} + interval '30 days'
        FROM generate_series(1, {rest}) i JOIN conversations c ON c.id = {ident(2, f'(i - 1) / 2 % {talks} + 1')}"""
    yield f"""INSERT INTO messages ({columns}) SELECT {ident(5, 'i')}, '{tenant}', {ident(3, f'least(i / {per} + 1, {LONG_CONVERSATIONS})')},
        {answer.format(q=ident(5, 'i - 1'))}, {TEXT.format(n='i')}, 'complete', 'm', 0.5, i % 2 = 0, 900, 90,
        {at('i', LONG)}, now() + interval '30 days' FROM generate_series(1, {LONG}) i"""
    yield f"""INSERT INTO citations (id, tenant, message_id, n, document_id, chunk_id, title, section, excerpt, start_byte,
        end_byte, score) SELECT {ident(6, '8 * m.i + n')}, m.tenant, m.id, n, {ident(7, 'm.i % 2000')}, {ident(8, 'm.i % 20000 + n')},
        'A title', 'A section', left(m.content, 60), 100, 160, 0.5
        FROM (SELECT id, tenant, content, row_number() OVER () AS i FROM messages WHERE role = 'assistant') m,
        generate_series(1, 2) n"""
    yield f"""INSERT INTO idempotency (tenant, scope, key, hash, question_id, holder, user_session_id, lease_until, expires_at)
        SELECT '{tenant}', 'key/route', i::text, sha256(i::text::bytea), {ident(4, 'i')}, {ident(4, 'i')},
        {ident(1, 'i')}, now(), now() + (i % 24 - 1) * interval '1 hour' FROM generate_series(1, {people}) i"""
    yield f"INSERT INTO collections (tenant, name, retention_days) SELECT '{tenant}', 'c' || i, i % 2 * 30 FROM generate_series(0, 9) i"
    yield f"""INSERT INTO documents (id, tenant, collection, external_id, mime, status, generation, latest, body, text, text_bytes,
        created_at, updated_at) SELECT {ident(7, 'i')}, '{tenant}', 'c' || i % 10, 'd' || i, 'text/plain', 'ready', 1, 1, 'x', 'x', 1,
        {at('i', 20000)}, {at('i', 20000)} FROM generate_series(1, 20000) i"""
    yield f"""INSERT INTO jobs (id, tenant, collection, updated_at) SELECT {ident(9, 'i')}, '{tenant}', 'c1', now() - i * interval '2 minutes'
        FROM generate_series(1, 6000) i"""
    yield f"""INSERT INTO uploads (document_id, tenant, generation, job_id, mime, fingerprint, sha256, body, queued_at,
        lease_owner, lease_until)
        SELECT {ident(7, 'i')}, '{tenant}', 2, {ident(9, 'i')}, 'text/plain', 'x', 'x', 'x', now() - i * interval '1 second',
        CASE WHEN i <= 5 THEN 'w' END, CASE WHEN i <= 5 THEN now() + interval '1 hour' END
        FROM generate_series(1, 3000) i"""
    yield f"""INSERT INTO chunks (id, document_id, generation, ord, tenant, start_byte, end_byte, hash, model, embedding)
        SELECT {ident(8, 'i')}, {ident(7, 'i / 5 + 1')}, 1, i % 5, '{tenant}', 0, 1, sha256(i::text::bytea), 'm', 'x'
        FROM generate_series(0, 99999) i"""
    # every other document has a second set of vectors, as while a model changes
    yield f"""INSERT INTO vectors (document_id, generation, ord, tenant, model, hash, embedding)
        SELECT document_id, 1, ord, tenant, 'm2', hash, 'xxxx' FROM chunks
        WHERE document_id IN (SELECT {ident(7, '2 * i')} FROM generate_series(1, 10000) i)"""
    yield """UPDATE documents SET second = 'm2', second_dims = 1, second_generation = 1
        WHERE id IN (SELECT document_id FROM vectors)"""
    yield f"""INSERT INTO changes (seq, tenant, collection, document_id, op, at) SELECT i, '{tenant}', 'c1',
        {ident(7, 'i')}, CASE i % 2 WHEN 0 THEN 'delete' ELSE 'ready' END, now() - i * interval '1 minute'
        FROM generate_series(1, 20000) i"""
    yield f"""INSERT INTO changes (seq, tenant, collection, op) SELECT 30000 + i, '{tenant}', 'x' || i, 'collection'
        FROM generate_series(1, 500) i"""
    yield "UPDATE feed_head SET seq = 40000"
    yield f"""INSERT INTO erased_sessions (tenant, session_id, erased_at) SELECT '{tenant}', sha256(i::text::bytea),
        now() - i * interval '10 seconds' FROM generate_series(1, 20000) i"""
    yield f"""INSERT INTO api_keys (hash, tenant, scopes, expires_at, origins, seq, created_at) SELECT sha256(i::text::bytea),
        't' || i % 50, '{{chat}}', CASE i % 100 WHEN 0 THEN now() - interval '30 days' END,
        CASE i % 3 WHEN 0 THEN ARRAY['https://o' || i || '.example'] END, 2 * i, now() - i * interval '1 minute'
        FROM generate_series(1, 5000) i"""
    yield "INSERT INTO key_uses (hash, tenant, used_on) SELECT hash, tenant, '2026-01-01' FROM api_keys"
    yield f"""INSERT INTO revoked_keys (hash, seq, expires_at) SELECT sha256(('r' || i)::bytea), 2 * i + 1,
        now() + (i - 100) * interval '1 minute' FROM generate_series(1, 5000) i"""
    yield "UPDATE key_head SET seq = 20000"
    yield f"""INSERT INTO audit (id, tenant, at, actor, action, address, status, expires_at) SELECT {ident(9, 'i')}, '{tenant}',
        now() - i * interval '1 minute', 'local', 'DELETE x', '::1', 204, now() + (500 - i) * interval '1 day'
        FROM generate_series(1, 5000) i"""


def fill(pg, session_row):
    """Fills the schema that a store has made; seconds. The big tables are emptied in the same transaction, so that with
    wal_level=minimal nothing is logged; their secondary indexes are dropped meanwhile and made again as they were."""
    begun = time.monotonic()
    c = pg.connect()
    with c.cursor() as cur:
        cur.execute("ALTER SYSTEM SET fsync = off")                 # a database that is thrown away; its store runs with it on
        cur.execute("SELECT pg_reload_conf()")
        cur.execute("SET session_replication_role = replica")       # references hold by construction
        cur.execute("SET synchronous_commit = off; SET maintenance_work_mem = '256MB'; SET work_mem = '64MB'")
        cur.execute("""SELECT x.indexrelid::regclass::text, pg_get_indexdef(x.indexrelid) FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid
            WHERE t.relnamespace = 'footnote'::regnamespace AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = x.indexrelid)
            AND t.relname IN ('conversations', 'messages', 'citations', 'user_sessions')""")
        dropped = cur.fetchall()
        cur.execute("BEGIN; TRUNCATE conversations, messages, citations")
        for name, _ in dropped:
            cur.execute(f"DROP INDEX {name}")
        for sql in script(session_row):
            cur.execute(sql)
        for _, definition in dropped:
            cur.execute(definition)
        cur.execute("COMMIT")
        cur.execute("VACUUM ANALYZE")
    c.close()
    return time.monotonic() - begun
