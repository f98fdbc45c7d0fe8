/* XML (xml.h). Expat is the only parser of it here. */
#include "extract/xml.h"

#include <expat.h>

#include "extract/extract.h"

enum { DEPTH_MAX = 10000 };

struct xml {
    XML_Parser parser;
    const struct xml_events *on;
    void *arg;
    const char *what;
    unsigned depth;
};

static const char *
local(const char *name)
{
    const char *colon = strchr(name, ':');

    return colon ? colon + 1 : name;
}

static void
on_open(void *arg, const XML_Char *name, const XML_Char **atts)
{
    struct xml *x = arg;

    if (++x->depth > DEPTH_MAX)
        out_refuse("%s is nested too deeply", x->what);
    if (x->on->open)
        x->on->open(x->arg, local(name), atts);
}

static void
on_close(void *arg, const XML_Char *name)
{
    struct xml *x = arg;

    x->depth--;
    if (x->on->close)
        x->on->close(x->arg, local(name));
}

static void
on_text(void *arg, const XML_Char *s, int n)
{
    struct xml *x = arg;

    if (x->on->text)
        x->on->text(x->arg, (struct str){ s, (size_t)n });
}

static void
on_dtd(void *arg, const XML_Char *name, const XML_Char *system, const XML_Char *public, int internal)
{
    struct xml *x = arg;

    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    out_refuse("%s declares a document type, whose entities are not read", x->what);
}

static void
forget(void *p)
{
    mem_free(&p);
}

struct xml *
xml_new(const struct xml_events *on, void *arg, const char *what, bool dtd)
{
    static const XML_Memory_Handling_Suite memory = { room_new, room_more, forget };
    struct xml *x = mem_new(sizeof *x);

    *x = (struct xml){
        .parser = XML_ParserCreate_MM(NULL, &memory, NULL), .on = on, .arg = arg, .what = what
    };
    if (!x->parser)
        out_refuse("reading the document needs more memory than it is given");
    XML_SetUserData(x->parser, x);
    XML_SetElementHandler(x->parser, on_open, on_close);
    XML_SetCharacterDataHandler(x->parser, on_text);
    if (!dtd)
        XML_SetStartDoctypeDeclHandler(x->parser, on_dtd);
    return x;
}

static void
feed(struct xml *x, struct str s, bool last)
{
    if (XML_Parse(x->parser, s.p, (int)s.n, last) != XML_STATUS_OK)
        out_refuse("%s is damaged: %s", x->what, XML_ErrorString(XML_GetErrorCode(x->parser)));
}

void
xml_feed(struct xml *x, struct str s)
{
    while (s.n > 0) {
        size_t n = s.n < 1 << 20 ? s.n : 1 << 20;

        feed(x, (struct str){ s.p, n }, false);
        s = (struct str){ s.p + n, s.n - n };
    }
}

void
xml_end(struct xml **x)
{
    feed(*x, STR(""), true);
    XML_ParserFree((*x)->parser);
    mem_free(x);
}

void
xml_parse(struct str s, const struct xml_events *on, void *arg, const char *what)
{
    struct xml *x = xml_new(on, arg, what, false);

    XML_SetEncoding(x->parser, "UTF-8");
    xml_feed(x, s);
    xml_end(&x);
}

const char *
xml_att(const char **atts, const char *name)
{
    for (; *atts; atts += 2)
        if (strcmp(local(atts[0]), name) == 0)
            return atts[1];
    return "";
}

const char *
xml_att_full(const char **atts, const char *name)
{
    for (; *atts; atts += 2)
        if (strcmp(atts[0], name) == 0)
            return atts[1];
    return "";
}
