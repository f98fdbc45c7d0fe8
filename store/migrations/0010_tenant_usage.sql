-- The stored things of a tenant, counted where they change, so that a limit costs no count of everything. Triggers do it, so that the
-- programs of the release before count along. Bytes are those of the originals, also of those that wait.
CREATE TABLE tenant_usage (
    tenant     text PRIMARY KEY,
    documents  bigint NOT NULL DEFAULT 0,
    bytes      bigint NOT NULL DEFAULT 0
);

CREATE FUNCTION tenant_count(whose text, more_documents bigint, more_bytes bigint) RETURNS void LANGUAGE sql
SET search_path FROM CURRENT AS $body$
    INSERT INTO tenant_usage AS u (tenant, documents, bytes) VALUES (whose, more_documents, more_bytes)
        ON CONFLICT (tenant) DO UPDATE SET documents = u.documents + excluded.documents, bytes = u.bytes + excluded.bytes
$body$;

-- Additions are counted at the end of their transaction, so that those of one tenant wait for each other's commits only.
CREATE FUNCTION stored_more() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
DECLARE
    before bigint := 0;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        before := COALESCE(octet_length(OLD.body), 0);
    END IF;
    PERFORM tenant_count(NEW.tenant, (TG_OP = 'INSERT' AND TG_TABLE_NAME = 'documents')::int,
                         COALESCE(octet_length(NEW.body), 0) - before);
    RETURN NULL;
END
$body$;
CREATE FUNCTION stored_less() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT tenant, count(*) AS n, COALESCE(sum(octet_length(body)), 0)::bigint AS bytes FROM gone GROUP BY tenant ORDER BY tenant LOOP
        PERFORM tenant_count(r.tenant, CASE WHEN TG_TABLE_NAME = 'documents' THEN -r.n ELSE 0 END, -r.bytes);
    END LOOP;
    RETURN NULL;
END
$body$;
CREATE CONSTRAINT TRIGGER document_more AFTER INSERT OR UPDATE OF body ON documents DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION stored_more();
CREATE CONSTRAINT TRIGGER upload_more AFTER INSERT OR UPDATE OF body ON uploads DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION stored_more();
CREATE TRIGGER document_less AFTER DELETE ON documents REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION stored_less();
CREATE TRIGGER upload_less AFTER DELETE ON uploads REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION stored_less();

-- Counts what this transaction added, now: who asks next sees whether it was too much.
CREATE FUNCTION settle() RETURNS boolean LANGUAGE plpgsql AS $body$
BEGIN
    SET CONSTRAINTS ALL IMMEDIATE;
    RETURN true;
END
$body$;

INSERT INTO tenant_usage (tenant, documents, bytes) SELECT tenant, sum(n)::bigint, sum(bytes)::bigint FROM (
    SELECT tenant, count(*) AS n, COALESCE(sum(octet_length(body)), 0) AS bytes FROM documents GROUP BY tenant UNION ALL
    SELECT tenant, 0, COALESCE(sum(octet_length(body)), 0) FROM uploads GROUP BY tenant) AS s GROUP BY tenant;
