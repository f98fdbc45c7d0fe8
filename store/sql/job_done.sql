-- jobs.done: several small documents are stored as a whole. An upload whose lease is another's by now is
-- left out. Lock order: documents, uploads, feed_head, collections, and jobs last.

-- piece: lot
-- The uploads of a lot that the worker still holds, numbered.
--   $1 documents, $2 generations, $3 worker
WITH g AS (
    SELECT * FROM unnest($1::uuid[], $2::int8[]) WITH ORDINALITY AS g (id, generation, k)
    WHERE g.k BETWEEN 1 AND 1000000
),
w AS (
    SELECT u.document_id AS id, u.generation, u.tenant, u.job_id, g.k
    FROM g
    CROSS JOIN LATERAL (
        SELECT * FROM uploads
        WHERE document_id = g.id AND generation = g.generation AND lease_owner = $3::text LIMIT 1
    ) u
);

-- name: DONE_LOCK (shared)
-- Their documents, locked in the order of their ids.
--   $1 documents
SELECT count(*) FROM (SELECT 1 FROM documents WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE) AS locked;

-- name: DONE_DROP (shared)
-- Their chunks of before, and what an earlier attempt stored: so those that follow find their places free, and none is looked for first.
:lot
DELETE FROM chunks USING w
WHERE chunks.document_id = w.id;

-- name: DONE_CHUNKS (shared)
-- Their chunks. A chunk finds its document by its place: a join compared each of a thousand chunks with each document.
--   $4 model, then arrays: $5 places of the documents in $1, $6 ids, $7 places in them, $8 first bytes, $9 bytes behind
--   the last, $10 chapters, $11 sections, $12 hashes, $13 embeddings, $14 anchors, $15 pages, $16 heads of tables
:lot,
t AS MATERIALIZED (
    SELECT array_agg(w.tenant ORDER BY n.k) AS tenant
    FROM generate_series(1, cardinality($1::uuid[])) AS n (k)
    LEFT JOIN w ON w.k = n.k
)
INSERT INTO chunks (document_id, generation, tenant, model, id, ord, start_byte, end_byte, chapter, section,
    hash, embedding, anchor, page, lead)
SELECT ($1::uuid[])[c.k], ($2::int8[])[c.k], t.tenant[c.k], $4::text, c.id, c.ord, c.start_byte, c.end_byte,
    c.chapter, c.section, c.hash, c.embedding, c.anchor, c.page, c.lead
FROM t
CROSS JOIN (
    SELECT unnest($5::int8[]) AS k, unnest($6::uuid[]) AS id, unnest($7::int8[]) AS ord,
        unnest($8::int8[]) AS start_byte, unnest($9::int8[]) AS end_byte, unnest($10::text[]) AS chapter,
        unnest($11::text[]) AS section, unnest($12::bytea[]) AS hash, unnest($13::bytea[]) AS embedding,
        unnest($14::text[]) AS anchor, unnest($15::int8[]) AS page, unnest($16::text[]) AS lead
) c
WHERE t.tenant[c.k] IS NOT NULL;

-- name: DONE_SWAP (shared)
-- The uploads' contents become the documents'.
--   $4 model, $5 texts, $6 titles that were found, $7 how many chunks each has
:lot
UPDATE documents d
SET generation = u.generation, body = u.body, text = t.text, text_bytes = octet_length(t.text),
    sha256 = u.sha256, fingerprint = u.fingerprint, title = COALESCE(u.title, t.title), url = u.url,
    chapter = u.chapter, section = u.section, metadata = u.metadata, mime = u.mime, model = $4::text,
    status = 'ready', error = NULL, updated_at = now(), aside_error = NULL, aside_at = NULL,
    chunk_count = t.chunks
FROM w
CROSS JOIN LATERAL (SELECT * FROM uploads WHERE document_id = w.id LIMIT 1) u
JOIN (
    SELECT * FROM unnest($5::bytea[], $6::text[], $7::int8[]) WITH ORDINALITY AS t (text, title, chunks, k)
    WHERE t.k BETWEEN 1 AND 1000000
) t ON t.k = w.k
WHERE d.id = w.id;

