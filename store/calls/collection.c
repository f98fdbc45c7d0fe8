/* Collections: their settings, their counts, and their end: every document of a deleted collection gets its own
 * 'delete' in the change feed, then the collection itself. */
#include "store/calls/calls.h"

#define PAGE 1000 /* the most that a reply may hold */

static size_t
read_row(struct tx *t, int i, size_t row, void *item)
{
    struct collection *k = item;

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
    k->language = col_str(t, i, row, 11);
    k->space = col_str(t, i, row, 12);
    k->space_dims = col_i64(t, i, row, 13);
    k->space_seq = col_i64(t, i, row, 14);
    k->space_state = col_str(t, i, row, 15);
    k->other = col_str(t, i, row, 16);
    k->other_dims = col_i64(t, i, row, 17);
    k->overlap = col_f64(t, i, row, 18);
    k->compared = col_i64(t, i, row, 19);
    k->space_error = col_str(t, i, row, 20);
    k->space_since_ms = col_ms(t, i, row, 21);
    k->space_held = col_flag(t, i, row, 22);
    k->other_chunks = col_i64(t, i, row, 23);
    k->cache_scope = col_str(t, i, row, 24);
    return k->name.n + k->prompt.n + k->refusal.n + k->model.n + k->space.n + k->other.n + k->space_error.n +
           256;
}

static int64_t
rows_asked(const struct collection_list_req *r)
{
    return r->limit > 0 && r->limit < PAGE ? r->limit : PAGE;
}

/* Of the last statement: at most `most` rows, as many as there is room for. */
static void
reply_rows(struct tx *t, size_t most)
{
    struct collection_rep rep = { 0 };

    rep.items.v = page_items(t, t->n - 1, most, sizeof *rep.items.v, read_row, &rep.items.n, &rep.has_more);
    if (!rep.items.v)
        return;
    if (rep.has_more)
        rep.next_cursor = rep.items.v[rep.items.n - 1].name;
    worker_reply(t->call, &rep);
}

static void
on_list(struct tx *t)
{
    reply_rows(t, (size_t)rows_asked(t->call->req));
}

static void
on_put(struct tx *t)
{
    if (room_left(t))
        reply_rows(t, 1);
}

static void
add_one(struct tx *t, struct str tenant, struct str name)
{
    TX(t, COLLECTION_LIST, p_str(tenant), p_str(name), p_str(STR_NONE), p_z(""), p_i64(1), p_i64(0));
}

void
room_collection(struct tx *t, struct str tenant, struct str name)
{
    TX(t, COLLECTION_NEW, p_str(tenant), p_str(name));
    TX(t, COLLECTION_ROOM, p_str(tenant), p_str(name), p_i64(store_of(t->call)->opt->max_collections));
}

void
collection_put(struct delivery *c)
{
    const struct collection *r = c->req;
    struct str tenant = tenant_of(c);
    struct tx *t;

    if (!collection_ok(c, r->name))
        return;
    t = call_tx(c, on_put);
    t->want_errors = true;
    room_collection(t, tenant, r->name);
    TX(t, COLLECTION_PUT, p_str(tenant), p_str(r->name), p_str(r->prompt), p_str(r->refusal), p_str(r->model),
       p_i64(r->top_k), p_f64(r->threshold), p_i64(r->retention_days), p_str(r->language),
       p_str(r->cache_scope));
    TX(t, COLLECTION_AGAIN, p_str(tenant), p_str(r->name));
    add_one(t, tenant, r->name);
    tx_run(t);
}

void
collection_list(struct delivery *c)
{
    const struct collection_list_req *r = c->req;
    int64_t skip = r->page > 1 && !r->cursor.p ? (r->page - 1) * rows_asked(r) : 0;
    struct tx *t;

    if (r->limit < 0 || r->page < 0 || r->page > 100000) {
        worker_fail(c, ERR_VALIDATION, 0, "limit is 1 to 1000, page 1 to 100000");
        return;
    }
    t = call_tx(c, on_list);
    if (r->name.p) {
        TX(t, COLLECTION_CHECK, p_str(tenant_of(c)), p_str(r->name));
        add_one(t, tenant_of(c), r->name);
    } else {
        TX(t, COLLECTION_LIST, p_str(tenant_of(c)), p_str(STR_NONE), p_strs(tx_buf(t), &r->names),
           p_str(r->cursor.p ? r->cursor : STR("")), p_i64(rows_asked(r) + 1), p_i64(skip));
    }
    tx_run(t);
}

static void
on_get(struct tx *t)
{
    struct collection k = { 0 };

    if (tx_rows(t, 0) == 0) {
        worker_fail(t->call, ERR_NOT_FOUND, 0, NULL);
        return;
    }
    read_row(t, 0, 0, &k);
    worker_reply(t->call, &k);
}

void
collection_get(struct delivery *c)
{
    const struct collection_ref *r = c->req;
    struct tx *t = call_tx(c, on_get);

    TX(t, COLLECTION_GET, p_str(tenant_of(c)), p_str(r->name));
    tx_run(t);
}

static void
on_deleted(struct tx *t)
{
    struct ack rep = { .seq = col_i64(t, t->n - 1, 0, 0), .count = col_i64(t, t->n - 1, 0, 1) };

    worker_reply(t->call, &rep);
}

void
collection_delete(struct delivery *c)
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
    TX(t, COLLECTION_MODELS, p_str(tenant), p_str(r->name));
    TX(t, COLLECTION_DELETE, p_str(tenant), p_str(r->name));
    tx_run(t);
}
