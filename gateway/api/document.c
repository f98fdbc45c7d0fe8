/* /documents: list, read, text, delete. A document is named by its UUID, or by the client's own id together with
 * ?collection=. One of a collection that the key may not use is as good as missing. (Adding: upload.c.) */
#include <stdio.h>

#include "common/clock.h"
#include "common/text/number.h"
#include "gateway/api/api.h"
#include "gateway/request/handler.h"
#include "gateway/request/render.h"
#include "gateway/admit/auth.h"
#include "gateway/upload/searchable.h"
#include "gateway/watch/epochs.h"

/* Find a document by what the path says. false: answered. *doc lives as long as held. */
static bool
find(struct request *r, struct held *held, const struct document **doc)
{
    struct document_ref ref = { 0 };
    const struct document_rep *rep;
    struct outcome a;
    enum err e = ERR_NOT_FOUND;

    if (r->arg.n < 1 || r->arg.n > 256 || !utf8_valid(r->arg)) {
        reply_problem(r, ERR_NOT_FOUND, NULL);
        return false;
    }
    if (uuid_parse(r->arg, &ref.document_id))
        e = api_call(r, held, KIND_DOCUMENT_GET, &ref, r->deadline_ms, &a);
    if (e == ERR_NOT_FOUND) { /* a client's own id may look like a UUID, too */
        ref = (struct document_ref){ .external_id = r->arg };
        if (!api_collection(r, request_param(r, "collection"), &ref.collection))
            return false;
        e = api_call(r, held, KIND_DOCUMENT_GET, &ref, r->deadline_ms, &a);
    }
    if (e) {
        reply_outcome(r, &a);
        return false;
    }
    rep = a.msg;
    if (rep->items.n != 1 || !collection_allowed(r, rep->items.v[0].collection)) {
        reply_problem(r, ERR_NOT_FOUND, NULL);
        return false;
    }
    *doc = &rep->items.v[0];
    return true;
}

#define YOUNG_MS 600000 /* a change of longer ago is in every index that works */

static bool
is_young(const struct document *d)
{
    return str_is(d->status, "ready") && d->seq > 0 && d->updated_ms > clock_wall_ms() - YOUNG_MS;
}

/* Written as the reader will find it: what the index has not reached is still being processed. arg: how far it has come. */
static void
document_item(struct buf *b, const void *item, void *arg)
{
    const struct document *doc = item;
    const int64_t *seq = arg;
    struct document d = *doc;

    if (is_young(doc) && doc->seq > *seq)
        d.status = STR("processing");
    render_document(b, &d);
}

/* The progress of the index with those of them that changed lately. */
static int64_t
reached(struct request *r, const struct document *v, size_t n)
{
    struct str collection[64];
    size_t k, found = 0;

    for (size_t i = 0; i < n && found < 64; i++) {
        if (!is_young(&v[i]))
            continue;
        for (k = 0; k < found && !str_eq(collection[k], v[i].collection); k++)
            ;
        if (k == found)
            collection[found++] = v[i].collection;
    }
    return found ? api_index_seq(r, collection, found) : INT64_MAX;
}

void
route_document_get(struct request *r)
{
    const struct document *doc;
    struct held held = { 0 };
    struct buf b = BUF_MAX(1048576);
    int64_t seq;

    if (find(r, &held, &doc)) {
        seq = reached(r, doc, 1);
        document_item(&b, doc, &seq);
        api_reply(r, 200, &b);
    }
    held_free(&held);
}

void
route_document_delete(struct request *r)
{
    struct document_ref ref = { 0 };
    const struct document *doc;
    struct held held = { 0 };
    struct outcome a;

    if (find(r, &held, &doc)) {
        ref.document_id = doc->id;
        if (api_get(r, &held, KIND_DOCUMENT_DELETE, &ref, &a)) {
            epochs_moved(r->gw, r->who.tenant, doc->collection, ((const struct ack *)a.msg)->seq);
            reply_empty(r, 204); /* committed: unfindable as soon as the change feed is read */
        }
    }
    held_free(&held);
}

void
route_document_reindex(struct request *r)
{
    const struct document_put_rep *rep;
    struct document_ref ref = { 0 };
    const struct document *doc;
    struct held held = { 0 };
    struct buf b = BUF_MAX(1024);
    struct outcome a;
    enum err e;

    if (find(r, &held, &doc)) {
        ref.document_id = doc->id;
        e = api_call(r, &held, KIND_DOCUMENT_REINDEX, &ref, r->deadline_ms, &a);
        if (e == ERR_CONFLICT) {
            reply_problem(r, e, "its original is not kept (its first reading failed): send it again");
        } else if (e) {
            reply_outcome(r, &a);
        } else {
            rep = a.msg;
            buf_c(&b, '{');
            render_key_uuid(&b, "job_id", &rep->job_id);
            render_key_uuid(&b, "document_id", &rep->document_id);
            buf_c(&b, '}');
            api_reply(r, 202, &b);
        }
    }
    held_free(&held);
}

static bool
offset_param(struct request *r, const char *name, int64_t *out)
{
    struct str s = request_param(r, name);
    char pointer[16];

    if (!s.p || number_parse(s, 0, INT64_C(1) << 40, out))
        return true;
    snprintf(pointer, sizeof pointer, "/%s", name);
    reply_invalid(r, pointer, "must be a byte offset");
    return false;
}

static void
reply_text(struct request *r, const struct document_text_rep *rep)
{
    char total[24];

    snprintf(total, sizeof total, "%lld", (long long)rep->bytes);
    request_header_add(r, "X-Text-Bytes", total);
    request_header_add(r, "Content-Security-Policy", "default-src 'none'; sandbox");
    reply_bytes(r, 200, "text/plain; charset=utf-8", rep->text);
}

void
route_document_text(struct request *r)
{
    struct document_text_req req = { 0 };
    const struct document *doc;
    struct held held = { 0 };
    struct outcome a;

    if (!offset_param(r, "start", &req.start) || !offset_param(r, "end", &req.end))
        return;
    if (request_param(r, "end").p && req.end <= req.start) {
        reply_invalid(r, "/end", "must be greater than start");
        return;
    }
    if (find(r, &held, &doc)) {
        req.document_id = doc->id;
        if (api_get(r, &held, KIND_DOCUMENT_TEXT, &req, &a))
            reply_text(r, a.msg);
    }
    held_free(&held);
}

/* The collections that a list covers: the named one, or those that the key may use (absent:
 * all). false: answered. */
static bool
list_collections(struct request *r, struct strs *out, struct str *one)
{
    struct str given = request_param(r, "collection");

    if (given.p && given.n > 0) {
        if (!api_collection(r, given, one))
            return false;
        *out = (struct strs){ one, 1 };
    } else if (r->who.key && r->who.key->collections.n > 0) {
        *out = r->who.key->collections;
    }
    return true;
}

void
route_document_list(struct request *r)
{
    struct document_list_req req = { 0 };
    const struct document_rep *rep;
    struct held held = { 0 };
    struct paging p;
    struct str one;
    struct outcome a;

    if (!api_paging(r, API_PAGE_LIMIT, &p) || !list_collections(r, &req.collections, &one))
        return;
    PAGE_INTO(&req, &p);
    if (api_get(r, &held, KIND_DOCUMENT_LIST, &req, &a)) {
        struct list items;
        int64_t seq;

        rep = a.msg;
        seq = reached(r, rep->items.v, rep->items.n);
        items = *ITEMS(rep, document_item);
        items.arg = &seq;
        api_reply_page(r, &p, &items, rep->has_more, rep->next_cursor);
    }
    held_free(&held);
}
