/* robots.txt (RFC 9309). The group of our own name counts, else that of "*"; several groups of one name are one. */
#include "client/sync/sync.h"

#include <stdlib.h>
#include <strings.h>

#include "common/text/text.h"

#define TEXT_MAX 512000 /* RFC 9309, 2.5: at least so much is read */
#define RULES_MAX 5000
#define DELAY_MAX 60

struct reading {
    struct robots *r;
    const char *agent;
    bool mine, any; /* the group at hand is ours; everybody's */
    bool names;     /* its names are being read */
    bool found;     /* some group is ours: everybody's counts no more */
};

static void
clear_rules(struct robots *r)
{
    for (size_t i = 0; i < r->n; i++)
        mem_free(&r->v[i].path);
    r->n = 0;
    r->delay_s = 0;
}

static void
add_rule(struct robots *r, struct str path, bool allow)
{
    path.n = path.n > 0 ? strnlen(path.p, path.n) : 0;
    if (path.n == 0 || r->n == RULES_MAX) /* an empty rule is none */
        return;
    if (r->n == r->cap) {
        r->cap = r->cap ? 2 * r->cap : 16;
        r->v = mem_resize(r->v, r->cap * sizeof *r->v);
    }
    r->v[r->n++] = (struct robots_rule){ .path = mem_dup_str(path), .allow = allow };
}

static void
add_sitemap(struct robots *r, struct str url)
{
    url.n = url.n > 0 ? strnlen(url.p, url.n) : 0;
    if (url.n == 0 || r->n_sitemaps == 1000)
        return;
    if (r->n_sitemaps == r->cap_sitemaps) {
        r->cap_sitemaps = r->cap_sitemaps ? 2 * r->cap_sitemaps : 4;
        r->sitemap = mem_resize(r->sitemap, r->cap_sitemaps * sizeof *r->sitemap);
    }
    r->sitemap[r->n_sitemaps++] = mem_dup_str(url);
}

static void
on_name(struct reading *k, struct str value)
{
    size_t n = 0;

    if (!k->names)
        k->mine = k->any = false;
    k->names = true;
    while (n < value.n &&
           (value.p[n] == '-' || value.p[n] == '_' || ((value.p[n] | 32) >= 'a' && (value.p[n] | 32) <= 'z')))
        n++;
    k->any |= str_is(value, "*");
    if (n == strlen(k->agent) && strncasecmp(value.p, k->agent, n) == 0) {
        if (!k->found)
            clear_rules(k->r);
        k->found = k->mine = true;
    }
}

static void
on_line(struct reading *k, struct str key, struct str value)
{
    bool counts = k->mine || (k->any && !k->found);

    if (key.n == 10 && strncasecmp(key.p, "user-agent", 10) == 0) {
        on_name(k, value);
        return;
    }
    if (key.n == 7 && strncasecmp(key.p, "sitemap", 7) == 0) { /* of no group */
        add_sitemap(k->r, value);
        return;
    }
    k->names = false;
    if (!counts)
        return;
    if (key.n == 5 && strncasecmp(key.p, "allow", 5) == 0)
        add_rule(k->r, value, true);
    else if (key.n == 8 && strncasecmp(key.p, "disallow", 8) == 0)
        add_rule(k->r, value, false);
    else if (key.n == 11 && strncasecmp(key.p, "crawl-delay", 11) == 0) {
        char *z = mem_dup_str(value);
        double s = strtod(z, NULL);

        mem_free(&z);
        k->r->delay_s = s > 0 ? (s < DELAY_MAX ? s : DELAY_MAX) : 0;
    }
}

void
robots_read(struct robots *r, struct str text, const char *agent)
{
    struct reading k = { .r = r, .agent = agent };
    const char *p, *end;

    *r = (struct robots){ 0 };
    text.n = text.n < TEXT_MAX ? text.n : TEXT_MAX;
    if (str_starts(text, "\xEF\xBB\xBF"))
        text = (struct str){ text.p + 3, text.n - 3 };
    for (p = text.p, end = text.p + text.n; p && p < end;) {
        const char *e = p, *colon, *hash;

        while (e < end && *e != '\n' && *e != '\r')
            e++;
        hash = memchr(p, '#', (size_t)(e - p));
        struct str line = { p, (size_t)((hash ? hash : e) - p) };

        colon = line.n > 0 ? memchr(line.p, ':', line.n) : NULL;
        if (colon)
            on_line(&k, text_trim((struct str){ line.p, (size_t)(colon - line.p) }),
                    text_trim((struct str){ colon + 1, line.n - (size_t)(colon - line.p) - 1 }));
        p = e + 1;
    }
}

/* Does the rule fit the beginning of the path? '*' is any bytes, '$' at its end is the end. Linear in both
 * together: after a star only the latest one has to be tried again. */
static bool
fits(const char *rule, const char *path)
{
    const char *star = NULL, *back = NULL;

    for (;;) {
        if (*rule == '*') {
            star = ++rule;
            back = path;
        } else if (*rule == 0) {
            return true;
        } else if (rule[0] == '$' && rule[1] == 0 && *path == 0) {
            return true;
        } else if (*path && *rule == *path) {
            rule++;
            path++;
        } else if (star && *back) {
            rule = star;
            path = ++back;
        } else {
            return false;
        }
    }
}

bool
robots_allow(const struct robots *r, const char *path)
{
    size_t longest = 0;
    bool allow = true;

    if (strcmp(path, "/robots.txt") == 0)
        return true;
    for (size_t i = 0; i < r->n; i++) {
        size_t n = strlen(r->v[i].path);

        if (n < longest || (n == longest && !r->v[i].allow && longest > 0) || !fits(r->v[i].path, path))
            continue;
        longest = n;
        allow = r->v[i].allow;
    }
    return allow;
}

void
robots_fini(struct robots *r)
{
    clear_rules(r);
    mem_free(&r->v);
    for (size_t i = 0; i < r->n_sitemaps; i++)
        mem_free(&r->sitemap[i]);
    mem_free(&r->sitemap);
}
