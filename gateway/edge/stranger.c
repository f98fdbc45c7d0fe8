/* Callers without a key (stranger.h). Pure functions.
 *
 * With AUTH=off everybody who reaches the loopback port is an admin, which is right for the people of this
 * machine only. A proxy on the same machine brings the whole world to that port, with our own name in Host,
 * so that only its marks tell. A proxy that sends no mark cannot be seen; so AUTH=off also refuses to start
 * with the options of a deployment behind one (main.c).
 *
 * A caller without a key is let in by what it cannot choose. A page of evil.example whose name server suddenly answers with our
 * address (DNS rebinding) is of the same origin as we are in the eyes of its browser; the Host header is the only witness. */
#include <arpa/inet.h>
#include <ctype.h>
#include <strings.h>

#include "common/mem.h"
#include "gateway/edge/stranger.h"
#include "gateway/edge/origin.h"

/* ---- lists of names */

static bool
name_fine(const char *p, size_t n, size_t max)
{
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)p[i]) && !strchr("._-", p[i]))
            return false;
    return n > 0 && n <= max;
}

bool
names_parse(struct names *out, const char *list, size_t max)
{
    bool good = true;

    *out = (struct names){ 0 };
    for (const char *p = list; *p;) {
        size_t n;

        p += strspn(p, ", \t");
        n = strcspn(p, ", \t");
        if (n == 1 && *p == '*') {
            out->any = true;
        } else if (n > 0) {
            good = good && name_fine(p, n, max);
            out->v = mem_resize(out->v, (out->n + 1) * sizeof *out->v);
            out->v[out->n++] = mem_dup_str((struct str){ p, n });
        }
        p += n;
    }
    return good;
}

void
names_free(struct names *n)
{
    for (size_t i = 0; i < n->n; i++)
        mem_free(&n->v[i]);
    mem_free(&n->v);
    *n = (struct names){ 0 };
}

bool
names_have(const struct names *n, struct str name)
{
    for (size_t i = 0; i < n->n; i++)
        if (str_is(name, n->v[i]))
            return true;
    return n->any;
}

/* ---- proxies */

static const char *const signs[] = { "Forwarded",
                                     "Via",
                                     "X-Real-IP",
                                     "X-Client-IP",
                                     "X-Cluster-Client-IP",
                                     "True-Client-IP",
                                     "CF-Connecting-IP",
                                     "CF-Ray",
                                     "CDN-Loop",
                                     "Fastly-Client-IP",
                                     "Fly-Client-IP",
                                     "X-Forwarded",
                                     "X-Original-Host",
                                     "X-Original-URL",
                                     "X-Rewrite-URL",
                                     "X-ProxyUser-IP",
                                     "X-Scheme",
                                     "X-Host",
                                     "X-Appengine-User-IP",
                                     "X-Remote-IP",
                                     "X-Remote-Addr",
                                     "Proxy-Connection",
                                     "Front-End-Https",
                                     "X-Url-Scheme",
                                     "X-Nginx-Proxy",
                                     "X-Server-Name",
                                     "X-Amzn-Trace-Id",
                                     "X-Cloud-Trace-Context",
                                     NULL };
static const char *const families[] = {
    "X-Forwarded-", "X-Original-Forwarded-", "X-Envoy-",   "X-Azure-", "X-Amz-Cf-", "CF-Connecting-",
    "X-Vercel-",    "X-Tailscale-",          "Tailscale-", "X-Arr-",   NULL
};

static bool
is_sign(const char *name)
{
    for (size_t i = 0; signs[i] != NULL; i++)
        if (strcasecmp(name, signs[i]) == 0)
            return true;
    for (size_t i = 0; families[i] != NULL; i++)
        if (strncasecmp(name, families[i], strlen(families[i])) == 0)
            return true;
    return false;
}

const char *
proxy_sign(const struct head *h)
{
    for (int i = 0; i < h->n; i++)
        if (is_sign(h->h[i].name))
            return h->h[i].name;
    return strcmp(h->version, "1.0") == 0 ? "HTTP/1.0" : NULL;
}

/* ---- hosts */

/* The name in front of ":port"; [::1] keeps its brackets; a dot at the end says nothing. */
static struct str
name_of(const char *host, size_t n)
{
    struct str s = { host, n };

    for (size_t i = 0; i < n; i++)
        if (host[i] == '[' || host[i] == ']' || host[i] == ':') {
            const char *close = memchr(host, ']', n);

            s.n = host[0] == '[' && close ? (size_t)(close - host) + 1 : i;
            break;
        }
    if (s.n > 1 && s.p[s.n - 1] == '.')
        s.n--;
    return s;
}

static bool
same_name(struct str a, struct str b)
{
    return a.n == b.n && a.n > 0 && strncasecmp(a.p, b.p, a.n) == 0;
}

static struct str
url_name(const char *url)
{
    const char *p = strstr(url, "://");

    p = p ? p + 3 : url;
    return name_of(p, strcspn(p, "/?#"));
}

static bool
is_address(struct str name)
{
    char text[INET6_ADDRSTRLEN + 2];
    uint8_t a[16];

    if (name.n < 2 || name.n >= sizeof text)
        return false;
    memcpy(text, name.p, name.n);
    text[name.n] = 0;
    if (text[0] != '[')
        return inet_pton(AF_INET, text, a) == 1;
    text[name.n - 1] = 0;
    return inet_pton(AF_INET6, text + 1, a) == 1;
}

/* One label, such as "gateway" in compose or a machine of the local network: no public name server answers for it. */
static bool
is_local_name(struct str name)
{
    if (name.n == 0 || !isalpha((unsigned char)name.p[0]))
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (!isalnum((unsigned char)name.p[i]) && name.p[i] != '-' && name.p[i] != '_')
            return false;
    return true;
}

bool
host_ours(const char *host, const char *public_url, const struct names *hosts)
{
    struct str name = name_of(host, strlen(host));

    if (hosts->any || host_loopback(host) || is_address(name) || is_local_name(name) ||
        same_name(name, url_name(public_url)))
        return true;
    for (size_t i = 0; i < hosts->n; i++)
        if (same_name(name, str_of(hosts->v[i])))
            return true;
    return false;
}

bool
url_loopback(const char *url)
{
    const char *p = strstr(url, "://");

    return *url == 0 || (p && host_loopback(p + 3));
}
