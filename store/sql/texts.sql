-- Texts that an earlier release stored compressed.

-- name: TEXTS_PLAIN (shared)
-- Of the next documents those whose text is compressed are stored anew.
--   $1 the last document seen, $2 documents, $3 bytes of compressed texts after which it ends
WITH n AS MATERIALIZED (
    SELECT d.id, d.text_bytes, pg_column_compression(d.text) IS NOT NULL AS packed
    FROM documents d
    WHERE d.id > COALESCE($1::uuid, '00000000-0000-0000-0000-000000000000')
    ORDER BY d.id LIMIT $2::int8
),
s AS (
    SELECT n.id, n.packed,
        sum(CASE WHEN n.packed THEN n.text_bytes ELSE 0 END)
            OVER (ORDER BY n.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM n
),
m AS MATERIALIZED (SELECT id, packed FROM s WHERE COALESCE(before, 0) < $3::int8),
l AS (SELECT d.id FROM documents d JOIN m ON m.id = d.id WHERE m.packed FOR UPDATE OF d SKIP LOCKED),
p AS (UPDATE documents d SET text = d.text || ''::bytea FROM l WHERE d.id = l.id RETURNING 1)
SELECT (SELECT id FROM m ORDER BY id DESC LIMIT 1), (SELECT count(*) FROM p),
    (SELECT count(*) FROM m WHERE packed);
