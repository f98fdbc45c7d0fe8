/* Which pages a site has: what its robots.txt lets us read, and what its sitemaps list. A sitemap that cannot
 * be read as a whole is none: what it does not list would be deleted. */
#include "client/sync/sync.h"

#define AGENT "footnote"
#define ROBOTS_MAX ((size_t)1 << 20)
#define SITEMAP_MAX ((size_t)50 << 20)

static bool
get_text(struct plan *p, const char *url, size_t most, struct visit *v)
{
    if (host_get(&p->host, url, "", "", most, v))
        return true;
    say("%s cannot be read: %s", url, v->error[0] ? v->error : "no answer");
    return false;
}

static bool
read_robots(struct plan *p)
{
    struct buf url = { 0 };
    struct visit v = { 0 };
    bool ok;

    buf_printf(&url, "%s/robots.txt", p->host.origin);
    ok = get_text(p, url.p, ROBOTS_MAX, &v);
    if (ok && v.status >= 500) { /* RFC 9309: then nothing may be read */
        say("%s: HTTP %ld; nothing is read from the site until it can be", url.p, v.status);
        ok = false;
    } else if (ok && v.status == 200) {
        robots_read(&p->robots, buf_slice(&v.body), AGENT);
    }
    if (p->robots.delay_s * 1000 > (double)p->host.every_ms)
        p->host.every_ms = (int64_t)(p->robots.delay_s * 1000);
    visit_fini(&v);
    buf_free(&url);
    return ok;
}

/* Append to l what a sitemap lists, as long as it has room. NULL: read; else why not. missing: 404 is no error. */
static const char *
read_sitemap(struct plan *p, const char *url, struct listing *l, enum sitemap_kind *kind, bool *missing)
{
    static char why[CURL_ERROR_SIZE + 32];
    struct visit v = { 0 };
    const char *said = NULL;

    if (!host_get(&p->host, url, "", "", SITEMAP_MAX, &v))
        snprintf(why, sizeof why, "%s", v.error[0] ? v.error : "no answer");
    else if (v.status != 200)
        snprintf(why, sizeof why, "HTTP %ld", v.status);
    else
        said = sitemap_read(l, buf_slice(&v.body), SYNC_PAGES_MAX, kind);
    if (!v.reached || v.status != 200)
        said = why;
    *missing = v.reached && (v.status == 404 || v.status == 410);
    visit_fini(&v);
    return said;
}

/* The sitemaps of an index, one after the other. */
static bool
read_children(struct plan *p, const struct listing *index)
{
    bool missing;

    for (size_t i = 0; i < index->n; i++) {
        const char *url = index->v[i].url, *why = "it is of another site";
        enum sitemap_kind kind = SITEMAP_PAGES;

        if (host_path(&p->host, url))
            why = read_sitemap(p, url, &p->pages, &kind, &missing);
        if (!why && kind == SITEMAP_INDEX)
            why = "an index of sitemaps in an index";
        if (why) {
            say("the sitemap %s: %s", url, why);
            return false;
        }
    }
    return true;
}

static bool
read_one(struct plan *p, const char *url, bool *missing)
{
    struct listing found = { 0 };
    enum sitemap_kind kind;
    const char *why = read_sitemap(p, url, &found, &kind, missing);
    bool ok = !why;

    if (why && !*missing)
        say("the sitemap %s: %s", url, why);
    if (ok && kind == SITEMAP_INDEX) {
        ok = read_children(p, &found);
    } else if (ok && p->pages.n + found.n > SYNC_PAGES_MAX) {
        say("the sitemap %s: with those before it, it lists too many pages", url);
        ok = false;
    } else if (ok) {
        listing_move(&p->pages, &found);
    }
    listing_fini(&found);
    return ok;
}

static bool
ends_in(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);

    return n > m && strcmp(s + n - m, end) == 0;
}

/* Where nobody says where it is: beside the pages, then at the root. */
static bool
look_for_sitemap(struct plan *p)
{
    const char *folders[] = { p->host.folder, "/" };
    bool missing = true, ok = false;

    for (size_t i = strcmp(p->host.folder, "/") == 0; i < 2 && missing; i++) {
        struct buf url = { 0 };

        buf_printf(&url, "%s%ssitemap.xml", p->host.origin, folders[i]);
        ok = read_one(p, url.p, &missing);
        if (!ok && missing && i == 1)
            say("%s: there is none, and robots.txt names none: give the address of the sitemap", url.p);
        missing = missing && !ok;
        buf_free(&url);
    }
    return ok;
}

static bool
read_sitemaps(struct plan *p, const char *given)
{
    bool missing, any = false;

    if (ends_in(given, ".xml") || ends_in(given, ".xml.gz")) {
        if (read_one(p, given, &missing))
            return true;
        if (missing)
            say("the sitemap %s: HTTP 404", given);
        return false;
    }
    for (size_t i = 0; i < p->robots.n_sitemaps; i++) {
        const char *url = p->robots.sitemap[i];

        if (!host_path(&p->host, url)) {
            say("robots.txt names a sitemap of another site, which is not read: %s", url);
            continue;
        }
        any = true;
        if (!read_one(p, url, &missing)) {
            if (missing)
                say("the sitemap %s: HTTP 404", url);
            return false;
        }
    }
    return any || look_for_sitemap(p);
}

/* Pages that are ours and may be read stay in the listing, each once. */
static bool
choose_pages(struct plan *p, struct state *s)
{
    size_t kept = 0;

    for (size_t i = 0; i < p->pages.n; i++) {
        struct listed *l = &p->pages.v[i];
        const char *path;
        struct known *k;

        l->url[strcspn(l->url, "#")] = 0;
        path = host_path(&p->host, l->url);
        if (!host_has(&p->host, l->url)) {
            p->foreign++;
        } else if (!robots_allow(&p->robots, *path ? path : "/")) {
            p->barred++;
        } else if (!(k = state_get(s, l->url))->seen) {
            k->seen = true;
            p->pages.v[kept++] = *l;
            continue;
        }
        mem_free(&l->url);
        mem_free(&l->lastmod);
    }
    p->pages.n = kept;
    if (p->foreign)
        say("%zu listed pages are of another site or folder: they are passed over", p->foreign);
    if (p->barred)
        say("%zu listed pages are not to be read (robots.txt)", p->barred);
    if (kept == 0)
        say("the sitemap lists no page below %s%s that may be read: nothing was done", p->host.origin,
            p->host.folder);
    return kept > 0;
}

bool
plan_read(struct plan *p, const char *url, struct state *s)
{
    return read_robots(p) && read_sitemaps(p, url) && choose_pages(p, s);
}

void
plan_fini(struct plan *p)
{
    listing_fini(&p->pages);
    robots_fini(&p->robots);
    host_fini(&p->host);
}
