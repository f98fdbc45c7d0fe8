-- Who was erased when: a turn that still waits in Redis must not bring its session back. Kept for two days.
CREATE TABLE erased_sessions (
    tenant      text NOT NULL,
    session_id  bytea NOT NULL CHECK (octet_length(session_id) = 32),
    erased_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant, session_id)
);
CREATE INDEX ix_erased_sessions_erased_at ON erased_sessions (erased_at);

-- A reader's opinion of an answer.
ALTER TABLE messages ADD COLUMN rating text, ADD COLUMN rating_comment text, ADD COLUMN rated_at timestamptz;

-- Retention: what is old in a collection.
CREATE INDEX ix_documents_updated_at ON documents (tenant, collection, updated_at);
