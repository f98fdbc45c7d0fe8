/* The tool search: the documents of the passages that fit a question best, each once. */
#include "gateway/admit/auth.h"
#include "gateway/ask/passages.h"
#include "gateway/mcp/mcp.h"

static void
render_found(struct tool *t, const struct hit *h)
{
    struct buf *b = &t->out;
    char id[37];

    buf_z(b, b->p[b->n - 1] == '}' ? ",{" : "{");
    buf_key_str(b, "id", str_of(uuid_text(&h->document_id, id)));
    buf_key_str(b, "title", document_title(h->title, h->external_id));
    buf_key_str(b, "url", document_url(t->c->r, h->url, h->section, h->page, &h->document_id));
    buf_key_str(b, "text", h->text);
    buf_c(b, '}');
}

static bool
seen(const struct search_rep *rep, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (uuid_eq(&rep->hits.v[k].document_id, &rep->hits.v[i].document_id))
            return true;
    return false;
}

void
mcp_search(struct tool *t)
{
    struct passages p = { .top_k = 10 };
    struct str name;
    struct outcome a;

    if (!tool_text(t, "query", &p.query) || !tool_number(t, "top_k", &p.top_k) ||
        !tool_collection(t, &name) || !api_collection(t->c->r, name, &p.collection))
        return;
    p.named = name.p != NULL;
    if (passages_find(t->c->r, &t->c->held, &p, &a) != ERR_OK) {
        tool_fail_call(t, &a);
        return;
    }
    buf_z(&t->out, "{\"results\":[");
    for (size_t i = 0; i < p.found->hits.n; i++)
        if (!seen(p.found, i))
            render_found(t, &p.found->hits.v[i]);
    buf_z(&t->out, "]}");
}
