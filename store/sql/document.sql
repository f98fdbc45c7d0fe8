-- Documents: putting them in (documents.put, one transaction), reading them, taking them out. Lock order:
-- documents, uploads, jobs, then feed_head, collections.

-- piece: put_state
-- The findings of documents.put, a row for each of its documents: d the row, v.same whether the same content
-- is there or on its way, v.waiting the job of an upload that waits.
--   The ids are DOCUMENT_MAKE's (footnote.put). $1 tenant, $2 fingerprints in their order, $3 the job,
--   $4 whether the request named it
WITH r AS (
    SELECT *
    FROM unnest(NULLIF(current_setting('footnote.put', true), '')::uuid[], $2::bytea[])
      WITH ORDINALITY AS r (id, fingerprint, k)
    WHERE r.k BETWEEN 1 AND 1000000
),
d AS (
    SELECT d.id, d.generation, d.fingerprint, r.k, r.fingerprint AS given
    FROM r
    CROSS JOIN LATERAL (
        SELECT * FROM documents d WHERE d.id = r.id AND (d.tenant = $1::text) IS TRUE LIMIT 1
    ) d
),
v AS (
    SELECT d.id, d.k, d.generation,
        CASE WHEN p.job_id IS NULL THEN d.generation > 0 AND d.fingerprint = d.given
             ELSE p.fingerprint = d.given AND (NOT $4::bool OR p.job_id = $3::uuid) END AS same,
        p.job_id AS waiting
    FROM d
    LEFT JOIN LATERAL (SELECT * FROM uploads u WHERE u.document_id = d.id AND u.tenant = $1::text LIMIT 1) p
      ON true
);

-- piece: doc_ref
-- One document: by its id, or by its collection and external id.
--   $1 tenant, $2 id or NULL, $3 collection, $4 external id
(d.tenant = $1::text) IS TRUE
  AND d.id = COALESCE($2::uuid,
      (SELECT id FROM documents WHERE tenant = $1::text AND collection = $3::text AND external_id = $4::text));

-- name: COLLECTION_MAKE (tenant)
-- A collection comes with its first document. It is looked for first: a conflict would wait for those who move
-- its epoch.
--   $1 tenant, $2 name
INSERT INTO collections (tenant, name)
SELECT $1::text, $2::text
WHERE NOT EXISTS (SELECT 1 FROM collections WHERE tenant = $1::text AND name = $2::text)
ON CONFLICT DO NOTHING;

-- name: DOCUMENT_MAKE (tenant)
-- Rows of documents that are new; those that are there are locked. In the order of ids. The ids are noted in
-- the order of the arrays (footnote.put, of this transaction): the statements after it find their rows by these.
--   $1 tenant, $2 collection, then arrays: $3 external ids, $4 ids, $5 titles, $6 URLs, $7 chapters,
--   $8 sections, $9 metadata, $10 MIME types
WITH r AS (
    SELECT *
    FROM unnest($3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::text[]) WITH ORDINALITY AS r (external_id, id, title, url, chapter, section, metadata, mime, k)
),
m AS (
    INSERT INTO documents AS d (tenant, collection, external_id, id, title, url, chapter, section, metadata,
        mime, status)
    SELECT $1::text, $2::text, r.external_id, r.id, r.title, r.url, r.chapter, r.section, r.metadata::json,
        r.mime, 'pending'
    FROM r
    ORDER BY r.id
    ON CONFLICT (tenant, collection, external_id) DO UPDATE SET updated_at = d.updated_at
    WHERE d.tenant = excluded.tenant
    RETURNING d.id, d.external_id
)
SELECT set_config('footnote.put',
    (SELECT array_agg(m.id ORDER BY r.k) FROM r JOIN m ON m.external_id = r.external_id)::text, true);

-- name: PUT_FIND (tenant)
-- Each document's id, whether it stays as it is, and the job that tells of it. The number of the job's
-- documents, and of those that stay as they are, is noted for PUT_JOB.
:put_state
SELECT v.id, v.same, COALESCE(CASE WHEN v.same THEN v.waiting END, $3::uuid)
FROM v
CROSS JOIN (
    SELECT set_config('footnote.put_job', ARRAY[count(*) FILTER (WHERE NOT (same AND waiting IS NOT NULL)),
        count(*) FILTER (WHERE same AND waiting IS NULL)]::text, true)
    FROM v OFFSET 0
) noted
ORDER BY v.k;

-- name: PUT_SUPERSEDE (tenant)
-- Uploads that wait are replaced; for their jobs they count as done.
:put_state
UPDATE jobs SET files_done = files_done + w.n, updated_at = now()
FROM (SELECT waiting, count(*) AS n FROM v WHERE waiting IS NOT NULL AND NOT same GROUP BY waiting) w
WHERE jobs.id = w.waiting AND jobs.tenant = $1::text;

