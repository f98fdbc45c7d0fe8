-- The tables and functions of INDEX_ENGINE=pgvector, made by store/pgvector/pgvector.c where that option says so: no migration, since
-- an installation with another engine has none of this, and everything here can be made anew from documents and chunks. Another
-- layout gets other names, so that two releases serve side by side.
--
--   index_layout     it is there, and up to which change of the feed everything is in it
--   index_documents  a row a document, with the version of its change; of one that was deleted, too, for a day
--   index_passages   what a hit shows, its words as numbers, what filters ask for
--   index_v_SPACE    vectors of one model and size, made when the first one comes
--
-- A word's number is its hash XOR the wall, a hash of tenant and collection: so the index of words finds nothing of others.
CREATE TABLE index_layout (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq      bigint NOT NULL DEFAULT 0,
    told_at  timestamptz NOT NULL DEFAULT now()
);
INSERT INTO index_layout DEFAULT VALUES;

CREATE TABLE index_documents (
    document_id  uuid PRIMARY KEY,
    tenant       text NOT NULL,
    collection   text NOT NULL,
    version      bigint NOT NULL,               -- of the change: an older one changes nothing
    whole        boolean NOT NULL,              -- false: parts of a large document are on their way
    language     text,
    spaces       text[] NOT NULL,               -- that it has vectors in
    passages     bigint NOT NULL,               -- 0: it was deleted, or is empty
    words        bigint NOT NULL,
    at           timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ix_index_documents_collection ON index_documents (tenant, collection);
CREATE INDEX ix_index_documents_gone ON index_documents (at) WHERE passages = 0;

CREATE TABLE index_passages (
    document_id  uuid NOT NULL,
    ord          bigint NOT NULL,
    tenant       text NOT NULL,
    collection   text NOT NULL,
    wall         bigint NOT NULL,
    version      bigint NOT NULL,
    n            bigint NOT NULL,               -- words
    r            real NOT NULL DEFAULT random(), -- the first ones by it are a sample
    h            bigint[] NOT NULL,             -- different words
    tf           smallint[] NOT NULL,           -- how often each of them
    shown        text NOT NULL,                 -- JSON: retriever/index/shown.c
    facts        jsonb NOT NULL,                -- what filters ask for: retriever/pgvector/filter.c
    PRIMARY KEY (document_id, ord)
);
CREATE INDEX ix_index_passages_h ON index_passages USING gin (h) WITH (fastupdate = off);
CREATE INDEX ix_index_passages_facts ON index_passages USING gin (facts jsonb_path_ops);
CREATE INDEX ix_index_passages_sample ON index_passages (tenant, collection, r);

-- A space is 16 hex digits, _ and how many numbers. The role that serves owns no table and may make none: this is done as the owner.
CREATE FUNCTION index_space(space text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $body$
DECLARE
    dims integer := split_part(space, '_', 2)::integer;
    name text := 'index_v_' || space;
    types text := (SELECT n.nspname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector');
BEGIN
    IF space !~ '^[0-9a-f]{16}_[1-9][0-9]{0,3}$' THEN
        RAISE EXCEPTION 'no name of a space' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF to_regclass(name) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('footnote index', 0));
    IF to_regclass(name) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (document_id uuid NOT NULL, ord bigint NOT NULL, tenant text NOT NULL, collection text NOT NULL,'
        ' v %I.halfvec(%s) NOT NULL, PRIMARY KEY (document_id, ord),'
        ' FOREIGN KEY (document_id, ord) REFERENCES index_passages (document_id, ord) ON DELETE CASCADE)', name, types, dims);
    EXECUTE format('CREATE INDEX ON %I (tenant, collection)', name);
    IF dims <= 4000 THEN -- the most that an index of halfvec takes
        EXECUTE format('CREATE INDEX ON %I USING hnsw (v %I.halfvec_cosine_ops)', name, types);
    END IF;
END
$body$;

-- Documents, or parts of large ones, and their passages; a document without passages is a deletion. Says how many were taken: of the
-- others a newer version is there.
CREATE FUNCTION index_put(ids uuid[], tenants text[], collections text[], walls bigint[], versions bigint[], languages text[],
    spaces text[], totals bigint[], lengths bigint[], firsts bigint[], parts bigint[], lasts bigint[],
    owners bigint[], ords bigint[], ns bigint[], hs text[], tfs text[], showns text[], factses text[],
    v_passages bigint[], v_spaces text[], vs text[]) RETURNS bigint LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
DECLARE
    taken bigint[];
    one text;
BEGIN
    WITH given AS (
        SELECT * FROM unnest(ids, tenants, collections, versions, lasts, languages, spaces, totals, lengths) WITH ORDINALITY
            AS g (id, tenant, collection, version, last, language, space, total, length, place)
    ),
    put AS (
        INSERT INTO index_documents AS d (document_id, tenant, collection, version, whole, language, spaces, passages, words)
        SELECT id, tenant, collection, version, last <> 0, language, string_to_array(space, ' '), total, length FROM given ORDER BY id
        ON CONFLICT (document_id) DO UPDATE SET tenant = excluded.tenant, collection = excluded.collection, version = excluded.version,
            whole = excluded.whole, language = excluded.language, spaces = excluded.spaces, passages = excluded.passages,
            words = excluded.words, at = now()
        WHERE d.version < excluded.version OR (d.version = excluded.version AND NOT d.whole)
        RETURNING d.document_id
    )
    SELECT array_agg(place) INTO taken FROM given JOIN put ON put.document_id = given.id;
    IF taken IS NULL THEN
        RETURN 0;
    END IF;
    DELETE FROM index_passages p USING unnest(ids, versions, firsts, parts) WITH ORDINALITY AS g (id, version, first, n, place)
    WHERE g.place = ANY (taken) AND p.document_id = g.id AND (p.version < g.version OR (p.ord >= g.first AND p.ord < g.first + g.n));
    INSERT INTO index_passages (document_id, ord, tenant, collection, wall, version, n, h, tf, shown, facts)
    SELECT ids[k.owner], k.ord, tenants[k.owner], collections[k.owner], walls[k.owner], versions[k.owner], k.n, k.h::bigint[],
        k.tf::smallint[], k.shown, k.facts::jsonb
    FROM unnest(owners, ords, ns, hs, tfs, showns, factses) AS k (owner, ord, n, h, tf, shown, facts)
    WHERE k.owner = ANY (taken);
    FOR one IN SELECT DISTINCT s FROM unnest(v_spaces) AS s ORDER BY s LOOP
        PERFORM index_space(one);
        EXECUTE format('INSERT INTO %I (document_id, ord, tenant, collection, v)'
            ' SELECT $1[$5[x.p]], $6[x.p], $2[$5[x.p]], $3[$5[x.p]], x.v::halfvec FROM unnest($7, $8, $9) AS x (p, space, v)'
            ' WHERE x.space = $10 AND $5[x.p] = ANY ($4)', 'index_v_' || one)
        USING ids, tenants, collections, taken, owners, ords, v_passages, v_spaces, vs, one;
    END LOOP;
    RETURN cardinality(taken);
END
$body$;

-- Some documents of a collection that are older, or of all (no tenant); how many were there.
CREATE FUNCTION index_drop(whose text, what text, than bigint, most bigint) RETURNS bigint LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
DECLARE
    gone uuid[];
BEGIN
    IF whose IS NULL THEN
        gone := ARRAY(SELECT document_id FROM index_documents ORDER BY document_id LIMIT most FOR UPDATE);
        DELETE FROM index_documents WHERE document_id = ANY (gone);
        UPDATE index_layout SET seq = 0, told_at = now();
    ELSE
        gone := ARRAY(
            SELECT document_id FROM index_documents WHERE tenant = whose AND collection = what AND version < than AND passages > 0
            ORDER BY document_id LIMIT most FOR UPDATE
        );
        UPDATE index_documents SET version = than, whole = true, passages = 0, words = 0, spaces = '{}', at = now() WHERE document_id = ANY (gone);
    END IF;
    DELETE FROM index_passages WHERE document_id = ANY (gone);
    RETURN cardinality(gone);
END
$body$;

-- How many passages of some collections have each of these words. Of a word that more than `most` have, a sample tells.
CREATE FUNCTION index_count(whose text, names text[], walls bigint[], hs bigint[], most bigint) RETURNS TABLE (h bigint, n bigint)
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT SET enable_seqscan = off AS $body$
DECLARE
    keys bigint[];
BEGIN
    IF cardinality(hs) > 256 THEN -- spellings of words that nobody has: few of them are there at all
        keys := ARRAY(SELECT x # w FROM unnest(hs) AS x, unnest(walls) AS w);
        RETURN QUERY
        SELECT u.k # f.wall, count(*)
        FROM (SELECT p.h, p.wall FROM index_passages p WHERE p.h && keys AND p.tenant = whose AND p.collection = ANY (names) LIMIT 5000) f,
            LATERAL unnest(f.h) AS u (k), (SELECT DISTINCT x FROM unnest(hs) AS x) q
        WHERE q.x = u.k # f.wall
        GROUP BY 1;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT q.x, sum(CASE WHEN c.n <= most THEN c.n ELSE (
            SELECT GREATEST(c.n, (count(*) FILTER (WHERE s.h @> ARRAY[q.x # w.wall])) * d.n / GREATEST(count(*), 1))
            FROM (SELECT p.h FROM index_passages p WHERE p.tenant = whose AND p.collection = w.name ORDER BY p.r LIMIT 500) s
        ) END)::bigint
    FROM unnest(hs) AS q (x)
    CROSS JOIN unnest(names, walls) AS w (name, wall)
    CROSS JOIN LATERAL (
        SELECT count(*) AS n
        FROM (SELECT 1 FROM index_passages p WHERE p.h @> ARRAY[q.x # w.wall] AND p.tenant = whose AND p.collection = w.name LIMIT most + 1) m
    ) c
    CROSS JOIN LATERAL (
        SELECT CASE WHEN c.n > most THEN (SELECT sum(i.passages) FROM index_documents i WHERE i.tenant = whose AND i.collection = w.name) ELSE 0 END AS n
    ) d
    WHERE c.n > 0
    GROUP BY q.x;
END
$body$;

-- The nearest by vector: of few passages each is compared, of many the graph is walked until so many have passed the filter.
CREATE FUNCTION index_near(whose text, names text[], filter text, space text, asked text, most bigint, exact bigint)
RETURNS TABLE (document_id uuid, ord bigint) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
SET enable_seqscan = off AS $body$
DECLARE
    tab text := 'index_v_' || space;
    passes text := CASE WHEN filter IS NULL THEN '' ELSE
        ' AND EXISTS (SELECT 1 FROM index_passages p WHERE p.document_id = v.document_id AND p.ord = v.ord AND p.facts @@ $4::jsonpath)' END;
    few bigint;
    ids uuid[]; -- that pass the filter, when they are few
    ords bigint[];
BEGIN
    IF filter IS NULL THEN
        EXECUTE format('SELECT count(*) FROM (SELECT 1 FROM %I v WHERE v.tenant = $1 AND v.collection = ANY ($2) LIMIT $3) f', tab)
            INTO few USING whose, names, exact + 1;
    ELSE -- those that pass, by the index of what they are
        SELECT count(*), array_agg(f.document_id), array_agg(f.ord) INTO few, ids, ords
        FROM (
            SELECT p.document_id, p.ord FROM index_passages p
            WHERE p.facts @@ filter::jsonpath AND p.tenant = whose AND p.collection = ANY (names) LIMIT exact + 1
        ) f;
        IF few <= exact THEN
            RETURN QUERY EXECUTE format('SELECT v.document_id, v.ord FROM unnest($1, $2) AS p (document_id, ord)'
                ' JOIN %I v ON v.document_id = p.document_id AND v.ord = p.ord WHERE v.tenant = $5 ORDER BY (v.v <=> $4::halfvec) + 0 LIMIT $3', tab)
            USING ids, ords, most, asked, whose;
            RETURN;
        END IF;
    END IF;
    IF few > exact AND split_part(space, '_', 2)::integer <= 4000 THEN
        PERFORM set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.ef_search', LEAST(4 * most, 1000)::text, true),
            set_config('hnsw.max_scan_tuples', '60000', true), set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true);
        RETURN QUERY EXECUTE format('SELECT v.document_id, v.ord FROM %I v WHERE v.tenant = $1 AND v.collection = ANY ($2)' || passes
            || ' ORDER BY v.v <=> $5::halfvec LIMIT $3', tab) USING whose, names, most, filter, asked;
        GET DIAGNOSTICS few = ROW_COUNT;
        PERFORM set_config('enable_sort', 'on', true), set_config('enable_bitmapscan', 'on', true);
        IF few >= most THEN
            RETURN;
        END IF; -- the graph was given up before: what it found comes once more
    END IF;
    IF filter IS NULL THEN
        RETURN QUERY EXECUTE format('SELECT v.document_id, v.ord FROM %I v WHERE v.tenant = $1 AND v.collection = ANY ($2)'
            ' ORDER BY (v.v <=> $4::halfvec) + 0 LIMIT $3', tab) USING whose, names, most, asked;
    ELSE
        RETURN QUERY EXECUTE format('SELECT v.document_id, v.ord FROM index_passages p JOIN %I v ON v.document_id = p.document_id AND v.ord = p.ord'
            ' WHERE p.facts @@ $4::jsonpath AND p.tenant = $1 AND p.collection = ANY ($2) ORDER BY (v.v <=> $5::halfvec) + 0 LIMIT $3', tab)
        USING whose, names, most, filter, asked;
    END IF;
END
$body$;

-- The best by words: those that have any of the first `leads` words, scored by all of them, as retriever/index/fuse.c scores.
CREATE FUNCTION index_words(whose text, names text[], walls bigint[], filter text, hs bigint[], idfs double precision[], leads bigint,
    mean double precision, k1 double precision, b double precision, most bigint)
RETURNS TABLE (document_id uuid, ord bigint) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT SET enable_seqscan = off AS $body$
BEGIN
    RETURN QUERY
    WITH led AS (
        SELECT p.document_id, p.ord, sum(q.idf * p.tf * (k1 + 1) / (p.tf + k1 * (1 - b + b * p.n / mean))) AS score
        FROM unnest(hs[:leads], idfs[:leads]) AS q (h, idf)
        CROSS JOIN unnest(names, walls) AS w (name, wall)
        CROSS JOIN LATERAL (
            SELECT x.document_id, x.ord, x.n::double precision AS n, x.tf[array_position(x.h, q.h # w.wall)]::double precision AS tf
            FROM index_passages x
            WHERE x.h @> ARRAY[q.h # w.wall] AND x.tenant = whose AND x.collection = w.name
              AND (filter IS NULL OR x.facts @@ filter::jsonpath)
            OFFSET 0 -- so that the place of the word is looked for once
        ) p
        GROUP BY p.document_id, p.ord
        ORDER BY 3 DESC LIMIT CASE WHEN leads < cardinality(hs) THEN 4 * most ELSE most END
    )
    SELECT l.document_id, l.ord
    FROM led l
    JOIN index_passages p ON p.document_id = l.document_id AND p.ord = l.ord
    CROSS JOIN LATERAL (
        SELECT COALESCE(sum(q.idf * p.tf[a.at] * (k1 + 1) / (p.tf[a.at] + k1 * (1 - b + b * p.n / mean))), 0) AS score
        FROM unnest(hs[leads + 1:], idfs[leads + 1:]) AS q (h, idf)
        CROSS JOIN LATERAL (SELECT array_position(p.h, q.h # p.wall) AS at) a
        WHERE a.at IS NOT NULL
    ) o
    ORDER BY l.score + o.score DESC, l.document_id, l.ord LIMIT most;
END
$body$;

-- Candidates of both kinds, with the exact cosine where they have a vector of that space; mean and square: of the cosines of a sample.
CREATE FUNCTION index_find(whose text, names text[], walls bigint[], filter text, hs bigint[], idfs double precision[], leads bigint,
    mean double precision, k1 double precision, b double precision, space text, asked text, most bigint, exact bigint)
RETURNS TABLE (document_id uuid, ord bigint, collection text, wall bigint, version bigint, n bigint, h bigint[], tf smallint[], shown text, language text,
    cosine double precision, near boolean, cosine_mean double precision, cosine_square double precision)
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT SET enable_seqscan = off AS $body$
DECLARE
    tab text := 'index_v_' || space;
    c1 double precision;
    c2 double precision;
BEGIN
    IF space IS NULL OR to_regclass(tab) IS NULL THEN
        RETURN QUERY
        SELECT p.document_id, p.ord, p.collection, p.wall, p.version, p.n, p.h, p.tf, p.shown, d.language, NULL::double precision, false,
            NULL::double precision, NULL::double precision
        FROM index_words(whose, names, walls, filter, hs, idfs, leads, mean, k1, b, most) w
        JOIN index_passages p ON p.document_id = w.document_id AND p.ord = w.ord
        JOIN index_documents d ON d.document_id = p.document_id;
        RETURN;
    END IF;
    EXECUTE format('SELECT avg(c), avg(c * c) FROM (SELECT 1 - (v.v <=> $3::halfvec) AS c FROM (SELECT s.document_id, s.ord'
        ' FROM unnest($2) AS names (one) CROSS JOIN LATERAL (SELECT p.document_id, p.ord, p.r FROM index_passages p'
        ' WHERE p.tenant = $1 AND p.collection = names.one ORDER BY p.r LIMIT 512) s ORDER BY s.r LIMIT 512) s'
        ' JOIN %I v ON v.document_id = s.document_id AND v.ord = s.ord) c', tab) INTO c1, c2 USING whose, names, asked;
    RETURN QUERY EXECUTE format('WITH c AS MATERIALIZED (SELECT document_id, ord, bool_or(near) AS near FROM ('
        ' SELECT document_id, ord, true AS near FROM index_near($1, $2, $4, $11, $12, $13, $14)'
        ' UNION ALL SELECT document_id, ord, false FROM index_words($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $13)) x GROUP BY document_id, ord)'
        ' SELECT p.document_id, p.ord, p.collection, p.wall, p.version, p.n, p.h, p.tf, p.shown, d.language, 1 - (v.v <=> $12::halfvec), c.near, $15, $16'
        ' FROM c JOIN index_passages p ON p.document_id = c.document_id AND p.ord = c.ord JOIN index_documents d ON d.document_id = p.document_id'
        ' LEFT JOIN %I v ON v.document_id = c.document_id AND v.ord = c.ord', tab)
    USING whose, names, walls, filter, hs, idfs, leads, mean, k1, b, space, asked, most, exact, c1, c2;
END
$body$;
