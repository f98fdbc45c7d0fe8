-- The tables of the question path, of documents and their change feed, of keys and clean-up.
-- Ids are UUIDs made outside. Sessions are known by the SHA-256 of their secret only. Every tenant table carries its tenant.

-- Stops a transaction with one of the suite's own error codes (proto/err.tbl): SQLSTATE FNnnn.
CREATE FUNCTION refuse(code integer) RETURNS boolean LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION 'refused' USING ERRCODE = 'FN' || lpad(code::text, 3, '0');
END
$body$;

CREATE TABLE user_sessions (
    id          uuid PRIMARY KEY,               -- named by tenant and session, so that it needs no look-up
    tenant      text NOT NULL,
    session_id  bytea NOT NULL CHECK (octet_length(session_id) = 32),
    user_id     text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL
);
CREATE INDEX ix_user_sessions_session_id ON user_sessions (session_id, tenant);
CREATE INDEX ix_user_sessions_user_id ON user_sessions (tenant, user_id) WHERE user_id IS NOT NULL;
CREATE INDEX ix_user_sessions_expires_at ON user_sessions (expires_at);

CREATE TABLE conversations (
    id               uuid PRIMARY KEY,
    tenant           text NOT NULL,
    user_session_id  uuid NOT NULL REFERENCES user_sessions (id) ON DELETE CASCADE,
    is_open          boolean NOT NULL,          -- the one that takes questions without a conversation
    created_at       timestamptz NOT NULL DEFAULT now(),
    expires_at       timestamptz NOT NULL
);
CREATE INDEX ix_conversations_user_session_id ON conversations (user_session_id, created_at DESC, id DESC);
CREATE UNIQUE INDEX ux_conversations_open ON conversations (user_session_id) WHERE is_open;
CREATE INDEX ix_conversations_created_at ON conversations (tenant, created_at);
CREATE INDEX ix_conversations_expires_at ON conversations (expires_at);

CREATE TABLE messages (
    id                 uuid PRIMARY KEY,
    tenant             text NOT NULL,
    conversation_id    uuid NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    question_id        uuid,                    -- of an answer: the message it answers
    role               text NOT NULL CHECK (role IN ('user', 'assistant')),
    content            text NOT NULL,
    page_context       text,
    status             text NOT NULL,           -- complete, incomplete or refused
    model              text,
    confidence         double precision,
    grounded           boolean NOT NULL DEFAULT false,
    from_cache         boolean NOT NULL DEFAULT false,
    prompt_tokens      bigint NOT NULL DEFAULT 0,
    completion_tokens  bigint NOT NULL DEFAULT 0,
    timestamp          timestamptz NOT NULL,
    expires_at         timestamptz NOT NULL
);
CREATE INDEX ix_messages_conversation_id ON messages (conversation_id, timestamp, id);
CREATE INDEX ix_messages_timestamp ON messages (tenant, timestamp);
CREATE INDEX ix_messages_expires_at ON messages (expires_at);

CREATE TABLE citations (
    id           uuid PRIMARY KEY,
    tenant       text NOT NULL,
    message_id   uuid NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    n            integer NOT NULL,              -- the [n] of the answer
    document_id  uuid NOT NULL,                 -- no foreign key: a quotation outlives its document
    chunk_id     uuid NOT NULL,
    external_id  text,
    title        text,
    chapter      text,
    section      text,
    url          text,
    excerpt      text NOT NULL,
    start_byte   bigint NOT NULL,
    end_byte     bigint NOT NULL,
    score        double precision NOT NULL
);
CREATE UNIQUE INDEX ux_citations_message_id ON citations (message_id, n);

CREATE TABLE idempotency (
    tenant           text NOT NULL,
    scope            text NOT NULL,             -- API key and route
    key              text NOT NULL,
    hash             bytea NOT NULL,            -- SHA-256 of the body
    question_id      uuid NOT NULL,             -- who holds it while it runs
    user_session_id  uuid REFERENCES user_sessions (id) ON DELETE CASCADE, -- the answer goes with its session
    lease_until      timestamptz NOT NULL,
    http_status      integer,                   -- present: done
    body             bytea,
    expires_at       timestamptz NOT NULL,
    PRIMARY KEY (tenant, scope, key)
);
CREATE INDEX ix_idempotency_user_session_id ON idempotency (user_session_id);
CREATE INDEX ix_idempotency_expires_at ON idempotency (expires_at);

CREATE TABLE collections (
    tenant          text NOT NULL,
    name            text NOT NULL,
    prompt          text,
    refusal         text,
    model           text,
    top_k           bigint NOT NULL DEFAULT 0,
    threshold       double precision NOT NULL DEFAULT 0,
    retention_days  bigint NOT NULL DEFAULT 0,
    epoch           bigint NOT NULL DEFAULT 0,  -- seq of its last change
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, name)
);

