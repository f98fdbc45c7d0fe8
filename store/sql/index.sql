-- The search index of INDEX_ENGINE=pgvector: calls of the functions that store/pgvector/tables.sql makes. They compare tenant and
-- collections on every table that they read.

-- name: INDEX_REACHED (shared)
-- Every change up to this one is in the index. A deletion is remembered for a day.
--   $1 seq
WITH old AS (
    DELETE FROM index_documents
    WHERE document_id IN (SELECT document_id FROM index_documents WHERE passages = 0 AND at < now() - interval '1 day' LIMIT 1000)
)
UPDATE index_layout SET seq = GREATEST(seq, $1::int8), told_at = now() WHERE $1::int8 > 0;

-- name: INDEX_STATE (shared)
-- Where the index is; with $1 also how much is in it.
--   $1 counted
SELECT l.seq, (extract(epoch FROM now() - l.told_at) * 1000)::int8, c.documents, c.passages
FROM index_layout l
LEFT JOIN LATERAL (
    SELECT count(*) AS documents, sum(d.passages)::int8 AS passages FROM index_documents d WHERE d.passages > 0
) c ON $1::bool;

-- name: INDEX_PUT (shared)
-- Documents, or parts of them, with their passages and vectors; a document that comes without any is deleted.
--   $1 ids, $2 tenants, $3 collections, $4 walls, $5 versions, $6 languages, $7 spaces, $8 passages, $9 words, $10 first passage,
--   $11 passages that came, $12 last parts; of passages: $13 documents, $14 places, $15 words, $16 hashes, $17 counts, $18 shown,
--   $19 facts; of vectors: $20 passages, $21 spaces, $22 numbers
SELECT index_put($1::uuid[], $2::text[], $3::text[], $4::int8[], $5::int8[], $6::text[], $7::text[], $8::int8[], $9::int8[], $10::int8[],
    $11::int8[], $12::int8[], $13::int8[], $14::int8[], $15::int8[], $16::text[], $17::text[], $18::text[], $19::text[],
    $20::int8[], $21::text[], $22::text[]);

-- name: INDEX_DROP (shared)
-- Some documents of a collection go, or of all; how many.
--   $1 tenant, $2 collection, $3 version, $4 documents at once
SELECT index_drop($1::text, $2::text, $3::int8, $4::int8);

-- name: INDEX_CORPUS (tenant)
-- How many passages some collections have, by language, how long they are, and how many have vectors.
--   $1 tenant, $2 collections, $3 space
SELECT language, sum(passages)::int8, sum(words)::int8, COALESCE(sum(passages) FILTER (WHERE $3::text = ANY (spaces)), 0)::int8
FROM index_documents
WHERE tenant = $1::text AND collection = ANY ($2::text[]) AND passages > 0
GROUP BY language;

-- name: INDEX_COUNT (shared)
-- How many passages have each word.
--   $1 tenant, $2 collections, $3 walls, $4 hashes, $5 counted at most
SELECT h, n FROM index_count($1::text, $2::text[], $3::int8[], $4::int8[], $5::int8);

-- name: INDEX_FIND (shared)
-- The best passages by words and by vector.
--   $1 tenant, $2 collections, $3 walls, $4 filter, $5 hashes, $6 their weights, $7 how many of them find, $8 mean length, $9 k1, $10 b,
--   $11 space, $12 vector, $13 rows, $14 passages that are compared one by one
SELECT document_id, collection, wall, version, n, h, tf, shown, language, cosine, near, cosine_mean, cosine_square
FROM index_find($1::text, $2::text[], $3::int8[], $4::text, $5::int8[], $6::float8[], $7::int8, $8::float8, $9::float8, $10::float8, $11::text,
    $12::text, $13::int8, $14::int8);
