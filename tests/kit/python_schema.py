"""The schema of a Python backend (docs/migrating.md), as SQLAlchemy makes it, filled for tests and for the import's benchmark.

    make(pg, "old")                       tables in schema old: UUID ids, naive timestamps in UTC
    make(pg, "old", ids="int")            integer ids, conversations refer to user_sessions.session_id, times with zones
    fill(pg, "old", sessions=10, messages=4, citations=2)   per session and conversation; every second message cites
"""

TABLES = """
CREATE SCHEMA {s};
SET search_path = {s};
CREATE TABLE user_sessions ({uid}, session_id uuid NOT NULL UNIQUE, anonymous_browser_id varchar(255), user_id varchar(255),
  page_context json, created_at {time} NOT NULL, expires_at {time});
CREATE TABLE conversations ({id}, user_session_id {ref} NOT NULL REFERENCES user_sessions ({to}), title text,
  created_at {time} NOT NULL, expires_at {time});
CREATE TABLE messages ({id}, conversation_id {type} NOT NULL{fk_c}, role varchar(20) NOT NULL, content text,
  source_references json, timestamp {time} NOT NULL, expires_at {time});
CREATE TABLE citations ({id}, message_id {type} NOT NULL{fk_m}, chapter varchar(255), section varchar(255),
  content_excerpt text, link text, confidence_score double precision);
CREATE INDEX ON conversations (user_session_id);
CREATE INDEX ON messages (conversation_id);
CREATE INDEX ON citations (message_id);
"""

FILL = """
SET search_path = {s};
INSERT INTO user_sessions (session_id, anonymous_browser_id, user_id, page_context, created_at, expires_at)
  SELECT gen_random_uuid(), 'browser-' || i, CASE WHEN i % 3 = 0 THEN 'user-' || i END, '{{"page": "intro"}}',
    date_trunc('second', now()) - interval '1 day', date_trunc('second', now()) + interval '20 days'
  FROM generate_series(1, {sessions}) i;
INSERT INTO conversations (user_session_id, title, created_at, expires_at)
  SELECT {to}, 'A talk', created_at, expires_at FROM user_sessions;
INSERT INTO messages (conversation_id, role, content, timestamp, expires_at)
  SELECT c.id, CASE k % 2 WHEN 1 THEN 'user' ELSE 'assistant' END,
    repeat('Words of message ' || k || ' with enough text to be like an answer. ', 3), c.created_at + k * interval '1 second',
    c.expires_at FROM conversations c, generate_series(1, {messages}) k;
INSERT INTO citations (message_id, chapter, section, content_excerpt, link, confidence_score)
  SELECT m.id, 'Chapter ' || n, 'Section ' || n, 'An excerpt of the chapter, number ' || n,
    'https://book.example.org/' || n || '#s', 0.5 + n / 100.0
  FROM messages m, generate_series(1, {citations}) n WHERE m.role = 'assistant';
ANALYZE;
"""


def make(pg, schema, ids="uuid", keys=True):
    """keys=False: messages and citations may refer to what is not there."""
    uuids = ids == "uuid"
    kind = "uuid" if uuids else "integer"
    own = "id uuid PRIMARY KEY DEFAULT gen_random_uuid()" if uuids else "id serial PRIMARY KEY"
    pg.psql(TABLES.format(s=schema, uid=own, id=own, type=kind, ref=kind if uuids else "uuid", to="id" if uuids else "session_id",
                          fk_c=" REFERENCES conversations (id)" if keys else "",
                          fk_m=" REFERENCES messages (id)" if keys else "", time="timestamp" if uuids else "timestamptz"))


def fill(pg, schema, sessions=10, messages=4, citations=2, ids="uuid"):
    pg.psql(FILL.format(s=schema, sessions=sessions, messages=messages, citations=citations,
                        to="id" if ids == "uuid" else "session_id"))
