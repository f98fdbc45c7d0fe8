/* The audit trail: written by the gateway for each call that it is kept of, read by a tenant's admins, newest first. Rows go
 * after AUDIT_RETENTION_DAYS (clean.sql). */
#include "store/calls/calls.h"

void
audit_add(struct delivery *c)
{
    const struct audit *r = c->req;
    struct tx *t = call_tx(c, ack_ok);

    TX(t, AUDIT_ADD, p_id(&r->id), p_str(tenant_of(c)), p_str(r->actor), p_str(r->action), p_str(r->target),
       p_str(r->address), p_i64(r->status), p_str(r->request_id), p_i64(store_of(c)->opt->audit_days));
    tx_run(t);
}

static size_t
read_row(struct tx *t, int i, size_t row, void *item)
{
    struct audit *a = item;

    *a = (struct audit){ .id = col_id(t, i, row, 0),
                         .at_ms = col_ms(t, i, row, 1),
                         .actor = col_str(t, i, row, 2),
                         .action = col_str(t, i, row, 3),
                         .target = col_str(t, i, row, 4),
                         .address = col_str(t, i, row, 5),
                         .status = col_i64(t, i, row, 6),
                         .request_id = col_str(t, i, row, 7) };
    return a->actor.n + a->action.n + a->target.n + a->address.n + a->request_id.n + 256;
}

static void
on_list(struct tx *t)
{
    const struct audit_list_req *r = t->call->req;
    struct audit_rep rep = { 0 };
    char cursor[PAGE_CURSOR];

    rep.items.v = page_items(t, 0, (size_t)r->limit, sizeof *rep.items.v, read_row, &rep.items.n,
                             &rep.has_more);
    if (!rep.items.v)
        return;
    if (rep.has_more)
        rep.next_cursor = page_cursor(t, rep.items.n - 1, 1, cursor);
    worker_reply(t->call, &rep);
}

void
audit_list(struct delivery *c)
{
    const struct audit_list_req *r = c->req;
    struct page_from from;
    struct tx *t;

    if (!page_ok(c, r->page, r->limit, r->cursor, &from))
        return;
    t = call_tx(c, on_list);
    TX(t, AUDIT_LIST, p_str(tenant_of(c)), p_raw_time(from.time), p_id(&from.id), p_i64(r->limit + 1),
       p_i64(from.skip));
    tx_run(t);
}
