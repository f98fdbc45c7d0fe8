/* Calls to services that stay open until their handler is done with the replies, and the answers made of them (handler.h). */
#include "gateway/request/handler.h"

void
held_add(struct held *h, struct call *q)
{
    if (h->n == API_HELD_MAX) {
        call_free(&h->v[0]); /* the oldest answer was used long ago */
        memmove(&h->v[0], &h->v[1], (API_HELD_MAX - 1) * sizeof h->v[0]);
        h->n--;
    }
    h->v[h->n++] = q;
}

void
held_keep(struct held *h, size_t first)
{
    for (size_t i = 0; i < first; i++)
        call_free(&h->v[i]);
    memmove(&h->v[0], &h->v[first], (h->n - first) * sizeof h->v[0]);
    h->n -= first;
}

void
held_free(struct held *h)
{
    while (h->n > 0)
        call_free(&h->v[--h->n]);
}

enum err
held_wait(struct held *h, struct call *q, struct outcome *out)
{
    while (call_wait(q, INT64_MAX, out) == CALL_PART)
        ;
    held_add(h, q);
    return out->err;
}

enum err
api_call(struct request *r, struct held *h, enum kind kind, const void *req, int64_t deadline_ms,
         struct outcome *out)
{
    return held_wait(h, hub_call(api_hub(r), kind, req, r->who.tenant, r->id, deadline_ms), out);
}

const char *
outcome_text(const struct outcome *a)
{
    return a->text && *a->text ? a->text : err_text(a->err == ERR_OK ? ERR_INTERNAL : a->err);
}

bool
api_get(struct request *r, struct held *h, enum kind kind, const void *req, struct outcome *out)
{
    if (api_call(r, h, kind, req, r->deadline_ms, out) == ERR_OK)
        return true;
    reply_outcome(r, out);
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
