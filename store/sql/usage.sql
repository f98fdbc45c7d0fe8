-- The usage of a tenant, by day.

-- name: USAGE (tenant)
-- Each day (UTC) by a range of its own; n days ago.
--   $1 tenant, $2 days
WITH d AS (
    SELECT n, date_trunc('day', now(), 'UTC') - n * interval '24 hours' AS day
    FROM generate_series(0, $2::int8 - 1) AS n
)
SELECT d.n, d.day, c.begun, m.* FROM d
CROSS JOIN LATERAL (
    SELECT count(*) AS begun FROM conversations
    WHERE tenant = $1::text AND created_at >= d.day AND created_at < d.day + interval '24 hours'
) c
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE role = 'user'), count(*) FILTER (WHERE role = 'assistant'),
        count(*) FILTER (WHERE role = 'assistant' AND grounded), count(*) FILTER (WHERE from_cache),
        COALESCE(sum(prompt_tokens), 0)::int8, COALESCE(sum(completion_tokens), 0)::int8
    FROM messages
    WHERE tenant = $1::text AND timestamp >= d.day AND timestamp < d.day + interval '24 hours'
) m;
