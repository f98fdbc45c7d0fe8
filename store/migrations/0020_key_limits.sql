-- Limits of a key by the day, and whose they are: a key that was rotated and its successor share one set, that of the first key.
ALTER TABLE api_keys
    ADD COLUMN limits         bytea,                       -- hash of the key whose limits count; NULL: its own
    ADD COLUMN per_day        bigint NOT NULL DEFAULT 0,   -- requests; 0: no limit, as below
    ADD COLUMN tokens_per_day bigint NOT NULL DEFAULT 0,
    ADD COLUMN nanos_per_day  bigint NOT NULL DEFAULT 0;   -- billionths of a dollar
CREATE INDEX ix_api_keys_limits ON api_keys (tenant, limits) WHERE limits IS NOT NULL;
WITH RECURSIVE line AS (
    SELECT k.hash AS first, k.replaced_by AS next, 1 AS n
    FROM api_keys k
    WHERE k.replaced_by IS NOT NULL AND NOT EXISTS (SELECT 1 FROM api_keys o WHERE o.replaced_by = k.hash)
    UNION ALL
    SELECT line.first, k.replaced_by, n + 1 FROM line JOIN api_keys k ON k.hash = line.next
    WHERE k.replaced_by IS NOT NULL AND n < 1000
)
UPDATE api_keys SET limits = line.first FROM line WHERE api_keys.hash = line.next;
