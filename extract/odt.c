/* OpenDocument text (OASIS ODF 1.3, part 3): headings by their outline level, paragraphs, lists, tables, links, notes. Text that was
 * deleted, comments, and the table of contents are not read. */
#include <stdlib.h>

#include "common/text/text.h"
#include "extract/ooxml.h"

enum { BLANKS_MAX = 1000 };

struct odt {
    struct out *o;
    struct names titles; /* automatic styles of titles */
    /* the paragraph at hand */
    struct buf run;
    int level; /* of a heading; 0: none */
    unsigned paragraphs, items, tables, away;
    bool last_item; /* the block before was one */
    size_t link;    /* where in run the link at hand began, plus one */
    struct buf target;
    long span;
};

static bool
is_away(const char *name)
{
    static const char *const names[] = { "tracked-changes", "table-of-content", "annotation", "note-citation",
                                         "forms" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool
is_title(const struct odt *d, const char *style)
{
    size_t unused;

    return strcmp(style, "Title") == 0 || names_get(&d->titles, style, &unused);
}

static void
paragraph_open(struct odt *d, const char *name, const char **atts)
{
    if (d->paragraphs++ > 0 || d->tables > 0) { /* in a note, a frame or a cell: one with what is around it */
        buf_c(&d->run, ' ');
        return;
    }
    buf_reset(&d->run);
    d->level = is_title(d, xml_att(atts, "style-name")) ? 1 : 0;
    if (name[0] == 'h') {
        long level = strtol(xml_att(atts, "outline-level"), NULL, 10);

        d->level = level < 1 ? 1 : level > 6 ? 6 : (int)level;
    }
}

static void
paragraph_close(struct odt *d)
{
    struct str s = text_trim(buf_slice(&d->run));
    bool item = d->items > 0;

    if (d->paragraphs == 0 || --d->paragraphs > 0 || d->tables > 0)
        return;
    if (d->level > 0)
        out_heading(d->o, d->level, s);
    else if (item && s.n > 0)
        out_item(d->o, s, d->last_item);
    else if (s.n > 0)
        out_text(d->o, s, false);
    d->last_item = item && d->level == 0 && (s.n > 0 || d->last_item);
    buf_reset(&d->run);
}

static void
blanks(struct odt *d, const char *count)
{
    long n = *count ? strtol(count, NULL, 10) : 1;

    for (long i = 0; i < n && i < BLANKS_MAX; i++)
        buf_c(&d->run, ' ');
}

static void
table_open(struct odt *d, const char *name, const char **atts)
{
    if (strcmp(name, "table") == 0) {
        if (d->tables++ == 0) {
            d->last_item = false;
            out_table(d->o);
        }
    } else if (d->tables == 1 && strcmp(name, "table-cell") == 0) {
        const char *repeated = xml_att(atts, "number-columns-repeated");

        buf_reset(&d->run);
        d->span = strtol(*repeated ? repeated : xml_att(atts, "number-columns-spanned"), NULL, 10);
    }
}

static void
on_open(void *arg, const char *name, const char **atts)
{
    struct odt *d = arg;

    if (d->away > 0 || is_away(name)) {
        d->away++;
    } else if (strcmp(name, "style") == 0) {
        if (strcmp(xml_att(atts, "parent-style-name"), "Title") == 0)
            names_put(&d->titles, xml_att(atts, "name"), 0);
    } else if (strcmp(name, "p") == 0 || strcmp(name, "h") == 0) {
        paragraph_open(d, name, atts);
    } else if (strcmp(name, "list-item") == 0) {
        d->items++;
    } else if (strcmp(name, "s") == 0) {
        blanks(d, xml_att(atts, "c"));
    } else if (strcmp(name, "tab") == 0 || strcmp(name, "line-break") == 0) {
        buf_c(&d->run, ' ');
    } else if (strcmp(name, "a") == 0) {
        buf_reset(&d->target);
        buf_z(&d->target, xml_att(atts, "href"));
        d->link = d->run.n + 1;
    } else {
        table_open(d, name, atts);
    }
}

static void
on_close(void *arg, const char *name)
{
    struct odt *d = arg;

    if (d->away > 0) {
        d->away--;
    } else if (strcmp(name, "p") == 0 || strcmp(name, "h") == 0) {
        paragraph_close(d);
    } else if (strcmp(name, "list-item") == 0) {
        d->items -= d->items > 0;
    } else if (strcmp(name, "a") == 0) {
        if (d->link > 0 && d->level == 0 && d->target.n > 0)
            out_link(&d->run, d->link - 1, d->target.p);
        d->link = 0;
    } else if (d->tables == 1 &&
               (strcmp(name, "table-cell") == 0 || strcmp(name, "covered-table-cell") == 0)) {
        if (name[0] == 't')
            out_span(d->o, buf_slice(&d->run), d->span);
        buf_reset(&d->run);
    } else if (d->tables == 1 && strcmp(name, "table-row") == 0) {
        out_row_end(d->o);
    } else if (strcmp(name, "table") == 0 && d->tables > 0 && --d->tables == 0) {
        out_table_end(d->o);
        buf_reset(&d->run);
    }
}

static void
on_text(void *arg, struct str s)
{
    struct odt *d = arg;

    if (d->paragraphs > 0 && d->away == 0)
        buf_str(&d->run, s);
}

static void
odt_read(struct str body, struct out *o)
{
    static const struct xml_events on = { on_open, on_close, on_text };
    struct zip *z = zip_open(body);
    struct odt d = { .o = o };
    struct str kind = zip_read(z, "mimetype"), manifest = zip_read(z, "META-INF/manifest.xml");

    if (str_has(manifest, "encryption-data"))
        out_refuse("the document has a password: save it without one");
    if (kind.n > 0 && !str_starts(kind, "application/vnd.oasis.opendocument.text"))
        out_refuse("the file is an OpenDocument file, but no text: save it as .xlsx, .pptx or .pdf");
    if (!zip_xml(z, "content.xml", &on, &d, "the document's text"))
        out_refuse("the file is no OpenDocument text: it has no content.xml");
    zip_title(z, "meta.xml", o);
}

const struct reader reader_odt = { .read = odt_read };
