/* The audit trail: written by the gateway for each call that it is kept of, read by a tenant's admins, newest first. Rows go
 * after AUDIT_RETENTION_DAYS (clean.sql). */
#include "store/store.h"

#define REPLY_BYTES 900000   /* the reply's limit is 1 MB */

void
audit_add(struct call *c)
{
    const struct audit *r = c->req;
    struct tx *t = call_tx(c, ack_ok);

    TX(t, AUDIT_ADD, p_id(&r->id), p_str(tenant_of(c)), p_str(r->actor), p_str(r->action), p_str(r->target),
       p_str(r->address), p_i64(r->status), p_str(r->request_id), p_i64(store_of(c)->opt->audit_days));
    tx_run(t);
}

static void
on_list(struct tx *t)
{
    struct call *c = t->call;
    const struct audit_list_req *r = c->req;
    size_t rows = tx_rows(t, 0), bytes = 0;
    struct audit_rep rep = { 0 };
    char cursor[PAGE_CURSOR];

    if (!(rep.items.v = call_alloc(c, rows + 1, sizeof *rep.items.v)))
        return;
    while (rep.items.n < rows && (int64_t)rep.items.n < r->limit) {
        size_t row = rep.items.n;
        struct audit *a = &rep.items.v[row];

        *a = (struct audit){ .id = col_id(t, 0, row, 0), .at_ms = col_ms(t, 0, row, 1), .actor = col_str(t, 0, row, 2),
                             .action = col_str(t, 0, row, 3), .target = col_str(t, 0, row, 4), .address = col_str(t, 0, row, 5),
                             .status = col_i64(t, 0, row, 6), .request_id = col_str(t, 0, row, 7) };
        bytes += a->actor.n + a->action.n + a->target.n + a->address.n + a->request_id.n + 256;
        if (bytes > REPLY_BYTES && rep.items.n > 0)
            break;
        rep.items.n++;
    }
    rep.has_more = rep.items.n < rows;
    if (rep.has_more) {
        page_cursor(col_raw_time(t, 0, rep.items.n - 1, 1), &rep.items.v[rep.items.n - 1].id, cursor);
        rep.next_cursor = str_of(cursor);
    }
    worker_reply(c, &rep);
}

void
audit_list(struct call *c)
{
    const struct audit_list_req *r = c->req;
    struct page_from from;
    struct tx *t;

    if (!page_ok(c, r->page, r->limit, r->cursor, &from))
        return;
    t = call_tx(c, on_list);
    TX(t, AUDIT_LIST, p_str(tenant_of(c)), p_raw_time(from.time), p_id(&from.id), p_i64(r->limit + 1), p_i64(from.skip));
    tx_run(t);
}
