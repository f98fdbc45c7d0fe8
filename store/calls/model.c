/* Another embedding model: collections whose second set of vectors is built, kept or dropped (store/sql/model.sql).
 *
 *   steady ─▶ building ─▶ (switch: in one step, over the feed) ─▶ kept ─▶ dropping ─▶ steady
 *                 └──────────── taken back ──────────────────────────────────┘
 *
 * A retriever says which model its embedder has, and gets a collection to work on, by a lease: documents that
 * lack the set, or news that none does. Its vectors stay there whatever becomes of it. A set that is not
 * needed any more is tidied up by the claims themselves, some documents at a time. A claim takes what there is
 * to do; rows are made and changed for the model that it names only where there is nothing, and something would change. */
#include "store/calls/calls.h"

#define QUESTIONS 30 /* that both models are compared on */

/* ---- claims: who gets what; then the work, or the end of it */

struct work {
    struct str tenant, collection, model, space; /* in the arena */
    int64_t dims, space_dims;
};

static void
work_reply(struct delivery *c, const struct work *w, struct model_claim_rep *rep)
{
    rep->tenant = w->tenant;
    rep->collection = w->collection;
    rep->model = w->model;
    rep->dims = w->dims;
    rep->space = w->space;
    rep->space_dims = w->space_dims;
    worker_reply(c, rep);
}

static void
on_end(struct tx *t)
{
    struct model_claim_rep rep = { .seq = col_i64(t, 1, 0, 0) };
    size_t n = tx_rows(t, 0);

    if (!(rep.questions.v = call_alloc(t->call, n + 1, sizeof *rep.questions.v)))
        return;
    for (; rep.questions.n < n; rep.questions.n++)
        rep.questions.v[rep.questions.n] = col_str(t, 0, rep.questions.n, 0);
    work_reply(t->call, t->arg, &rep);
}

static void
end_ask(struct delivery *c, struct work *w)
{
    struct tx *t = call_tx(c, on_end);

    t->arg = w;
    TX(t, MODEL_QUESTIONS, p_str(w->tenant), p_str(w->collection), p_i64(QUESTIONS));
    tx_add(t, SQL_FEED_HEAD, NULL, 0);
    tx_run(t);
}

static void
on_work(struct tx *t)
{
    struct delivery *c = t->call;
    const struct model_claim_req *r = c->req;
    struct model_claim_rep rep = { 0 };
    size_t n = tx_rows(t, 0);

    if (n == 0 && r->after.n == 0) {
        end_ask(c, t->arg);
        return;
    }
    if (!(rep.items.v = call_alloc(c, n + 1, sizeof *rep.items.v)))
        return;
    for (; rep.items.n < n && rep.items.n < MODEL_DOCUMENTS; rep.items.n++) {
        struct model_document *d = &rep.items.v[rep.items.n];

        d->document_id = col_id(t, 0, rep.items.n, 0);
        d->generation = col_i64(t, 0, rep.items.n, 1);
        d->from_ord = col_i64(t, 0, rep.items.n, 2);
        d->chunks = col_i64(t, 0, rep.items.n, 3);
        d->external_id = col_str(t, 0, rep.items.n, 4);
    }
    work_reply(c, t->arg, &rep);
}

static void
on_tidied(struct tx *t)
{
    struct model_claim_rep rep = { .tidying = true };

    work_reply(t->call, t->arg, &rep);
}

static void
on_tidy(struct tx *t)
{
    const struct model_claim_req *r = t->call->req;
    struct work *w = t->arg;
    struct tx *next;

    if (col_i64(t, 0, 0, 0) > 0) {
        on_tidied(t);
        return;
    }
    next = call_tx(t->call, on_tidied);
    next->arg = w;
    TX(next, MODEL_TIDIED, p_str(w->tenant), p_str(w->collection), p_str(r->worker));
    tx_run(next);
}

static struct work *
work_read(struct tx *t, int i)
{
    struct work *w = call_alloc(t->call, 1, sizeof *w);
    struct arena *a = t->call->arena;

    if (!w)
        return NULL;
    *w = (struct work){ .tenant = arena_str(a, col_str(t, i, 0, 0)),
                        .collection = arena_str(a, col_str(t, i, 0, 1)),
                        .space = arena_str(a, col_str(t, i, 0, 3)),
                        .space_dims = col_i64(t, i, 0, 4),
                        .model = arena_str(a, col_str(t, i, 0, 5)),
                        .dims = col_i64(t, i, 0, 6) };
    return w;
}

