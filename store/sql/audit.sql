-- Actions of administrators: kept for AUDIT_RETENTION_DAYS, then cleaned up (clean.sql).

-- name: AUDIT_ADD (tenant)
-- An entry of the audit trail; a repeated one changes nothing.
--   $1 id, $2 tenant, $3 who, $4 the action, $5 its target, $6 address, $7 HTTP status, $8 request id,
--   $9 days to keep it
INSERT INTO audit (id, tenant, actor, action, target, address, status, request_id, expires_at)
VALUES ($1::uuid, $2::text, $3::text, $4::text, $5::text, $6::text, $7::int8, $8::text,
    now() + $9::int8 * interval '1 day')
ON CONFLICT DO NOTHING;

-- name: AUDIT_LIST (tenant)
-- A page of the audit trail, the newest first.
--   $1 tenant, $2 $3 time and id of the last one seen, $4 rows, $5 rows to skip
SELECT id, at, actor, action, target, address, status, request_id
FROM audit
WHERE tenant = $1::text AND (at, id) < ($2::timestamptz, $3::uuid)
ORDER BY at DESC, id DESC OFFSET $5::int8 LIMIT $4::int8;