-- name: DONE_MODEL (shared)
-- The first document of a collection says which model its questions are compared with. refuse(18): a collection has
-- switched to another one since they were claimed. A switch waits for this, or is waited for.
--   $4 model, $5 its dimensions, $6 model that was in use when they were claimed, or NULL, $7 its dimensions
:lot,
k AS (SELECT DISTINCT d.tenant, d.collection FROM w JOIN documents d ON d.id = w.id),
i AS (
    INSERT INTO collection_models (tenant, collection, active, active_dims)
    SELECT tenant, collection, $4::text, $5::int8 FROM k WHERE $5::int8 > 0 ORDER BY 1, 2
    ON CONFLICT DO NOTHING
),
m AS MATERIALIZED (
    SELECT $6::text IS NOT NULL AND (m.active <> $6::text OR m.active_dims <> $7::int8) AS other
    FROM collection_models m
    WHERE (m.tenant, m.collection) IN (SELECT tenant, collection FROM k)
    FOR SHARE
)
SELECT CASE WHEN (SELECT count(*) FILTER (WHERE other) FROM m) = 0 THEN true ELSE refuse(18) END;

-- name: DONE_JOBS (shared)
-- The jobs come late, since uploads of the same job wait for their rows, and before the feed, which all tenants
-- wait for.
:lot
SELECT count(*)
FROM (SELECT 1 FROM jobs WHERE id = ANY (ARRAY(SELECT job_id FROM w)) ORDER BY id FOR NO KEY UPDATE) AS locked;

-- name: DONE_FEED (shared)
-- The uploads are gone, the feed tells of the documents, and their jobs count them.
--   $4 how many of each were newly embedded
:lot,
u AS (
    DELETE FROM uploads WHERE document_id = ANY (ARRAY(SELECT id FROM w)) RETURNING document_id, job_id
),
h AS (UPDATE feed_head SET seq = seq + (SELECT count(*) FROM u) RETURNING seq),
x AS (
    SELECT d.id, d.tenant, d.collection, d.chunk_count, w.k, u.job_id,
        h.seq - (row_number() OVER (ORDER BY d.id DESC) - 1) AS seq
    FROM u
    JOIN w ON w.id = u.document_id
    CROSS JOIN LATERAL (SELECT * FROM documents WHERE id = u.document_id LIMIT 1) d
    CROSS JOIN (SELECT seq FROM h LIMIT 1) h
),
c AS (
    INSERT INTO changes (seq, tenant, collection, document_id, op)
    SELECT seq, tenant, collection, id, 'ready'
    FROM x
    ON CONFLICT (document_id) WHERE document_id IS NOT NULL
    DO UPDATE SET seq = excluded.seq, op = excluded.op, at = now()
),
e AS (
    UPDATE collections SET epoch = m.seq
    FROM (SELECT tenant, collection, max(seq) AS seq FROM x GROUP BY 1, 2) m
    WHERE collections.tenant = m.tenant AND collections.name = m.collection
),
j AS (
    UPDATE jobs
    SET files_done = files_done + m.n, chunks = jobs.chunks + m.chunks::int8,
        embedded = jobs.embedded + m.embedded::int8, seq = m.seq, updated_at = now()
    FROM (
        SELECT x.job_id, count(*) AS n, sum(x.chunk_count) AS chunks, sum(e.embedded) AS embedded,
            max(x.seq) AS seq
        FROM x
        JOIN unnest($4::int8[]) WITH ORDINALITY AS e (embedded, k) ON e.k = x.k
        GROUP BY 1
    ) m
    WHERE jobs.id = m.job_id
)
SELECT id, seq FROM x;

-- name: DONE_BEFORE (shared)
-- The same again, after a reply that was lost: what that attempt has done.
--   $1 documents, $2 generations
SELECT d.id, c.seq FROM unnest($1::uuid[], $2::int8[]) AS g (id, generation)
CROSS JOIN LATERAL (SELECT id FROM documents WHERE id = g.id AND generation = g.generation LIMIT 1) d
CROSS JOIN LATERAL (SELECT seq FROM changes WHERE document_id = g.id LIMIT 1) c;
