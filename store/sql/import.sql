-- Statements of an import. Each step has one that takes the rows that are not there yet (one array a
-- column), and one, …_CHECK, that names those that are still not there: it is asked only when fewer were
-- taken than were given. A mark says how far a step has come, in absolute figures, and only of rows that
-- are committed: a transaction that is run again changes nothing, and what was taken after the last mark is
-- found there by the next run. The parent of each row is looked up by its key and by nothing else (JOIN
-- LATERAL … LIMIT 1): the tables grow while their statistics are those of an empty one, and any other way
-- to join reads all of a parent's tenant for each row.

-- piece: cited
-- Citations that a step was given, numbered, by columns.
--   $2 ids, $3 messages, $4 numbers, $5 documents, $6 chunks, $7 titles, $8 chapters, $9 sections,
--   $10 URLs, $11 excerpts, $12 scores
unnest($2::uuid[], $3::uuid[], $4::int8[], $5::uuid[], $6::uuid[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::text[], $12::float8[])
  WITH ORDINALITY AS v(id, message, n, document, chunk, title, chapter, section, url, excerpt, score, i);

-- piece: given
-- Rows that a step was given, numbered: $2 ids, $3 ids of their parents.
unnest($2::uuid[], $3::uuid[]) WITH ORDINALITY AS u(id, parent, i);

-- name: IMPORT_PLAN (shared)
-- Rows come by the thousand and the tables grow from nothing: plans that were made for small tables must
-- not stay. The commit is waited for: the next batch goes on from this one, also after the server has
-- crashed.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true), set_config('enable_bitmapscan', 'off', true);

-- name: IMPORT_SESSIONS (tenant)
-- Sessions, but none that was erased here.
--   $1 tenant, $2 ids, $3 hashes of their secrets, $4 users, $5 begun, $6 expiries
INSERT INTO user_sessions (id, tenant, session_id, user_id, created_at, expires_at)
SELECT u.id, $1::text, u.session, u.user_id, COALESCE(u.created, now()),
    COALESCE(u.expires, now() + interval '30 days')
FROM unnest($2::uuid[], $3::bytea[], $4::text[], $5::timestamptz[], $6::timestamptz[])
  AS u(id, session, user_id, created, expires)
WHERE NOT EXISTS (SELECT 1 FROM erased_sessions e WHERE e.tenant = $1::text AND e.session_id = u.session)
ON CONFLICT DO NOTHING;

-- name: IMPORT_SESSIONS_CHECK (tenant)
-- The given rows that the table does not hold under their parents.
--   $1 tenant
SELECT u.i FROM :given
WHERE NOT EXISTS (SELECT 1 FROM user_sessions x WHERE x.id = u.id AND x.tenant = $1::text AND x.id = u.parent)
ORDER BY u.i;

-- name: IMPORT_CONVERSATIONS (tenant)
-- Conversations of sessions that are there.
--   $1 tenant, $2 ids, $3 sessions, $4 begun, $5 expiries
INSERT INTO conversations (id, tenant, user_session_id, is_open, created_at, expires_at)
SELECT u.id, $1::text, up.id, false, COALESCE(u.created, up.created_at), COALESCE(u.expires, up.expires_at)
FROM unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[]) AS u(id, session, created, expires)
JOIN LATERAL (
    SELECT x.id, x.created_at, x.expires_at, x.tenant FROM user_sessions x WHERE x.id = u.session LIMIT 1
) AS up ON up.tenant = $1::text
ON CONFLICT DO NOTHING;

-- name: IMPORT_CONVERSATIONS_CHECK (tenant)
-- The given rows that the table does not hold under their parents.
--   $1 tenant
SELECT u.i FROM :given
WHERE NOT EXISTS (
    SELECT 1 FROM conversations x WHERE x.id = u.id AND x.tenant = $1::text AND x.user_session_id = u.parent
)
ORDER BY u.i;

-- name: IMPORT_MESSAGES (tenant)
-- Messages of conversations that are there.
--   $1 tenant, $2 ids, $3 conversations, $4 roles, $5 contents, $6 pages, $7 times, $8 expiries, $9 models,
--   $10 confidences
INSERT INTO messages (id, tenant, conversation_id, role, content, page_context, status, timestamp, expires_at,
    model, confidence)
SELECT u.id, $1::text, up.id, u.role, u.content, u.page, 'complete', u.at, COALESCE(u.expires, up.expires_at),
    u.model, u.confidence
FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[],
    $9::text[], $10::float8[]) AS u(id, conversation, role, content, page, at, expires, model, confidence)
JOIN LATERAL (
    SELECT x.id, x.expires_at, x.tenant FROM conversations x WHERE x.id = u.conversation LIMIT 1
) AS up ON up.tenant = $1::text
ON CONFLICT DO NOTHING;

-- name: IMPORT_MESSAGES_CHECK (tenant)
-- The given rows that the table does not hold under their parents.
--   $1 tenant
SELECT u.i FROM :given
WHERE NOT EXISTS (
    SELECT 1 FROM messages x WHERE x.id = u.id AND x.tenant = $1::text AND x.conversation_id = u.parent
)
ORDER BY u.i;

-- name: IMPORT_CITATIONS (tenant)
-- Citations of messages that are there, at most 200 of each. One without a number gets the message's next
-- one.
--   $1 tenant
INSERT INTO citations (id, tenant, message_id, n, document_id, chunk_id, title, chapter, section, url,
    excerpt, start_byte, end_byte, score)
SELECT v.id, $1::text, v.message, v.n, v.document, v.chunk, v.title, v.chapter, v.section, v.url, v.excerpt,
    0, 0, v.score
FROM (
    SELECT v.id, v.message,
        COALESCE(v.n,
            COALESCE((SELECT max(c.n) FROM citations c WHERE c.message_id = v.message), 0)
              + row_number() OVER (PARTITION BY v.message ORDER BY v.i)) AS n, v.document, v.chunk, v.title,
        v.chapter, v.section, v.url, v.excerpt, v.score
    FROM :cited
    JOIN LATERAL (SELECT x.id, x.tenant FROM messages x WHERE x.id = v.message LIMIT 1) AS up
      ON up.tenant = $1::text
    WHERE NOT EXISTS (SELECT 1 FROM citations x WHERE x.id = v.id)
) AS v
WHERE v.n <= 200
ON CONFLICT DO NOTHING;

-- name: IMPORT_CITATIONS_CHECK (tenant)
-- The given rows that the table does not hold under their parents.
--   $1 tenant
SELECT u.i FROM :given
WHERE NOT EXISTS (
    SELECT 1 FROM citations x WHERE x.id = u.id AND x.tenant = $1::text AND x.message_id = u.parent
)
ORDER BY u.i;

-- name: IMPORT_REFERENCES (tenant)
-- Citations that stood inside their messages: only for messages that have none yet; those of one message
-- always come together.
--   $1 tenant
INSERT INTO citations (id, tenant, message_id, n, document_id, chunk_id, title, chapter, section, url,
    excerpt, start_byte, end_byte, score)
SELECT v.id, $1::text, v.message, v.n, v.document, v.chunk, v.title, v.chapter, v.section, v.url, v.excerpt,
    0, 0, v.score
FROM :cited
JOIN LATERAL (SELECT x.id, x.tenant FROM messages x WHERE x.id = v.message LIMIT 1) AS up
  ON up.tenant = $1::text
WHERE NOT EXISTS (SELECT 1 FROM citations x WHERE x.message_id = v.message)
ON CONFLICT DO NOTHING;

-- name: IMPORT_REFERENCES_CHECK (tenant)
-- Messages that got none.
--   $1 tenant
SELECT min(u.i) AS i FROM :given
WHERE NOT EXISTS (SELECT 1 FROM citations x WHERE x.message_id = u.parent AND x.tenant = $1::text)
GROUP BY u.parent
ORDER BY 1;

-- name: IMPORT_MARK (tenant)
-- The progress of a step.
--   $1 tenant, $2 source, $3 step, $4 position, $5 rows seen, $6 of them refused, $7 whether it is all
INSERT INTO imports (source, tenant, step, position, seen, refused, done)
VALUES ($2::text, $1::text, $3::text, $4::text, $5::int8, $6::int8, $7::bool)
ON CONFLICT (source, tenant, step)
DO UPDATE SET position = excluded.position, seen = excluded.seen, refused = excluded.refused,
    done = excluded.done, updated_at = now();

-- name: IMPORT_LOAD (tenant)
-- The progress of each step of an import.
--   $1 tenant, $2 source
SELECT step, position, seen, refused, done FROM imports WHERE tenant = $1::text AND source = $2::text;

-- name: IMPORT_RESET (tenant)
-- An import begins anew.
--   $1 tenant, $2 source
DELETE FROM imports WHERE tenant = $1::text AND source = $2::text;
