/* PowerPoint (ECMA-376 part 1, PresentationML): a slide is a page, its title a heading, then its text, tables
 * and the speaker's notes, in the order of the presentation. Slides that are hidden are read, too: who keeps
 * them keeps what they say. */
#include <stdlib.h>

#include "common/text/text.h"
#include "extract/ooxml.h"

enum { SLIDES_MAX = 5000 };

struct slides {
    char **ids;
    size_t n, cap;
};
struct slide {
    struct out *o;
    struct buf run, title;
    bool is_title, has_title; /* the shape at hand; the slide */
    bool bullet, skip;        /* of a list; a number, date or footer */
    unsigned text, tables;
    bool notes;
};

static void
on_slide_id(void *arg, const char *name, const char **atts)
{
    struct slides *s = arg;

    if (strcmp(name, "sldId") != 0)
        return;
    if (s->n >= SLIDES_MAX)
        out_refuse("the presentation has more than %d slides", SLIDES_MAX);
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 64;
        s->ids = room_more(s->ids, s->cap * sizeof *s->ids);
    }
    s->ids[s->n++] = mem_dup(xml_att_full(atts, "r:id"));
}

static void
placeholder(struct slide *s, const char *type)
{
    s->is_title = strcmp(type, "title") == 0 || strcmp(type, "ctrTitle") == 0;
    s->skip = strcmp(type, "sldNum") == 0 || strcmp(type, "dt") == 0 || strcmp(type, "ftr") == 0 ||
              strcmp(type, "hdr") == 0 || (s->notes && s->is_title);
    s->bullet = strcmp(type, "") == 0 || strcmp(type, "body") == 0;
}

static void
slide_open(void *arg, const char *name, const char **atts)
{
    struct slide *s = arg;

    if (strcmp(name, "sp") == 0)
        s->is_title = s->skip = s->bullet = false;
    else if (strcmp(name, "ph") == 0)
        placeholder(s, xml_att(atts, "type"));
    else if (strcmp(name, "t") == 0)
        s->text++;
    else if (strcmp(name, "br") == 0 || strcmp(name, "tab") == 0)
        buf_c(&s->run, ' ');
    else if (strcmp(name, "tbl") == 0 && s->tables++ == 0)
        out_table(s->o);
    else if (strcmp(name, "tc") == 0)
        buf_reset(&s->run);
}

static void
slide_paragraph(struct slide *s)
{
    struct str t = text_trim(buf_slice(&s->run));

    if (s->tables > 0) {
        buf_c(&s->run, ' ');
        return;
    }
    if (s->skip || t.n == 0) {
        buf_reset(&s->run);
        return;
    }
    if (s->is_title) {
        buf_c(&s->title, ' ');
        buf_str(&s->title, t);
    } else if (s->bullet && !s->notes) {
        out_item(s->o, t, true);
    } else {
        out_text(s->o, t, false);
    }
    buf_reset(&s->run);
}

static void
slide_close(void *arg, const char *name)
{
    struct slide *s = arg;

    if (strcmp(name, "t") == 0) {
        s->text -= s->text > 0;
    } else if (strcmp(name, "p") == 0) {
        slide_paragraph(s);
    } else if (strcmp(name, "sp") == 0 && s->is_title && !s->skip && s->title.n > 0) {
        out_title(s->o, buf_slice(&s->title)); /* of the first slide that has one, if nothing else says it */
        if (!s->has_title)
            out_heading(s->o, 2, buf_slice(&s->title));
        else
            out_text(s->o, buf_slice(&s->title), false);
        s->has_title = true;
        buf_reset(&s->title);
    } else if (strcmp(name, "tc") == 0 && s->tables == 1) {
        out_cell(s->o, buf_slice(&s->run));
        buf_reset(&s->run);
    } else if (strcmp(name, "tr") == 0 && s->tables == 1) {
        out_row_end(s->o);
    } else if (strcmp(name, "tbl") == 0 && s->tables > 0 && --s->tables == 0) {
        out_table_end(s->o);
        buf_reset(&s->run);
    }
}

static void
slide_text(void *arg, struct str t)
{
    struct slide *s = arg;

    if (s->text > 0)
        buf_str(&s->run, t);
}

static void
read_slide(struct zip *z, const char *part, struct out *o, bool notes)
{
    static const struct xml_events on = { slide_open, slide_close, slide_text };
    struct slide s = { .o = o, .notes = notes };

    (void)zip_xml(z, part, &on, &s, "a slide");
    buf_free(&s.run);
    buf_free(&s.title);
}

static void
pptx_read(struct str body, struct out *o)
{
    static const struct xml_events on = { .open = on_slide_id };
    struct zip *z = zip_open(body);
    char *main_part = ooxml_main(z, "ppt/presentation.xml");
    struct relations top = ooxml_relations(z, main_part);
    struct slides slides = { 0 };

    (void)zip_xml(z, main_part, &on, &slides, "the presentation");
    ooxml_title(z, o);
    for (size_t i = 0; i < slides.n; i++) {
        const struct relation *r = relation_of(&top, slides.ids[i]), *n;
        struct relations own;

        if (!r || r->outside)
            continue;
        out_page(o, (uint32_t)i + 1);
        read_slide(z, r->target, o, false);
        own = ooxml_relations(z, r->target);
        n = relation_like(&own, "notesSlide");
        if (n && !n->outside)
            read_slide(z, n->target, o, true);
    }
}

const struct reader reader_pptx = { .read = pptx_read };