-- name: PUT_JOB (tenant)
-- The request's job counts its documents; those that stay as they are count as done. It comes late, since the
-- others of the job wait for its row.
--   $1 job, $2 tenant, $3 collection
INSERT INTO jobs AS j (id, tenant, collection, files, files_done)
SELECT $1::uuid, $2::text, $3::text, n[1], n[2]
FROM (SELECT NULLIF(current_setting('footnote.put_job', true), '')::int8[] AS n) noted
WHERE n[1] > 0
ON CONFLICT (id)
DO UPDATE SET files = j.files + excluded.files, files_done = j.files_done + excluded.files_done,
    updated_at = now()
WHERE j.tenant = excluded.tenant;

-- name: PUT_DROP (tenant)
-- Chunks of an attempt at content that is replaced now.
:put_state
DELETE FROM chunks USING v
WHERE chunks.document_id = v.id
  AND (chunks.tenant = $1::text) IS TRUE
  AND NOT v.same
  AND chunks.generation <> v.generation;

-- name: PUT_UPLOAD (tenant)
-- The new originals wait for a worker, under the next generation of their documents.
--   Arrays beside put_state's: $5 SHA-256, $6 titles, $7 URLs, $8 chapters, $9 sections, $10 metadata,
--   $11 MIME types, $12 originals
:put_state,
b AS (
    UPDATE documents
    SET latest = documents.latest + 1,
        status = CASE WHEN documents.generation > 0 THEN documents.status ELSE 'pending' END, error = NULL
    FROM v
    WHERE documents.id = v.id AND (documents.tenant = $1::text) IS TRUE AND NOT v.same
    RETURNING documents.id, documents.latest
)
INSERT INTO uploads (document_id, tenant, generation, job_id, fingerprint, sha256, title, url, chapter,
    section, metadata, mime, body)
SELECT b.id, $1::text, b.latest, $3::uuid, d.given, g.sha, g.title, g.url, g.chapter, g.section,
    g.metadata::json, g.mime, g.body
FROM b
JOIN d ON d.id = b.id
JOIN unnest($5::bytea[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
    $12::bytea[]) WITH ORDINALITY AS g (sha, title, url, chapter, section, metadata, mime, body, k)
  ON g.k = d.k
ON CONFLICT (document_id)
DO UPDATE SET generation = excluded.generation, job_id = excluded.job_id, fingerprint = excluded.fingerprint,
    sha256 = excluded.sha256, title = excluded.title, url = excluded.url, chapter = excluded.chapter,
    section = excluded.section, metadata = excluded.metadata, mime = excluded.mime, body = excluded.body,
    text = NULL, found_title = NULL, model = NULL, attempts = 0, lease_owner = NULL, lease_until = NULL,
    not_before = now(), error = NULL, queued_at = now()
WHERE uploads.tenant = excluded.tenant;

-- name: SETTLE (shared)
-- The additions of this transaction are counted now, before DOCUMENT_ROOM compares them with the limits.
SELECT settle();

-- name: DOCUMENT_ROOM (tenant)
-- The last of a put: refuse(903) with too many documents, refuse(904) with too many bytes. An old document
-- in a new version is no more documents.
--   $1 tenant, $2 collection, $3 external ids, $4 most documents, $5 most bytes; 0: no limit
SELECT CASE
    WHEN $4::int8 > 0 AND u.documents > $4::int8 AND EXISTS (
        SELECT 1 FROM documents d
        WHERE d.tenant = $1::text
          AND d.collection = $2::text
          AND d.external_id = ANY ($3::text[])
          AND d.created_at = now()
    ) THEN refuse(903)
    WHEN $5::int8 > 0 AND u.bytes > $5::int8 AND EXISTS (
        SELECT 1 FROM documents d
        JOIN uploads w ON w.document_id = d.id
        WHERE d.tenant = $1::text
          AND d.collection = $2::text
          AND d.external_id = ANY ($3::text[])
          AND w.tenant = $1::text
          AND w.queued_at = now()
    ) THEN refuse(904)
    ELSE true END
FROM tenant_usage u
WHERE u.tenant = $1::text;

-- name: DOCUMENT_GET (tenant)
-- One document as messages show it.
SELECT :doc_cols FROM documents d
LEFT JOIN uploads u ON u.document_id = d.id AND u.tenant = $1::text
WHERE :doc_ref;

-- name: DOCUMENT_LIST (tenant)
-- A page of documents, the newest first.
--   $1 tenant, $2 collections or NULL, $3 $4 time and id of the last one seen, $5 rows, $6 rows to skip
SELECT :doc_cols FROM documents d
LEFT JOIN uploads u ON u.document_id = d.id AND u.tenant = $1::text
WHERE d.tenant = $1::text
  AND ($2::text[] IS NULL OR d.collection = ANY ($2::text[]))
  AND (d.created_at, d.id) < ($3::timestamptz, $4::uuid)
ORDER BY d.created_at DESC, d.id DESC OFFSET $6::int8 LIMIT $5::int8;

-- name: REINDEX_UPLOAD (tenant)
-- The original waits for a worker once more, under the document's next generation. One that waits already stays.
--   $1 to $4 doc_ref's, $5 the job
WITH b AS (
    UPDATE documents d
    SET latest = d.latest + 1, error = NULL
    WHERE :doc_ref
      AND d.body IS NOT NULL
      AND d.fingerprint IS NOT NULL
      AND d.sha256 IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM uploads u WHERE u.document_id = d.id AND u.tenant = $1::text)
    RETURNING d.id, d.latest
)
INSERT INTO uploads (document_id, tenant, generation, job_id, fingerprint, sha256, title, url, chapter,
    section, metadata, mime, body)
