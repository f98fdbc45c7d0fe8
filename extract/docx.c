/* Word documents (ECMA-376 part 1, WordprocessingML): headings by their styles, paragraphs, lists, tables,
 * links, notes. Text that was deleted, moved away, or stands twice for older programs is not read, nor are
 * headers, footers and the table of contents. */
#include <stdlib.h>
#include <strings.h>

#include "common/text/text.h"
#include "extract/ooxml.h"

enum { STYLES_MAX = 20000, NORMAL = 0, TITLE = 1, CONTENTS = 10 /* else 1 + the heading's level */ };

struct style {
    int rank; /* NORMAL, TITLE, 2 to 7: a heading, CONTENTS */
    bool item;
};
struct word {
    struct out *o;
    struct relations relations;
    struct style *styles;
    size_t n_styles, cap_styles;
    struct names style_ids; /* → styles */
    /* the paragraph at hand */
    struct buf run;
    int rank;
    bool item, last_item;
    size_t link;         /* where in run the link at hand began, plus one */
    const char *target;  /* its URL */
    unsigned text, away; /* depth in <w:t>; in what is not read */
    unsigned tables;
    long span;
};

/* ---- styles */

static struct style
style_of(const struct word *w, const char *id)
{
    size_t i;

    return names_get(&w->style_ids, id, &i) ? w->styles[i] : (struct style){ 0 };
}

static int
level_rank(const char *value)
{
    long level = strtol(value, NULL, 10);

    return *value && level >= 0 && level <= 8 ? 2 + (int)(level < 6 ? level : 5) : NORMAL;
}

static int
name_rank(const char *name)
{
    if (strncasecmp(name, "heading ", 8) == 0 && name[8] >= '1' && name[8] <= '9')
        return 2 + (name[8] < '7' ? name[8] - '1' : 5);
    if (strcasecmp(name, "title") == 0)
        return TITLE;
    return strncasecmp(name, "toc ", 4) == 0 ? CONTENTS : NORMAL;
}

static void
style_open(void *arg, const char *name, const char **atts)
{
    struct word *w = arg;
    const char *value = xml_att(atts, "val");
    struct style *s;

    if (strcmp(name, "style") == 0) {
        if (w->n_styles >= STYLES_MAX)
            out_refuse("the document has too many styles");
        if (w->n_styles == w->cap_styles) {
            w->cap_styles = w->cap_styles ? 2 * w->cap_styles : 64;
            w->styles = room_more(w->styles, w->cap_styles * sizeof *w->styles);
        }
        names_put(&w->style_ids, xml_att(atts, "styleId"), w->n_styles);
        w->styles[w->n_styles++] = (struct style){ 0 };
    }
    if (w->n_styles == 0)
        return;
    s = &w->styles[w->n_styles - 1];
    if (strcmp(name, "name") == 0 && s->rank == NORMAL)
        s->rank = name_rank(value);
    else if (strcmp(name, "basedOn") == 0 && s->rank == NORMAL)
        s->rank = style_of(w, value).rank == CONTENTS ? NORMAL : style_of(w, value).rank;
    else if (strcmp(name, "numId") == 0)
        s->item = true;
    else if (strcmp(name, "outlineLvl") == 0 && (s->rank == NORMAL || s->rank > TITLE) && s->rank != CONTENTS)
        s->rank = level_rank(value);
}

/* ---- text */

static void
paragraph_end(struct word *w)
{
    struct str s = text_trim(buf_slice(&w->run));

    if (w->tables > 0) {
        buf_c(&w->run, ' ');
        w->item = false;
        return;
    }
    if (w->rank == TITLE || (w->rank > TITLE && w->rank != CONTENTS)) {
        out_heading(w->o, w->rank == TITLE ? 1 : w->rank - 1, s);
    } else if (w->rank != CONTENTS && s.n > 0) {
        if (w->item)
            out_item(w->o, s, w->last_item);
        else
            out_text(w->o, s, false);
    }
    w->last_item = w->item && s.n > 0;
    w->item = false;
    buf_reset(&w->run);
}

static void
link_open(struct word *w, const char **atts)
{
    const struct relation *r = relation_of(&w->relations, xml_att_full(atts, "r:id"));

    w->target = r && r->outside ? r->target : NULL;
    w->link = w->run.n + 1;
}

