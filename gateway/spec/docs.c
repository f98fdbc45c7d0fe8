/* GET /docs: the API for people, written from the same tables (spec.h) into the page web/docs.html. No script. */
#include "gateway/spec/spec.h"

#include "gateway/api/api.h"
#include "gateway/api/page.h"

static void
add_type(struct buf *b, const struct spec_field *f)
{
    static const char *const names[] = {
        "text",    "UUID", "UUID version 4", "time",          "whole number", "number",   "true or false",
        "one of ", "",     "list of ",       "list of texts", "object",       "anything", "see below"
    };

    buf_z(b, names[f->type]);
    if (f->type == ENUM || f->type == LIST)
        html_add(b, str_of(f->of));
    if (f->type == REF)
        buf_z(b, f->of);
    if (f->least != 0 || f->most != 0) {
        buf_printf(b, ", %.17g", f->least);
        if (f->most != 0)
            buf_printf(b, " to %.17g", f->most);
        else
            buf_z(b, " and more");
        buf_z(b, f->type == STR ? " characters" : "");
    }
    buf_z(b, f->need == REQ ? ", required" : f->need == NUL ? ", or null" : "");
}

static void
add_row(struct buf *b, const struct spec_field *f)
{
    buf_printf(b, "<tr><td><code>%s</code><td>", f->name);
    add_type(b, f);
    buf_z(b, "<td>");
    html_add(b, str_of(f->words));
}

static void
add_object(struct buf *b, const char *title, const struct spec_object *o)
{
    if (!o)
        return;
    buf_printf(b, "<p>%s<b>%s</b></p><table>", title, o->name);
    for (size_t i = 0; i < o->n; i++)
        add_row(b, &o->fields[i]);
    buf_z(b, "</table>");
}

static void
add_call(struct buf *b, const struct spec_call *c)
{
    static const char *const who[] = { "anybody", "a browser with its session, or a key with the scope chat",
                                       "a key with the scope chat", "a key with the scope ingest",
                                       "a key with the scope admin" };

    buf_printf(b, "<details><summary><span class=\"m\">%s</span> <code>%s</code> ", c->method, c->path);
    html_add(b, str_of(c->summary));
    buf_printf(b, "</summary><p>For %s.</p>", who[c->who]);
    if (c->n_params > 0) {
        buf_z(b, "<table>");
        for (size_t i = 0; i < c->n_params; i++)
            add_row(b, &c->params[i].field);
        buf_z(b, "</table>");
    }
    add_object(b, "Body: ", spec_object(c->object));
    for (size_t i = 0; i < c->n_answers; i++) {
        buf_printf(b, "<p>%d %s</p>", c->answers[i].status, c->answers[i].type);
        add_object(b, "", spec_object(c->answers[i].object));
    }
    buf_z(b, "<p>Errors:");
    for (size_t i = 0; c->errors[i]; i++)
        buf_printf(b, " %d", c->errors[i]);
    buf_z(b, "</p></details>");
}

static void
add_calls(struct buf *b)
{
    static const char *const tags[] = { "Chat",   "Sessions", "Documents", "Keys",
                                        "OpenAI", "MCP",      "Health",    "Pages" };
    size_t n;
    const struct spec_call *c = spec_calls(&n);

    for (size_t t = 0; t < sizeof tags / sizeof *tags; t++) {
        buf_printf(b, "<h2>%s</h2>", tags[t]);
        for (size_t i = 0; i < n; i++)
            if (strcmp(c[i].tag, tags[t]) == 0)
                add_call(b, &c[i]);
    }
}

void
route_docs(struct request *r)
{
    struct buf b = BUF_MAX(4194304);

    add_calls(&b);
    page_reply(r, 200, page_docs(), &(struct slot){ "@CALLS@", buf_slice(&b) }, 1, false);
    buf_free(&b);
}
