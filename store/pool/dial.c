/* Dialling a server: what DATABASE_URL says, and what it leaves open. */
#include <libpq-fe.h>

#include "store/pool/conn.h"

/* Settings of DATABASE_URL go before ours, but for those behind it. libpq looks for the host that takes writes, and no host gets
 * all the time. A kernel that has answered nothing for 1.5 s is behind a network that fails, whatever its server does: then the
 * connection ends, and with it what waits on it, before the hub gives the call up (2 s); of those that are idle within 7 s. */
void *
conn_dial(struct conn *c)
{
    enum { ATTRS, URL = 5, HOST, HOSTADDR, PORT };
    const char *const keys[] = { "target_session_attrs",
                                 "tcp_user_timeout",
                                 "keepalives_idle",
                                 "keepalives_interval",
                                 "keepalives_count",
                                 "dbname",
                                 "host",
                                 "hostaddr",
                                 "port",
                                 "application_name",
                                 "client_encoding",
                                 NULL };
    const char *values[] = { NULL, "2000",           "5",    "1", "3", pool_cfg(c->pool)->url, NULL, NULL,
                             NULL, "footnote-store", "UTF8", NULL };
    struct hosts *h = pool_hosts(c->pool);
    struct buf host = BUF_MAX(16384), addr = BUF_MAX(16384), port = BUF_MAX(16384);
    PGconn *pg = NULL;

    if (h && hosts_count(h) > 1)
        values[ATTRS] = "read-write";
    if (!h || hosts_write(h, &host, &addr, &port, &c->turn)) {
        values[HOST] = host.p;
        values[HOSTADDR] = addr.p;
        values[PORT] = port.p;
        pg = PQconnectStartParams(keys, values, 1);
    }
    buf_free(&host);
    buf_free(&addr);
    buf_free(&port);
    return pg;
}

bool
conn_parameter(struct str name)
{
    PQconninfoOption *all = PQconndefaults(), *o;
    bool found = false;

    for (o = all; o && o->keyword && !found; o++)
        found = str_is(name, o->keyword);
    PQconninfoFree(all);
    return found;
}

bool
conn_readable(const char *conninfo)
{
    PQconninfoOption *parsed = PQconninfoParse(conninfo, NULL);

    PQconninfoFree(parsed);
    return parsed != NULL;
}

static const char *
option(const PQconninfoOption *o, const char *name)
{
    while (o->keyword && strcmp(o->keyword, name) != 0)
        o++;
    return o->keyword && o->val && o->val[0] ? o->val : NULL;
}

struct hosts *
conn_hosts(const char *conninfo)
{
    PQconninfoOption *all = PQconninfoParse(conninfo, NULL);
    struct hosts *h = NULL;

    if (all && option(all, "host") && !option(all, "hostaddr"))
        h = hosts_new(option(all, "host"), option(all, "port"));
    PQconninfoFree(all);
    return h;
}

/* libpq wants a connection to hash a password for, and uses nothing of it when the method is named: one that cannot be. */
static void
verifier_of(const char *user, const char *password, struct buf *verifier)
{
    const char *const keys[] = { "host", NULL }, *const values[] = { "/nonexistent", NULL };
    PGconn *none = PQconnectStartParams(keys, values, 0);
    char *text = none ? PQencryptPasswordConn(none, password, user, "scram-sha-256") : NULL;

    if (text)
        buf_z(verifier, text);
    PQfreemem(text);
    PQfinish(none);
}

void
conn_role(const char *conninfo, struct buf *user, struct buf *verifier)
{
    PQconninfoOption *all = PQconninfoParse(conninfo, NULL), *defaults = PQconndefaults();
    const char *name = all ? option(all, "user") : NULL;

    if (!name && defaults)
        name = option(defaults, "user");
    if (name)
        buf_z(user, name);
    if (name && option(all, "password"))
        verifier_of(name, option(all, "password"), verifier);
    PQconninfoFree(all);
    PQconninfoFree(defaults);
}
