/* The page and the address that a request comes from: exact origins (RFC 6454), Host headers, address blocks,
 * and the client's address behind proxies that we were told to trust. Pure functions over text. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "common/mem.h"
#include "common/text/number.h"
#include "gateway/edge/origin.h"

/* Next comma-separated item without surrounding blanks; false at the end. */
static bool
list_next(const char **list, struct str *item)
{
    const char *p = *list + strspn(*list, ", \t");
    size_t n = strcspn(p, ",");

    *list = p + n;
    while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
        n--;
    *item = (struct str){ p, n };
    return n > 0;
}

bool
origin_valid(struct str s)
{
    size_t skip = str_starts(s, "https://") ? 8 : str_starts(s, "http://") ? 7 : 0;

    if (skip == 0 || s.n == skip || s.n > 255)
        return false;
    for (size_t i = skip; i < s.n; i++)
        if (!isalnum((unsigned char)s.p[i]) && (s.p[i] == 0 || !strchr(".-:[]_", s.p[i])))
            return false;
    return true;
}

bool
origins_parse(struct origins *o, const char *list)
{
    struct str item;
    bool good = true;

    *o = (struct origins){ NULL, 0 };
    while (list_next(&list, &item)) {
        if (item.p[item.n - 1] == '/')
            item.n--;
        good = good && origin_valid(item);
        o->v = mem_resize(o->v, (o->n + 1) * sizeof *o->v);
        o->v[o->n++] = mem_dup_str(item);
    }
    return good;
}

void
origins_free(struct origins *o)
{
    for (size_t i = 0; i < o->n; i++)
        mem_free(&o->v[i]);
    mem_free(&o->v);
    o->n = 0;
}

bool
origins_have(const struct origins *o, const char *origin)
{
    for (size_t i = 0; i < o->n; i++)
        if (strcmp(o->v[i], origin) == 0)
            return true;
    return false;
}

/* The name in "name:port" or "[::1]:port". */
static struct str
host_name(const char *host)
{
    return (struct str){ host, host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":") };
}

bool
host_loopback(const char *host)
{
    struct str n = host_name(host);
    char text[64];
    struct in_addr a;

    if (n.n == 0 || n.n >= sizeof text)
        return false;
    memcpy(text, n.p, n.n);
    text[n.n] = 0;
    if (strcasecmp(text, "localhost") == 0 || strcmp(text, "[::1]") == 0)
        return true;
    return inet_pton(AF_INET, text, &a) == 1 && (ntohl(a.s_addr) >> 24) == 127;
}

bool
host_of_url(const char *host, const char *url)
{
    const char *p = strstr(url, "://");
    size_t n;

    if (!p)
        return false;
    p += 3;
    n = strcspn(p, "/?#");
    return n > 0 && strlen(host) == n && strncasecmp(host, p, n) == 0;
}

bool
origin_same(const char *origin, const char *host, const char *public_url)
{
    const char *p = strstr(origin, "://");
    size_t n = strlen(origin);

    if (!origin_valid(str_of(origin)))
        return false;
    if (strncasecmp(origin, public_url, n) == 0 && (public_url[n] == 0 || public_url[n] == '/'))
        return true;
    return p && strcasecmp(p + 3, host) == 0;
}

/* Address text as 16 bytes, IPv4 mapped. */
static bool
addr_parse(struct str s, uint8_t out[16], bool *v4)
{
    char text[INET6_ADDRSTRLEN];

    if (s.n == 0 || s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    memset(out, 0, 16);
    out[10] = out[11] = 0xff;
    *v4 = inet_pton(AF_INET, text, out + 12) == 1;
    return *v4 || inet_pton(AF_INET6, text, out) == 1;
}

static bool
cidr_parse(struct str s, struct cidr *out)
{
    const char *slash = memchr(s.p, '/', s.n);
    struct str addr = { s.p, slash ? (size_t)(slash - s.p) : s.n };
    bool v4;
    int64_t bits;

    if (!addr_parse(addr, out->a, &v4))
        return false;
    bits = v4 ? 32 : 128;
    if (slash && !number_parse((struct str){ slash + 1, s.n - addr.n - 1 }, 0, bits, &bits))
        return false;
    out->bits = (unsigned)bits + (v4 ? 96u : 0u);
    return true;
}

bool
cidrs_parse(struct cidrs *c, const char *list)
{
    struct str item;
    bool good = true;

    *c = (struct cidrs){ NULL, 0 };
    while (list_next(&list, &item)) {
        c->v = mem_resize(c->v, (c->n + 1) * sizeof *c->v);
        if (cidr_parse(item, &c->v[c->n]))
            c->n++;
        else
            good = false;
    }
    return good;
}

void
cidrs_free(struct cidrs *c)
{
    mem_free(&c->v);
    c->n = 0;
}

static bool
cidr_has(const struct cidr *c, const uint8_t a[16])
{
    unsigned whole = c->bits / 8, rest = c->bits % 8;

    if (memcmp(c->a, a, whole) != 0)
        return false;
    return rest == 0 || ((c->a[whole] ^ a[whole]) >> (8 - rest)) == 0;
}

static bool
cidrs_cover(const struct cidrs *c, const uint8_t a[16])
{
    for (size_t i = 0; i < c->n; i++)
        if (cidr_has(&c->v[i], a))
            return true;
    return false;
}

bool
cidrs_have(const struct cidrs *c, const char *addr)
{
    uint8_t a[16];
    bool v4;

    return addr_parse(str_of(addr), a, &v4) && cidrs_cover(c, a);
}

/* The last item of a comma-separated list, cut off it; false when the list is empty. */
static bool
list_pop(struct str *list, struct str *item)
{
    size_t n = list->n;

    while (n > 0 && list->p[n - 1] != ',')
        n--;
    *item = (struct str){ list->p + n, list->n - n };
    list->n = n > 0 ? n - 1 : 0;
    *item = str_unblank(*item);
    return item->n > 0;
}

void
client_addr(const char *peer, const char *forwarded, const struct cidrs *trusted, char out[64])
{
    uint8_t a[16], next[16];
    struct str list = str_of(forwarded ? forwarded : ""), item;
    bool v4, next_v4;

    if (!addr_parse(str_of(peer), a, &v4)) {
        memcpy(out, "unknown", 8);
        return;
    }
    while (cidrs_cover(trusted, a) && list_pop(&list, &item) && addr_parse(item, next, &next_v4)) {
        memcpy(a, next, sizeof a);
        v4 = next_v4;
    }
    if (v4) {
        inet_ntop(AF_INET, a + 12, out, 64);
    } else {
        memset(a + 8, 0, 8);
        inet_ntop(AF_INET6, a, out, 64);
    }
}
