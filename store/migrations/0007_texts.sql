-- Texts are read in slices, so they are stored as they are: a compressed one is unpacked from its beginning for every slice. Only
-- documents.text said so; a text came there from uploads as it was stored there, compressed. Old rows: store/texts.c.
ALTER TABLE uploads ALTER text SET STORAGE EXTERNAL;

-- A document that a retriever cannot load: why, and when that was last so. Said again while it lasts, so that a mark whose
-- retriever is gone ends by itself.
ALTER TABLE documents ADD COLUMN aside_error text, ADD COLUMN aside_at timestamptz;

-- Why documents wait, said by those that would take them: a retriever without embeddings. Said again while it lasts.
CREATE TABLE ingest_waits (
    worker      text PRIMARY KEY,
    reason      text NOT NULL,
    expires_at  timestamptz NOT NULL
);
