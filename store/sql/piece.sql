-- Pieces that statements of several files share.

-- piece: doc_cols
-- A document as messages show it, d with its upload u. One that waits says what for: its last attempt's
-- failure, or why nobody begins.
d.id, d.external_id, d.collection, d.title, d.url, d.chapter, d.section, d.metadata::text, d.mime,
    CASE WHEN u.lease_until > now() THEN 'processing'
         WHEN u.document_id IS NOT NULL THEN 'pending'
         WHEN :aside THEN 'failed'
         ELSE d.status END,
    CASE
        WHEN u.document_id IS NOT NULL THEN COALESCE(u.error,
            CASE
                WHEN u.lease_until > now() THEN NULL
                ELSE (
                    SELECT w.reason FROM ingest_waits w
                    WHERE w.expires_at > now()
                    ORDER BY w.expires_at DESC LIMIT 1
                ) END)
        WHEN :aside THEN d.aside_error
        ELSE d.error END,
    d.text_bytes, d.chunk_count, d.sha256, d.created_at, d.updated_at,
    (SELECT s.seq FROM changes s WHERE s.document_id = d.id AND s.tenant = d.tenant);

-- piece: aside
-- A retriever cannot load the document, and said so lately (retriever/feed_load.c says it again every
-- minute).
d.aside_at > now() - interval '10 minutes';

-- piece: chunk_again
-- A chunk that an earlier attempt stored stays, unless it is another one now, or its model is.
ON CONFLICT (document_id, generation, ord)
DO UPDATE SET model = excluded.model, embedding = excluded.embedding, hash = excluded.hash,
    start_byte = excluded.start_byte, end_byte = excluded.end_byte, chapter = excluded.chapter,
    section = excluded.section, anchor = excluded.anchor, page = excluded.page, lead = excluded.lead
WHERE chunks.model <> excluded.model OR octet_length(chunks.embedding) <> octet_length(excluded.embedding)
  OR (chunks.hash, chunks.start_byte, chunks.end_byte)
    IS DISTINCT FROM (excluded.hash, excluded.start_byte, excluded.end_byte);
