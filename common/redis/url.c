/* Redis addresses. Percent escapes are understood in user and password, where a password may hold any character. */
#include "common/redis/url.h"

#include <stdio.h>

#include "common/mem.h"
#include "common/text/text.h"
#include "common/text/number.h"

/* %XX in user and password. NULL when malformed, or when the result would hold a NUL. */
static char *
unescape(struct str s)
{
    char *out = mem_new(s.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c == '%') {
            if (i + 2 >= s.n || !hex_parse((struct str){ s.p + i + 1, 2 }, &c, 1) || c == 0) {
                mem_free(&out);
                return NULL;
            }
            i += 2;
        }
        out[n++] = c;
    }
    return out;
}

/* Split s at the first (or last) c; false, and *head all of s, when there is none. */
static bool
split(struct str s, char c, bool last, struct str *head, struct str *tail)
{
    const char *at = s.n == 0 ? NULL : last ? memrchr(s.p, c, s.n) : memchr(s.p, c, s.n);

    *head = s;
    *tail = STR_NONE;
    if (!at)
        return false;
    *head = (struct str){ s.p, (size_t)(at - s.p) };
    *tail = (struct str){ at + 1, s.n - head->n - 1 };
    return true;
}

/* host, host:port, [v6], [v6]:port. Returns NULL, or what is wrong. */
static const char *
parse_host(struct redis_url *u, struct str s)
{
    struct str host, port = STR_NONE, rest;
    int64_t number = 6379;

    if (s.n > 0 && s.p[0] == '[') {
        if (!split((struct str){ s.p + 1, s.n - 1 }, ']', false, &host, &rest))
            return "the address lacks its ]";
        if (rest.n > 0 && rest.p[0] != ':')
            return "only :port may follow the ]";
        if (rest.n > 0)
            port = (struct str){ rest.p + 1, rest.n - 1 };
    } else {
        split(s, ':', false, &host, &port);
    }
    if (host.n == 0 || host.n > 255)
        return "the host is missing";
    if (port.p && !number_parse(port, 1, 65535, &number))
        return "the port is not a number from 1 to 65535";
    u->host = mem_dup_str(host);
    u->port = (int)number;
    return NULL;
}

static const char *
parse_login(struct redis_url *u, struct str s)
{
    struct str user, password;

    if (!split(s, ':', false, &user, &password))
        return "a login is user:password@ or :password@";
    if (user.n > 0 && !(u->user = unescape(user)))
        return "the user has a bad % escape";
    if (!(u->password = unescape(password)))
        return "the password has a bad % escape";
    return NULL;
}

const char *
redis_url_parse(const char *url, struct redis_url *u)
{
    struct str s = str_of(url), head, tail, login;
    const char *why = NULL;
    long db = 0;

    if (str_starts(s, "unix://")) {
        if (s.n < 9 || s.p[7] != '/')
            return "a socket is unix:///absolute/path";
        u->path = mem_dup(s.p + 7);
        return NULL;
    }
    u->tls = str_starts(s, "rediss://");
    if (!u->tls && !str_starts(s, "redis://"))
        return "it must begin with redis://, rediss:// or unix://";
    s = (struct str){ s.p + 8 + u->tls, s.n - 8 - u->tls };
    if (split(s, '@', true, &login, &tail)) {
        why = parse_login(u, login);
        s = tail;
    }
    split(s, '/', false, &head, &tail);
    if (!why && tail.n > 0 && !number_parse(tail, 0, 65535, &db))
        why = "the database after the / is not a number";
    if (db > 0)
        snprintf(u->db, sizeof u->db, "%d", (int)db);
    return why ? why : parse_host(u, head);
}

void
redis_url_fini(struct redis_url *u)
{
    if (u->password)
        explicit_bzero(u->password, strlen(u->password));
    mem_free(&u->host);
    mem_free(&u->path);
    mem_free(&u->user);
    mem_free(&u->password);
}
