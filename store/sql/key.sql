-- API keys, known by the hash of their secret; their changes are a feed of its own (key_head).

-- piece: key_cols
-- A key as messages show it.
hash, label, tenant, scopes, collections, origins, per_minute, per_hour, created_at, expires_at, seq;

-- name: KEY_LIST_ALL (shared)
-- For gateways of the release before, which read no further than this.
SELECT :key_cols FROM api_keys WHERE expires_at IS NULL OR expires_at > now() ORDER BY seq DESC LIMIT 1000;

-- name: KEY_LIST (tenant)
-- A page of keys, the oldest first.
--   $1 tenant, $2 collections or NULL, $3 $4 time and hash of the last one seen, $5 rows, $6 rows to skip
SELECT :key_cols FROM api_keys
WHERE tenant = $1::text
  AND (expires_at IS NULL OR expires_at > now())
  AND ($2::text[] IS NULL OR collections <@ $2::text[])
  AND (created_at, hash) > ($3::timestamptz, $4::bytea)
ORDER BY created_at, hash OFFSET $6::int8 LIMIT $5::int8;

-- name: KEY_LOCK (tenant)
-- One at a time of a tenant makes a key. The count comes in the statement behind it (KEY_ROOM), which sees
-- what the one before committed.
--   $1 tenant
SELECT pg_advisory_xact_lock(hashtextextended('footnote keys of tenant ' || $1::text, 0)) IS NULL
FROM (SELECT 1) AS one
WHERE $1::text <> '';

-- name: KEY_ROOM (tenant)
-- refuse(901): the tenant has as many keys as it may have.
--   $1 tenant, $2 hash, $3 most keys; 0: no limit
SELECT CASE
    WHEN $3::int8 = 0 OR EXISTS (SELECT 1 FROM api_keys WHERE hash = $2::bytea AND tenant = $1::text) OR (
        SELECT count(*)
        FROM (
            SELECT 1 FROM api_keys
            WHERE tenant = $1::text AND (expires_at IS NULL OR expires_at > now()) LIMIT $3::int8
        ) AS k
    ) < $3::int8 THEN true
    ELSE refuse(901) END;

-- name: KEY_PUT (tenant)
-- A key is made or changed.
--   $1 hash, $2 tenant, $3 label, $4 scopes, $5 collections, $6 origins, $7 requests a minute, $8 requests
--   an hour, $9 expiry
INSERT INTO api_keys AS k (hash, tenant, label, scopes, collections, origins, per_minute, per_hour,
    expires_at)
VALUES ($1::bytea, $2::text, $3::text, $4::text[], $5::text[], $6::text[], $7::int8, $8::int8,
    $9::timestamptz)
ON CONFLICT (hash)
DO UPDATE SET label = excluded.label, scopes = excluded.scopes, collections = excluded.collections,
    origins = excluded.origins, per_minute = excluded.per_minute, per_hour = excluded.per_hour,
    expires_at = excluded.expires_at
WHERE k.tenant = excluded.tenant;

-- name: KEY_DELETE (tenant)
-- A key is revoked.
--   $1 hash, $2 tenant or NULL, $3 collections that it must be bound to, or NULL
DELETE FROM api_keys
WHERE hash = $1::bytea
  AND ($2::text IS NULL OR tenant = $2::text)
  AND ($3::text[] IS NULL OR collections <@ $3::text[]);

-- name: KEY_HEAD (shared)
-- The newest change of keys.
SELECT seq FROM key_head;

-- name: KEY_CHANGES (shared)
-- Keys that changed after a seq; a revoked one has no tenant.
--   $1 seq, $2 rows
SELECT :key_cols FROM api_keys
WHERE seq > $1::int8
UNION ALL SELECT hash, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, seq
FROM revoked_keys
WHERE seq > $1::int8
ORDER BY seq LIMIT $2::int8;

-- name: KEY_GET (shared)
-- A key by its hash.
--   $1 hash
SELECT :key_cols FROM api_keys WHERE hash = $1::bytea;

-- name: KEY_ORIGIN (shared)
-- One of the keys that are bound to an origin. It is planned for all of them: with the limit the plan would
-- read the table.
--   $1 origin
WITH o AS MATERIALIZED (
    SELECT hash FROM api_keys WHERE origins @> ARRAY[$1::text] AND (expires_at IS NULL OR expires_at > now())
)
SELECT :key_cols FROM api_keys
WHERE hash = (SELECT hash FROM o LIMIT 1);
