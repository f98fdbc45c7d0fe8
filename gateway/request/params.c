/* What the API handlers share (handler.h): calls to services, parameters, paging. Keeps no state. (Fields: field.c.) */
#include "gateway/request/handler.h"

/* ---- calls ---- */

void
held_add(struct held *h, struct ask *q)
{
    if (h->n == API_HELD_MAX) {
        ask_free(&h->v[0]); /* the oldest answer was used long ago */
        memmove(&h->v[0], &h->v[1], (API_HELD_MAX - 1) * sizeof h->v[0]);
        h->n--;
    }
    h->v[h->n++] = q;
}

void
held_free(struct held *h)
{
    while (h->n > 0)
        ask_free(&h->v[--h->n]);
}

enum err
api_ask(struct request *r, struct held *h, enum kind kind, const void *req, int64_t deadline_ms, struct answer *out)
{
    struct ask *q = NULL;
    enum err e;

    memset(out, 0, sizeof *out);
    e = ask_once(api_hub(r), kind, req, r->who.tenant, r->id, deadline_ms, &q, out);
    if (q)
        held_add(h, q);
    return e;
}

bool
api_get(struct request *r, struct held *h, enum kind kind, const void *req, struct answer *out)
{
    if (api_ask(r, h, kind, req, r->deadline_ms, out) == ERR_OK)
        return true;
    reply_answer_error(r, out);
    return false;
}

void
api_reply(struct request *r, int status, struct buf *b)
{
    if (b->failed)
        reply_problem(r, ERR_INTERNAL, "the answer is too large");
    else
        reply_json(r, status, buf_slice(b));
    buf_free(b);
}

void
reply_fault(struct request *r, const struct fault *f)
{
    reply_invalid(r, f->pointer, f->detail);
}

/* ---- parameters ---- */

bool
api_collection(struct request *r, struct str given, struct str *name)
{
    if (!given.p || given.n == 0) {
        given = STR(API_DEFAULT_COLLECTION);
        if (!collection_allowed(r, given))
            given = api_first_collection(r);
    } else if (!name_ok(given)) {
        reply_invalid(r, "/collection", "must match [A-Za-z0-9._-]{1,64}");
        return false;
    }
    if (!given.p || !collection_allowed(r, given)) {
        reply_problem(r, ERR_NOT_FOUND, NULL);
        return false;
    }
    *name = given;
    return true;
}

bool
api_restricted(const struct request *r)
{
    return r->who.key != NULL && r->who.key->collections.n > 0;
}

bool
api_whole_tenant(struct request *r)
{
    if (api_restricted(r))
        reply_problem(r, ERR_FORBIDDEN, "this concerns the whole tenant, and this key is restricted to collections");
    return !api_restricted(r);
}

bool
api_paging(struct request *r, int64_t most, struct paging *p)
{
    struct str page = request_param(r, "page"), limit = request_param(r, "limit");

    p->page = 1;
    p->limit = most;
    p->cursor = request_param(r, "cursor");
    if (limit.p && (!digits(limit, 200, &p->limit) || p->limit < 1)) {
        reply_invalid(r, "/limit", "must be a whole number from 1 to 200");
        return false;
    }
    if (page.p && (!digits(page, 100000, &p->page) || p->page < 1)) {
        reply_invalid(r, "/page", "must be a whole number from 1 to 100000");
        return false;
    }
    if (p->cursor.p && (p->cursor.n < 1 || p->cursor.n > 256)) {
        reply_invalid(r, "/cursor", "must be a next_cursor of an earlier answer");
        return false;
    }
    if (p->cursor.p)
        p->page = 0;
    return true;
}

void
render_paging(struct buf *b, const struct paging *p, bool has_more, struct str next_cursor)
{
    buf_key(b, "page");
    if (p->page > 0)
        buf_printf(b, "%lld", (long long)p->page);
    else
        buf_z(b, "null");
    buf_key_int(b, "limit", p->limit);
    buf_key_bool(b, "has_more", has_more);
    buf_key_str(b, "next_cursor", has_more ? next_cursor : STR_NONE);
}
