-- The tables of INDEX_ENGINE=pgvector (tables.sql) are made in the schema, where they are missing, the extension is there, and this role may.
-- The extension itself is added where it is installed on the server and this role may. The last statement says, whatever comes of it,
-- what is missing: '' (nothing), extension, old, or owner. For INDEX_FALLBACK=words they are made without the extension, and have no
-- vectors; tables that INDEX_ENGINE=pgvector left serve as they are. A mark, the comment of index_layout, says that words came in: then
-- vectors may be missing, and INDEX_ENGINE=pgvector begins with new tables.
SET LOCAL statement_timeout = 0;
SET LOCAL search_path = @schema@;
SET LOCAL client_min_messages = error;
SELECT pg_advisory_xact_lock(hashtextextended('footnote index', 0));
DO $do$
DECLARE
    types text;
    one text;
BEGIN
    IF to_regclass('index_layout') IS NOT NULL THEN
        IF @words@ THEN
            IF obj_description(to_regclass('index_layout'), 'pg_class') IS DISTINCT FROM 'words' THEN
                COMMENT ON TABLE index_layout IS 'words';
            END IF;
            RETURN;
        END IF;
        IF obj_description(to_regclass('index_layout'), 'pg_class') IS DISTINCT FROM 'words' THEN
            RETURN;
        END IF;
    END IF;
    IF @words@ THEN
        PERFORM set_config('search_path', format('%I, pg_temp', current_schema), true);
        EXECUTE $make$@tables@$make$;
        COMMENT ON TABLE index_layout IS 'words';
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'vector')
       AND EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector') THEN
        CREATE EXTENSION vector;
    END IF;
    SELECT n.nspname INTO types
    FROM pg_extension e
    JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'vector' AND string_to_array(substring(e.extversion FROM '^[0-9.]+'), '.')::int[] >= '{0,8}';
    IF types IS NULL THEN
        RETURN;
    END IF;
    FOR one IN SELECT format('DROP TABLE %s CASCADE', c.oid::regclass) FROM pg_class c
               WHERE c.relnamespace = to_regnamespace(current_schema::text) AND c.relkind = 'r' AND c.relname ~ '^index_(layout|documents|passages|v_.*)$' LOOP
        EXECUTE one;
    END LOOP;
    FOR one IN SELECT format('DROP FUNCTION %s', p.oid::regprocedure) FROM pg_proc p
               WHERE p.pronamespace = to_regnamespace(current_schema::text) AND p.proname ~ '^index_(space|put|drop|count|near|words|find)$' LOOP
        EXECUTE one;
    END LOOP;
    PERFORM set_config('search_path', format('%I, %I, pg_temp', current_schema, types), true);
    EXECUTE $make$@tables@$make$;
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
    NULL;
END
$do$;
SELECT CASE
    WHEN to_regclass('index_layout') IS NOT NULL
        AND (COALESCE(obj_description(to_regclass('index_layout'), 'pg_class'), '') = 'words') = @words@ THEN ''
    WHEN @words@ THEN 'owner'
    WHEN NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'vector') THEN 'extension'
    WHEN (SELECT string_to_array(substring(extversion FROM '^[0-9.]+'), '.')::int[] < '{0,8}' FROM pg_extension WHERE extname = 'vector') THEN 'old'
    ELSE 'owner'
END
