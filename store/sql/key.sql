-- API keys, known by the hash of their secret; their changes are a feed of its own (key_head).

-- piece: key_cols
-- A key as messages show it.
hash, label, tenant, scopes, collections, origins, per_minute, per_hour, created_at, expires_at, seq,
replaced_by, limits, per_day, tokens_per_day, nanos_per_day;

-- name: KEY_LIST_ALL (shared)
-- For gateways of the release before, which read no further than this.
SELECT :key_cols FROM api_keys WHERE expires_at IS NULL OR expires_at > now() ORDER BY seq DESC LIMIT 1000;

-- name: KEY_LIST (tenant)
-- A page of keys, the oldest first, each with the day of its last use and what is used of its budget today.
--   $1 tenant, $2 collections or NULL, $3 $4 time and hash of the last one seen, $5 rows, $6 rows to skip
SELECT :key_cols, (
        SELECT used_on::timestamp AT TIME ZONE 'UTC'
        FROM key_uses
        WHERE key_uses.hash = api_keys.hash AND key_uses.tenant = $1::text
    ) AS used_on, COALESCE(today.tokens, 0), COALESCE(today.nanos, 0)
FROM api_keys
LEFT JOIN LATERAL (
    SELECT d.tokens, d.nanos FROM budget_days d
    WHERE d.tenant = $1::text
      AND d.owner = COALESCE(api_keys.limits, api_keys.hash)
      AND d.day = (now() AT TIME ZONE 'UTC')::date
) today ON true
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
--   an hour, $9 expiry, $10 requests a day, $11 tokens a day, $12 money a day
INSERT INTO api_keys AS k (hash, tenant, label, scopes, collections, origins, per_minute, per_hour,
    expires_at, per_day, tokens_per_day, nanos_per_day)
VALUES ($1::bytea, $2::text, $3::text, $4::text[], $5::text[], $6::text[], $7::int8, $8::int8,
    $9::timestamptz, $10::int8, $11::int8, $12::int8)
ON CONFLICT (hash)
DO UPDATE SET label = excluded.label, scopes = excluded.scopes, collections = excluded.collections,
    origins = excluded.origins, per_minute = excluded.per_minute, per_hour = excluded.per_hour,
    expires_at = excluded.expires_at, per_day = excluded.per_day, tokens_per_day = excluded.tokens_per_day,
    nanos_per_day = excluded.nanos_per_day
WHERE k.tenant = excluded.tenant;

-- name: KEY_LIMITS (tenant)
-- A key and those that share its limits get others, unless it changed after that number.
--   $1 hash, $2 tenant, $3 number, $4 label, $5 requests a minute, $6 an hour, $7 a day, $8 tokens a day,
--   $9 money a day
WITH one AS MATERIALIZED (
    SELECT COALESCE(limits, hash) AS limits FROM api_keys
    WHERE hash = $1::bytea AND tenant = $2::text AND seq = $3::int8 FOR UPDATE
)
UPDATE api_keys AS k SET label = CASE WHEN k.hash = $1::bytea THEN $4::text ELSE k.label END,
    per_minute = $5::int8, per_hour = $6::int8, per_day = $7::int8, tokens_per_day = $8::int8,
    nanos_per_day = $9::int8
FROM one
WHERE k.tenant = $2::text AND (k.hash = one.limits OR k.limits = one.limits);

-- name: KEY_REPLACE (tenant)
-- A key ends when its overlap is over, and names its successor, unless it has one that is still there. The
-- same successor again changes nothing, also when the overlap is over by then.
--   $1 hash, $2 tenant, $3 the successor's hash, $4 its end
UPDATE api_keys AS k SET replaced_by = $3::bytea, expires_at = LEAST(k.expires_at, $4::timestamptz)
WHERE k.hash = $1::bytea
  AND k.tenant = $2::text
  AND (k.expires_at IS NULL OR k.expires_at > now() OR k.replaced_by = $3::bytea)
  AND (k.replaced_by IS NULL OR k.replaced_by = $3::bytea
    OR NOT EXISTS (SELECT 1 FROM api_keys WHERE hash = k.replaced_by AND tenant = $2::text));

-- name: KEY_SUCCEED (tenant)
-- The successor, with the rights of the key that it replaces; the two share their limits.
--   $1 hash of that key, $2 tenant, $3 hash, $4 expiry
INSERT INTO api_keys (hash, tenant, label, scopes, collections, origins, per_minute, per_hour, expires_at,
    limits, per_day, tokens_per_day, nanos_per_day)
SELECT $3::bytea, tenant, label, scopes, collections, origins, per_minute, per_hour, $4::timestamptz,
    COALESCE(limits, hash), per_day, tokens_per_day, nanos_per_day
FROM api_keys
WHERE hash = $1::bytea AND tenant = $2::text AND replaced_by = $3::bytea
ON CONFLICT (hash) DO NOTHING;

-- name: KEY_DELETE (tenant)
-- A key is revoked.
--   $1 hash, $2 tenant or NULL, $3 collections that it must be bound to, or NULL
DELETE FROM api_keys
WHERE hash = $1::bytea
  AND ($2::text IS NULL OR tenant = $2::text)
  AND ($3::text[] IS NULL OR collections <@ $3::text[]);

-- name: KEY_USED (shared)
-- Keys were used on a day. Those that are gone meanwhile are left out.
--   $1 hashes, $2 beginning of the day
INSERT INTO key_uses AS u (hash, tenant, used_on)
SELECT hash, tenant, ($2::timestamptz AT TIME ZONE 'UTC')::date
FROM api_keys
WHERE hash = ANY ($1::bytea[])
ORDER BY hash FOR KEY SHARE
ON CONFLICT (hash) DO UPDATE SET used_on = excluded.used_on
WHERE u.used_on < excluded.used_on;

-- name: KEY_HEAD (shared)
-- The newest change of keys.
SELECT seq FROM key_head;

-- name: KEY_CHANGES (shared)
-- Keys that changed after a seq; a revoked one has no tenant.
--   $1 seq, $2 rows
SELECT :key_cols FROM api_keys
WHERE seq > $1::int8
UNION ALL SELECT hash, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, seq, NULL,
    NULL, 0, 0, 0
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
