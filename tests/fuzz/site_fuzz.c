/* The readers of a site: the first byte says as what. robots.txt, sitemaps (packed, too), front matter and
 * paths that become addresses, headings that become anchors. Properties: what is refused says why; a list
 * keeps its limits; /robots.txt may always be read; an address stays below its site and holds no blank; no
 * two headings of a page have one anchor. */
#include "client/sync/sync.h"
#include "text/anchor.h"
#include "tests/fuzz/fuzz.h"

static void
judge_robots(const char *z, size_t n)
{
    struct robots r;

    robots_read(&r, (struct str){ z, n }, "footnote");
    require(robots_allow(&r, "/robots.txt"));
    (void)robots_allow(&r, "/a/b.html?c=d");
    if (n < 2000)
        (void)robots_allow(&r, z);
    require(r.delay_s >= 0 && r.delay_s <= 60);
    for (size_t i = 0; i < r.n; i++)
        require(r.v[i].path[0] != 0);
    robots_fini(&r);
}

static void
judge_sitemap(struct str in)
{
    struct listing l = { 0 };
    enum sitemap_kind kind;
    const char *why = sitemap_read(&l, in, 50, &kind);

    require(!why || *why);
    require(l.n <= 50);
    for (size_t i = 0; i < l.n; i++)
        require(l.v[i].url[0] != 0 && strlen(l.v[i].url) <= 2048 && l.v[i].lastmod);
    listing_fini(&l);
}

static void
judge_route(const char *z, size_t n, uint8_t how)
{
    static const char *const routes[] = { "plain",  "docusaurus",      "mkdocs,html",
                                          "mdbook", "vitepress,clean", "hugo" };
    const char *nl = memchr(z, '\n', n);
    struct str id = { z, nl ? (size_t)(nl - z) : n },
               text = { z + id.n + (nl != NULL), n - id.n - (nl != NULL) };
    struct cli c = { 0 };
    struct buf b = { 0 };
    struct site s;

    c.opt[CLI_ROUTES] = routes[how % 6];
    c.opt[CLI_BASE_URL] = "https://x.example/docs/";
    require(site_of(&c, &s));
    if (id.n > 0 && id.n < 600 && !memchr(id.p, 0, id.n))
        site_url(&b, &s, id, text);
    require(b.n == 0 || str_starts(buf_slice(&b), "https://x.example/docs/"));
    for (size_t i = 0; i < b.n; i++)
        require((unsigned char)b.p[i] > ' ');
    buf_free(&b);
}

static void
judge_anchors(struct str in, uint8_t how)
{
    struct arena *arena = arena_new(1u << 22);
    enum anchor_style style = (enum anchor_style)(how % ANCHOR_IDS);
    struct str got[64];
    struct anchors a;
    size_t n = 0;

    anchors_init(&a, style, arena);
    for (const char *p = in.p, *end = in.p + in.n; p < end && n < 64;) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *e = nl ? nl : end;

        got[n] = anchors_next(&a, (struct str){ p, (size_t)(e - p) }, STR_NONE);
        require(got[n].p && !memchr(got[n].p, ' ', got[n].n));
        for (size_t i = 0; i < n; i++)
            require(!str_eq(got[i], got[n]));
        n++;
        p = e + 1;
    }
    arena_free(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = { (const char *)data, size };
    uint8_t how = take_byte(&in);
    char *z = mem_new(in.n + 1);

    memcpy(z, in.p, in.n);
    switch (how & 3) {
    case 0: judge_robots(z, in.n); break;
    case 1: judge_sitemap(in); break;
    case 2: judge_route(z, in.n, how >> 2); break;
    default: judge_anchors(in, how >> 2); break;
    }
    mem_free(&z);
    return 0;
}
