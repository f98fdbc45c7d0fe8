/* /documents: list, read, text, delete. A document is named by its UUID, or by the client's own id together with
 * ?collection=. One of a collection that the key may not use is as good as missing. (Adding: upload.c.) */
#include <stdio.h>

#include "common/clock.h"
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
    struct answer a;
    enum err e = ERR_NOT_FOUND;

    if (r->arg.n < 1 || r->arg.n > 256 || !utf8_valid(r->arg)) {
        reply_problem(r, ERR_NOT_FOUND, NULL);
        return false;
    }
    if (uuid_parse(r->arg, &ref.document_id))
        e = api_ask(r, held, KIND_DOCUMENT_GET, &ref, r->deadline_ms, &a);
    if (e == ERR_NOT_FOUND) { /* a client's own id may look like a UUID, too */
        ref = (struct document_ref){ .external_id = r->arg };
        if (!api_collection(r, request_param(r, "collection"), &ref.collection))
            return false;
        e = api_ask(r, held, KIND_DOCUMENT_GET, &ref, r->deadline_ms, &a);
    }
    if (e) {
        reply_answer_error(r, &a);
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

#define YOUNG_MS 600000  /* what changed longer ago is in every index that works */

static bool
is_young(const struct document *d)
{
    return str_is(d->status, "ready") && d->seq > 0 && d->updated_ms > clock_wall_ms() - YOUNG_MS;
}

/* Written as the reader will find it: what the index has not reached is still being processed. */
static void
put_document(struct buf *b, const struct document *doc, int64_t reached)
{
    struct document d = *doc;

    if (is_young(doc) && doc->seq > reached)
        d.status = STR("processing");
    render_document(b, &d);
}

/* How far the index has come with those of them that changed lately. */
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

    if (find(r, &held, &doc)) {
        put_document(&b, doc, reached(r, doc, 1));
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
    struct answer a;

    if (find(r, &held, &doc)) {
        ref.document_id = doc->id;
        if (api_get(r, &held, KIND_DOCUMENT_DELETE, &ref, &a)) {
            feed_moved(r->gw, r->who.tenant, doc->collection, ((const struct ack *)a.msg)->seq);
            reply_empty(r, 204); /* committed: unfindable as soon as the change feed is read */
        }
    }
    held_free(&held);
}

static bool
offset_param(struct request *r, const char *name, int64_t *out)
{
    struct str s = request_param(r, name);
    char pointer[16];

    if (!s.p || digits(s, INT64_C(1) << 40, out))
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
    struct answer a;

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

/* Which collections a list covers: the named one, or what the key may use (absent: all). false: answered. */
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
    struct answer a;
    struct buf b = BUF_MAX(33554432);

    if (!api_paging(r, API_PAGE_LIMIT, &p) || !list_collections(r, &req.collections, &one))
        return;
    req.page = p.page;
    req.limit = p.limit;
    req.cursor = p.cursor;
    if (api_get(r, &held, KIND_DOCUMENT_LIST, &req, &a)) {
        int64_t seq;

        rep = a.msg;
        seq = reached(r, rep->items.v, rep->items.n);
        buf_z(&b, "{\"items\":[");
        for (size_t i = 0; i < rep->items.n; i++) {
            if (i > 0)
                buf_c(&b, ',');
            put_document(&b, &rep->items.v[i], seq);
        }
        buf_c(&b, ']');
        render_paging(&b, &p, rep->has_more, rep->next_cursor);
        buf_c(&b, '}');
        api_reply(r, 200, &b);
    }
    held_free(&held);
}
