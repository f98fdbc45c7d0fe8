-- MESSAGES_PARTITIONED: messages and citations by month (docs/decisions/040-messages-by-month.md). No table changes here:
-- messages_partition does it, when the option asks for it and no message is there yet.
--
-- The month of a message is that of its id: a UUIDv7 begins with its milliseconds. So the id alone stays the primary key, exact
-- over all months, and a citation lives in the month of its message. A message with an id of another kind, or of a month that
-- was not made, lies in messages_default. Months are made and dropped with the rights of the schema's owner: the role that
-- serves has none to do it by itself.

-- The first id of a month.
CREATE FUNCTION messages_month_id(month timestamp) RETURNS uuid LANGUAGE sql IMMUTABLE AS $body$
    SELECT (lpad(to_hex((extract(epoch FROM month) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$body$;

-- Makes the tables of a month. Messages of that month that lie in messages_default move there; where they are many they stay,
-- the month is not made, and it is cleaned up row by row. Was it made?
CREATE FUNCTION messages_month_make(month timestamp) RETURNS boolean LANGUAGE plpgsql AS $body$
DECLARE
    many constant int := 10000;
    lo constant uuid := messages_month_id(month);
    hi constant uuid := messages_month_id(month + interval '1 month');
    m constant text := 'messages_' || to_char(month, 'YYYY_MM');
    c constant text := 'citations_' || to_char(month, 'YYYY_MM');
BEGIN
    LOCK TABLE messages_default, citations_default IN ACCESS EXCLUSIVE MODE;
    IF (SELECT count(*) FROM (SELECT 1 FROM messages_default WHERE id >= lo AND id < hi LIMIT many + 1) AS x) > many THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE messages INCLUDING ALL)', m);
    EXECUTE format('CREATE TABLE %I (LIKE citations INCLUDING ALL)', c);
    EXECUTE format('INSERT INTO %I SELECT * FROM messages_default WHERE id >= %L AND id < %L', m, lo, hi);
    EXECUTE format('INSERT INTO %I SELECT * FROM citations_default WHERE message_id >= %L AND message_id < %L', c, lo, hi);
    PERFORM set_config('footnote.messages_move', 'on', true);
    DELETE FROM messages_default WHERE id >= lo AND id < hi;
    PERFORM set_config('footnote.messages_move', '', true);
    EXECUTE format('ALTER TABLE %I ADD FOREIGN KEY (message_id) REFERENCES %I (id) ON DELETE CASCADE', c, m);
    EXECUTE format('ALTER TABLE messages ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', m, lo, hi);
    EXECUTE format('ALTER TABLE citations ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', c, lo, hi);
    RETURN true;
END
$body$;

-- Makes this month and the next two, as far as they are missing. How many it made.
CREATE FUNCTION messages_months() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '100ms' AS $body$
DECLARE
    month timestamp;
    made bigint := 0;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_class WHERE oid = to_regclass('messages') AND relkind = 'p') THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('footnote months', 0));
    FOR i IN 0..2 LOOP
        month := date_trunc('month', now() AT TIME ZONE 'UTC') + i * interval '1 month';
        IF to_regclass('messages_' || to_char(month, 'YYYY_MM')) IS NULL AND messages_month_make(month) THEN
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END
$body$;

-- A message that has not expired goes only with its conversation. Clean-up of an earlier release names rows by ctid, which two
-- months can have in common.
CREATE FUNCTION messages_stay() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION 'a message that has not expired goes only with its conversation'
        USING HINT = 'The messages are partitioned, which stores of an earlier release do not know.';
END
$body$;

-- How messages are stored: months, whose coming ones are made, or one (table).
CREATE FUNCTION messages_form() RETURNS text LANGUAGE plpgsql AS $body$
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = to_regclass('messages')) <> 'p' THEN
        RETURN 'one';
    END IF;
    BEGIN
        PERFORM messages_months();
    EXCEPTION WHEN lock_not_available THEN
        NULL; -- messages_default takes what comes; the next clean-up makes the month
    END;
    RETURN 'months';
