/* Options that have the right kind and size can still be such that nothing works: a file that is not there, an address without
 * a host. Such faults are said before anything starts, and all of them at once. Nothing here
 * asks the network. */
#include "common/text/check.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/str.h"
#include "common/text/text.h"
#include "common/text/number.h"

void
check_file(const char *name, const char *path, struct buf *err)
{
    struct stat st;

    if (*path == 0)
        return;
    if (stat(path, &st) != 0 || access(path, R_OK) != 0)
        buf_printf(err, "%s: cannot read %s: %s; allowed: a readable file\n", name, path, strerror(errno));
    else if (S_ISDIR(st.st_mode))
        buf_printf(err, "%s: %s is a folder; allowed: a readable file\n", name, path);
}

/* ---- hosts and addresses */

static bool
port_ok(struct str s)
{
    int64_t v;

    return s.n <= 5 && number_parse(s, 1, 65535, &v);
}

/* A DNS name or an address, an IPv6 one in brackets. */
static bool
host_ok(struct str s)
{
    bool v6 = s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']';
    size_t label = 0;

    for (size_t i = v6; i + v6 < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (v6 ? !isxdigit(c) && c != ':' && c != '.'
               : !isalnum(c) && c != '-' && c != '_' && c != '.' && c < 0x80)
            return false;
        label = c == '.' ? 0 : label + 1;
        if (!v6 && (label > 63 || (c == '.' && (i == 0 || s.p[i - 1] == '.'))))
            return false;
    }
    return s.n > 0 && s.n <= 253;
}

/* host or host:port; needs_port: the latter only. */
static bool
authority_ok(struct str s, bool needs_port)
{
    const char *end = s.n > 0 && s.p[0] == '[' ? memchr(s.p, ']', s.n) : NULL;
    const char *from = end ? end : s.p,
               *colon = s.n > 0 ? memchr(from, ':', s.n - (size_t)(from - s.p)) : NULL;
    struct str host = { s.p, colon ? (size_t)(colon - s.p) : s.n };

    return host_ok(host) && (colon ? port_ok((struct str){ colon + 1, s.n - host.n - 1 }) : !needs_port);
}

void
check_web_url(const char *name, const char *url, struct buf *err)
{
    struct str s = str_of(url), host;
    size_t skip = str_starts(s, "http://") ? 7 : str_starts(s, "https://") ? 8 : 0;

    if (s.n == 0)
        return;
    if (skip == 0) {
        buf_printf(err, "%s: must begin with http:// or https://\n", name);
        return;
    }
    host = (struct str){ url + skip, strcspn(url + skip, "/?#") };
    if (str_has_byte(host, '@'))
        buf_printf(err, "%s: holds a login; allowed: the key in an option of its own\n", name);
    else if (!authority_ok(host, false))
        buf_printf(err, "%s: \"%.*s\" is no host; allowed: http://host:port/v1\n", name,
                   (int)(host.n < 200 ? host.n : 200), host.p);
    else if (url[strcspn(url, " \t\r\n#")] != 0)
        buf_printf(err, "%s: holds a blank or a #; allowed: http://host:port/v1\n", name);
}

void
check_listen_host(const char *name, const char *host, struct buf *err)
{
    struct str s = str_of(host);
    bool v6 = s.n > 0 && str_has_byte(s, ':') && strspn(host, "0123456789abcdefABCDEF:.") == s.n;

    if (s.n > 0 && !v6 && !host_ok(s))
        buf_printf(err, "%s: \"%.200s\" is no address; allowed: an address or a name, without a port\n", name,
                   host);
}

void
check_endpoints(const char *name, const char *list, bool one, struct buf *err)
{
    size_t n = 0;

    for (const char *p = list + strspn(list, ", "); *p; p += strspn(p, ", ")) {
        struct str s = { p, strcspn(p, ", ") };

        p += s.n;
        n++;
        if (one && str_starts(s, "tcp://*:") && port_ok((struct str){ s.p + 8, s.n - 8 }))
            continue; /* every address of this host */
        if (!str_starts(s, "tcp://") || !authority_ok((struct str){ s.p + 6, s.n - 6 }, true))
            buf_printf(err, "%s: \"%.*s\" is no address of the bus; allowed: tcp://host:port\n", name,
                       (int)(s.n < 200 ? s.n : 200), s.p);
    }
    if (n == 0)
        buf_printf(err, "%s: no address; allowed: tcp://host:port\n", name);
    else if (one && n > 1)
        buf_printf(err, "%s: %zu addresses; allowed: one\n", name, n);
}

void
check_hex_key(const char *name, const char *key, struct buf *err)
{
    if (strlen(key) != 64 || strspn(key, "0123456789abcdefABCDEF") != 64)
        buf_printf(err, "%s: %s; allowed: 64 hex digits (make secrets), needed by BUS_CURVE=on\n", name,
                   *key ? "is no key" : "is missing");
}

/* ---- time zones */

/* [+-]hh[:mm[:ss]] */
static bool
skip_offset(const char **p)
{
    *p += **p == '+' || **p == '-';
    for (int i = 0; i < 3; i++) {
        size_t n = strspn(*p, "0123456789");

        if (n < 1 || n > (i == 0 ? 3u : 2u))
            return false;
        *p += n;
        if (**p != ':')
            return true;
        ++*p;
    }
    return false;
}

/* ABC, or <+03> */
static bool
skip_zone_name(const char **p)
{
    const char *begin = *p;

    if (**p == '<') {
        *p += strcspn(*p, ">");
        return *(*p)++ == '>';
    }
    while (isalpha((unsigned char)**p))
        ++*p;
    return *p - begin >= 3;
}

/* POSIX.1-2017, 8.3: std offset [dst [offset] [,rule]]. The rule is left to the C library. */
static bool
posix_zone(const char *p)
{
    if (!skip_zone_name(&p) || !skip_offset(&p))
        return false;
    if (*p == 0)
        return true;
    if (!skip_zone_name(&p) || (*p != ',' && *p != 0 && !skip_offset(&p)))
        return false;
    return *p == 0 || (*p == ',' && strspn(p, ",MJ0123456789./:+-") == strlen(p));
}

/* A file of the zone database (tzfile(5)). */
static bool
zone_file(const char *zone)
{
    const char *dir = getenv("TZDIR");
    char path[1024], magic[4] = "";
    bool found = false;
    FILE *f;

    if (snprintf(path, sizeof path, "%s%s%s",
                 *zone == '/'  ? ""
                 : dir && *dir ? dir
                               : "/usr/share/zoneinfo",
                 *zone == '/' ? "" : "/", zone) >= (int)sizeof path)
        return false;
    f = fopen(path, "re");
    if (f) {
        found = fread(magic, 1, sizeof magic, f) == sizeof magic && memcmp(magic, "TZif", 4) == 0;
        (void)fclose(f);
    }
    return found;
}

void
check_time_zone(struct buf *err)
{
    const char *zone = getenv("TZ");

    if (!zone || *zone == 0)
        return;
    zone += *zone == ':';
    if (strcmp(zone, "UTC") != 0 && strcmp(zone, "GMT") != 0 && !zone_file(zone) && !posix_zone(zone))
        buf_printf(
            err,
            "TZ: there is no time zone \"%.100s\"; allowed: a name such as Europe/Berlin (package tzdata), or UTC\n",
            zone);
}
