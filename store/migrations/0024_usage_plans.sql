-- The same counting, by plans that a connection keeps: a function in SQL was parsed and planned anew for each document, three times.
CREATE OR REPLACE FUNCTION tenant_count(whose text, more_documents bigint, more_bytes bigint) RETURNS void LANGUAGE plpgsql
SET search_path FROM CURRENT AS $body$
BEGIN
    INSERT INTO tenant_usage AS u (tenant, documents, bytes) VALUES (whose, more_documents, more_bytes)
        ON CONFLICT (tenant) DO UPDATE SET documents = u.documents + excluded.documents, bytes = u.bytes + excluded.bytes;
END
$body$;
CREATE OR REPLACE FUNCTION stored_more() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
DECLARE
    more_documents bigint := (TG_OP = 'INSERT' AND TG_TABLE_NAME = 'documents')::int;
    more_bytes bigint := COALESCE(octet_length(NEW.body), 0);
BEGIN
    IF TG_OP = 'UPDATE' THEN
        more_bytes := more_bytes - COALESCE(octet_length(OLD.body), 0);
    END IF;
    IF more_documents <> 0 OR more_bytes <> 0 THEN
        INSERT INTO tenant_usage AS u (tenant, documents, bytes) VALUES (NEW.tenant, more_documents, more_bytes)
            ON CONFLICT (tenant) DO UPDATE SET documents = u.documents + excluded.documents, bytes = u.bytes + excluded.bytes;
    END IF;
    RETURN NULL;
END
$body$;
