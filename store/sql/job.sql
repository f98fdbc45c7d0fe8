-- The work on uploads: claimed with a lease, then text, chunks and the end. refuse(18): the lease is
-- another worker's by now. Lock order: documents, uploads, jobs, then feed_head, collections.

-- piece: mine
-- The upload that a worker holds.
--   $1 document, $2 generation, $3 worker
document_id = $1::uuid AND generation = $2::int8 AND lease_owner = $3::text;

-- name: JOB_GET (tenant)
-- The state of a job.
--   $1 tenant, $2 job
SELECT collection, files, files_done, files_failed, chunks, embedded, error, seq, created_at
FROM jobs
WHERE tenant = $1::text AND id = $2::uuid;

-- name: CLAIM_GIVE_UP (shared)
-- One upload that nobody finished in five attempts fails.
WITH x AS (
    SELECT d.id, u.job_id, u.generation, COALESCE(u.error, 'processing stopped five times') AS why
    FROM uploads u
    JOIN documents d ON d.id = u.document_id
    WHERE u.attempts >= 5 AND (u.lease_until IS NULL OR u.lease_until <= now()) LIMIT 1
    FOR UPDATE SKIP LOCKED
),
a AS (
    UPDATE documents
    SET status = CASE WHEN documents.generation > 0 THEN documents.status ELSE 'failed' END, error = x.why,
        updated_at = now()
    FROM x
    WHERE documents.id = x.id
),
b AS (
    UPDATE jobs SET files_failed = files_failed + 1, error = COALESCE(jobs.error, x.why), updated_at = now()
    FROM x
    WHERE jobs.id = x.job_id
),
c AS (DELETE FROM chunks USING x WHERE chunks.document_id = x.id AND chunks.generation = x.generation)
DELETE FROM uploads USING x
WHERE uploads.document_id = x.id;

-- name: CLAIM (shared)
-- Uploads that wait are leased: the oldest of each of the 16 newest jobs first, when there are many, so that a
-- small job does not wait for a large one; then by age. Their originals are read by a statement, and a
-- transaction, of their own (CLAIMED): an original that cannot be read counts as an attempt and does not
-- stop the others.
--   $1 worker, $2 milliseconds of the lease, $3 most documents, $4 most bytes of them
WITH RECURSIVE x AS (
    SELECT document_id, octet_length(body) AS bytes, queued_at
    FROM uploads
    WHERE attempts < 5 AND not_before <= now() AND (lease_until IS NULL OR lease_until <= now())
    ORDER BY queued_at LIMIT $3::int8 FOR UPDATE SKIP LOCKED
),
j AS (
    (
        SELECT job_id, 1 AS k FROM uploads
        WHERE $3::int8 >= 32
          AND (SELECT count(*) FROM x) = $3::int8
          AND attempts < 5
          AND not_before <= now()
          AND (lease_until IS NULL OR lease_until <= now())
        ORDER BY job_id DESC LIMIT 1
    )
    UNION ALL SELECT o.job_id, j.k + 1 FROM j
    CROSS JOIN LATERAL (
        SELECT job_id FROM uploads
        WHERE job_id < j.job_id
          AND attempts < 5
          AND not_before <= now()
          AND (lease_until IS NULL OR lease_until <= now())
        ORDER BY job_id DESC LIMIT 1
    ) o
    WHERE j.k < 16
),
n AS (
    SELECT document_id, octet_length(body) AS bytes, queued_at
    FROM uploads
    WHERE document_id = ANY (ARRAY(
        SELECT o.document_id FROM j
        CROSS JOIN LATERAL (
            SELECT document_id FROM uploads
            WHERE job_id = j.job_id
              AND attempts < 5
              AND not_before <= now()
              AND (lease_until IS NULL OR lease_until <= now())
            LIMIT 1
        ) o
        WHERE o.document_id <> ALL (ARRAY(SELECT document_id FROM x))
    ))
      AND attempts < 5
      AND not_before <= now()
      AND (lease_until IS NULL OR lease_until <= now())
    FOR UPDATE SKIP LOCKED
),
y AS (
    SELECT document_id, sum(bytes) OVER w AS till, row_number() OVER w AS k
    FROM (SELECT *, 0 AS late FROM n UNION ALL SELECT *, 1 FROM x) a
    WINDOW w AS (ORDER BY late, queued_at, document_id)
)
UPDATE uploads u
SET lease_owner = $1::text, lease_until = now() + $2::int8 * interval '1 millisecond',
    attempts = u.attempts + 1
