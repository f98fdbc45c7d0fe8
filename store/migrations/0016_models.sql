-- Which model the vectors of a collection are of, and the change to another one. While a second set is built or kept, a passage has two
-- vectors: chunks has the one that it was ingested with, vectors the other. Rows are made by the release that knows this table; where one
-- is missing, the documents say.
CREATE TABLE collection_models (
    tenant        text NOT NULL,
    collection    text NOT NULL,
    active        text NOT NULL,                -- the model that questions are embedded with
    active_dims   bigint NOT NULL,
    active_seq    bigint NOT NULL DEFAULT 0,    -- seq of the switch to it
    other         text,                         -- of the set that is built, kept or dropped
    other_dims    bigint,
    state         text NOT NULL DEFAULT 'steady' CHECK (state IN ('steady', 'building', 'kept', 'dropping')),
    held          text,                         -- a model that is not built of itself, since somebody switched back from it
    held_dims     bigint,
    since         timestamptz NOT NULL DEFAULT now(), -- of the state
    touched_at    timestamptz NOT NULL DEFAULT now(), -- when somebody last worked on it
    lease_owner   text,
    lease_until   timestamptz,
    overlap       double precision,             -- of the ten best passages of stored questions, by both models: 0 to 1
    compared      bigint NOT NULL DEFAULT 0,    -- how many questions
    error         text,                         -- why it does not go on
    PRIMARY KEY (tenant, collection),
    FOREIGN KEY (tenant, collection) REFERENCES collections (tenant, name) ON DELETE CASCADE
);

CREATE TABLE vectors (
    document_id  uuid NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    generation   bigint NOT NULL,
    ord          bigint NOT NULL,
    tenant       text NOT NULL,
    model        text NOT NULL,
    hash         bytea NOT NULL,                -- of its chunk
    embedding    bytea NOT NULL,                -- little-endian float32
    PRIMARY KEY (document_id, ord)
);
CREATE INDEX ix_vectors_hash ON vectors (tenant, model, hash);

-- The second set of a document is whole: of this model, for this generation.
ALTER TABLE documents ADD COLUMN second text, ADD COLUMN second_dims bigint, ADD COLUMN second_generation bigint;
CREATE INDEX ix_documents_second ON documents (tenant, collection, id) WHERE second IS NOT NULL;

-- A change that brings nothing but vectors is quiet: quiet_seq = seq, and content_seq is the change before it. Where another release
-- writes the row anew, quiet_seq is no longer its seq.
ALTER TABLE changes ADD COLUMN quiet_seq bigint, ADD COLUMN content_seq bigint;

-- The commonest model of a collection's documents is what its questions were compared with; where there are several, what lacks it
-- is made.
INSERT INTO collection_models (tenant, collection, active, active_dims, state, other, other_dims, touched_at)
SELECT DISTINCT ON (m.tenant, m.collection) m.tenant, m.collection, m.model, v.dims, CASE WHEN m.models > 1 THEN 'building' ELSE 'steady' END,
    CASE WHEN m.models > 1 THEN m.model END, CASE WHEN m.models > 1 THEN v.dims END, '-infinity'
FROM (
    SELECT tenant, collection, model, count(*) AS n, min(id::text)::uuid AS one, count(*) OVER (PARTITION BY tenant, collection) AS models
    FROM documents
    WHERE generation > 0 AND model IS NOT NULL AND chunk_count > 0
    GROUP BY tenant, collection, model
) m
CROSS JOIN LATERAL (
    SELECT octet_length(c.embedding) / 4 AS dims FROM chunks c WHERE c.document_id = m.one AND c.embedding IS NOT NULL LIMIT 1
) v
WHERE v.dims > 0
ORDER BY m.tenant, m.collection, m.n DESC;
