-- Acts on keys, collections, documents and sessions, with who did them, and those that were refused to an admin. It names no secret: a key by
-- its SHA-256, a session or a user by the beginning of theirs.
CREATE TABLE audit (
    id          uuid PRIMARY KEY,
    tenant      text NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    actor       text NOT NULL,                  -- SHA-256 of the key in hex, or: admin_key, local, anonymous
    action      text NOT NULL,                  -- method and route
    target      text,                           -- what it was done to
    address     text NOT NULL,                  -- of the client
    status      bigint NOT NULL,                -- of the answer
    request_id  text,
    expires_at  timestamptz NOT NULL
);
CREATE INDEX ix_audit_at ON audit (tenant, at DESC, id DESC);
CREATE INDEX ix_audit_expires_at ON audit (expires_at);