WHERE u.document_id = ANY (ARRAY(
    SELECT document_id FROM y WHERE k <= $3::int8 AND (k = 1 OR till <= $4::int8)
))
RETURNING u.document_id, u.generation;

-- name: CLAIMED (shared)
-- The originals of what was claimed.
--   $1 documents, $2 generations, $3 worker
SELECT u.document_id, u.job_id, u.generation, d.tenant, d.collection, u.title,
    u.chapter, u.section, u.url, u.mime, u.body, m.active, m.active_dims
FROM unnest($1::uuid[], $2::int8[]) AS g (id, generation)
CROSS JOIN LATERAL (
    SELECT * FROM uploads
    WHERE document_id = g.id AND generation = g.generation AND lease_owner = $3::text LIMIT 1
) u
CROSS JOIN LATERAL (SELECT tenant, collection FROM documents WHERE id = g.id LIMIT 1) d
LEFT JOIN collection_models m ON m.tenant = d.tenant AND m.collection = d.collection
ORDER BY u.queued_at, g.id;

-- name: CLAIM_BACK (shared)
-- Uploads that were claimed together and could not be read go back, so that each is tried by itself; and
-- the one that was alone.
--   $1 documents, $2 generations, $3 worker
UPDATE uploads u SET lease_owner = NULL, lease_until = NULL, attempts = u.attempts - 1
WHERE u.document_id = ANY ($1::uuid[])
  AND u.generation = ($2::int8[])[array_position($1::uuid[], u.document_id)]
  AND u.lease_owner = $3::text;

-- name: RENEW (shared)
-- The lease lasts longer.
--   $4 milliseconds from now
WITH x AS (
    UPDATE uploads SET lease_until = now() + $4::int8 * interval '1 millisecond' WHERE :mine RETURNING 1
)
SELECT CASE WHEN EXISTS (SELECT 1 FROM x) THEN true ELSE refuse(18) END;

-- name: JOB_TEXT (shared)
-- The text that was found in the original. Chunks of another one, which an earlier attempt found, go.
--   $4 text, $5 title that was found
WITH o AS (SELECT text FROM uploads WHERE :mine),
d AS (
    DELETE FROM chunks USING o
    WHERE chunks.document_id = $1::uuid AND chunks.generation = $2::int8 AND o.text <> $4::bytea
),
x AS (UPDATE uploads SET text = $4::bytea, found_title = $5::text WHERE :mine RETURNING 1)
SELECT CASE WHEN EXISTS (SELECT 1 FROM x) THEN true ELSE refuse(18) END;

-- name: CHUNKS_CHECK (shared)
-- The model of the chunks that follow; the lease is checked.
--   $4 model
WITH x AS (UPDATE uploads SET model = $4::text WHERE :mine RETURNING 1)
SELECT CASE WHEN EXISTS (SELECT 1 FROM x) THEN true ELSE refuse(18) END;

