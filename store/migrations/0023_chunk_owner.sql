-- Chunks belong to a document that is there. Their foreign key asked for it once for each chunk; now a statement asks once for each
-- document. The locks are a foreign key's: who stores chunks holds their documents until the commit, who deletes a document waits for
-- that and takes its chunks along, and who comes after the deletion is refused. A deletion that does not see what was committed since it
-- began (repeatable read) could leave chunks behind: it is refused.
CREATE FUNCTION chunks_owned() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
DECLARE
    owners uuid[] := ARRAY(SELECT DISTINCT document_id FROM stored);
BEGIN
    IF (SELECT count(*) FROM (SELECT 1 FROM documents WHERE id = ANY (owners) ORDER BY id FOR KEY SHARE) AS there) < cardinality(owners) THEN
        RAISE EXCEPTION 'a chunk needs its document' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$body$;
CREATE FUNCTION chunks_go() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'documents are deleted at read committed' USING ERRCODE = 'feature_not_supported';
    END IF;
    DELETE FROM chunks WHERE document_id = ANY (ARRAY(SELECT id FROM gone));
    RETURN NULL;
END
$body$;
CREATE FUNCTION chunks_all_go() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
BEGIN
    DELETE FROM chunks;
    RETURN NULL;
END
$body$;
CREATE FUNCTION stays() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION '%.% stays', TG_TABLE_NAME, TG_ARGV[0] USING ERRCODE = 'foreign_key_violation';
END
$body$;
CREATE TRIGGER chunk_owned AFTER INSERT ON chunks REFERENCING NEW TABLE AS stored
    FOR EACH STATEMENT EXECUTE FUNCTION chunks_owned();
CREATE TRIGGER chunk_stays BEFORE UPDATE OF document_id ON chunks
    FOR EACH ROW WHEN (OLD.document_id IS DISTINCT FROM NEW.document_id) EXECUTE FUNCTION stays('document_id');
CREATE TRIGGER document_stays BEFORE UPDATE OF id ON documents
    FOR EACH ROW WHEN (OLD.id IS DISTINCT FROM NEW.id) EXECUTE FUNCTION stays('id');
CREATE TRIGGER document_chunks AFTER DELETE ON documents REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION chunks_go();
CREATE TRIGGER document_chunks_all AFTER TRUNCATE ON documents
    FOR EACH STATEMENT EXECUTE FUNCTION chunks_all_go();
ALTER TABLE chunks DROP CONSTRAINT chunks_document_id_fkey;
