/* Database URLs as people have them: SQLAlchemy's schemes and asyncpg's ssl= become what libpq reads. The rest of the
 * grammar is libpq's own (https://www.postgresql.org/docs/current/libpq-connect.html, 34.1.1.2). */
#include "store/pool/conn.h"

/* One name=value of the query. */
static void
add_pair(struct str pair, char *sep, struct buf *out, struct buf *dropped)
{
    const char *eq = pair.n ? memchr(pair.p, '=', pair.n) : NULL;
    struct str key = { pair.p, eq ? (size_t)(eq - pair.p) : pair.n };
    struct str value = eq ? (struct str){ eq + 1, pair.n - key.n - 1 } : STR("");

    if (str_is(key, "ssl")) {
        key = STR("sslmode");
        if (str_is(value, "true") || str_is(value, "1") || str_is(value, "on"))
            value = STR("require");
        else if (str_is(value, "false") || str_is(value, "0") || str_is(value, "off"))
            value = STR("disable");
    }
    if (!conn_parameter(key)) {
        buf_printf(dropped, "%s" STR_FMT, dropped->n ? ", " : "", STR_ARG(key));
        return;
    }
    buf_c(out, *sep);
    *sep = '&';
    buf_str(out, key);
    buf_c(out, '=');
    buf_str(out, value);
}

static void
add_query(struct str query, struct buf *out, struct buf *dropped)
{
    char sep = '?';

    while (query.n) {
        const char *amp = memchr(query.p, '&', query.n);
        struct str pair = { query.p, amp ? (size_t)(amp - query.p) : query.n };
        size_t skip = pair.n + (amp ? 1 : 0);

        if (pair.n)
            add_pair(pair, &sep, out, dropped);
        query.p += skip;
        query.n -= skip;
    }
}

bool
pg_url_read(const char *url, struct buf *out, struct buf *dropped, const char **why)
{
    const char *rest = strstr(url, "://");
    struct str scheme = { url, rest ? (size_t)(rest - url) : 0 };
    const char *query;

    *why = NULL;
    if (rest) {
        if (!str_is(scheme, "postgres") && !str_is(scheme, "postgresql") &&
            !str_starts(scheme, "postgresql+") && !str_starts(scheme, "postgres+")) {
            *why = "the scheme is not postgresql://";
            return false;
        }
        buf_z(out, "postgresql");
        query = strchr(rest, '?');
        buf_str(out, (struct str){ rest, query ? (size_t)(query - rest) : strlen(rest) });
        if (query)
            add_query(str_of(query + 1), out, dropped);
    } else {
        buf_z(out, url);
    }
    if (!out->failed && out->n > 0 && conn_readable(out->p))
        return true;
    *why = "libpq cannot read it (user:password@host:port/database, special characters as %XX)";
    return false;
}