-- name: CHUNKS_ADD (shared)
-- Chunks with their embeddings. Chunks that an earlier attempt stored stay, unless they are others now, or the model is.
--   $1 document, $2 generation, $3 worker, $4 model, $5 how many were newly embedded, then arrays: $6 ids,
--   $7 places, $8 first bytes, $9 bytes behind the last, $10 chapters, $11 sections, $12 hashes,
--   $13 embeddings, $14 anchors, $15 pages, $16 heads of tables
WITH c AS (
    INSERT INTO chunks (document_id, generation, tenant, model, id, ord, start_byte, end_byte, chapter,
        section, hash, embedding, anchor, page, lead)
    SELECT $1::uuid, $2::int8, w.tenant, $4::text, u.*
    FROM uploads w,
        unnest($6::uuid[], $7::int8[], $8::int8[], $9::int8[], $10::text[], $11::text[], $12::bytea[],
            $13::bytea[], $14::text[], $15::int8[], $16::text[]) AS u
    WHERE w.document_id = $1::uuid AND w.generation = $2::int8 AND w.lease_owner = $3::text
    :chunk_again
    RETURNING 1
),
n AS (SELECT count(*) AS n FROM c),
j AS (
    UPDATE jobs SET chunks = jobs.chunks + n.n, embedded = jobs.embedded + $5::int8, updated_at = now()
    FROM n, uploads w
    WHERE n.n > 0 AND w.document_id = $1::uuid AND jobs.id = w.job_id
)
SELECT n FROM n;

-- name: FINISH_LOCK (shared)
-- The document, locked. refuse(0): it was finished before, and the reply was lost.
WITH d AS (SELECT id, latest, generation, status FROM documents WHERE id = $1::uuid FOR UPDATE)
SELECT CASE
    WHEN EXISTS (SELECT 1 FROM uploads WHERE :mine) THEN true
    WHEN EXISTS (
        SELECT 1 FROM d
        WHERE (generation = $2::int8
            OR (latest = $2::int8 AND NOT EXISTS (SELECT 1 FROM uploads WHERE document_id = $1::uuid)))
    ) THEN refuse(0)
    ELSE refuse(18) END;

-- name: FINISH_SWAP (shared)
-- The upload's content becomes the document's. The text is stored plain whatever it was stored as before: a
-- copy of a stored value stays as it was stored.
--   $1 document, $2 generation, $3 worker
WITH x AS (
    UPDATE documents d
    SET generation = u.generation, body = u.body,
        text = CASE WHEN pg_column_compression(u.text) IS NULL THEN u.text ELSE u.text || ''::bytea END,
        text_bytes = octet_length(u.text), sha256 = u.sha256, fingerprint = u.fingerprint,
        title = COALESCE(u.title, u.found_title), url = u.url, chapter = u.chapter, section = u.section,
        metadata = u.metadata, mime = u.mime, model = u.model, status = 'ready', error = NULL,
        updated_at = now(), aside_error = NULL, aside_at = NULL,
        chunk_count = (
            SELECT count(*) FROM chunks c WHERE c.document_id = u.document_id AND c.generation = u.generation
        )
    FROM uploads u
    WHERE d.id = u.document_id
      AND u.text IS NOT NULL
      AND u.document_id = $1::uuid
      AND u.generation = $2::int8
      AND u.lease_owner = $3::text
    RETURNING 1
)
SELECT CASE WHEN EXISTS (SELECT 1 FROM x) THEN true ELSE refuse(18) END;

-- name: FINISH_MODEL (shared)
-- The first document of a collection says which model its questions are compared with. refuse(18): the collection has
-- switched to another one since the document was claimed. A switch waits for this, or is waited for.
--   $1 document, $2 generation, $3 model that was in use when it was claimed, or NULL, $4 its dimensions
WITH i AS (
    INSERT INTO collection_models (tenant, collection, active, active_dims)
    SELECT d.tenant, d.collection, c.model, octet_length(c.embedding) / 4
    FROM documents d
    JOIN chunks c ON c.document_id = d.id AND c.generation = $2::int8 AND c.ord = 0
    WHERE d.id = $1::uuid AND octet_length(c.embedding) > 0
    ON CONFLICT DO NOTHING
),
m AS MATERIALIZED (
    SELECT $3::text IS NOT NULL AND (m.active <> $3::text OR m.active_dims <> $4::int8) AS other
    FROM collection_models m
    WHERE (m.tenant, m.collection) = (SELECT tenant, collection FROM documents WHERE id = $1::uuid)
    FOR SHARE
)
SELECT CASE WHEN (SELECT count(*) FILTER (WHERE other) FROM m) = 0 THEN true ELSE refuse(18) END;

