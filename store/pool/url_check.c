/* Values of an address that cannot work, which libpq finds out only when it connects, and then at
 * every attempt anew. */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/text/check.h"
#include "common/text/number.h"
#include "store/pool/conn.h"

/* Words of an enumerated parameter, or nothing for others. */
static const struct {
    const char *name, *words; /* between commas */
} enumerated[] = {
    { "sslmode", ",disable,allow,prefer,require,verify-ca,verify-full," },
    { "gssencmode", ",disable,prefer,require," },
    { "channel_binding", ",disable,prefer,require," },
    { "target_session_attrs", ",any,read-write,read-only,primary,standby,prefer-standby," },
};
static const char *const numbers[] = { "connect_timeout",     "keepalives",       "keepalives_idle",
                                       "keepalives_interval", "keepalives_count", "tcp_user_timeout" };

static void
check_words(const char *name, const PQconninfoOption *o, struct buf *err)
{
    char word[64];

    for (size_t i = 0; i < sizeof enumerated / sizeof *enumerated; i++) {
        if (strcmp(o->keyword, enumerated[i].name) != 0)
            continue;
        snprintf(word, sizeof word, ",%s,", o->val);
        if (strlen(o->val) > 32 || strchr(o->val, ',') || !strstr(enumerated[i].words, word))
            buf_printf(err, "%s: %s=%.60s is not known; allowed: %.*s\n", name, o->keyword, o->val,
                       (int)strlen(enumerated[i].words) - 2, enumerated[i].words + 1);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(o->keyword, numbers[i]) == 0 &&
            (strspn(o->val, "0123456789") != strlen(o->val) || strlen(o->val) > 9))
            buf_printf(err, "%s: %s=%.60s is no number\n", name, o->keyword, o->val);
}

static size_t
entries(const char *list)
{
    size_t n = 1;

    for (; *list; list++)
        n += *list == ',';
    return n;
}

static void
check_ports(const char *name, const char *ports, const char *hosts, struct buf *err)
{
    for (const char *p = ports; *p; p += *p == ',') {
        size_t n = strcspn(p, ",");
        int64_t port;

        if (n > 0 &&
            (n > 5 || !number_parse((struct str){ p, n }, 1, 65535, &port))) /* an empty one is 5432 */
            buf_printf(err, "%s: port %.*s; allowed: 1 to 65535\n", name, (int)(n < 60 ? n : 60), p);
        p += n;
    }
    if (hosts && entries(ports) > 1 && entries(ports) != entries(hosts))
        buf_printf(err, "%s: %zu ports for %zu hosts; allowed: one for all, or one each\n", name,
                   entries(ports), entries(hosts));
}

/* verify-ca and verify-full without authorities to verify by. */
static void
check_authorities(const char *name, const char *mode, const char *root, struct buf *err)
{
    const char *given = root ? root : getenv("PGSSLROOTCERT"), *home = getenv("HOME");
    char path[1024];

    if (given && strcmp(given, "system") == 0) /* libpq 16 */
        return;
    if (given && *given) {
        check_file(name, given, err);
    } else if (mode && strncmp(mode, "verify-", 7) == 0) {
        struct buf missing = BUF_MAX(2048);

        snprintf(path, sizeof path, "%s/.postgresql/root.crt", home ? home : "");
        check_file(name, path, &missing);
        if (missing.n > 0)
            buf_printf(err, "%s: sslmode=%s needs the server's authority; allowed: sslrootcert=FILE\n", name,
                       mode);
        buf_free(&missing);
    }
}

void
conn_check(const char *name, const char *conninfo, struct buf *err)
{
    PQconninfoOption *all = PQconninfoParse(conninfo, NULL);
    const char *mode = NULL, *root = NULL, *ports = NULL, *hosts = NULL;

    for (const PQconninfoOption *o = all; o && o->keyword; o++) {
        if (!o->val || o->val[0] == 0)
            continue;
        check_words(name, o, err);
        if (strcmp(o->keyword, "sslmode") == 0)
            mode = o->val;
        else if (strcmp(o->keyword, "sslrootcert") == 0)
            root = o->val;
        else if (strcmp(o->keyword, "port") == 0)
            ports = o->val;
        else if (strcmp(o->keyword, "host") == 0)
            hosts = o->val;
        else if (strcmp(o->keyword, "sslcert") == 0 || strcmp(o->keyword, "sslkey") == 0)
            check_file(name, o->val, err);
    }
    if (ports)
        check_ports(name, ports, hosts, err);
    check_authorities(name, mode, root, err);
    PQconninfoFree(all);
}