END
$body$;

-- Makes messages and citations tables of months; what they hold stays where it is, in messages_default and citations_default.
-- Not with messages in them, unless also_filled says so. The result: months (it is so), filled (they are not partitioned since
-- there are messages). The owner calls it.
CREATE FUNCTION messages_partition(also_filled boolean DEFAULT false) RETURNS text LANGUAGE plpgsql AS $body$
DECLARE
    x record;
BEGIN
    IF messages_form() = 'months' THEN
        RETURN 'months';
    END IF;
    IF NOT also_filled AND EXISTS (SELECT 1 FROM messages) THEN
        RETURN 'filled';
    END IF;
    LOCK TABLE messages, citations IN ACCESS EXCLUSIVE MODE;
    IF messages_form() = 'months' THEN -- another store was faster
        RETURN 'months';
    END IF;
    IF NOT also_filled AND EXISTS (SELECT 1 FROM messages) THEN
        RETURN 'filled';
    END IF;

    ALTER TABLE messages RENAME TO messages_default;
    ALTER TABLE citations RENAME TO citations_default;
    ALTER TABLE citations_default DROP CONSTRAINT citations_pkey, ADD CONSTRAINT citations_pkey PRIMARY KEY (id, message_id);
    CREATE TABLE messages (LIKE messages_default INCLUDING ALL EXCLUDING INDEXES) PARTITION BY RANGE (id);
    CREATE TABLE citations (LIKE citations_default INCLUDING ALL EXCLUDING INDEXES) PARTITION BY RANGE (message_id);
    -- what stood at the one table stands at all of its parts: indexes, foreign keys, rights of others
    FOR x IN
        SELECT t.whole, i.relname AS name, pg_get_indexdef(i.oid) AS made, pg_get_constraintdef(k.oid) AS rule
        FROM (VALUES ('messages', to_regclass('messages_default')), ('citations', to_regclass('citations_default'))) AS t (whole, oid)
        JOIN pg_index n ON n.indrelid = t.oid
        JOIN pg_class i ON i.oid = n.indexrelid
        LEFT JOIN pg_constraint k ON k.conindid = i.oid AND k.conrelid = t.oid AND k.contype IN ('p', 'u')
    LOOP
        EXECUTE format('ALTER INDEX %I RENAME TO %I', x.name, replace(x.name, x.whole, x.whole || '_default'));
        IF x.rule IS NULL THEN
            EXECUTE regexp_replace(x.made, ' ON \S+ USING ', format(' ON %I USING ', x.whole));
        ELSE
            EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I %s', x.whole, x.name, x.rule);
        END IF;
    END LOOP;
    FOR x IN
        SELECT conname, pg_get_constraintdef(oid) AS rule FROM pg_constraint
        WHERE conrelid = to_regclass('messages_default') AND contype = 'f'
    LOOP
        EXECUTE format('ALTER TABLE messages ADD CONSTRAINT %I %s', x.conname, x.rule);
    END LOOP;
    FOR x IN
        SELECT replace(c.relname, '_default', '') AS whole, a.privilege_type AS may,
            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS who
        FROM pg_class c
        CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.oid IN (to_regclass('messages_default'), to_regclass('citations_default')) AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT %s ON %I TO %s', x.may, x.whole, x.who);
    END LOOP;
    ALTER TABLE messages ATTACH PARTITION messages_default DEFAULT;
    ALTER TABLE citations ATTACH PARTITION citations_default DEFAULT;
    CREATE TRIGGER messages_stay BEFORE DELETE ON messages FOR EACH ROW
        WHEN (pg_trigger_depth() = 0 AND OLD.expires_at > now()
            AND COALESCE(current_setting('footnote.messages_move', true), '') <> 'on')
        EXECUTE FUNCTION messages_stay();
    PERFORM messages_months();
    RETURN 'months';
