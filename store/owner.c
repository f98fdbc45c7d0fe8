/* The owner and the service. A store that was broken into can then read and change rows, as it must, but neither drop a table
 * nor change a function, read the server's files, or make roles:
 *
 *   DATABASE_OWNER_URL ─▶ schema, migrations, role and rights of the other ─▶ connection closed
 *   DATABASE_URL ───────▶ everything else                                     (no superuser, owns nothing)
 *
 * The password of a role that is made goes to the server as a SCRAM verifier (RFC 5803), so that no log holds it. */
#include "store/owner.h"

#include "common/log.h"
#include "store/pool/conn.h"

/* Of two addresses the one counts that was given more directly: with DATABASE_URL in the environment or as a flag, the
 * owner's in a file (compose mounts one) is that of another database. */
static bool
belongs(const struct store *s)
{
    const struct opt_set *o = &s->proc->opts;
    enum opt_source url = OPT_FROM_DEFAULT, owner = OPT_FROM_DEFAULT;

    for (size_t i = 0; i < o->n; i++) {
        if (str_starts(str_of(o->defs[i].name), "DATABASE_URL"))
            url = o->from[i];
        else if (str_starts(str_of(o->defs[i].name), "DATABASE_OWNER_URL"))
            owner = o->from[i];
    }
    return owner >= url || url != OPT_FROM_ENV;
}

struct pool *
owner_pool(struct store *s)
{
    struct buf dropped = BUF_MAX(1024);
    struct pool_config cfg;
    const char *why;
    struct pool *p = NULL;

    if (!s->opt->owner_url[0])
        return NULL;
    if (!belongs(s)) {
        LOG(INFO, NULL,
            M("DATABASE_OWNER_URL of a file is left out, since DATABASE_URL was given in the environment: set both there"));
        return NULL;
    }
    s->owner_url = BUF_MAX(8192);
    if (pg_url_read(s->opt->owner_url, &s->owner_url, &dropped, &why)) { /* checked at start */
        cfg = (struct pool_config){ .url = s->owner_url.p,
                                    .schema = s->opt->schema,
                                    .size = 1,
                                    .recycle_ms = 3600000,
                                    .timeout_ms = s->opt->pool_timeout * 1000,
                                    .unprepared = !s->opt->prepared };
        p = pool_new(s->proc->loop, &cfg);
    }
    buf_free(&dropped);
    return p;
}

bool
owner_is_another(const struct store *s)
{
    struct buf owner = BUF_MAX(256), user = BUF_MAX(256), unused = BUF_MAX(512);
    bool another;

    conn_role(s->owner_url.p, &owner, &unused);
    conn_role(s->url.p, &user, &unused);
    another = !str_eq(buf_slice(&owner), buf_slice(&user));
    buf_free(&owner);
    buf_free(&user);
    buf_free(&unused);
    return another;
}

/* 'text' or "name", inner quotes doubled. */
static void
quoted(struct buf *b, char quote, struct str s)
{
    buf_c(b, quote);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == quote)
            buf_c(b, quote);
        buf_c(b, s.p[i]);
    }
    buf_c(b, quote);
}

void
owner_grants(const struct store *s, struct buf *script)
{
    struct buf user = BUF_MAX(256), verifier = BUF_MAX(512), role = BUF_MAX(600);
    const char *schema = s->opt->schema; /* checked at start: [a-z_][a-z0-9_]* */

    conn_role(s->url.p, &user, &verifier);
    quoted(&role, '"', buf_slice(&user));
    buf_c(&role, '\0');
    buf_z(script, "DO $x$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = ");
    quoted(script, '\'', buf_slice(&user));
    buf_printf(script, ") THEN CREATE ROLE %s LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE", role.p);
    if (verifier.n > 0) {
        buf_z(script, " PASSWORD ");
        quoted(script, '\'', buf_slice(&verifier));
    }
    buf_printf(script,
               "; END IF; EXECUTE format('GRANT CONNECT ON DATABASE %%I TO %%I', current_database(), ");
    quoted(script, '\'', buf_slice(&user));
    buf_z(script, "); END $x$;");
    buf_printf(script, "GRANT USAGE ON SCHEMA %s TO %s;", schema, role.p);
    buf_printf(script, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %s TO %s;", schema,
               role.p);
    buf_printf(script, "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %s TO %s;", schema, role.p);
    buf_printf(script, "REVOKE INSERT, UPDATE, DELETE ON %s.schema_migrations FROM %s;", schema, role.p);
    buf_printf(script,
               "ALTER DEFAULT PRIVILEGES IN SCHEMA %s GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %s;",
               schema, role.p);
    buf_printf(script, "ALTER DEFAULT PRIVILEGES IN SCHEMA %s GRANT USAGE, SELECT ON SEQUENCES TO %s;",
               schema, role.p);
    /* before 17 only a table's owner may VACUUM it: there autovacuum does what clean-up leaves */
    buf_printf(script,
               "DO $x$ BEGIN IF current_setting('server_version_num')::int >= 170000 THEN"
               " GRANT MAINTAIN ON ALL TABLES IN SCHEMA %s TO %s;"
               " ALTER DEFAULT PRIVILEGES IN SCHEMA %s GRANT MAINTAIN ON TABLES TO %s; END IF; END $x$",
               schema, role.p, schema, role.p);
    buf_free(&user);
    buf_free(&verifier);
    buf_free(&role);
}