static void
link_close(struct word *w)
{
    if (w->link > 0 && w->rank == NORMAL)
        out_link(&w->run, w->link - 1, w->target);
    w->link = 0;
}

static bool
is_away(const char *name)
{
    return strcmp(name, "Fallback") == 0 || strcmp(name, "moveFrom") == 0 || strcmp(name, "del") == 0;
}

static void
table_open(struct word *w, const char *name, const char **atts)
{
    if (strcmp(name, "tbl") == 0) {
        if (w->tables++ == 0) {
            w->last_item = false;
            out_table(w->o);
        }
    } else if (strcmp(name, "tc") == 0 && w->tables == 1) {
        buf_reset(&w->run);
        w->span = 1;
    } else if (strcmp(name, "gridSpan") == 0) {
        w->span = strtol(xml_att(atts, "val"), NULL, 10);
    }
}

static void
body_open(void *arg, const char *name, const char **atts)
{
    struct word *w = arg;

    if (is_away(name) || w->away > 0) {
        w->away++;
        return;
    }
    if (strcmp(name, "p") == 0) {
        w->rank = NORMAL;
        w->item = false;
    } else if (strcmp(name, "pStyle") == 0) {
        w->rank = style_of(w, xml_att(atts, "val")).rank;
        w->item = w->item || (w->rank == NORMAL && style_of(w, xml_att(atts, "val")).item);
    } else if (strcmp(name, "outlineLvl") == 0 && w->rank == NORMAL) {
        w->rank = level_rank(xml_att(atts, "val"));
    } else if (strcmp(name, "numId") == 0) {
        w->item = strcmp(xml_att(atts, "val"), "0") != 0;
    } else if (strcmp(name, "t") == 0) {
        w->text++;
    } else if (strcmp(name, "tab") == 0 || strcmp(name, "br") == 0 || strcmp(name, "cr") == 0) {
        buf_c(&w->run, ' ');
    } else if (strcmp(name, "noBreakHyphen") == 0) {
        buf_c(&w->run, '-');
    } else if (strcmp(name, "hyperlink") == 0) {
        link_open(w, atts);
    } else {
        table_open(w, name, atts);
    }
}

static void
body_close(void *arg, const char *name)
{
    struct word *w = arg;

    if (w->away > 0) {
        w->away--;
    } else if (strcmp(name, "t") == 0) {
        w->text -= w->text > 0;
    } else if (strcmp(name, "p") == 0) {
        paragraph_end(w);
    } else if (strcmp(name, "hyperlink") == 0) {
        link_close(w);
    } else if (strcmp(name, "tc") == 0 && w->tables == 1) {
        out_span(w->o, buf_slice(&w->run), w->span);
        buf_reset(&w->run);
    } else if (strcmp(name, "tr") == 0 && w->tables == 1) {
        out_row_end(w->o);
    } else if (strcmp(name, "tbl") == 0 && w->tables > 0 && --w->tables == 0) {
        out_table_end(w->o);
        buf_reset(&w->run);
    }
}

static void
body_text(void *arg, struct str s)
{
    struct word *w = arg;

    if (w->text > 0 && w->away == 0)
        buf_str(&w->run, s);
}

static const struct xml_events on_body = { body_open, body_close, body_text };

static void
docx_read(struct str body, struct out *o)
{
    static const struct xml_events on_styles = { .open = style_open };
    struct zip *z = zip_open(body);
    char *main_part = ooxml_main(z, "word/document.xml");
    struct word w = { .o = o, .relations = ooxml_relations(z, main_part) };
    const struct relation *r = relation_like(&w.relations, "styles");
    static const char *const notes[] = { "footnotes", "endnotes" };

    if (r && !r->outside)
        (void)zip_xml(z, r->target, &on_styles, &w, "the document's list of styles");
    (void)zip_xml(z, main_part, &on_body, &w, "the document's text");
    for (size_t i = 0; i < 2; i++)
        if ((r = relation_like(&w.relations, notes[i])) != NULL && !r->outside)
            (void)zip_xml(z, r->target, &on_body, &w, "the list of notes");
    ooxml_title(z, o);
}

const struct reader reader_docx = { .read = docx_read };
