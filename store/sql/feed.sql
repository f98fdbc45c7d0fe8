-- What retrievers read: the change feed, the documents and chunks that it names, vectors that are known;
-- and what they say of documents that they cannot load and of work that waits.

-- name: VECTORS_KNOWN (tenant)
-- Embeddings that any chunk of the tenant has for the same text and model.
--   $1 tenant, $2 model, $3 hashes, $4 dimensions; 0: any
SELECT h.hash, k.embedding FROM (SELECT DISTINCT unnest($3::bytea[]) AS hash) h
CROSS JOIN LATERAL (
    SELECT c.embedding FROM chunks c
    WHERE c.tenant = $1::text
      AND c.model = $2::text
      AND c.hash = h.hash
      AND c.embedding IS NOT NULL
      AND ($4::int8 = 0 OR octet_length(c.embedding) = 4 * $4::int8)
    LIMIT 1
) k;

-- name: LOAD_DOCUMENTS (shared)
-- Several documents as messages show them, for an index that loads them.
--   $1 ids
SELECT :doc_cols, d.tenant, d.model,
    (SELECT k.language FROM collections k WHERE k.tenant = d.tenant AND k.name = d.collection)
FROM documents d
LEFT JOIN uploads u ON u.document_id = d.id
WHERE d.id = ANY ($1::uuid[]) AND d.generation > 0
ORDER BY d.id;

-- name: LOAD_CHUNKS (shared)
-- The beginnings of several documents, with the chunks' own text.
--   $1 ids, $2 chunks of each
SELECT d.id, c.id, c.ord, c.start_byte, c.end_byte, c.chapter, c.section, c.hash, c.embedding,
    substring(d.text FROM c.start_byte::int4 + 1 FOR GREATEST(c.end_byte - c.start_byte, 0)::int4)
FROM documents d
CROSS JOIN LATERAL (
    SELECT * FROM chunks k
    WHERE k.document_id = d.id AND k.generation = d.generation
    ORDER BY k.document_id, k.generation, k.ord LIMIT $2::int8
) c
WHERE d.id = ANY ($1::uuid[])
ORDER BY d.id, c.ord;

-- name: CHUNKS_DOCUMENT (shared)
-- One document as messages show it, for an index that loads it.
--   $1 document
SELECT :doc_cols, d.tenant, d.model,
    (SELECT k.language FROM collections k WHERE k.tenant = d.tenant AND k.name = d.collection)
FROM documents d
LEFT JOIN uploads u ON u.document_id = d.id
WHERE d.id = $1::uuid AND d.generation > 0;

-- name: CHUNKS_GET (shared)
-- A page of a document's chunks in the order of their index: joined with the document all the rest would be
-- sorted for each page. The page's part of the text is read once, as one slice, and the chunks are cut out
-- of it: were the text compressed after all, each of them would unpack it anew.
--   $1 document, $2 first chunk, $3 rows
WITH c AS MATERIALIZED (
    SELECT k.id, k.ord, k.start_byte, k.end_byte, k.chapter, k.section, k.hash, k.embedding
    FROM chunks k
    WHERE k.document_id = $1::uuid
      AND k.generation = (SELECT d.generation FROM documents d WHERE d.id = $1::uuid)
      AND k.ord >= $2::int8
    ORDER BY k.ord LIMIT $3::int8
),
f AS MATERIALIZED (SELECT min(start_byte) AS at, max(end_byte) AS till FROM c),
t AS MATERIALIZED (
    SELECT substring(d.text FROM f.at::int4 + 1 FOR GREATEST(f.till - f.at, 0)::int4) AS part
    FROM documents d, f
    WHERE d.id = $1::uuid
)
SELECT c.id, c.ord, c.start_byte, c.end_byte, c.chapter, c.section, c.hash, c.embedding,
    substring(
        (SELECT part FROM t)
        FROM (c.start_byte - (SELECT at FROM f))::int4 + 1 FOR GREATEST(c.end_byte - c.start_byte, 0)::int4
    )
FROM c
ORDER BY c.ord;

-- name: FEED_HEAD (shared)
-- The newest seq of the feed, uploads that wait (1000 at most are counted), and the newest seq of keys.
SELECT seq,
    (
        SELECT count(*)
        FROM (
            SELECT 1 FROM uploads
            WHERE attempts < 5 AND not_before <= now() AND (lease_until IS NULL OR lease_until <= now())
            LIMIT 1000
        ) AS waiting
    ), (SELECT seq FROM key_head)
FROM feed_head;

-- name: FEED (shared)
-- What changed after a seq.
--   $1 seq, $2 rows
SELECT seq, tenant, collection, document_id, op FROM changes WHERE seq > $1::int8 ORDER BY seq LIMIT $2::int8;

-- name: ASIDE_SET (shared)
-- A document that cannot be loaded, marked.
--   $1 document, $2 why
UPDATE documents SET aside_error = $2::text, aside_at = now() WHERE id = $1::uuid AND generation > 0;

-- name: ASIDE_END (shared)
-- A document that can be loaded again: answers of the meantime lack it, so its collection has changed.
--   $1 document
WITH d AS (
    UPDATE documents SET aside_error = NULL, aside_at = NULL WHERE id = $1::uuid RETURNING tenant, collection
),
h AS (UPDATE feed_head SET seq = seq + 1 WHERE EXISTS (SELECT 1 FROM d) RETURNING seq),
c AS (
    INSERT INTO changes (seq, tenant, collection, op)
    SELECT h.seq, d.tenant, d.collection, 'collection'
    FROM h, d
    ON CONFLICT (tenant, collection) WHERE document_id IS NULL
    DO UPDATE SET seq = excluded.seq, op = excluded.op, at = now()
)
UPDATE collections SET epoch = h.seq
FROM h, d
WHERE collections.tenant = d.tenant AND collections.name = d.collection;

-- name: WAIT_SET (shared)
-- A worker says why it takes no uploads; it says so again every minute.
--   $1 worker, $2 why
WITH old AS (DELETE FROM ingest_waits WHERE expires_at < now() - interval '1 day')
INSERT INTO ingest_waits (worker, reason, expires_at)
VALUES ($1::text, $2::text, now() + interval '1 minute')
ON CONFLICT (worker) DO UPDATE SET reason = excluded.reason, expires_at = excluded.expires_at;

-- name: WAIT_END (shared)
-- The worker takes uploads again.
--   $1 worker
DELETE FROM ingest_waits WHERE worker = $1::text;
