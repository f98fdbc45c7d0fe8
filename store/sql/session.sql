-- Sessions and their erasure.

-- name: SESSION_GET (tenant)
-- A session that has not expired, with how many conversations and messages it has.
--   $1 tenant, $2 hash of its secret
SELECT user_id, created_at, expires_at,
    (SELECT count(*) FROM conversations c WHERE c.user_session_id = s.id AND c.tenant = $1::text),
    (
        SELECT count(*) FROM conversations c
        JOIN messages m ON m.conversation_id = c.id
        WHERE c.user_session_id = s.id AND c.tenant = $1::text AND m.tenant = $1::text
    )
FROM user_sessions s
WHERE s.session_id = $2::bytea AND s.tenant = $1::text AND s.expires_at > now();

-- name: SESSION_DELETE (tenant)
-- Everything of a session goes with it.
--   $1 tenant, $2 hash of its secret
DELETE FROM user_sessions WHERE session_id = $2::bytea AND tenant = $1::text;

-- name: ERASED_NOTE (tenant)
-- The erasure is noted, so that turns that were asked before it and are still on their way are dropped.
--   $1 tenant, $2 hash of the secret, $3 when it was asked for (not more than a minute ahead of our clock),
--   $4 whether only if there is something to erase: more than the row that SESSION_TOUCH has just made
INSERT INTO erased_sessions AS e (tenant, session_id, erased_at)
SELECT $1::text, $2::bytea,
    GREATEST(clock_timestamp(),
        LEAST(COALESCE($3::timestamptz, clock_timestamp()), clock_timestamp() + interval '1 minute'))
WHERE NOT $4::bool
  OR EXISTS (
      SELECT 1 FROM user_sessions WHERE session_id = $2::bytea AND tenant = $1::text AND created_at <> now()
  )
ON CONFLICT (tenant, session_id) DO UPDATE SET erased_at = GREATEST(e.erased_at, excluded.erased_at);

-- name: USER_DELETE (tenant)
-- Sessions of a user, some at once, each with a note of its erasure.
--   $1 tenant, $2 user, $3 sessions at once, $4 when it was asked for (not more than a minute ahead of our
--   clock)
WITH gone AS (
    DELETE FROM user_sessions
    WHERE tenant = $1::text
      AND id = ANY (ARRAY(
          SELECT id FROM user_sessions
          WHERE tenant = $1::text AND user_id = $2::text
          ORDER BY id LIMIT $3::int8 FOR UPDATE
      ))
    RETURNING session_id
),
noted AS (
    INSERT INTO erased_sessions AS e (tenant, session_id, erased_at)
    SELECT $1::text, session_id,
        GREATEST(clock_timestamp(),
            LEAST(COALESCE($4::timestamptz, clock_timestamp()), clock_timestamp() + interval '1 minute'))
    FROM gone
    ON CONFLICT (tenant, session_id) DO UPDATE SET erased_at = GREATEST(e.erased_at, excluded.erased_at)
)
SELECT session_id FROM gone;
