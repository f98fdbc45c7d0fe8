-- How an answer came about is kept as the text that came: as jsonb it was taken apart for each answer, and is read of one in a thousand.
-- Older answers have theirs in the column trace; the release before shows none of those that are written from now on.
ALTER TABLE messages ADD COLUMN told text;
-- NULL of what is no JSON: one such row spoils no list.
CREATE FUNCTION told_json(told text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT AS $body$
BEGIN
    RETURN told::jsonb;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$body$;

-- A check that the server reads anew from its text for each statement, of what no statement of ours can write: the roles are literals
-- there, and an import compares them. Months that are attached have their own one.
DO $body$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT to_regclass('messages') UNION ALL SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass('messages') LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS messages_role_check', part);
    END LOOP;
END
$body$;

-- Is a message there? Looked at anew: also one that was committed since the statement that asks began. refuse(15): it is not.
CREATE FUNCTION message_there(message uuid, whose text) RETURNS boolean LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
BEGIN
    RETURN EXISTS (SELECT 1 FROM messages WHERE id = message AND tenant = whose) OR refuse(15);
END
$body$;
