-- Rows that expire go, in batches (store/calls/clean.c; calls/clean.tbl names the jobs). CLEAN_… deletes at
-- most $1 rows of a job, the oldest first; rows in use are skipped. COUNT_… says how many rows a whole run
-- will delete, which empties parents before it comes to them. Children before parents: messages,
-- conversations, sessions. A parent goes only when nothing is left below it, so no batch grows beyond its
-- limit by a cascade. Citations go with their message (at most 200). "No such row" is looked up for each
-- candidate ((SELECT true … LIMIT 1) IS NULL): a batch costs what it takes, and no table is read for it.

-- name: CLEAN_LOCK (shared)
-- Two batches of one job never run at once: refuse(18). Tables are not read as a whole, also with a plan
-- that was made for other figures. A deletion that is lost is done again; not one that the feed tells of,
-- whose seq would come twice.
--   $1 job
SELECT CASE WHEN pg_try_advisory_xact_lock(hashtextextended('footnote cleanup ' || $1::text, 0)) THEN true
            ELSE refuse(18) END, set_config('enable_seqscan', 'off', true),
    CASE WHEN $1::text NOT IN ('documents', 'keys') THEN set_config('synchronous_commit', 'off', true) END;

-- name: CLEAN_INFO (shared)
-- The database's clock, the job's last whole run, and about how many rows its table has.
--   $1 job, $2 table
SELECT clock_timestamp(), (SELECT last_run FROM cleanup_runs WHERE job = $1::text),
    GREATEST((SELECT reltuples::int8 FROM pg_class WHERE oid = to_regclass($2::text)), 0);

-- name: CLEAN_MARK (shared)
-- A whole run of the job has ended.
--   $1 job
INSERT INTO cleanup_runs (job, last_run)
VALUES ($1::text, clock_timestamp())
ON CONFLICT (job) DO UPDATE SET last_run = excluded.last_run;

