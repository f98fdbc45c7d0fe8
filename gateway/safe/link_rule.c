/* Judging addresses (link_rule.h). A browser forgives much: white space, entities, backslashes, user names.
 * Only an address that needs no forgiveness is looked at; all else is refused. */
#include "gateway/safe/link_rule.h"
#include "common/text/web.h"
#include "gateway/edge/origin.h"

#include <ctype.h>
#include <strings.h>

static struct str
trimmed(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\n'))
        s = (struct str){ s.p + 1, s.n - 1 };
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\n'))
        s.n--;
    return s;
}

/* The host of what follows the scheme; empty when it is not simply a name or address with a port. */
static struct str
host_at(struct str s)
{
    size_t n = 0, end;

    if (s.n > 0 && s.p[0] == '[') {
        while (n < s.n && (isxdigit((unsigned char)s.p[n]) || strchr("[:.", s.p[n])) && s.p[n] != 0)
            n++;
        if (n == s.n || s.p[n++] != ']')
            return STR("");
    } else {
        while (n < s.n && (isalnum((unsigned char)s.p[n]) || s.p[n] == '.' || s.p[n] == '-' || s.p[n] == '_'))
            n++;
    }
    end = n;
    if (end < s.n && s.p[end] == ':')
        for (end++; end < s.n && isdigit((unsigned char)s.p[end]);)
            end++;
    return end == s.n || s.p[end] == '/' || s.p[end] == '?' || s.p[end] == '#' ? (struct str){ s.p, n }
                                                                               : STR("");
}

static bool
loopback(struct str host)
{
    char text[64];

    if (host.n == 0 || host.n >= sizeof text)
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = 0;
    return host_loopback(text);
}

/* ".example.org" lists every name below it. */
static bool
host_listed(const struct names *hosts, struct str host)
{
    for (size_t i = 0; i < hosts->n; i++) {
        size_t n = strlen(hosts->v[i]);

        if (host.n >= n && strncasecmp(host.p + host.n - n, hosts->v[i], n) == 0 &&
            (host.n == n || hosts->v[i][0] == '.'))
            return true;
    }
    return hosts->any;
}

static bool
host_allowed(const struct link_rules *r, struct str host, enum link_use use)
{
    size_t scheme = web_scheme(str_of(r->public_url));
    struct str own = scheme ? host_at(str_of(r->public_url + scheme)) : STR("");

    if (host.n == 0)
        return false;
    return (own.n == host.n && strncasecmp(own.p, host.p, own.n) == 0) || host_listed(r->hosts, host) ||
           (use != USE_IMAGE && loopback(host));
}

static struct str
no_fragment(struct str s)
{
    const char *hash = s.n > 0 ? memchr(s.p, '#', s.n) : NULL;

    return hash ? (struct str){ s.p, (size_t)(hash - s.p) } : s;
}

static bool
of_a_passage(const struct link_rules *r, struct str address)
{
    for (size_t i = 0; i < r->n_links; i++)
        if (str_eq(r->links[i], no_fragment(address)))
            return true;
    return false;
}

/* Nothing in it could be a scheme, a host, or an entity that becomes one. */
static bool
stays_here(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == ':' || s.p[i] == '&')
            return false;
    return s.n < 2 || s.p[0] != '/' || s.p[1] != '/';
}

bool
link_allowed(const struct link_rules *r, struct str address, enum link_use use)
{
    struct str s = trimmed(address);
    size_t scheme = web_scheme(s);

    if (!web_tidy(s))
        return false;
    if (use != USE_IMAGE && s.n > 0 && of_a_passage(r, s))
        return true;
    if (scheme > 0)
        return host_allowed(r, host_at((struct str){ s.p + scheme, s.n - scheme }), use);
    return use == USE_LINK && stays_here(s);
}

bool
link_plain(struct str s)
{
    return web_tidy(s) && (web_scheme(s) > 0 || (s.n > 0 && s.p[0] == '/'));
}

void
link_rules_add(struct link_rules *r, struct str address)
{
    if (r->n_links < sizeof r->links / sizeof *r->links && link_plain(address) && !of_a_passage(r, address))
        r->links[r->n_links++] = no_fragment(address);
}
