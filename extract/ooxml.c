/* Office Open XML: relationships and properties (ooxml.h). */
#include "extract/ooxml.h"

#include "common/text/text.h"

enum { RELATIONS_MAX = 100000 };

static void
feed_xml(void *arg, struct str piece)
{
    xml_feed(arg, piece);
}

bool
zip_xml(struct zip *z, const char *name, const struct xml_events *on, void *arg, const char *what)
{
    struct xml *x;

    if (!zip_has(z, name))
        return false;
    x = xml_new(on, arg, what, false);
    (void)zip_stream(z, name, feed_xml, x);
    xml_end(&x);
    return true;
}

struct relating {
    struct relations *r;
    const char *part;
};

static void
on_relation(void *arg, const char *name, const char **atts)
{
    struct relating *g = arg;
    struct relations *r = g->r;
    const char *type = xml_att(atts, "Type"), *slash = strrchr(type, '/');
    bool outside = strcmp(xml_att(atts, "TargetMode"), "External") == 0;

    if (strcmp(name, "Relationship") != 0)
        return;
    if (r->n >= RELATIONS_MAX)
        out_refuse("the document has too many relationships");
    if (r->n == r->cap) {
        r->cap = r->cap ? 2 * r->cap : 32;
        r->v = room_more(r->v, r->cap * sizeof *r->v);
    }
    names_put(&r->ids, xml_att(atts, "Id"), r->n);
    r->v[r->n++] = (struct relation){ .type = mem_dup(slash ? slash + 1 : type),
                                      .outside = outside,
                                      .target = outside ? mem_dup(xml_att(atts, "Target"))
                                                        : zip_path(g->part, xml_att(atts, "Target")) };
}

struct relations
ooxml_relations(struct zip *z, const char *part)
{
    static const struct xml_events on = { .open = on_relation };
    const char *slash = strrchr(part, '/');
    int folder = slash ? (int)(slash + 1 - part) : 0;
    struct relations r = { 0 };
    struct relating g = { &r, part };
    struct buf path = { 0 };

    buf_printf(&path, "%.*s_rels/%s.rels", folder, part, part + folder);
    (void)zip_xml(z, path.p, &on, &g, "the list of the document's parts");
    buf_free(&path);
    return r;
}

const struct relation *
relation_of(const struct relations *r, const char *id)
{
    size_t i;

    return names_get(&r->ids, id, &i) ? &r->v[i] : NULL;
}

const struct relation *
relation_like(const struct relations *r, const char *type)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->v[i].type, type) == 0)
            return &r->v[i];
    return NULL;
}

char *
ooxml_main(struct zip *z, const char *usual)
{
    struct relations top = ooxml_relations(z, "");
    const struct relation *r = relation_like(&top, "officeDocument");

    size_t folder = strcspn(usual, "/") + 1; /* names differ, folders do not */

    if (r && !r->outside && strncmp(r->target, usual, folder) == 0 && zip_has(z, r->target))
        return r->target;
    if (!zip_has(z, usual))
        out_refuse("the file is no such document: it has no %s", usual);
    return mem_dup(usual);
}

/* ---- the title of the properties */

struct titling {
    struct buf title;
    bool in;
};

static void
title_open(void *arg, const char *name, const char **atts)
{
    (void)atts;
    ((struct titling *)arg)->in = strcmp(name, "title") == 0;
}

static void
title_close(void *arg, const char *name)
{
    (void)name;
    ((struct titling *)arg)->in = false;
}

static void
title_text(void *arg, struct str s)
{
    struct titling *t = arg;

    if (t->in)
        buf_str(&t->title, s);
}

void
ooxml_title(struct zip *z, struct out *o)
{
    zip_title(z, "docProps/core.xml", o);
}

void
zip_title(struct zip *z, const char *name, struct out *o)
{
    static const struct xml_events on = { title_open, title_close, title_text };
    static const char *const empty[] = { "PowerPoint Presentation", "PowerPoint-Pr", "Microsoft Word - ",
                                         "Untitled" };
    struct titling t = { .title = BUF_MAX(1000) };
    struct str s;

    (void)zip_xml(z, name, &on, &t, "the document's properties");
    s = text_trim(buf_slice(&t.title));
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
        if (str_starts(s, empty[i]))
            return; /* what programs write when nobody gave one */
    out_title(o, s);
}
