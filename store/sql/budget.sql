-- Budgets: tokens and money of a day. A row of budget_days holds what is spent and reserved; budget_holds how
-- much of it each running request has reserved. Rows of a day are locked in the order of their owners, so that
-- two requests never wait for each other.

-- name: BUDGET_OPEN (tenant)
-- The rows of the day.
--   $1 tenant, $2 owners, $3 beginning of the day
INSERT INTO budget_days (tenant, owner, day)
SELECT $1::text, o, ($3::timestamptz AT TIME ZONE 'UTC')::date FROM unnest($2::bytea[]) AS o
ORDER BY o
ON CONFLICT DO NOTHING;

-- name: BUDGET_LOCK (tenant)
-- Their state, and how much of it requests that run have reserved.
--   $1 tenant, $2 owners, $3 beginning of the day
SELECT d.owner, d.tokens, d.nanos, h.tokens, h.nanos
FROM budget_days d
CROSS JOIN LATERAL (
    SELECT COALESCE(sum(tokens), 0)::int8 AS tokens, COALESCE(sum(nanos), 0)::int8 AS nanos FROM budget_holds
    WHERE tenant = $1::text AND owner = d.owner AND day = d.day AND expires_at > now()
) h
WHERE d.tenant = $1::text
  AND d.owner = ANY ($2::bytea[])
  AND d.day = ($3::timestamptz AT TIME ZONE 'UTC')::date
ORDER BY d.owner FOR UPDATE OF d;

-- name: BUDGET_HOLD (tenant)
-- The reservation of a request becomes this large, if no owner's limit is passed by it: all of them or none.
--   $1 tenant, $2 owners, $3 beginning of the day, $4 their limits of tokens, $5 of money; 0: none, $6 request,
--   $7 tokens, $8 money, $9 for how many ms
WITH want AS (
    SELECT o.owner, o.tokens_most, o.nanos_most, $7::int8 - COALESCE(h.tokens, 0) AS tokens,
        $8::int8 - COALESCE(h.nanos, 0) AS nanos
    FROM unnest($2::bytea[], $4::int8[], $5::int8[]) AS o(owner, tokens_most, nanos_most)
    LEFT JOIN budget_holds h ON h.tenant = $1::text AND h.id = $6::uuid AND h.owner = o.owner
), over AS (
    SELECT 1
    FROM want w
    JOIN budget_days d
      ON d.tenant = $1::text AND d.owner = w.owner AND d.day = ($3::timestamptz AT TIME ZONE 'UTC')::date
    WHERE (w.tokens_most > 0 AND d.tokens + w.tokens > w.tokens_most)
       OR (w.nanos_most > 0 AND d.nanos + w.nanos > w.nanos_most)
), held AS (
    UPDATE budget_days d SET tokens = d.tokens + w.tokens, nanos = d.nanos + w.nanos
    FROM want w
    WHERE d.tenant = $1::text
      AND d.owner = w.owner
      AND d.day = ($3::timestamptz AT TIME ZONE 'UTC')::date
      AND NOT EXISTS (SELECT 1 FROM over)
    RETURNING d.owner, d.day
)
INSERT INTO budget_holds (id, tenant, owner, day, tokens, nanos, expires_at)
SELECT $6::uuid, $1::text, owner, day, $7::int8, $8::int8, now() + $9::int8 * interval '1 ms' FROM held
ON CONFLICT (tenant, id, owner)
DO UPDATE SET tokens = excluded.tokens, nanos = excluded.nanos, expires_at = excluded.expires_at;

-- name: BUDGET_SETTLE (tenant)
-- The real figures take the place of a request's reservation; a second time nothing happens. An owner that has
-- come to that share of a limit for the first time on its day is told of.
--   $1 tenant, $2 owners, $3 beginning of the day, $4 their limits of tokens, $5 of money, $6 request,
--   $7 tokens, $8 money, $9 share in percent; 0: nobody is told
WITH gone AS (
    DELETE FROM budget_holds
    WHERE tenant = $1::text AND id = $6::uuid
    RETURNING owner, day, tokens, nanos
), was AS (
    SELECT owner, day, warned FROM budget_days
    WHERE tenant = $1::text
      AND owner = ANY ($2::bytea[])
      AND day = ($3::timestamptz AT TIME ZONE 'UTC')::date
), o AS (
    SELECT owner, tokens_most, nanos_most
    FROM unnest($2::bytea[], $4::int8[], $5::int8[]) AS limits(owner, tokens_most, nanos_most)
), now_is AS (
    UPDATE budget_days d SET tokens = d.tokens + $7::int8 - g.tokens, nanos = d.nanos + $8::int8 - g.nanos,
        warned = d.warned
            OR ($9::int8 > 0 AND o.tokens_most > 0
                AND (d.tokens + $7::int8 - g.tokens)::numeric * 100 >= o.tokens_most::numeric * $9::int8)
            OR ($9::int8 > 0 AND o.nanos_most > 0
                AND (d.nanos + $8::int8 - g.nanos)::numeric * 100 >= o.nanos_most::numeric * $9::int8)
    FROM gone g
    JOIN o USING (owner)
    WHERE d.tenant = $1::text AND d.owner = g.owner AND d.day = g.day
    RETURNING d.owner, d.tokens, d.nanos, d.warned
)
SELECT n.owner, n.tokens, n.nanos, n.warned AND NOT was.warned FROM now_is n
JOIN was USING (owner)
ORDER BY n.owner;
