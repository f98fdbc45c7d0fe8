/* resources: every document that the caller may read, by its address footnote://documents/<id>. */
#include "gateway/admit/auth.h"
#include "gateway/mcp/mcp.h"

#define PAGE 100
#define WHOLE_BYTES 8388608 /* of a text: a resource has no parts */

static void
render_resource(struct rpc *c, const struct document *d, bool first)
{
    char id[37];

    buf_z(c->out, first ? "{" : ",{");
    buf_key(c->out, "uri");
    buf_printf(c->out, "\"" DOCUMENT_URI "%s\"", uuid_text(&d->id, id));
    buf_key_str(c->out, "name", d->external_id.n > 0 ? d->external_id : str_of(id));
    if (d->title.n > 0)
        buf_key_str(c->out, "title", d->title);
    buf_key_str(c->out, "mimeType", STR("text/plain"));
    if (d->bytes > 0)
        buf_key_int(c->out, "size", d->bytes);
    buf_c(c->out, '}');
}

void
mcp_resources_list(struct rpc *c)
{
    struct document_list_req req = { .page = 1, .limit = PAGE };
    const struct document_rep *rep;
    struct outcome a;

    if (!rpc_cursor(c, true, &req.cursor))
        return;
    if (req.cursor.p)
        req.page = 0;
    if (api_restricted(c->r))
        req.collections = c->r->who.key->collections;
    if (api_call(c->r, &c->held, KIND_DOCUMENT_LIST, &req, c->r->deadline_ms, &a) != ERR_OK) {
        rpc_fail_call(c, &a);
        return;
    }
    rep = a.msg;
    buf_z(c->out, "{\"resources\":[");
    for (size_t i = 0; i < rep->items.n; i++)
        render_resource(c, &rep->items.v[i], i == 0);
    buf_c(c->out, ']');
    if (rep->has_more)
        buf_key_str(c->out, "nextCursor", rep->next_cursor);
    buf_c(c->out, '}');
}

void
mcp_resource_templates(struct rpc *c)
{
    struct str cursor;

    if (!rpc_cursor(c, false, &cursor))
        return;
    buf_z(c->out,
          "{\"resourceTemplates\":[{\"uriTemplate\":\"" DOCUMENT_URI
          "{id}\",\"name\":\"document\",\"title\":\"A document by its id\",\"mimeType\":\"text/plain\"}]}");
}

void
mcp_resource_read(struct rpc *c)
{
    struct text_part part = { .most = WHOLE_BYTES };
    struct str uri = json_str(c->params, "uri");
    const struct document *doc;
    struct outcome a;
    enum err e = ERR_NOT_FOUND;

    if (!uri.p) {
        rpc_fail(c, RPC_PARAMS, "uri is required");
        return;
    }
    if (str_starts(uri, DOCUMENT_URI))
        e = document_find(c, uri, &doc, &a);
    if (e == ERR_OK)
        e = document_read(c, doc, &part, &a);
    if (e == ERR_NOT_FOUND)
        rpc_fail(c, RPC_MISSING, "there is no such resource");
    else if (e != ERR_OK)
        rpc_fail_call(c, &a);
    else if (part.bytes > WHOLE_BYTES)
        rpc_fail(c, RPC_INTERNAL,
                 "this document is too long for a resource: the tool fetch reads it in parts");
    if (c->code)
        return;
    buf_z(c->out, "{\"contents\":[{");
    buf_key_str(c->out, "uri", uri);
    buf_key_str(c->out, "mimeType", STR("text/plain"));
    buf_key_str(c->out, "text", part.text);
    buf_z(c->out, "}]}");
}
