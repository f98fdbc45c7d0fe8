-- Collections: what they answer with, their epoch in the change feed, and their end with all documents.

-- name: COLLECTION_PUT (tenant)
-- A collection is made or changed, and the feed tells of it: answers of the meantime are answers of the old
-- one.
--   $1 tenant, $2 name, $3 prompt, $4 refusal, $5 model, $6 passages, $7 threshold, $8 days of retention,
--   $9 language or NULL, $10 scope of cached answers or NULL
WITH h AS (UPDATE feed_head SET seq = seq + 1 RETURNING seq),
c AS (
    INSERT INTO changes (seq, tenant, collection, op)
    SELECT seq, $1::text, $2::text, 'collection'
    FROM h
    ON CONFLICT (tenant, collection) WHERE document_id IS NULL
    DO UPDATE SET seq = excluded.seq, op = excluded.op, at = now()
)
INSERT INTO collections AS k (tenant, name, prompt, refusal, model, top_k, threshold, retention_days,
    language, cache_scope, epoch)
SELECT $1::text, $2::text, $3::text, $4::text, $5::text, $6::int8, $7::float8, $8::int8, $9::text, $10::text, seq
FROM h
ON CONFLICT (tenant, name)
DO UPDATE SET prompt = excluded.prompt, refusal = excluded.refusal, model = excluded.model,
    top_k = excluded.top_k, threshold = excluded.threshold, retention_days = excluded.retention_days,
    language = excluded.language, cache_scope = excluded.cache_scope, epoch = excluded.epoch,
    language_seq = CASE WHEN k.language IS DISTINCT FROM excluded.language THEN excluded.epoch
                        ELSE k.language_seq END;

-- name: COLLECTION_AGAIN (tenant)
-- Comes behind COLLECTION_PUT, which holds the feed's lock: when that set another language, every document is
-- announced again, so that each index reads it anew. The row of the language's change tells, as long as nothing
-- came after it.
--   $1 tenant, $2 name
WITH n AS (
    SELECT d.id, row_number() OVER (ORDER BY d.id) AS k
    FROM collections c
    JOIN documents d ON d.tenant = $1::text AND d.collection = c.name AND d.generation > 0
    WHERE c.tenant = $1::text AND c.name = $2::text AND c.language_seq = c.epoch
),
h AS (UPDATE feed_head SET seq = seq + (SELECT count(*) FROM n) WHERE EXISTS (SELECT 1 FROM n) RETURNING seq),
c AS (
    INSERT INTO changes (seq, tenant, collection, document_id, op)
    SELECT h.seq + 1 - n.k, $1::text, $2::text, n.id, 'ready'
    FROM n, h
    ON CONFLICT (document_id) WHERE document_id IS NOT NULL
    DO UPDATE SET seq = excluded.seq, op = excluded.op, at = now()
    WHERE changes.tenant = excluded.tenant
)
UPDATE collections SET epoch = h.seq
FROM h
WHERE tenant = $1::text AND name = $2::text;

-- piece: model_cols
-- The models of its vectors.
m.active, m.active_dims, m.active_seq, m.state, m.other, m.other_dims, m.overlap, m.compared, m.error, m.since,
    m.held IS NOT NULL;

-- name: COLLECTION_LIST (tenant)
-- A page of collections by name; documents and chunks are counted for those of the page only.
--   $1 tenant, $2 one name or NULL, $3 names or NULL, $4 the last name seen, $5 rows, $6 rows to skip
SELECT c.name, c.prompt, c.refusal, c.model, c.top_k, c.threshold, c.retention_days, d.n,
    COALESCE(d.chunks, 0), c.epoch, c.created_at, c.language, :model_cols, COALESCE(d.built, 0),
    c.cache_scope
FROM (
    SELECT * FROM collections
    WHERE tenant = $1::text
      AND ($2::text IS NULL OR name = $2::text)
      AND ($3::text[] IS NULL OR name = ANY ($3::text[]))
      AND name > $4::text
    ORDER BY name OFFSET $6::int8 LIMIT $5::int8
) c
LEFT JOIN collection_models m ON m.tenant = $1::text AND m.collection = c.name
CROSS JOIN LATERAL (SELECT m.other AS model, m.other_dims AS dims) t
CROSS JOIN LATERAL (
    SELECT count(*) AS n, sum(chunk_count)::int8 AS chunks,
        (sum(chunk_count) FILTER (WHERE m.state = 'building' AND d.generation > 0 AND :has_set))::int8 AS built
    FROM documents d
    WHERE d.tenant = $1::text AND d.collection = c.name
) d
ORDER BY c.name;