-- The documents that are searchable now. A replacement waits in uploads until it is finished.
CREATE TABLE documents (
    id           uuid PRIMARY KEY,
    tenant       text NOT NULL,
    collection   text NOT NULL,
    external_id  text NOT NULL,
    title        text,
    url          text,
    chapter      text,
    section      text,
    metadata     json,                          -- verbatim, as it came
    mime         text NOT NULL,
    status       text NOT NULL CHECK (status IN ('pending', 'ready', 'failed')),
    error        text,
    latest       bigint NOT NULL DEFAULT 0,     -- newest generation that was ever uploaded
    generation   bigint NOT NULL DEFAULT 0,     -- the one that is searchable; 0: none yet
    fingerprint  bytea,                         -- SHA-256 of the original and what came with it
    sha256       bytea,                         -- of the original
    body         bytea,                         -- the original
    text         bytea,                         -- normalised, UTF-8; offsets count its bytes
    text_bytes   bigint NOT NULL DEFAULT 0,
    chunk_count  bigint NOT NULL DEFAULT 0,
    model        text,                          -- that made the vectors
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (tenant, collection) REFERENCES collections (tenant, name) ON DELETE CASCADE,
    UNIQUE (tenant, collection, external_id)
);
ALTER TABLE documents ALTER text SET STORAGE EXTERNAL; -- slices are read without the rest
CREATE INDEX ix_documents_created_at ON documents (tenant, created_at DESC, id DESC);

CREATE TABLE jobs (
    id            uuid PRIMARY KEY,
    tenant        text NOT NULL,
    collection    text NOT NULL,
    files         bigint NOT NULL DEFAULT 0,
    files_done    bigint NOT NULL DEFAULT 0,
    files_failed  bigint NOT NULL DEFAULT 0,
    chunks        bigint NOT NULL DEFAULT 0,
    embedded      bigint NOT NULL DEFAULT 0,
    error         text,
    seq           bigint NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ix_jobs_updated_at ON jobs (updated_at);

-- Documents that wait for a retriever or are being worked on.
CREATE TABLE uploads (
    document_id  uuid PRIMARY KEY REFERENCES documents (id) ON DELETE CASCADE,
    tenant       text NOT NULL,
    generation   bigint NOT NULL,
    job_id       uuid NOT NULL,
    title        text,
    url          text,
    chapter      text,
    section      text,
    metadata     json,                          -- verbatim, as it came
    mime         text NOT NULL,
    fingerprint  bytea NOT NULL,
    sha256       bytea NOT NULL,
    body         bytea NOT NULL,
    text         bytea,
    found_title  text,                          -- in the document, for want of the client's
    model        text,
    attempts     integer NOT NULL DEFAULT 0,
    lease_owner  text,
    lease_until  timestamptz,
    not_before   timestamptz NOT NULL DEFAULT now(),
    error        text,                          -- of the last attempt
    queued_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ix_uploads_queued_at ON uploads (queued_at);
CREATE INDEX ix_uploads_job_id ON uploads (job_id);

CREATE TABLE chunks (
    id           uuid NOT NULL,
    document_id  uuid NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    generation   bigint NOT NULL,
    ord          bigint NOT NULL,
    tenant       text NOT NULL,
    start_byte   bigint NOT NULL,
    end_byte     bigint NOT NULL,
    chapter      text,
    section      text,
    hash         bytea NOT NULL,                -- SHA-256 of what was embedded
    model        text NOT NULL,
    embedding    bytea,                         -- little-endian float32
    PRIMARY KEY (document_id, generation, ord)
);
CREATE INDEX ix_chunks_hash ON chunks (tenant, model, hash);

-- The change feed: seq is taken under the lock of feed_head's only row, last thing before the commit, so that changes
-- become visible in the order of their seq. One row a document (its latest change), one a collection.
CREATE TABLE feed_head (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq  bigint NOT NULL
);
INSERT INTO feed_head (seq) VALUES (0);

CREATE TABLE changes (
    seq          bigint PRIMARY KEY,
    tenant       text NOT NULL,
    collection   text NOT NULL,
    document_id  uuid,
    op           text NOT NULL CHECK (op IN ('ready', 'delete', 'collection')),
    at           timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX ux_changes_document_id ON changes (document_id) WHERE document_id IS NOT NULL;
CREATE UNIQUE INDEX ux_changes_collection ON changes (tenant, collection) WHERE document_id IS NULL;
CREATE INDEX ix_changes_at ON changes (at) WHERE op = 'delete';

CREATE TABLE api_keys (
    hash         bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    tenant       text NOT NULL,
    label        text,
    scopes       text[] NOT NULL,
    collections  text[],
    origins      text[],
    per_minute   bigint NOT NULL DEFAULT 0,
    per_hour     bigint NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz
);
CREATE INDEX ix_api_keys_tenant ON api_keys (tenant);

CREATE TABLE cleanup_runs (
    job       text PRIMARY KEY,
    last_run  timestamptz NOT NULL
);
