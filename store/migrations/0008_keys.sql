-- Gateways follow the keys by number. Each change of a key takes the next number under the lock of key_head's only row, so
-- that changes become visible in the order of their numbers; a key that is gone leaves its number behind. Triggers do it, so
-- that no program has to: the release before, the janitor and somebody with psql revoke a key as surely as the API does.
CREATE TABLE key_head (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq  bigint NOT NULL
);
ALTER TABLE api_keys ADD COLUMN seq bigint NOT NULL DEFAULT 0;
UPDATE api_keys SET seq = n.k FROM (SELECT hash, row_number() OVER (ORDER BY created_at, hash) AS k FROM api_keys) n
 WHERE n.hash = api_keys.hash;
INSERT INTO key_head (seq) SELECT count(*) FROM api_keys;
CREATE UNIQUE INDEX ux_api_keys_seq ON api_keys (seq);
CREATE INDEX ix_api_keys_tenant ON api_keys (tenant, created_at, hash);
CREATE INDEX ix_api_keys_origins ON api_keys USING gin (origins) WHERE origins IS NOT NULL;

-- Kept for seven days: a gateway that heard nothing for so long reads all keys anew.
CREATE TABLE revoked_keys (
    hash        bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    seq         bigint NOT NULL,
    expires_at  timestamptz NOT NULL DEFAULT now() + interval '7 days'
);
CREATE UNIQUE INDEX ux_revoked_keys_seq ON revoked_keys (seq);
CREATE INDEX ix_revoked_keys_expires_at ON revoked_keys (expires_at);

CREATE FUNCTION key_changes() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
DECLARE
    n bigint;
BEGIN
    UPDATE key_head SET seq = seq + 1 RETURNING seq INTO n;
    IF TG_OP <> 'DELETE' THEN
        NEW.seq := n;
        RETURN NEW;
    END IF;
    INSERT INTO revoked_keys (hash, seq) VALUES (OLD.hash, n)
        ON CONFLICT (hash) DO UPDATE SET seq = excluded.seq, expires_at = excluded.expires_at;
    RETURN NULL;
END
$body$;
CREATE TRIGGER key_written BEFORE INSERT OR UPDATE ON api_keys FOR EACH ROW EXECUTE FUNCTION key_changes();
CREATE TRIGGER key_gone AFTER DELETE ON api_keys FOR EACH ROW EXECUTE FUNCTION key_changes();
