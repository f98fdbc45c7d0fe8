/* The tool fetch, and what resources need, too: a document that the caller may read, and its text. */
#include "gateway/mcp/mcp.h"

#include "common/log.h"
#include "gateway/admit/auth.h"
#include "gateway/gateway.h"
#include "gateway/request/page_link.h"

#define PART_BYTES 262144

enum err
document_find(struct rpc *c, struct str id, const struct document **doc, struct outcome *a)
{
    struct document_ref ref = { 0 };
    const struct document_rep *rep;
    enum err e;

    if (str_starts(id, DOCUMENT_URI))
        id = (struct str){ id.p + sizeof DOCUMENT_URI - 1, id.n - (sizeof DOCUMENT_URI - 1) };
    *a = (struct outcome){ .err = ERR_NOT_FOUND, .text = "there is no such document" };
    if (!uuid_parse(id, &ref.document_id))
        return ERR_NOT_FOUND;
    e = api_call(c->r, &c->held, KIND_DOCUMENT_GET, &ref, c->r->deadline_ms, a);
    if (e != ERR_OK)
        return e;
    rep = a->msg;
    if (rep->items.n != 1 || !collection_allowed(c->r, rep->items.v[0].collection)) {
        *a = (struct outcome){ .err = ERR_NOT_FOUND, .text = "there is no such document" };
        return ERR_NOT_FOUND;
    }
    *doc = &rep->items.v[0];
    return ERR_OK;
}

/* A part may begin and end within a letter. */
static struct str
whole_chars(struct str s, int64_t *start)
{
    size_t from = 0, back = 1;

    while (from < s.n && from < 3 && ((unsigned char)s.p[from] & 0xc0) == 0x80)
        from++;
    *start += (int64_t)from;
    s = (struct str){ s.p + from, s.n - from };
    while (back < s.n && back < 4 && ((unsigned char)s.p[s.n - back] & 0xc0) == 0x80)
        back++;
    if (s.n >= back && utf8_first((struct str){ s.p + s.n - back, back }) == 0)
        s.n -= back;
    return s;
}

enum err
document_read(struct rpc *c, const struct document *doc, struct text_part *part, struct outcome *a)
{
    struct document_text_req req = { .document_id = doc->id,
                                     .start = part->start,
                                     .end = part->start + part->most };
    const struct document_text_rep *rep;
    enum err e = api_call(c->r, &c->held, KIND_DOCUMENT_TEXT, &req, c->r->deadline_ms, a);

    if (e != ERR_OK)
        return e;
    rep = a->msg;
    part->text = whole_chars(rep->text, &part->start);
    part->bytes = rep->bytes;
    if (utf8_valid(part->text))
        return ERR_OK;
    LOG(ERROR, c->r->id, M("the stored text of a document is no UTF-8"), KI("start", part->start));
    *a = (struct outcome){ .err = ERR_INTERNAL, .text = "the stored text of this document is damaged" };
    return ERR_INTERNAL;
}

/* An address that a reader can open, else that of the resource. */
struct str
document_url(struct request *r, struct str url, struct str section, int64_t page, const struct uuid *id)
{
    struct buf b = BUF_MAX(8192);
    struct str out;
    char text[37];

    if (!page_open(&b, r->gw->opt->public_url, url, section, page))
        buf_printf(&b, DOCUMENT_URI "%s", uuid_text(id, text));
    out = arena_str(r->arena, buf_slice(&b));
    buf_free(&b);
    return out.p ? out : STR("");
}

struct str
document_title(struct str title, struct str external_id)
{
    return title.n > 0 ? title : external_id.n > 0 ? external_id : STR("Untitled");
}

static void
render(struct tool *t, const struct document *d, const struct text_part *part)
{
    int64_t end = part->start + (int64_t)part->text.n;
    struct buf *b = &t->out;
    char id[37];

    buf_c(b, '{');
    buf_key_str(b, "id", str_of(uuid_text(&d->id, id)));
    buf_key_str(b, "title", document_title(d->title, d->external_id));
    buf_key_str(b, "text", part->text);
    buf_key_str(b, "url", document_url(t->c->r, d->url, STR_NONE, 0, &d->id));
    buf_key(b, "metadata");
    buf_c(b, '{');
    buf_key_str(b, "collection", d->collection);
    buf_key_int(b, "start", part->start);
    buf_key_int(b, "bytes", part->bytes);
    if (end < part->bytes)
        buf_key_int(b, "next_start", end);
    buf_z(b, "}}");
}

void
mcp_fetch(struct tool *t)
{
    struct text_part part = { .most = PART_BYTES };
    const struct document *doc;
    struct outcome a;
    struct str id;

    if (!tool_text(t, "id", &id) || !tool_number(t, "start", &part.start))
        return;
    if (document_find(t->c, id, &doc, &a) != ERR_OK || document_read(t->c, doc, &part, &a) != ERR_OK)
        tool_fail_call(t, &a);
    else
        render(t, doc, &part);
}