/* Statement i leased a collection. */
static void
work_on(struct tx *t, int i)
{
    struct delivery *c = t->call;
    const struct model_claim_req *r = c->req;
    struct work *w = work_read(t, i);
    struct tx *next;
    bool tidy;

    if (!w)
        return;
    tidy = str_is(col_str(t, i, 0, 2), "dropping");
    next = call_tx(c, tidy ? on_tidy : on_work);
    next->arg = w;
    if (tidy)
        TX(next, MODEL_TIDY, p_str(w->tenant), p_str(w->collection), p_str(w->space), p_i64(w->space_dims),
           p_i64(MODEL_DOCUMENTS));
    else
        TX(next, MODEL_WORK, p_str(w->tenant), p_str(w->collection), p_str(w->model), p_i64(w->dims),
           p_str(r->after.p ? r->after : STR("")), p_i64(r->limit > 0 ? r->limit : 1),
           p_i64(MODEL_DOCUMENTS));
    tx_run(next);
}

static void
lease_add(struct tx *t, const struct model_claim_req *r)
{
    TX(t, MODEL_LEASE, p_str(r->worker), p_i64(r->lease_ms), p_str(r->model), p_i64(r->dims),
       p_str(r->error));
}

static void
on_changed(struct tx *t)
{
    struct model_claim_rep none = { 0 };

    if (tx_rows(t, t->n - 1) > 0)
        work_on(t, t->n - 1);
    else
        worker_reply(t->call, &none);
}

/* Columns of MODEL_LOOK. */
enum look { LOOK_FIND, LOOK_FREE, LOOK_STOP, LOOK_BEGIN, LOOKS };

static void
on_lease(struct tx *t)
{
    const struct model_claim_req *r = t->call->req;
    struct model_claim_rep none = { 0 };
    bool wanted[LOOKS], any = false;
    struct tx *next;

    if (tx_rows(t, 0) > 0) {
        work_on(t, 0);
        return;
    }
    for (int i = 0; i < LOOKS; i++) {
        wanted[i] = t->n > 1 && col_flag(t, 1, 0, i);
        any = any || wanted[i];
    }
    if (!any) {
        worker_reply(t->call, &none);
        return;
    }
    next = call_tx(t->call, on_changed);
    if (wanted[LOOK_FIND])
        tx_add(next, SQL_MODEL_FIND, NULL, 0);
    if (wanted[LOOK_FREE])
        TX(next, MODEL_FREE, p_str(r->model), p_i64(r->dims));
    if (wanted[LOOK_STOP])
        TX(next, MODEL_STOP, p_str(r->model), p_i64(r->dims), p_i64(r->keep_days));
    if (wanted[LOOK_BEGIN] || wanted[LOOK_FIND]) /* what is found may be of another model */
        TX(next, MODEL_BEGIN, p_str(r->model), p_i64(r->dims));
    lease_add(next, r);
    tx_run(next);
}

void
model_claim(struct delivery *c)
{
    const struct model_claim_req *r = c->req;
    struct tx *t;

    if (r->dims < 1 || r->lease_ms < 100 || r->lease_ms > 600000) {
        worker_fail(c, ERR_VALIDATION, 0, "a model has dimensions, a lease is 100 to 600000 ms");
        return;
    }
    t = call_tx(c, on_lease);
    lease_add(t, r);
    if (r->after.n == 0) /* else it goes on where it was */
        TX(t, MODEL_LOOK, p_str(r->model), p_i64(r->dims), p_i64(r->keep_days));
    tx_run(t);
}

void
model_renew(struct delivery *c)
{
    const struct model_renew_req *r = c->req;
    struct tx *t = call_tx(c, ack_ok);

    TX(t, MODEL_RENEW, p_str(r->worker), p_i64(r->lease_ms), p_str(r->tenant), p_str(r->collection));
    tx_run(t);
}

/* ---- vectors */

struct
    columns { /* of all vectors: their documents, places, bytes; and of the parts: documents, generations, those that end */
    struct buf *document, *ord, *vector, *part, *generation, *last;
};

static bool
part_ok(const struct model_part *p, int64_t dims)
{
    return p->vectors.n > 0 && p->from_ord >= 0 && p->vectors.n % ((size_t)dims * sizeof(float)) == 0;
}