-- name: CLEAN_MESSAGES (shared)
-- Messages that have expired, with their citations.
--   $1 rows
WITH gone AS (
    DELETE FROM messages
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM messages
        WHERE expires_at <= now()
        ORDER BY expires_at LIMIT $1::int8 FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: COUNT_MESSAGES (shared)
-- The number of them that a whole run will delete.
--   $1 most rows to count
SELECT count(*) FROM (SELECT 1 FROM messages WHERE expires_at <= now() LIMIT $1::int8) AS found;

-- name: CLEAN_MONTHS (shared)
-- The same where messages are partitioned by month: a month that is over as a whole, else rows. Are the
-- tables of such a month in use?
--   $1 rows
SELECT gone, in_use FROM messages_clean($1::int8);

-- name: COUNT_MONTHS (shared)
-- About how many of them a whole run will delete.
--   $1 most rows to count
SELECT messages_expired($1::int8);

-- name: CLEAN_MONTHS_MARK (shared)
-- A whole run of the job has ended, where messages are partitioned by month: the coming months are made.
-- Where the tables are in use they are not, and a later run makes them.
--   $1 job
INSERT INTO cleanup_runs (job, last_run)
SELECT $1::text, clock_timestamp() FROM messages_form()
ON CONFLICT (job) DO UPDATE SET last_run = excluded.last_run;

-- name: CLEAN_CONVERSATIONS (shared)
-- Conversations that have expired and hold no message.
--   $1 rows
WITH gone AS (
    DELETE FROM conversations
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM conversations
        WHERE expires_at <= now()
          AND (SELECT true FROM messages m WHERE m.conversation_id = conversations.id LIMIT 1) IS NULL
        ORDER BY expires_at LIMIT $1::int8 FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: COUNT_CONVERSATIONS (shared)
-- The number of them that a whole run will delete: those that hold no message that stays.
--   $1 most rows to count
SELECT count(*)
FROM (
    SELECT 1 FROM conversations
    WHERE expires_at <= now()
      AND (
          SELECT true FROM messages m
          WHERE m.conversation_id = conversations.id AND m.expires_at > now() LIMIT 1
      ) IS NULL
    LIMIT $1::int8
) AS found;

-- piece: months_before
-- Conversations and sessions that may be empty where messages are partitioned by month: an expired message
-- stays until its month goes, and they with it. Both expire with their last message, give or take the slack.
LEAST(now(), (SELECT min(m.expires_at) FROM messages m) - :slack);

-- name: CLEAN_MONTHS_CONVERSATIONS (shared)
-- The same where messages are partitioned by month.
--   $1 rows
WITH gone AS (
    DELETE FROM conversations
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM conversations
        WHERE expires_at <= :months_before
          AND (SELECT true FROM messages m WHERE m.conversation_id = conversations.id LIMIT 1) IS NULL
        ORDER BY expires_at LIMIT $1::int8 FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: COUNT_MONTHS_CONVERSATIONS (shared)
-- The number of them that a whole run will delete, those aside whose messages it will delete.
--   $1 most rows to count
SELECT count(*)
FROM (
    SELECT 1 FROM conversations
    WHERE expires_at <= :months_before
      AND (SELECT true FROM messages m WHERE m.conversation_id = conversations.id LIMIT 1) IS NULL
    LIMIT $1::int8
) AS found;

-- name: CLEAN_SESSIONS (shared)
-- Sessions that have expired and hold no conversation.
--   $1 rows
WITH gone AS (
    DELETE FROM user_sessions
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM user_sessions
        WHERE expires_at <= now()
          AND (SELECT true FROM conversations c WHERE c.user_session_id = user_sessions.id LIMIT 1) IS NULL
        ORDER BY expires_at LIMIT $1::int8 FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: COUNT_SESSIONS (shared)
-- The number of them that a whole run will delete: those that hold no conversation that stays, nor one with a
-- message that stays.
--   $1 most rows to count
SELECT count(*)
FROM (
    SELECT 1 FROM user_sessions
    WHERE expires_at <= now()
      AND (
          SELECT true FROM conversations c
          WHERE c.user_session_id = user_sessions.id
            AND (c.expires_at > now()
                OR EXISTS (SELECT 1 FROM messages m WHERE m.conversation_id = c.id AND m.expires_at > now()))
          LIMIT 1
      ) IS NULL
    LIMIT $1::int8
) AS found;

-- name: CLEAN_MONTHS_SESSIONS (shared)
-- The same where messages are partitioned by month.
--   $1 rows
WITH gone AS (
    DELETE FROM user_sessions
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM user_sessions
        WHERE expires_at <= :months_before
          AND (SELECT true FROM conversations c WHERE c.user_session_id = user_sessions.id LIMIT 1) IS NULL
        ORDER BY expires_at LIMIT $1::int8 FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: COUNT_MONTHS_SESSIONS (shared)
-- The number of them that a whole run will delete, those aside whose conversations it will delete.
--   $1 most rows to count
SELECT count(*)
FROM (
    SELECT 1 FROM user_sessions
    WHERE expires_at <= :months_before
      AND (SELECT true FROM conversations c WHERE c.user_session_id = user_sessions.id LIMIT 1) IS NULL
    LIMIT $1::int8
) AS found;

-- name: CLEAN_IDEMPOTENCY (shared)
-- Idempotency keys, a day after their first use.
--   $1 rows
WITH gone AS (
    DELETE FROM idempotency
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM idempotency
        WHERE expires_at <= now()
        ORDER BY expires_at LIMIT $1::int8 FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: COUNT_IDEMPOTENCY (shared)
-- The number of them that a whole run will delete.
--   $1 most rows to count
SELECT count(*) FROM (SELECT 1 FROM idempotency WHERE expires_at <= now() LIMIT $1::int8) AS found;

-- name: CLEAN_JOBS (shared)
-- Jobs that have expired and wait for no upload.
--   $1 rows
WITH gone AS (
    DELETE FROM jobs
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM jobs
        WHERE expires_at <= now() AND (SELECT true FROM uploads u WHERE u.job_id = jobs.id LIMIT 1) IS NULL
        ORDER BY expires_at LIMIT $1::int8 FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: COUNT_JOBS (shared)
-- The number of them that a whole run will delete.
--   $1 most rows to count
SELECT count(*)
FROM (
    SELECT 1 FROM jobs
    WHERE expires_at <= now() AND (SELECT true FROM uploads u WHERE u.job_id = jobs.id LIMIT 1) IS NULL
    LIMIT $1::int8
) AS found;

-- name: CLEAN_CHANGES (shared)
-- Entries of the change feed that tell of deletions, once every retriever has read them.
--   $1 rows
WITH gone AS (
    DELETE FROM changes
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM changes
        WHERE expires_at <= now()
        ORDER BY expires_at LIMIT $1::int8 FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: COUNT_CHANGES (shared)
-- The number of them that a whole run will delete.
--   $1 most rows to count
SELECT count(*) FROM (SELECT 1 FROM changes WHERE expires_at <= now() LIMIT $1::int8) AS found;

-- name: CLEAN_KEYS (shared)
-- API keys, a week after they expired.
--   $1 rows
WITH gone AS (
    DELETE FROM api_keys
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM api_keys
        WHERE expires_at <= now() - interval '7 days'
        ORDER BY expires_at LIMIT $1::int8 FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: COUNT_KEYS (shared)
-- The number of them that a whole run will delete.
--   $1 most rows to count
SELECT count(*)
FROM (SELECT 1 FROM api_keys WHERE expires_at <= now() - interval '7 days' LIMIT $1::int8) AS found;

-- name: CLEAN_REVOCATIONS (shared)
-- Revocations of API keys, once every gateway has read them.
--   $1 rows
WITH gone AS (
    DELETE FROM revoked_keys
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM revoked_keys
        WHERE expires_at <= now()
        ORDER BY expires_at LIMIT $1::int8 FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: COUNT_REVOCATIONS (shared)
-- The number of them that a whole run will delete.
--   $1 most rows to count
SELECT count(*) FROM (SELECT 1 FROM revoked_keys WHERE expires_at <= now() LIMIT $1::int8) AS found;

-- name: CLEAN_AUDIT (shared)
-- Entries of the audit trail.
--   $1 rows
WITH gone AS (
    DELETE FROM audit
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM audit
        WHERE expires_at <= now()
        ORDER BY expires_at LIMIT $1::int8 FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: COUNT_AUDIT (shared)
-- The number of them that a whole run will delete.
--   $1 most rows to count
SELECT count(*) FROM (SELECT 1 FROM audit WHERE expires_at <= now() LIMIT $1::int8) AS found;

-- name: CLEAN_RESERVATIONS (shared)
-- Reservations of requests that nobody settled: they stay counted as spent.
--   $1 rows
WITH gone AS (
    DELETE FROM budget_holds
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM budget_holds
        WHERE expires_at <= now()
        ORDER BY expires_at LIMIT $1::int8 FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: COUNT_RESERVATIONS (shared)
-- The number of them that a whole run will delete.
--   $1 most rows to count
SELECT count(*) FROM (SELECT 1 FROM budget_holds WHERE expires_at <= now() LIMIT $1::int8) AS found;

-- name: CLEAN_BUDGETS (shared)
-- Days of budgets, after two months.
--   $1 rows
WITH gone AS (
    DELETE FROM budget_days
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM budget_days
        WHERE day < (now() AT TIME ZONE 'UTC')::date - 62
        ORDER BY day LIMIT $1::int8 FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: COUNT_BUDGETS (shared)
-- The number of them that a whole run will delete.
--   $1 most rows to count
SELECT count(*)
FROM (
    SELECT 1 FROM budget_days
    WHERE day < (now() AT TIME ZONE 'UTC')::date - 62 LIMIT $1::int8
) AS found;

-- name: CLEAN_ERASURES (shared)
-- Notes of erasures, once no turn can be waiting that was asked before.
--   $1 rows
WITH gone AS (
    DELETE FROM erased_sessions
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM erased_sessions
        WHERE expires_at <= now()
        ORDER BY expires_at LIMIT $1::int8 FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: COUNT_ERASURES (shared)
-- The number of them that a whole run will delete.
--   $1 most rows to count
SELECT count(*) FROM (SELECT 1 FROM erased_sessions WHERE expires_at <= now() LIMIT $1::int8) AS found;

-- name: CLEAN_DOCUMENTS (shared)
-- Documents that nobody added or changed for their collection's retention_days: deleted as by DELETE,
-- through the change feed, so that no index keeps them. At most 100 at once, since the feed's head is
-- locked meanwhile.
--   $1 rows
WITH x AS MATERIALIZED (
    SELECT o.* FROM collections k
    CROSS JOIN LATERAL (
        SELECT d.id, d.tenant, d.collection FROM documents d
        WHERE d.tenant = k.tenant
          AND d.collection = k.name
          AND d.updated_at <= now() - k.retention_days * interval '1 day'
          AND (SELECT true FROM uploads u WHERE u.document_id = d.id LIMIT 1) IS NULL
        ORDER BY d.updated_at LIMIT LEAST($1::int8, 100) FOR UPDATE SKIP LOCKED
    ) o
    WHERE k.retention_days > 0 LIMIT LEAST($1::int8, 100)
),
n AS (SELECT id, tenant, collection, row_number() OVER (ORDER BY id) AS k FROM x),
h AS (UPDATE feed_head SET seq = seq + (SELECT count(*) FROM x) WHERE EXISTS (SELECT 1 FROM x) RETURNING seq),
c AS (
    INSERT INTO changes (seq, tenant, collection, document_id, op)
    SELECT h.seq + 1 - n.k, n.tenant, n.collection, n.id, 'delete'
    FROM n, h
    ON CONFLICT (document_id) WHERE document_id IS NOT NULL
    DO UPDATE SET seq = excluded.seq, op = excluded.op, at = now()
),
e AS (
    UPDATE collections SET epoch = h.seq
    FROM h
    WHERE EXISTS (SELECT 1 FROM x WHERE x.tenant = collections.tenant AND x.collection = collections.name)
),
g AS (DELETE FROM documents WHERE id = ANY (ARRAY(SELECT id FROM x)) RETURNING 1)
SELECT count(*) FROM g;

-- name: COUNT_DOCUMENTS (shared)
-- The number of them that a whole run will delete.
--   $1 most rows to count
SELECT count(*)
FROM (
    SELECT 1 FROM documents
    WHERE EXISTS (
        SELECT 1 FROM collections c
        WHERE c.tenant = documents.tenant
          AND c.name = documents.collection
          AND c.retention_days > 0
          AND documents.updated_at <= now() - c.retention_days * interval '1 day'
    )
      AND NOT EXISTS (SELECT 1 FROM uploads u WHERE u.document_id = documents.id)
    LIMIT $1::int8
) AS found;
