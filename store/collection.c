/* Collections: their settings, their counts, and their end: every document of a deleted collection gets its own
 * 'delete' in the change feed, then the collection itself. */
#include "common/log.h"
#include "store/store.h"

#define REPLY_BYTES 950000

static void
on_list(struct tx *t)
{
    struct call *c = t->call;
    int i = t->n - 1;
    size_t n = tx_rows(t, i), bytes = 0;
    struct collection_rep rep = { 0 };

    if (!(rep.items.v = call_alloc(c, n + 1, sizeof *rep.items.v)))
        return;
    for (size_t row = 0; row < n; row++) {
        struct collection *k = &rep.items.v[row];

        k->name = col_str(t, i, row, 0);
        k->prompt = col_str(t, i, row, 1);
        k->refusal = col_str(t, i, row, 2);
        k->model = col_str(t, i, row, 3);
        k->top_k = col_i64(t, i, row, 4);
        k->threshold = col_f64(t, i, row, 5);
        k->retention_days = col_i64(t, i, row, 6);
        k->documents = col_i64(t, i, row, 7);
        k->chunks = col_i64(t, i, row, 8);
        k->epoch = col_i64(t, i, row, 9);
        k->created_ms = col_ms(t, i, row, 10);
        bytes += k->name.n + k->prompt.n + k->refusal.n + k->model.n + 256;
        if (bytes > REPLY_BYTES) {
            LOG(WARN, c->trace, M("list of collections was cut: too many bytes"), KI("shown", row), KI("all", n));
            break;
        }
        rep.items.n++;
    }
    worker_reply(c, &rep);
}

void
collection_put(struct call *c)
{
    const struct collection *r = c->req;
    struct str tenant = tenant_of(c);
    struct tx *t;

    if (!collection_ok(c, r->name))
        return;
    t = call_tx(c, on_list);
    TX(t, COLLECTION_PUT, p_str(tenant), p_str(r->name), p_str(r->prompt), p_str(r->refusal), p_str(r->model),
       p_i64(r->top_k), p_f64(r->threshold), p_i64(r->retention_days));
    TX(t, COLLECTION_LIST, p_str(tenant), p_str(r->name));
    tx_run(t);
}

void
collection_list(struct call *c)
{
    const struct collection_list_req *r = c->req;
    struct tx *t = call_tx(c, on_list);

    if (r->name.p)
        TX(t, COLLECTION_CHECK, p_str(tenant_of(c)), p_str(r->name));
    TX(t, COLLECTION_LIST, p_str(tenant_of(c)), p_str(r->name));
    tx_run(t);
}

static void
on_deleted(struct tx *t)
{
    struct ack rep = { .seq = col_i64(t, t->n - 1, 0, 0), .count = col_i64(t, t->n - 1, 0, 1) };

    worker_reply(t->call, &rep);
}

void
collection_delete(struct call *c)
{
    const struct collection_list_req *r = c->req;
    struct str tenant = tenant_of(c);
    struct tx *t;

    if (!collection_ok(c, r->name))
        return;
    t = call_tx(c, on_deleted);
    TX(t, COLLECTION_CHECK, p_str(tenant), p_str(r->name));
    TX(t, COLLECTION_LOCK, p_str(tenant), p_str(r->name));
    TX(t, COLLECTION_JOBS, p_str(tenant), p_str(r->name));
    TX(t, COLLECTION_CHUNKS, p_str(tenant), p_str(r->name));
    TX(t, COLLECTION_DELETE, p_str(tenant), p_str(r->name));
    tx_run(t);
}