SELECT d.id, $1::text, b.latest, $5::uuid, d.fingerprint, d.sha256, d.title, d.url, d.chapter, d.section,
    d.metadata, d.mime, d.body
FROM b
JOIN documents d ON d.id = b.id AND d.tenant = $1::text;

-- name: REINDEX_NOW (tenant)
-- An upload that waits for its next attempt is tried at once, and as often as a new one.
UPDATE uploads u SET attempts = 0, not_before = now()
FROM documents d
WHERE u.document_id = d.id AND u.tenant = $1::text AND u.lease_owner IS NULL AND :doc_ref;

-- name: REINDEX_JOB (tenant)
-- The job counts its document.
--   $1 to $4 doc_ref's, $5 the job
INSERT INTO jobs (id, tenant, collection, files)
SELECT $5::uuid, $1::text, d.collection, 1
FROM documents d
JOIN uploads u ON u.document_id = d.id AND u.tenant = $1::text
WHERE u.job_id = $5::uuid AND :doc_ref
ON CONFLICT DO NOTHING;

-- name: REINDEX_FOUND (tenant)
-- The document and the job that tells of it. refuse(18): its original is not there.
SELECT d.id, u.job_id, CASE WHEN u.job_id IS NULL THEN refuse(18) ELSE true END
FROM documents d
LEFT JOIN uploads u ON u.document_id = d.id AND u.tenant = $1::text
WHERE :doc_ref;

-- name: DOCUMENT_TEXT (tenant)
-- A slice of a document's text.
--   $5 first byte, $6 the byte behind the last; 0: to the end
SELECT substring(d.text
        FROM LEAST($5::int8, d.text_bytes)::int4 + 1
        FOR GREATEST(
            CASE WHEN $6::int8 = 0 THEN d.text_bytes ELSE LEAST($6::int8, d.text_bytes) END - $5::int8, 0
        )::int4
    ),
    d.text_bytes, d.collection
FROM documents d
WHERE :doc_ref AND d.text IS NOT NULL;

-- name: DOCUMENT_LOCK (tenant)
-- refuse(15): there is no such document.
WITH d AS (SELECT id FROM documents d WHERE :doc_ref FOR UPDATE)
SELECT CASE WHEN EXISTS (SELECT 1 FROM d) THEN true ELSE refuse(15) END;

-- name: DOCUMENT_DROP_JOB (tenant)
-- An upload that waits goes with its document; for its job it counts as done.
UPDATE jobs SET files_done = files_done + 1, updated_at = now()
FROM uploads u
JOIN documents d ON d.id = u.document_id
WHERE jobs.id = u.job_id AND jobs.tenant = $1::text AND u.tenant = $1::text AND :doc_ref;

-- name: DOCUMENT_DROP_CHUNKS (tenant)
-- The document's chunks.
DELETE FROM chunks USING documents d
WHERE chunks.document_id = d.id AND (chunks.tenant = $1::text) IS TRUE AND :doc_ref;

-- name: DOCUMENT_FEED (tenant)
-- The feed tells of the end, and the collection has changed.
WITH h AS (UPDATE feed_head SET seq = seq + 1 RETURNING seq),
c AS (
    INSERT INTO changes (seq, tenant, collection, document_id, op)
    SELECT h.seq, d.tenant, d.collection, d.id, 'delete'
    FROM h, documents d
    WHERE :doc_ref
    ON CONFLICT (document_id) WHERE document_id IS NOT NULL
    DO UPDATE SET seq = excluded.seq, op = excluded.op, at = now()
    WHERE changes.tenant = excluded.tenant
),
e AS (
    UPDATE collections SET epoch = h.seq
    FROM h, documents d
    WHERE collections.tenant = d.tenant AND collections.name = d.collection AND :doc_ref
)
SELECT seq FROM h;

-- name: DOCUMENT_DELETE (tenant)
-- The document itself.
DELETE FROM documents d WHERE :doc_ref;
