-- Reads of retrievers: the change feed, the documents and chunks that it names, vectors that are known; and
-- their word on documents that they cannot load and on work that waits.

-- name: VECTORS_KNOWN (tenant)
-- Embeddings that any chunk of the tenant has for the same text and model, in either set. Mostly there is no
-- second set, and no hash is looked up there.
--   $1 tenant, $2 model, $3 hashes, $4 dimensions; 0: any
SELECT h.hash, k.embedding FROM (SELECT DISTINCT unnest($3::bytea[]) AS hash) h
CROSS JOIN LATERAL (
    (
        SELECT c.embedding FROM chunks c
        WHERE c.tenant = $1::text
          AND c.model = $2::text
          AND c.hash = h.hash
          AND c.embedding IS NOT NULL
          AND ($4::int8 = 0 OR octet_length(c.embedding) = 4 * $4::int8)
        LIMIT 1
    )
    UNION ALL (
        SELECT v.embedding FROM vectors v
        WHERE v.tenant = $1::text
          AND v.model = $2::text
          AND v.hash = h.hash
          AND ($4::int8 = 0 OR octet_length(v.embedding) = 4 * $4::int8)
          AND (SELECT true FROM vectors o WHERE o.tenant = $1::text AND o.model = $2::text ORDER BY o.hash LIMIT 1)
        LIMIT 1
    )
    LIMIT 1
) k;

-- piece: doc_sets
-- Whose it is, the models of its vectors and of the second set, when that is whole, and its language.
d.tenant, d.model, (SELECT k.language FROM collections k WHERE k.tenant = d.tenant AND k.name = d.collection),
    CASE WHEN d.second_generation = d.generation THEN d.second END,
    (SELECT m.active FROM collection_models m WHERE m.tenant = d.tenant AND m.collection = d.collection);

-- name: LOAD_DOCUMENTS (shared)
-- Several documents as messages show them, for an index that loads them.
--   $1 ids
SELECT :doc_cols, :doc_sets
FROM documents d
LEFT JOIN uploads u ON u.document_id = d.id
WHERE d.id = ANY ($1::uuid[]) AND d.generation > 0
ORDER BY d.id;

-- name: LOAD_CHUNKS (shared)
-- The beginnings of several documents. The first chunk of each comes with the text of all of them, which the
-- store cuts: a stored value is looked up anew for each slice of it. An end behind the text keeps no other
-- document from being read.
--   $1 ids, $2 chunks of each
SELECT d.id, c.id, c.ord, c.start_byte, c.end_byte, c.chapter, c.section, c.hash, c.embedding,
    CASE WHEN c.ord = 0 THEN substring(d.text FROM 1 FOR (
        SELECT LEAST(GREATEST(max(e.end_byte), 0), d.text_bytes)
        FROM (
            SELECT k.end_byte FROM chunks k
            WHERE k.document_id = d.id AND k.generation = d.generation
            ORDER BY k.document_id, k.generation, k.ord LIMIT $2::int8
        ) e
    )::int4) END, c.anchor, c.page, (
        SELECT v.embedding FROM vectors v
        WHERE d.second_generation = d.generation AND v.document_id = d.id AND v.generation = d.generation
          AND v.ord = c.ord AND v.model = d.second
    ), c.lead
FROM (SELECT * FROM documents WHERE id = ANY ($1::uuid[]) ORDER BY id OFFSET 0) d
CROSS JOIN LATERAL (
    SELECT * FROM chunks k
    WHERE k.document_id = d.id AND k.generation = d.generation
    ORDER BY k.document_id, k.generation, k.ord LIMIT $2::int8
) c
ORDER BY d.id, c.ord;

-- name: CHUNKS_DOCUMENT (shared)
-- One document as messages show it, for an index that loads it.
--   $1 document
SELECT :doc_cols, :doc_sets
FROM documents d
LEFT JOIN uploads u ON u.document_id = d.id
WHERE d.id = $1::uuid AND d.generation > 0;

-- name: CHUNKS_GET (shared)
-- A page of a document's chunks in the order of their index: joined with the document all the rest would be
-- sorted for each page. The page's part of the text is read once, as one slice, and the chunks are cut out
-- of it: were the text compressed after all, each of them would unpack it anew.
--   $1 document, $2 first chunk, $3 rows
WITH c AS MATERIALIZED (
    SELECT k.id, k.ord, k.start_byte, k.end_byte, k.chapter, k.section, k.hash, k.embedding, k.anchor, k.page, k.lead
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
    ), c.anchor, c.page, v.embedding, c.lead
FROM c
LEFT JOIN (
    SELECT w.ord, w.embedding
    FROM documents d
    JOIN vectors w ON w.document_id = d.id AND w.generation = d.generation AND w.model = d.second
    WHERE d.id = $1::uuid AND d.second_generation = d.generation
      AND w.ord BETWEEN (SELECT min(ord) FROM c) AND (SELECT max(ord) FROM c)
) v ON v.ord = c.ord
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
-- Changes after a seq; of a quiet change also the seq of the one before.
--   $1 seq, $2 rows
SELECT seq, tenant, collection, document_id, op, CASE WHEN quiet_seq = seq THEN content_seq END
FROM changes
WHERE seq > $1::int8
ORDER BY seq LIMIT $2::int8;

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
