/* API keys: SHA-256 of the key only. Gateways read all of them every few seconds; a tenant's admin writes its own. */
#include "store/store.h"

static void
on_list(struct tx *t)
{
    struct call *c = t->call;
    size_t n = tx_rows(t, 0);
    struct key_list_rep rep = { 0 };

    if (!(rep.items.v = call_alloc(c, n + 1, sizeof *rep.items.v)))
        return;
    for (size_t row = 0; row < n; row++) {
        struct api_key *k = &rep.items.v[rep.items.n++];

        k->hash = col_str(t, 0, row, 0);
        k->label = col_str(t, 0, row, 1);
        k->tenant = col_str(t, 0, row, 2);
        k->scopes = col_strs(t, 0, row, 3, c->arena);
        k->collections = col_strs(t, 0, row, 4, c->arena);
        k->origins = col_strs(t, 0, row, 5, c->arena);
        k->per_minute = col_i64(t, 0, row, 6);
        k->per_hour = col_i64(t, 0, row, 7);
        k->created_ms = col_ms(t, 0, row, 8);
        k->expires_ms = col_ms(t, 0, row, 9);
    }
    worker_reply(c, &rep);
}

void
key_list(struct call *c)
{
    const struct key_list_req *r = c->req;
    struct tx *t = call_tx(c, on_list);

    TX(t, KEY_LIST, p_str(r->tenant));
    tx_run(t);
}

static void
on_put(struct tx *t)
{
    if (tx_touched(t, 0) == 0)
        worker_fail(t->call, ERR_CONFLICT, 0, "another tenant has this key");
    else
        ack_touched(t);
}

void
key_put(struct call *c)
{
    const struct api_key *r = c->req;
    struct tx *t;

    if (r->hash.n != 32 || r->scopes.n == 0) {
        worker_fail(c, ERR_VALIDATION, 0, "a key has a SHA-256 and at least one scope");
        return;
    }
    t = call_tx(c, on_put);
    TX(t, KEY_PUT, p_str(r->hash), p_str(r->tenant), p_str(r->label), p_strs(tx_buf(t), &r->scopes),
       p_strs(tx_buf(t), &r->collections), p_strs(tx_buf(t), &r->origins), p_i64(r->per_minute), p_i64(r->per_hour),
       p_time(r->expires_ms));
    tx_run(t);
}

void
key_delete(struct call *c)
{
    const struct key_ref *r = c->req;
    struct tx *t = call_tx(c, ack_one);

    TX(t, KEY_DELETE, p_str(r->hash), p_str(r->tenant));
    tx_run(t);
}