-- name: COLLECTION_GET (tenant)
-- One collection, without counting.
--   $1 tenant, $2 name
SELECT c.name, c.prompt, c.refusal, c.model, c.top_k, c.threshold, c.retention_days, 0::int8, 0::int8, c.epoch,
    c.created_at, c.language, :model_cols, 0::int8, c.cache_scope
FROM collections c
LEFT JOIN collection_models m ON m.tenant = $1::text AND m.collection = c.name
WHERE c.tenant = $1::text AND c.name = $2::text;

-- name: COLLECTION_NEW (tenant)
-- One at a time of a tenant makes a collection; only the maker of a new one has to wait. The count comes in
-- the statement behind it (COLLECTION_ROOM), which sees what the one before committed.
--   $1 tenant, $2 name
SELECT pg_advisory_xact_lock(hashtextextended('footnote collections of tenant ' || $1::text, 0)) IS NULL
FROM (SELECT 1) AS one
WHERE NOT EXISTS (SELECT 1 FROM collections WHERE tenant = $1::text AND name = $2::text);

-- name: COLLECTION_ROOM (tenant)
-- refuse(902): the tenant has as many collections as it may have.
--   $1 tenant, $2 name, $3 most collections; 0: no limit
SELECT CASE
    WHEN $3::int8 = 0 OR EXISTS (SELECT 1 FROM collections WHERE tenant = $1::text AND name = $2::text) OR (
        SELECT count(*) FROM (SELECT 1 FROM collections WHERE tenant = $1::text LIMIT $3::int8) AS k
    ) < $3::int8 THEN true
    ELSE refuse(902) END;

-- name: COLLECTION_LOCK (tenant)
-- The collection's documents, locked in the order of their ids.
--   $1 tenant, $2 name
SELECT count(*)
FROM (
    SELECT 1 FROM documents WHERE tenant = $1::text AND collection = $2::text ORDER BY id FOR UPDATE
) AS locked;

-- name: COLLECTION_CHECK (tenant)
-- refuse(15): there is no such collection.
--   $1 tenant, $2 name
SELECT CASE WHEN EXISTS (SELECT 1 FROM collections WHERE tenant = $1::text AND name = $2::text) THEN true
            ELSE refuse(15) END;

-- name: COLLECTION_JOBS (tenant)
-- Uploads that wait go with the collection; for their jobs they count as done.
--   $1 tenant, $2 name
UPDATE jobs SET files_done = files_done + u.n, updated_at = now()
FROM (
    SELECT w.job_id, count(*) AS n FROM uploads w
    JOIN documents d ON d.id = w.document_id
    WHERE w.tenant = $1::text AND d.tenant = $1::text AND d.collection = $2::text
    GROUP BY 1
) u
WHERE jobs.id = u.job_id AND jobs.tenant = $1::text;

-- name: COLLECTION_CHUNKS (tenant)
-- Chunks of the collection's documents.
--   $1 tenant, $2 name
DELETE FROM chunks USING documents d
WHERE chunks.document_id = d.id
  AND chunks.tenant = $1::text
  AND d.tenant = $1::text
  AND d.collection = $2::text;

-- name: COLLECTION_MODELS (tenant)
-- The known facts of its models go before the feed's row is taken, as a switch takes them.
--   $1 tenant, $2 name
DELETE FROM collection_models WHERE tenant = $1::text AND collection = $2::text;

-- name: COLLECTION_DELETE (tenant)
-- The collection's end, and an entry of the feed for each of its documents and for itself. Documents go by
-- a cascade.
--   $1 tenant, $2 name
WITH n AS (
    SELECT id, row_number() OVER (ORDER BY id) AS k
    FROM documents
    WHERE tenant = $1::text AND collection = $2::text
),
h AS (
    UPDATE feed_head
    SET seq = seq + 1 + (SELECT count(*) FROM documents WHERE tenant = $1::text AND collection = $2::text)
    RETURNING seq
),
c AS (
    INSERT INTO changes (seq, tenant, collection, document_id, op)
    SELECT h.seq - n.k, $1::text, $2::text, n.id, 'delete'
    FROM n, h
    ON CONFLICT (document_id) WHERE document_id IS NOT NULL
    DO UPDATE SET seq = excluded.seq, op = excluded.op, at = now()
    WHERE changes.tenant = excluded.tenant
),
w AS (
    INSERT INTO changes (seq, tenant, collection, op)
    SELECT seq, $1::text, $2::text, 'delete' FROM h
    ON CONFLICT (tenant, collection) WHERE document_id IS NULL
    DO UPDATE SET seq = excluded.seq, op = excluded.op, at = now()
),
g AS (DELETE FROM collections WHERE tenant = $1::text AND name = $2::text)
SELECT h.seq, (SELECT count(*) FROM n) FROM h;
