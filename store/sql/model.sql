-- Collections whose vectors are made anew by another model: which one is to be built, who builds it, what it lacks, the switch, and the end
-- of the set that nobody needs. Lock order: documents, collection_models, feed_head, collections.

-- piece: has_set
-- Document d has a whole set of vectors of t (model, dims).
((d.second = t.model AND d.second_dims = t.dims AND d.second_generation = d.generation) IS TRUE
    OR (d.model = t.model AND t.dims = (
        SELECT octet_length(f.embedding) / 4 FROM chunks f
        WHERE f.document_id = d.id AND f.generation = d.generation AND f.tenant = d.tenant
        ORDER BY f.ord LIMIT 1
    )) IS TRUE);

-- piece: quiet_ready
-- A document whose vectors came or went: retrievers load it anew, answers that were made from it stand.
ON CONFLICT (document_id) WHERE document_id IS NOT NULL
    DO UPDATE SET content_seq = CASE WHEN changes.quiet_seq = changes.seq THEN changes.content_seq ELSE changes.seq END,
        seq = excluded.seq, quiet_seq = excluded.seq, at = now()
    WHERE changes.op = 'ready';

-- piece: found
-- Collections that another release made: the model of some document of each.
FROM collections c
CROSS JOIN LATERAL (
    SELECT id, generation, model FROM documents
    WHERE tenant = c.tenant AND collection = c.name AND generation > 0 AND chunk_count > 0 AND model IS NOT NULL
    LIMIT 1
) d
CROSS JOIN LATERAL (
    SELECT octet_length(embedding) / 4 AS dims FROM chunks
    WHERE document_id = d.id AND generation = d.generation AND embedding IS NOT NULL
    LIMIT 1
) v
WHERE v.dims > 0
  AND NOT EXISTS (SELECT 1 FROM collection_models m WHERE m.tenant = c.tenant AND m.collection = c.name);

-- piece: begun
-- The embedder has another model: its set is built. One that is being built for another model gives way after a
-- minute in which nobody worked on it; one that somebody ordered (it is held against the model in use) does not.
--   $1 model, $2 dimensions
((active <> $1::text OR active_dims <> $2::int8)
    AND (held, held_dims) IS DISTINCT FROM ($1::text, $2::int8)
    AND (state = 'steady'
        OR (state = 'kept' AND other = $1::text AND other_dims = $2::int8)
        OR (state = 'building'
            AND (other <> $1::text OR other_dims <> $2::int8)
            AND (held, held_dims) IS DISTINCT FROM (active, active_dims)
            AND touched_at < now() - interval '1 minute')));

-- piece: stopped
-- Sets that nobody needs: of a change that was taken back, of one that was kept long enough, and of one that is in the
-- way of a third model.
--   $1 model, $2 dimensions, $3 days that a set is kept; 0: until somebody says
((state = 'kept' AND (
        ($3::int8 > 0 AND since < now() - $3::int8 * interval '1 day')
        OR ((active <> $1::text OR active_dims <> $2::int8) AND (other <> $1::text OR other_dims <> $2::int8)
            AND (held, held_dims) IS DISTINCT FROM ($1::text, $2::int8))))
    OR (state = 'building'
        AND active = $1::text AND active_dims = $2::int8
        AND (other <> active OR other_dims <> active_dims)
        AND (held, held_dims) IS DISTINCT FROM (active, active_dims)
        AND touched_at < now() - interval '1 minute'));

-- piece: freed
-- The embedder has the model in use again: nothing is held against another one any more.
--   $1 model, $2 dimensions
(held IS NOT NULL AND state IN ('steady', 'kept') AND active = $1::text AND active_dims = $2::int8);

-- name: MODEL_LOOK (shared)
-- Which rows are to be made or changed before there is work? Seldom any: retrievers without work ask every few seconds.
--   $1 model, $2 dimensions, $3 days
SELECT EXISTS (SELECT 1 :found), EXISTS (SELECT 1 FROM collection_models WHERE :freed),
    EXISTS (SELECT 1 FROM collection_models WHERE :stopped), EXISTS (SELECT 1 FROM collection_models WHERE :begun);