-- name: FINISH_DROP (shared)
-- Chunks of all other generations.
--   $1 document, $2 generation
DELETE FROM chunks WHERE document_id = $1::uuid AND generation <> $2::int8;

-- name: FINISH_JOB (shared)
-- The upload's job comes late, since uploads of the same job wait for its row, and before the feed, which all
-- tenants wait for.
SELECT 1 FROM jobs WHERE id = (SELECT job_id FROM uploads WHERE :mine) FOR NO KEY UPDATE;

-- name: FINISH_FEED (shared)
-- The upload is gone, the feed tells of the document, and its job counts it.
WITH u AS (DELETE FROM uploads WHERE :mine RETURNING job_id),
h AS (UPDATE feed_head SET seq = seq + 1 RETURNING seq),
c AS (
    INSERT INTO changes (seq, tenant, collection, document_id, op)
    SELECT h.seq, d.tenant, d.collection, d.id, 'ready'
    FROM h, documents d
    WHERE d.id = $1::uuid
    ON CONFLICT (document_id) WHERE document_id IS NOT NULL
    DO UPDATE SET seq = excluded.seq, op = excluded.op, at = now()
),
e AS (
    UPDATE collections SET epoch = h.seq
    FROM h, documents d
    WHERE d.id = $1::uuid AND collections.tenant = d.tenant AND collections.name = d.collection
),
j AS (
    UPDATE jobs SET files_done = files_done + 1, seq = h.seq, updated_at = now()
    FROM h, u
    WHERE jobs.id = u.job_id
)
SELECT seq FROM h;

-- name: FINISH_SEQ (shared)
-- The place of the document in the feed.
--   $1 document
SELECT seq FROM changes WHERE document_id = $1::uuid;

-- name: FINISH_AGAIN (shared)
-- A failure that may pass: the next attempt comes in a second for each one made, at most five. An attempt that a worker's
-- host could not begin was none, and comes in five.
--   $4 why, $5 it was no attempt
UPDATE uploads
SET lease_owner = NULL, lease_until = NULL, error = $4::text,
    attempts = attempts - CASE WHEN $5::bool THEN 1 ELSE 0 END,
    not_before = now() + CASE WHEN $5::bool THEN 5 ELSE LEAST(attempts, 5) END * interval '1 second'
WHERE :mine;

-- name: FINISH_LATER (shared)
-- The reader of such a document is away: no attempt was made, the document says what it waits for, and the next
-- attempt comes when it is told to.
--   $4 why, $5 milliseconds
WITH u AS (
    UPDATE uploads
    SET lease_owner = NULL, lease_until = NULL, error = $4::text, attempts = GREATEST(attempts - 1, 0),
        not_before = now() + $5::int8 * interval '1 millisecond'
    WHERE :mine
    RETURNING document_id
)
UPDATE documents SET error = $4::text, updated_at = now()
FROM u
WHERE documents.id = u.document_id;

-- name: FINISH_FAIL (shared)
-- A failure that stays: the upload is gone, the document keeps what it had.
--   $4 why
WITH u AS (DELETE FROM uploads WHERE :mine RETURNING job_id),
a AS (
    UPDATE documents
    SET error = $4::text, status = CASE WHEN generation > 0 THEN status ELSE 'failed' END, updated_at = now()
    WHERE id = $1::uuid
),
c AS (DELETE FROM chunks WHERE document_id = $1::uuid AND generation = $2::int8)
UPDATE jobs SET files_failed = files_failed + 1, error = COALESCE(jobs.error, $4::text), updated_at = now()
FROM u
WHERE jobs.id = u.job_id;