static void
columns_fill(const struct model_put_req *r, struct columns *k)
{
    size_t one = (size_t)r->dims * sizeof(float), n = 0, ends = 0;

    for (size_t i = 0; i < r->parts.n; i++) {
        n += r->parts.v[i].vectors.n / one;
        ends += r->parts.v[i].last;
    }
    array_begin(k->document, ARRAY_UUID, n);
    array_begin(k->ord, ARRAY_INT8, n);
    array_begin(k->vector, ARRAY_BYTEA, n);
    array_begin(k->part, ARRAY_UUID, r->parts.n);
    array_begin(k->generation, ARRAY_INT8, r->parts.n);
    array_begin(k->last, ARRAY_UUID, ends);
    for (size_t i = 0; i < r->parts.n; i++) {
        const struct model_part *p = &r->parts.v[i];

        array_add(k->part, p_id(&p->document_id));
        array_add(k->generation, p_i64(p->generation));
        if (p->last)
            array_add(k->last, p_id(&p->document_id));
        for (size_t at = 0; at * one < p->vectors.n; at++) {
            array_add(k->document, p_id(&p->document_id));
            array_add(k->ord, p_i64(p->from_ord + (int64_t)at));
            array_add(k->vector, p_str((struct str){ p->vectors.p + at * one, one }));
        }
    }
}

static void
on_put(struct tx *t)
{
    struct ack rep = { .count = col_i64(t, t->n - 1, 0, 0), .seq = col_i64(t, t->n - 1, 0, 1) };

    worker_reply(t->call, &rep);
}

void
model_put(struct delivery *c)
{
    const struct model_put_req *r = c->req;
    bool ok = r->dims > 0 && r->dims <= 4096 && r->parts.n > 0;
    struct columns k;
    struct param part, generation;
    struct tx *t;

    for (size_t i = 0; ok && i < r->parts.n; i++)
        ok = part_ok(&r->parts.v[i], r->dims);
    if (!ok) {
        worker_fail(c, ERR_VALIDATION, 0, "parts have whole vectors of dims float32s");
        return;
    }
    t = call_tx(c, on_put);
    k = (struct columns){ tx_buf(t), tx_buf(t), tx_buf(t), tx_buf(t), tx_buf(t), tx_buf(t) };
    columns_fill(r, &k);
    part = p_str(buf_slice(k.part));
    generation = p_str(buf_slice(k.generation));
    TX(t, MODEL_PUT_CHECK, p_str(r->worker), p_str(r->tenant), p_str(r->collection), p_str(r->model),
       p_i64(r->dims));
    TX(t, MODEL_PUT_CLEAR, part, generation, p_str(r->model), p_i64(r->dims));
    TX(t, MODEL_PUT, part, generation, p_str(r->model), p_str(r->tenant), p_str(r->collection),
       p_str(buf_slice(k.document)), p_str(buf_slice(k.ord)), p_str(buf_slice(k.vector)));
    TX(t, MODEL_PUT_WHOLE, part, generation, p_str(r->model), p_i64(r->dims), p_str(buf_slice(k.last)));
    tx_run(t);
}

/* ---- the switch, there and back */

void
model_switch(struct delivery *c)
{
    const struct model_switch_req *r = c->req;
    struct tx *t = call_tx(c, on_put);

    TX(t, MODEL_LOCK, p_str(r->tenant), p_str(r->collection));
    TX(t, MODEL_SWITCH, p_str(r->tenant), p_str(r->collection), p_str(r->worker),
       r->compared > 0 ? p_f64(r->overlap) : p_str(STR_NONE), p_i64(r->compared));
    tx_run(t);
}

static void
on_back(struct tx *t)
{
    if (col_i64(t, t->n - 1, 0, 0) == 0)
        worker_fail(t->call, ERR_CONFLICT, 0, "the collection has no other set of vectors to switch to");
    else
        on_put(t);
}

static void
on_drop(struct tx *t)
{
    struct ack rep = { .count = col_i64(t, t->n - 1, 0, 0) };

    if (rep.count == 0)
        worker_fail(t->call, ERR_CONFLICT, 0, "the collection keeps no old set of vectors");
    else
        worker_reply(t->call, &rep);
}

void
collection_model(struct delivery *c)
{
    const struct collection_model_req *r = c->req;
    struct str tenant = tenant_of(c);
    struct tx *t;

    if (!collection_ok(c, r->name))
        return;
    t = call_tx(c, r->drop ? on_drop : on_back);
    TX(t, MODEL_LOCK, p_str(tenant), p_str(r->name));
    if (r->drop)
        TX(t, MODEL_DROP, p_str(tenant), p_str(r->name));
    else
        TX(t, MODEL_BACK, p_str(tenant), p_str(r->name));
    tx_run(t);
}