-- name: MODEL_FIND (shared)
-- Rows for collections without one.
INSERT INTO collection_models (tenant, collection, active, active_dims)
SELECT c.tenant, c.name, d.model, v.dims
:found
ON CONFLICT DO NOTHING;

-- name: MODEL_FREE (shared)
--   $1 model, $2 dimensions
UPDATE collection_models SET held = NULL, held_dims = NULL
WHERE :freed;

-- name: MODEL_STOP (shared)
--   $1 model, $2 dimensions, $3 days
UPDATE collection_models SET state = 'dropping', since = now(), error = NULL
WHERE :stopped;

-- name: MODEL_BEGIN (shared)
--   $1 model, $2 dimensions
UPDATE collection_models
SET state = 'building', other = $1::text, other_dims = $2::int8, since = now(), touched_at = now(), overlap = NULL,
    compared = 0, error = NULL, held = NULL, held_dims = NULL
WHERE :begun;

-- name: MODEL_LEASE (shared)
-- One collection to work on: the one that the worker has, else the one that waits longest.
--   $1 worker, $2 milliseconds, $3 model, $4 dimensions, $5 what keeps the worker from going on, or NULL
UPDATE collection_models m
SET lease_owner = $1::text, lease_until = now() + $2::int8 * interval '1 millisecond', touched_at = now(),
    error = $5::text
WHERE (m.tenant, m.collection) = (
    SELECT o.tenant, o.collection FROM collection_models o
    WHERE (o.lease_owner = $1::text OR o.lease_until IS NULL OR o.lease_until <= now())
      AND (o.state = 'dropping'
        OR (o.state = 'building' AND (
            (o.other = $3::text AND o.other_dims = $4::int8)
            OR (o.other = o.active AND o.other_dims = o.active_dims)
            OR (o.held = o.active AND o.held_dims = o.active_dims))))
    ORDER BY (o.lease_owner = $1::text) IS TRUE DESC, o.since LIMIT 1
    FOR UPDATE SKIP LOCKED
)
RETURNING m.tenant, m.collection, m.state, m.active, m.active_dims, m.other, m.other_dims;

-- name: MODEL_RENEW (shared)
-- The lease lasts longer. refuse(18): it is another's by now, or the work is over.
--   $1 worker, $2 milliseconds, $3 tenant, $4 collection
WITH x AS (
    UPDATE collection_models SET lease_until = now() + $2::int8 * interval '1 millisecond', touched_at = now()
    WHERE tenant = $3::text AND collection = $4::text AND lease_owner = $1::text AND state IN ('building', 'dropping')
    RETURNING 1
)
SELECT CASE WHEN EXISTS (SELECT 1 FROM x) THEN true ELSE refuse(18) END;

