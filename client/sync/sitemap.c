/* Sitemaps (sitemaps.org, 0.9): a list of pages, or of sitemaps. The site's bytes are a stranger's: no
 * document type, so that no entity is ever expanded; bounded in bytes, entries and length. */
#include "client/sync/sync.h"

#include <expat.h>
#include <zlib.h>

#include "common/text/text.h"

#define BYTES_MAX ((size_t)50 << 20) /* unpacked: what the protocol allows */
#define DEPTH_MAX 64

struct parse {
    XML_Parser xml;
    struct listing *l;
    enum sitemap_kind *kind;
    size_t most, depth;
    bool root, entry;        /* the root is one of ours; inside of an entry */
    struct buf *text;        /* of the element at hand; NULL: it is none that counts */
    struct buf loc, lastmod; /* of the entry at hand */
    const char *why;
};

static void
stop(struct parse *p, const char *why)
{
    if (!p->why)
        p->why = why;
    XML_StopParser(p->xml, XML_FALSE);
}

/* Behind the name space, which expat puts in front. */
static const char *
local(const char *name)
{
    const char *bar = strrchr(name, '|');

    return bar ? bar + 1 : name;
}

static void
on_root(struct parse *p, const char *name)
{
    p->root = strcmp(name, "urlset") == 0 || strcmp(name, "sitemapindex") == 0;
    *p->kind = strcmp(name, "sitemapindex") == 0 ? SITEMAP_INDEX : SITEMAP_PAGES;
    if (!p->root)
        stop(p, "it is no sitemap: neither urlset nor sitemapindex");
}

static void
on_start(void *arg, const char *name, const char **attributes)
{
    struct parse *p = arg;

    (void)attributes;
    if (p->depth++ == 0) {
        on_root(p, local(name));
    } else if (p->depth > DEPTH_MAX) {
        stop(p, "its elements are nested too deep");
    } else if (p->depth == 2) {
        p->entry = strcmp(local(name), *p->kind == SITEMAP_INDEX ? "sitemap" : "url") == 0;
        buf_reset(&p->loc);
        buf_reset(&p->lastmod);
    } else if (p->depth == 3 && p->entry) {
        p->text = strcmp(local(name), "loc") == 0       ? &p->loc
                  : strcmp(local(name), "lastmod") == 0 ? &p->lastmod
                                                        : NULL;
    }
}

static void
make_room(struct listing *l)
{
    if (l->n < l->cap)
        return;
    l->cap = l->cap ? 2 * l->cap : 256;
    l->v = mem_resize(l->v, l->cap * sizeof *l->v);
}

void
listing_add(struct listing *l, struct str url, struct str lastmod)
{
    make_room(l);
    l->v[l->n++] = (struct listed){ .url = mem_dup_str(url), .lastmod = mem_dup_str(lastmod) };
}

void
listing_move(struct listing *to, struct listing *from)
{
    for (size_t i = 0; i < from->n; i++) {
        make_room(to);
        to->v[to->n++] = from->v[i];
    }
    from->n = 0;
}

static void
add_listed(struct parse *p)
{
    struct str url = text_trim(buf_slice(&p->loc)), lastmod = text_trim(buf_slice(&p->lastmod));

    if (url.n == 0 || p->loc.failed)
        return;
    if (p->l->n >= p->most)
        stop(p, "it lists too many pages");
    else
        listing_add(p->l, url, p->lastmod.failed ? STR("") : lastmod);
}

static void
on_end(void *arg, const char *name)
{
    struct parse *p = arg;

    (void)name;
    if (p->depth == 3)
        p->text = NULL;
    if (p->depth == 2 && p->entry)
        add_listed(p);
    p->depth--;
}

static void
on_text(void *arg, const char *s, int n)
{
    struct parse *p = arg;

    if (p->text && p->depth == 3)
        buf_add(p->text, s, (size_t)n);
}

static void
on_doctype(void *arg, const char *name, const char *system, const char *public, int has)
{
    (void)name;
    (void)system;
    (void)public;
    (void)has;
    stop(arg, "it has a document type, which no sitemap needs");
}

static const char *
parse(struct listing *l, struct str bytes, size_t most, enum sitemap_kind *kind)
{
    struct parse p = { .xml = XML_ParserCreateNS(NULL, '|'), .l = l, .kind = kind, .most = most };

    if (!p.xml)
        return "there is no memory to read it";
    p.loc = BUF_MAX(2048);
    p.lastmod = BUF_MAX(64);
    XML_SetUserData(p.xml, &p);
    XML_SetElementHandler(p.xml, on_start, on_end);
    XML_SetCharacterDataHandler(p.xml, on_text);
    XML_SetStartDoctypeDeclHandler(p.xml, on_doctype);
    if (XML_Parse(p.xml, bytes.p, (int)bytes.n, XML_TRUE) != XML_STATUS_OK && !p.why)
        p.why = XML_ErrorString(XML_GetErrorCode(p.xml));
    XML_ParserFree(p.xml);
    buf_free(&p.loc);
    buf_free(&p.lastmod);
    return p.why;
}

static const char *
unpack(struct str bytes, struct buf *out)
{
    static unsigned char block[65536];
    z_stream z = { .next_in = (unsigned char *)(uintptr_t)bytes.p, .avail_in = (unsigned)bytes.n };
    int rc = Z_OK;

    if (inflateInit2(&z, 15 + 16) != Z_OK)
        return "there is no memory to unpack it";
    while (rc == Z_OK && !out->failed) {
        z.next_out = block;
        z.avail_out = sizeof block;
        rc = inflate(&z, Z_NO_FLUSH);
        buf_add(out, block, sizeof block - z.avail_out);
        if (rc == Z_BUF_ERROR)
            break;
    }
    inflateEnd(&z);
    return out->failed ? "it is larger than 50 MB" : rc != Z_STREAM_END ? "its gzip is damaged" : NULL;
}

const char *
sitemap_read(struct listing *l, struct str bytes, size_t most, enum sitemap_kind *kind)
{
    struct buf plain = BUF_MAX(BYTES_MAX);
    const char *why = NULL;

    *kind = SITEMAP_PAGES;
    if (bytes.n > BYTES_MAX)
        return "it is larger than 50 MB";
    if (bytes.n > 2 && memcmp(bytes.p, "\x1f\x8b", 2) == 0) {
        why = unpack(bytes, &plain);
        bytes = buf_slice(&plain);
    }
    if (!why)
        why = parse(l, bytes, most, kind);
    buf_free(&plain);
    return why;
}

void
listing_fini(struct listing *l)
{
    for (size_t i = 0; i < l->n; i++) {
        mem_free(&l->v[i].url);
        mem_free(&l->v[i].lastmod);
    }
    mem_free(&l->v);
    *l = (struct listing){ 0 };
}
