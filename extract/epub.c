/* EPUB (EPUB 3.3, W3C; OPF 2.0 before it): the chapters in the order of the book's spine, each a page of
 * HTML. Books with DRM are refused. */

#include "common/text/text.h"
#include "extract/charset.h"
#include "extract/html.h"
#include "extract/ooxml.h"

enum { ITEMS_MAX = 10000 };

struct book {
    const char *opf;
    char *root;       /* path of the package's description */
    char **paths;     /* of what the book consists of */
    struct names ids; /* → paths */
    size_t n, cap;
    char **spine; /* ids, in the order of reading */
    size_t n_spine, cap_spine;
    bool in_title;
    struct buf title;
};

static void
container_open(void *arg, const char *name, const char **atts)
{
    struct book *b = arg;

    if (strcmp(name, "rootfile") == 0 && !b->root)
        b->root = mem_dup(xml_att(atts, "full-path"));
}

/* "a%20b.xhtml#c" → "a b.xhtml" */
static char *
path_of(const char *href)
{
    struct buf b = { 0 };

    for (; *href && *href != '#'; href++) {
        char byte[1];

        if (*href == '%' && href[1] && href[2] && hex_parse((struct str){ href + 1, 2 }, byte, 1)) {
            buf_c(&b, byte[0]);
            href += 2;
        } else {
            buf_c(&b, *href);
        }
    }
    return mem_dup_str(buf_slice(&b));
}

static void
package_open(void *arg, const char *name, const char **atts)
{
    struct book *b = arg;

    if (strcmp(name, "item") == 0 && b->n < ITEMS_MAX) {
        if (b->n == b->cap) {
            b->cap = b->cap ? 2 * b->cap : 64;
            b->paths = room_more(b->paths, b->cap * sizeof *b->paths);
        }
        names_put(&b->ids, xml_att(atts, "id"), b->n);
        b->paths[b->n++] = zip_path(b->root, path_of(xml_att(atts, "href")));
    } else if (strcmp(name, "itemref") == 0 && b->n_spine < ITEMS_MAX) {
        if (b->n_spine == b->cap_spine) {
            b->cap_spine = b->cap_spine ? 2 * b->cap_spine : 64;
            b->spine = room_more(b->spine, b->cap_spine * sizeof *b->spine);
        }
        b->spine[b->n_spine++] = mem_dup(xml_att(atts, "idref"));
    }
    b->in_title = strcmp(name, "title") == 0 && b->title.n == 0;
}

static void
package_close(void *arg, const char *name)
{
    (void)name;
    ((struct book *)arg)->in_title = false;
}

static void
package_text(void *arg, struct str s)
{
    struct book *b = arg;

    if (b->in_title && b->title.n < 1000)
        buf_str(&b->title, s);
}

static void
read_chapters(struct zip *z, const struct book *b, struct out *o)
{
    for (size_t i = 0, k; i < b->n_spine; i++)
        if (names_get(&b->ids, b->spine[i], &k)) {
            struct str page = zip_read(z, b->paths[k]);

            if (page.n > 0)
                html_page(charset_utf8(page), true, o);
        }
}

static void
epub_read(struct str body, struct out *o)
{
    static const struct xml_events on_container = { .open = container_open };
    static const struct xml_events on_package = { package_open, package_close, package_text };
    struct zip *z = zip_open(body);
    struct str s = zip_read(z, "META-INF/container.xml");
    struct book b = { 0 };

    if (zip_has(z, "META-INF/rights.xml") || zip_has(z, "META-INF/license.lcpl"))
        out_refuse("the book is protected (DRM)");
    if (!s.p)
        out_refuse("the file is no EPUB: it has no META-INF/container.xml");
    xml_parse(charset_utf8(s), &on_container, &b, "the book's container.xml");
    s = b.root ? zip_read(z, b.root) : STR_NONE;
    if (!s.p)
        out_refuse("the book is damaged: its package is missing");
    xml_parse(charset_utf8(s), &on_package, &b, "the book's package");
    out_title(o, buf_slice(&b.title));
    read_chapters(z, &b, o);
}

const struct reader reader_epub = { .read = epub_read, .prepare = charset_prepare };
