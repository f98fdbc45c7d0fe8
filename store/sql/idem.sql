-- Idempotency keys: a request claims its key with a lease, and stores its answer under it. refuse(0): the
-- request was answered before; 19: it runs; 23: the key was used for another request.

-- name: IDEM_CLAIM (tenant)
-- A key is claimed, or the claim is renewed by its holder. A row that ran out begins anew.
--   $1 tenant, $2 scope, $3 key, $4 the request's hash, $5 question (NULL: the one of the first run stays),
--   $6 session, $7 milliseconds of the lease, $8 holder
WITH up AS (
    INSERT INTO idempotency AS i (tenant, scope, key, hash, question_id, user_session_id, lease_until,
        expires_at, holder)
    VALUES ($1::text, $2::text, $3::text, $4::bytea, COALESCE($5::uuid, $8::uuid), $6::uuid,
        now() + $7::int8 * interval '1 millisecond', now() + interval '24 hours', $8::uuid)
    ON CONFLICT (tenant, scope, key)
    DO UPDATE SET hash = excluded.hash,
        question_id = CASE WHEN i.expires_at <= now() THEN excluded.question_id
                           ELSE COALESCE($5::uuid, i.question_id) END,
        user_session_id = COALESCE(excluded.user_session_id, i.user_session_id), holder = excluded.holder,
        lease_until = excluded.lease_until, http_status = NULL, body = NULL,
        expires_at = CASE WHEN i.expires_at <= now() THEN excluded.expires_at ELSE i.expires_at END
    WHERE i.expires_at <= now()
      OR (i.hash = excluded.hash AND i.http_status IS NULL
          AND (i.lease_until <= now() OR i.holder = excluded.holder))
    RETURNING question_id
)
SELECT (SELECT question_id FROM up),
    CASE
        WHEN EXISTS (SELECT 1 FROM up) THEN true
        ELSE refuse(COALESCE((
                SELECT CASE WHEN hash <> $4::bytea THEN 23 WHEN http_status IS NOT NULL THEN 0 ELSE 19 END
                FROM idempotency
                WHERE tenant = $1::text AND scope = $2::text AND key = $3::text
            ), 19)) END;

-- name: IDEM_STORED (tenant)
-- The answer that is stored under a key.
--   $1 tenant, $2 scope, $3 key
SELECT body, http_status::int8,
    COALESCE((SELECT conversation_id FROM messages m WHERE m.id = i.question_id AND (m.tenant = $1::text) IS TRUE),
        i.question_id)
FROM idempotency i
WHERE tenant = $1::text AND scope = $2::text AND key = $3::text AND http_status IS NOT NULL;

-- name: IDEM_DONE (tenant)
-- The holder stores its answer.
--   $1 tenant, $2 scope, $3 key, $4 holder, $5 the answer's body, $6 HTTP status, $7 session that the
--   answer goes with
UPDATE idempotency
SET http_status = $6::int8, body = $5::bytea, lease_until = now(),
    user_session_id = COALESCE(user_session_id,
        (SELECT id FROM user_sessions WHERE id = $7::uuid AND tenant = $1::text))
WHERE tenant = $1::text AND scope = $2::text AND key = $3::text AND holder = $4::uuid;

-- name: IDEM_FREE (tenant)
-- The holder gives up: the next request with this key runs at once.
--   $1 tenant, $2 scope, $3 key, $4 holder
UPDATE idempotency SET lease_until = now()
WHERE tenant = $1::text AND scope = $2::text AND key = $3::text AND holder = $4::uuid AND http_status IS NULL;