END
$body$;

-- The months that have ended, the oldest first. whole: all of its messages have expired. expired: about how many messages of it
-- are to go: all of them, or those that expired 32 days ago, counted up to `most`.
CREATE FUNCTION messages_ended(most bigint) RETURNS TABLE (part text, whole boolean, expired bigint) LANGUAGE plpgsql AS $body$
BEGIN
    FOR part, expired IN
        SELECT c.relname::text, c.reltuples::bigint FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = to_regclass('messages') AND c.relname ~ '^messages_\d{4}_\d\d$'
            AND c.relname < 'messages_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')
        ORDER BY 1
    LOOP
        EXECUTE format('SELECT COALESCE(max(expires_at) <= now(), true) FROM %I', part) INTO whole;
        IF NOT whole OR expired <= 0 THEN -- or the server has no figures of it
            EXECUTE format('SELECT count(*) FROM (SELECT 1 FROM %I WHERE expires_at <= now() - $1 LIMIT $2) AS x', part)
                INTO expired USING CASE WHEN whole THEN interval '0' ELSE interval '32 days' END, most;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$body$;

-- Expired messages go: months that are over, as a whole; else, at most so many at once, those of messages_default, and those that
-- are held up in their month by others that live longer, after 32 days. in_use: a month is over, but its tables are in use.
CREATE FUNCTION messages_clean(most bigint, OUT gone bigint, OUT in_use boolean) LANGUAGE plpgsql SECURITY DEFINER
SET lock_timeout = '100ms' AS $body$
DECLARE
    m record;
    alive boolean;
BEGIN
    gone := 0;
    in_use := false;
    FOR m IN SELECT * FROM messages_ended(1000000) AS e WHERE e.whole LOOP
        BEGIN
            LOCK TABLE ONLY messages, ONLY citations IN ACCESS EXCLUSIVE MODE;
            EXECUTE format('SELECT max(expires_at) > now() FROM %I', m.part) INTO alive;
            CONTINUE WHEN alive;
            EXECUTE format('DROP TABLE %I, %I', replace(m.part, 'messages', 'citations'), m.part);
        EXCEPTION WHEN lock_not_available THEN
            in_use := true;
            EXIT;
        END;
        gone := m.expired;
        EXIT WHEN gone > 0;
    END LOOP;
    IF gone > 0 THEN
        RETURN;
    END IF;
    WITH g AS (
        DELETE FROM messages_default WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM messages_default WHERE expires_at <= now()
            ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
        )) RETURNING 1
    )
    SELECT count(*) INTO gone FROM g;
    IF gone > 0 THEN
        RETURN;
    END IF;
    WITH g AS (
        DELETE FROM messages WHERE id = ANY (ARRAY(
            SELECT id FROM messages WHERE expires_at <= now() - interval '32 days'
            ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
        )) RETURNING 1
    )
    SELECT count(*) INTO gone FROM g;
END
$body$;

-- About how many messages a whole run of messages_clean takes, counted up to so many.
CREATE FUNCTION messages_expired(most bigint) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $body$
BEGIN
    RETURN LEAST(most, (SELECT COALESCE(sum(expired), 0) FROM messages_ended(most))
        + (SELECT count(*) FROM (SELECT 1 FROM messages_default WHERE expires_at <= now() LIMIT most) AS x));
END
$body$;

-- Temporary tables are looked for last: functions with the owner's rights must not take one for ours.
DO $body$
DECLARE
    f text;
BEGIN
    FOREACH f IN ARRAY ARRAY['messages_month_id(timestamp)', 'messages_month_make(timestamp)', 'messages_months()', 'messages_stay()',
        'messages_form()', 'messages_partition(boolean)', 'messages_ended(bigint)', 'messages_clean(bigint)', 'messages_expired(bigint)'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', f, current_schema());
    END LOOP;
END
$body$;