-- name: MODEL_WORK (shared)
-- The next documents that lack the set that is built, and from which chunk on.
--   $1 tenant, $2 collection, $3 model, $4 dimensions, $5 external id of the last one seen, $6 chunks, $7 documents
WITH t AS (SELECT $3::text AS model, $4::int8 AS dims),
n AS (
    SELECT d.id, d.generation, d.external_id, d.chunk_count, COALESCE((
            SELECT max(v.ord) + 1 FROM vectors v
            WHERE v.document_id = d.id AND v.generation = d.generation AND v.model = t.model
              AND octet_length(v.embedding) = 4 * t.dims
        ), 0) AS from_ord
    FROM documents d, t
    WHERE d.tenant = $1::text AND d.collection = $2::text AND d.external_id > $5::text AND d.generation > 0
      AND d.chunk_count > 0 AND NOT :has_set
    ORDER BY d.external_id LIMIT $7::int8
),
s AS (
    SELECT n.*, sum(n.chunk_count) OVER (ORDER BY n.external_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM n
)
SELECT id, generation, from_ord, chunk_count, external_id FROM s
WHERE COALESCE(before, 0) < $6::int8
ORDER BY external_id;

-- name: MODEL_QUESTIONS (shared)
-- The latest questions to a collection, each question once, and the newest seq of the feed beside it.
--   $1 tenant, $2 collection, $3 questions
SELECT q.content
FROM (
    SELECT question_id, COALESCE(told_json(told), trace) AS trace, timestamp FROM messages
    WHERE tenant = $1::text AND role = 'assistant'
    ORDER BY timestamp DESC LIMIT 2000
) a
JOIN messages q ON q.id = a.question_id AND q.tenant = $1::text
WHERE a.trace -> 'retrieval' ->> 'collection' = $2::text
GROUP BY q.content ORDER BY max(a.timestamp) DESC LIMIT $3::int8;

-- name: MODEL_PUT_CHECK (shared)
-- refuse(18): the work is another's by now, or over.
--   $1 worker, $2 tenant, $3 collection, $4 model, $5 dimensions
SELECT CASE WHEN EXISTS (
    SELECT 1 FROM collection_models
    WHERE tenant = $2::text AND collection = $3::text AND state = 'building' AND lease_owner = $1::text
      AND other = $4::text AND other_dims = $5::int8
) THEN true ELSE refuse(18) END;

-- name: MODEL_PUT_CLEAR (shared)
-- Vectors of other generations, or another model, of documents that get new ones.
--   $1 documents, $2 their generations, $3 model, $4 dimensions
DELETE FROM vectors v USING unnest($1::uuid[], $2::int8[]) AS g (id, generation)
WHERE v.document_id = g.id
  AND (v.generation <> g.generation OR v.model <> $3::text OR octet_length(v.embedding) <> 4 * $4::int8);

-- name: MODEL_PUT (shared)
-- Vectors of chunks that are still those of their document.
--   $1 documents, $2 their generations, $3 model, $4 tenant, $5 collection, then of each vector: $6 its document, $7 place,
--   $8 embedding
INSERT INTO vectors (document_id, generation, ord, tenant, model, hash, embedding)
SELECT k.document_id, k.generation, k.ord, k.tenant, $3::text, k.hash, x.embedding
FROM unnest($6::uuid[], $7::int8[], $8::bytea[]) AS x (id, ord, embedding)
JOIN documents d ON d.id = x.id AND d.tenant = $4::text AND d.collection = $5::text
JOIN unnest($1::uuid[], $2::int8[]) AS g (id, generation) ON g.id = d.id AND g.generation = d.generation
JOIN chunks k ON k.document_id = d.id AND k.generation = d.generation AND k.ord = x.ord
ON CONFLICT (document_id, ord)
DO UPDATE SET generation = excluded.generation, model = excluded.model, hash = excluded.hash,
    embedding = excluded.embedding;

-- name: MODEL_PUT_WHOLE (shared)
-- Documents that have all of them now, and the feed tells of these.
--   $1 documents, $2 their generations, $3 model, $4 dimensions, $5 documents that should be whole
WITH w AS (
    SELECT d.id, d.generation
    FROM documents d
    JOIN unnest($1::uuid[], $2::int8[]) AS g (id, generation) ON g.id = d.id AND g.generation = d.generation
    WHERE d.id = ANY ($5::uuid[])
    ORDER BY d.id FOR UPDATE OF d
),
u AS (
    UPDATE documents d SET second = $3::text, second_dims = $4::int8, second_generation = d.generation
    FROM w
    WHERE d.id = w.id AND d.generation = w.generation
      AND (SELECT count(*) FROM vectors v WHERE v.document_id = w.id AND v.generation = w.generation AND v.model = $3::text)
        = (SELECT count(*) FROM chunks k WHERE k.document_id = w.id AND k.generation = w.generation)
    RETURNING d.id, d.tenant, d.collection
),
h AS (UPDATE feed_head SET seq = seq + (SELECT count(*) FROM u) WHERE EXISTS (SELECT 1 FROM u) RETURNING seq),
x AS (SELECT u.*, row_number() OVER (ORDER BY u.id) AS k FROM u),
c AS (
    INSERT INTO changes (seq, tenant, collection, document_id, op)
    SELECT h.seq + 1 - x.k, x.tenant, x.collection, x.id, 'ready'
    FROM x, h
    :quiet_ready
)
SELECT count(*), (SELECT seq FROM h) FROM u;

-- piece: switched
-- The row takes its other set; the one before is kept. A set that was only made whole is tidied up.
SET active = m.other, active_dims = m.other_dims, active_seq = h.seq, other = m.active, other_dims = m.active_dims,
    state = CASE WHEN m.other = m.active AND m.other_dims = m.active_dims THEN 'dropping' ELSE 'kept' END, since = now(),
    lease_owner = NULL, lease_until = NULL, error = NULL;

-- piece: lacking
-- Some document lacks the set that m would switch to.
EXISTS (
    SELECT 1 FROM documents d, (SELECT m.other AS model, m.other_dims AS dims) t
    WHERE d.tenant = $1::text AND d.collection = $2::text AND d.generation > 0 AND d.chunk_count > 0 AND NOT :has_set
);

-- piece: told
-- The feed tells of a collection that answers otherwise now.
--   h: the feed's seq, or no row
c AS (
    INSERT INTO changes (seq, tenant, collection, op)
    SELECT h.seq, $1::text, $2::text, 'collection'
    FROM h
    ON CONFLICT (tenant, collection) WHERE document_id IS NULL
    DO UPDATE SET seq = excluded.seq, op = excluded.op, at = now()
    WHERE changes.tenant = excluded.tenant
),
e AS (UPDATE collections SET epoch = h.seq FROM h WHERE tenant = $1::text AND name = $2::text);

-- name: MODEL_LOCK (shared)
-- Documents that end meanwhile wait for this, or are seen by the statements behind it.
--   $1 tenant, $2 collection
SELECT 1 FROM collection_models WHERE tenant = $1::text AND collection = $2::text FOR UPDATE;

-- piece: there
-- Behind the lock, so that a collection that went meanwhile is gone for it. refuse(15): there is no such collection;
-- refuse(18): it has no vectors yet.
(
    SELECT CASE
        WHEN EXISTS (SELECT 1 FROM collection_models WHERE tenant = $1::text AND collection = $2::text) THEN true
        WHEN EXISTS (SELECT 1 FROM collections WHERE tenant = $1::text AND name = $2::text) THEN refuse(18)
        ELSE refuse(15) END
);

-- name: MODEL_SWITCH (shared)
-- In one step, when nothing lacks the set, and the feed tells of it.
--   $1 tenant, $2 collection, $3 worker, $4 overlap or NULL, $5 questions that were compared
WITH r AS (
    SELECT 1 FROM collection_models m
    WHERE m.tenant = $1::text AND m.collection = $2::text AND m.state = 'building' AND m.lease_owner = $3::text
      AND NOT :lacking
),
h AS (UPDATE feed_head SET seq = seq + 1 WHERE EXISTS (SELECT 1 FROM r) RETURNING seq),
:told,
s AS (
    UPDATE collection_models m :switched, overlap = $4::float8, compared = $5::int8
    FROM h
    WHERE m.tenant = $1::text AND m.collection = $2::text
    RETURNING 1
)
SELECT (SELECT count(*) FROM s), (SELECT seq FROM h), :there;

-- name: MODEL_BACK (tenant)
-- Back to the set before: in one step when nothing lacks it, else what is missing is built first; a change under way is
-- taken back; and a model that was held is not held any more.
--   $1 tenant, $2 collection
WITH r AS (
    SELECT m.state, m.held, NOT :lacking AS whole
    FROM collection_models m
    WHERE m.tenant = $1::text AND m.collection = $2::text
),
h AS (UPDATE feed_head SET seq = seq + 1 WHERE EXISTS (SELECT 1 FROM r WHERE state = 'kept' AND whole) RETURNING seq),
:told,
s AS (
    UPDATE collection_models m :switched, held = m.active, held_dims = m.active_dims
    FROM h
    WHERE m.tenant = $1::text AND m.collection = $2::text
    RETURNING 1
),
b AS (
    UPDATE collection_models m
    SET state = 'building', since = now(), touched_at = now(), held = m.active, held_dims = m.active_dims, error = NULL
    FROM r
    WHERE m.tenant = $1::text AND m.collection = $2::text AND r.state = 'kept' AND NOT r.whole
    RETURNING 1
),
g AS (
    UPDATE collection_models m
    SET state = 'dropping', since = now(), held = m.other, held_dims = m.other_dims, error = NULL
    FROM r
    WHERE m.tenant = $1::text AND m.collection = $2::text AND r.state = 'building'
    RETURNING 1
),
f AS (
    UPDATE collection_models m SET held = NULL, held_dims = NULL
    FROM r
    WHERE m.tenant = $1::text AND m.collection = $2::text AND r.state = 'steady' AND r.held IS NOT NULL
    RETURNING 1
)
SELECT (SELECT count(*) FROM s) + (SELECT count(*) FROM b) + (SELECT count(*) FROM g) + (SELECT count(*) FROM f),
    (SELECT seq FROM h), :there;

-- name: MODEL_DROP (tenant)
-- The set that is kept is not needed any more.
--   $1 tenant, $2 collection
WITH u AS (
    UPDATE collection_models SET state = 'dropping', since = now(), error = NULL
    WHERE tenant = $1::text AND collection = $2::text AND state = 'kept'
    RETURNING 1
)
SELECT (SELECT count(*) FROM u), :there;

-- name: MODEL_TIDY (shared)
-- Some documents keep one set: that in use goes to the chunks, the other goes. The documents go on as arrays: a plan that is
-- made without their number takes few for likely, and not a tenth of all, for which it would read the tables whole.
--   $1 tenant, $2 collection, $3 model in use, $4 its dimensions, $5 documents
WITH n AS MATERIALIZED (
    SELECT d.id, d.tenant, d.collection, d.generation,
        (d.second = $3::text AND d.second_dims = $4::int8 AND d.second_generation = d.generation) IS TRUE AS mine
    FROM documents d
    WHERE d.tenant = $1::text AND d.collection = $2::text AND d.second IS NOT NULL
    ORDER BY d.id LIMIT $5::int8 FOR UPDATE
),
k AS (
    UPDATE chunks SET model = v.model, embedding = v.embedding
    FROM n
    JOIN vectors v ON v.document_id = n.id AND v.generation = n.generation
    WHERE n.mine AND chunks.document_id = n.id AND chunks.generation = n.generation AND chunks.ord = v.ord
),
v AS (DELETE FROM vectors WHERE document_id = ANY (ARRAY(SELECT id FROM n))),
d AS (
    UPDATE documents
    SET model = CASE WHEN g.mine THEN $3::text ELSE documents.model END, second = NULL, second_dims = NULL,
        second_generation = NULL
    FROM unnest(ARRAY(SELECT id FROM n ORDER BY id), ARRAY(SELECT mine FROM n ORDER BY id)) AS g (id, mine)
    WHERE documents.id = g.id
),
h AS (UPDATE feed_head SET seq = seq + (SELECT count(*) FROM n) WHERE EXISTS (SELECT 1 FROM n) RETURNING seq),
x AS (SELECT n.*, row_number() OVER (ORDER BY n.id) AS at FROM n),
c AS (
    INSERT INTO changes (seq, tenant, collection, document_id, op)
    SELECT h.seq + 1 - x.at, x.tenant, x.collection, x.id, 'ready'
    FROM x, h
    :quiet_ready
)
SELECT count(*) FROM n;

-- name: MODEL_TIDIED (shared)
-- Nothing of the other set is left, but what belongs to no whole document.
--   $1 tenant, $2 collection, $3 worker
WITH m AS (
    UPDATE collection_models
    SET state = 'steady', other = NULL, other_dims = NULL, since = now(), lease_owner = NULL, lease_until = NULL
    WHERE tenant = $1::text AND collection = $2::text AND state = 'dropping' AND lease_owner = $3::text
    RETURNING 1
)
DELETE FROM vectors v USING documents d, m
WHERE d.tenant = $1::text AND d.collection = $2::text AND v.document_id = d.id;
