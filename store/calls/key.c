/* API keys: SHA-256 of the key only. A tenant's admin writes and lists its own. Gateways follow all of them by number:
 * key.changes is each key's last change after a number, revocations among them; key.used are the keys that a gateway let in
 * for the first time on a day; key.get is one key, for a gateway that has not read all of them yet. Migration 0008's triggers
 * give the numbers, whoever writes. */
#include <endian.h>

#include "store/calls/calls.h"

#define PAGE 1000 /* the most that a reply may hold */
#define CURSOR 40 /* bytes: time and hash of the last one seen */

static size_t
strs_bytes(const struct strs *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++)
        n += s->v[i].n + 8;
    return n;
}

/* Columns as `key_cols` (store/sql/key.sql) names them. Returns about how much room the key takes in a reply. */
static size_t
read_key(struct tx *t, int i, size_t row, void *item)
{
    struct api_key *k = item;
    struct arena *a = t->call->arena;

    k->hash = col_str(t, i, row, 0);
    k->label = col_str(t, i, row, 1);
    k->tenant = col_str(t, i, row, 2);
    k->scopes = col_strs(t, i, row, 3, a);
    k->collections = col_strs(t, i, row, 4, a);
    k->origins = col_strs(t, i, row, 5, a);
    k->per_minute = col_i64(t, i, row, 6);
    k->per_hour = col_i64(t, i, row, 7);
    k->created_ms = col_ms(t, i, row, 8);
    k->expires_ms = col_ms(t, i, row, 9);
    k->seq = col_i64(t, i, row, 10);
    k->replaced_by = col_str(t, i, row, 11);
    k->limits = col_str(t, i, row, 12);
    k->per_day = col_i64(t, i, row, 13);
    k->tokens_per_day = col_i64(t, i, row, 14);
    k->nanos_per_day = col_i64(t, i, row, 15);
    return 256 + k->label.n + k->tenant.n + strs_bytes(&k->scopes) + strs_bytes(&k->collections) +
           strs_bytes(&k->origins);
}

/* ---- for people */

/* With the day of its last use and what is used of its budget today behind the columns. */
static size_t
read_listed(struct tx *t, int i, size_t row, void *item)
{
    struct api_key *k = item;
    size_t bytes = read_key(t, i, row, k);

    k->used_ms = col_ms(t, i, row, 16);
    k->tokens_today = col_i64(t, i, row, 17);
    k->nanos_today = col_i64(t, i, row, 18);
    return bytes;
}

static int64_t
rows_asked(const struct key_list_req *r)
{
    return r->limit > 0 && r->limit < PAGE ? r->limit : PAGE;
}

static void
on_list(struct tx *t)
{
    const struct key_list_req *r = t->call->req;
    struct key_list_rep rep = { 0 };
    char cursor[2 * CURSOR + 1];
    uint8_t at[CURSOR];
    uint64_t time;

    rep.items.v = page_items(t, 0, (size_t)rows_asked(r), sizeof *rep.items.v,
                             r->tenant.p ? read_listed : read_key, &rep.items.n, &rep.has_more);
    if (!rep.items.v)
        return;
    if (rep.has_more) {
        time = htobe64((uint64_t)col_raw_time(t, 0, rep.items.n - 1, 8));
        memcpy(at, &time, 8);
        memcpy(at + 8, rep.items.v[rep.items.n - 1].hash.p, 32);
        rep.next_cursor = str_of(hex_text(at, CURSOR, cursor));
    }
    worker_reply(t->call, &rep);
}

void
key_list(struct delivery *c)
{
    const struct key_list_req *r = c->req;
    int64_t time = INT64_MIN, skip = r->page > 1 && !r->cursor.p ? (r->page - 1) * rows_asked(r) : 0;
    struct str hash = STR("");
    uint8_t at[CURSOR];
    uint64_t be;
    struct tx *t;

    bool known = !r->cursor.p || hex_parse(r->cursor, at, CURSOR);

    if (r->limit < 0 || r->page < 0 || r->page > 100000 || !known) {
        worker_fail(c, ERR_VALIDATION, 0,
                    known ? "limit is 1 to 1000, page 1 to 100000" : "cursor: is none of an earlier answer");
        return;
    }
    if (r->cursor.p) {
        memcpy(&be, at, 8);
        time = (int64_t)be64toh(be);
        hash = (struct str){ (const char *)at + 8, 32 };
    }
    t = call_tx(c, on_list);
    if (!r->tenant.p) {
        tx_add(t, SQL_KEY_LIST_ALL, NULL, 0);
        tx_run(t);
        return;
    }
    buf_str(tx_buf(t), hash); /* lives as long as the transaction */
    TX(t, KEY_LIST, p_str(r->tenant), p_strs(tx_buf(t), &r->collections), p_raw_time(time),
       p_str(buf_slice(&t->buf[0])), p_i64(rows_asked(r) + 1), p_i64(skip));
    tx_run(t);
}

static void
on_put(struct tx *t)
{
    struct ack rep = { .count = 1, .seq = t->err ? 0 : col_i64(t, 3, 0, 0) };

    if (!room_left(t))
        return;
    if (tx_touched(t, 2) == 0)
        worker_fail(t->call, ERR_CONFLICT, 0, "another tenant has this key");
    else
        worker_reply(t->call, &rep);
}

void
key_put(struct delivery *c)
{
    const struct api_key *r = c->req;
    struct tx *t;

    if (r->hash.n != 32 || r->scopes.n == 0) {
        worker_fail(c, ERR_VALIDATION, 0, "a key has a SHA-256 and at least one scope");
        return;
    }
    t = call_tx(c, on_put);
    t->want_errors = true;
    TX(t, KEY_LOCK, p_str(r->tenant));
    TX(t, KEY_ROOM, p_str(r->tenant), p_str(r->hash), p_i64(store_of(c)->opt->max_keys));
    TX(t, KEY_PUT, p_str(r->hash), p_str(r->tenant), p_str(r->label), p_strs(tx_buf(t), &r->scopes),
       p_strs(tx_buf(t), &r->collections), p_strs(tx_buf(t), &r->origins), p_i64(r->per_minute),
       p_i64(r->per_hour), p_time(r->expires_ms), p_i64(r->per_day), p_i64(r->tokens_per_day),
       p_i64(r->nanos_per_day));
    tx_add(t, SQL_KEY_HEAD, NULL, 0);
    tx_run(t);
}

static void
on_limits(struct tx *t)
{
    struct api_key k = { 0 };
    struct key_list_rep rep = { .items = { &k, 1 } };

    if (tx_rows(t, 1) == 0) {
        worker_fail(t->call, ERR_NOT_FOUND, 0, NULL);
    } else if (tx_touched(t, 0) == 0) {
        worker_fail(t->call, ERR_CONFLICT, 0, "this key was changed meanwhile");
    } else {
        read_key(t, 1, 0, &k);
        worker_reply(t->call, &rep);
    }
}

void
key_limits(struct delivery *c)
{
    const struct key_limits_req *r = c->req;
    struct tx *t = call_tx(c, on_limits);

    TX(t, KEY_LIMITS, p_str(r->hash), p_str(r->tenant), p_i64(r->seq), p_str(r->label), p_i64(r->per_minute),
       p_i64(r->per_hour), p_i64(r->per_day), p_i64(r->tokens_per_day), p_i64(r->nanos_per_day));
    TX(t, KEY_GET, p_str(r->hash));
    tx_run(t);
}

/* The successor, then the key that it replaces. */
static void
on_rotated(struct tx *t)
{
    struct api_key k[2] = { 0 };
    struct key_list_rep rep = { .items = { k, 2 } };

    if (!room_left(t))
        return;
    if (tx_rows(t, 5) == 0)
        worker_fail(t->call, ERR_NOT_FOUND, 0, NULL);
    else if (tx_touched(t, 2) == 0 || tx_rows(t, 4) == 0)
        worker_fail(t->call, ERR_CONFLICT, 0, "this key has been replaced already, or is over");
    else {
        read_key(t, 4, 0, &k[0]);
        read_key(t, 5, 0, &k[1]);
        worker_reply(t->call, &rep);
    }
}

void
key_rotate(struct delivery *c)
{
    const struct key_rotate_req *r = c->req;
    struct tx *t;

    if (r->hash.n != 32 || r->next.n != 32 || str_eq(r->hash, r->next) || r->old_ends_ms <= 0) {
        worker_fail(c, ERR_VALIDATION, 0, "a key and its successor have a SHA-256 each, and the key an end");
        return;
    }
    t = call_tx(c, on_rotated);
    t->want_errors = true;
    TX(t, KEY_LOCK, p_str(r->tenant));
    TX(t, KEY_ROOM, p_str(r->tenant), p_str(r->next), p_i64(store_of(c)->opt->max_keys));
    TX(t, KEY_REPLACE, p_str(r->hash), p_str(r->tenant), p_str(r->next), p_time(r->old_ends_ms));
    TX(t, KEY_SUCCEED, p_str(r->hash), p_str(r->tenant), p_str(r->next), p_time(r->expires_ms));
    TX(t, KEY_GET, p_str(r->next));
    TX(t, KEY_GET, p_str(r->hash));
    tx_run(t);
}

static void
on_deleted(struct tx *t)
{
    struct ack rep = { .count = tx_touched(t, 0), .seq = col_i64(t, 1, 0, 0) };

    if (rep.count == 0)
        worker_fail(t->call, ERR_NOT_FOUND, 0, NULL);
    else
        worker_reply(t->call, &rep);
}

void
key_delete(struct delivery *c)
{
    const struct key_ref *r = c->req;
    struct tx *t = call_tx(c, on_deleted);

    TX(t, KEY_DELETE, p_str(r->hash), p_str(r->tenant), p_strs(tx_buf(t), &r->collections));
    tx_add(t, SQL_KEY_HEAD, NULL, 0);
    tx_run(t);
}

/* ---- for gateways */

static size_t
read_change(struct tx *t, int i, size_t row, void *item)
{
    struct api_key *k = item;
    size_t bytes = read_key(t, i, row, k);

    k->gone = !k->tenant.p;
    if (k->gone)
        k->tenant = STR("");
    return bytes;
}

static void
on_changes(struct tx *t)
{
    struct key_changes_rep rep = { .seq = col_i64(t, 0, 0, 0) };

    rep.items.v = page_items(t, 1, PAGE, sizeof *rep.items.v, read_change, &rep.items.n, &rep.has_more);
    if (!rep.items.v)
        return;
    if (rep.items.n > 0 && (rep.has_more || rep.items.v[rep.items.n - 1].seq > rep.seq))
        rep.seq = rep.items.v[rep.items.n - 1].seq;
    worker_reply(t->call, &rep);
}

void
key_changes(struct delivery *c)
{
    const struct key_changes_req *r = c->req;
    struct tx *t = call_tx(c, on_changes);

    t->impatient = true;
    tx_add(t, SQL_KEY_HEAD, NULL, 0); /* before the rows, so that it never promises a change that they lack */
    TX(t, KEY_CHANGES, p_i64(r->after), p_i64(PAGE + 1));
    tx_run(t);
}

void
key_used(struct delivery *c)
{
    const struct key_used_req *r = c->req;
    struct tx *t = call_tx(c, ack_ok);
    struct buf *b = tx_buf(t);

    array_begin(b, ARRAY_BYTEA, r->keys.n);
    for (size_t i = 0; i < r->keys.n; i++)
        array_add(b, p_str(r->keys.v[i].hash));
    TX(t, KEY_USED, p_str(buf_slice(b)), p_time(r->day_ms));
    tx_run(t);
}

static void
on_get(struct tx *t)
{
    struct api_key k = { 0 };
    struct key_list_rep rep = { .items = { &k, tx_rows(t, 0) > 0 } };

    if (rep.items.n > 0)
        read_key(t, 0, 0, &k);
    worker_reply(t->call, &rep);
}

void
key_get(struct delivery *c)
{
    const struct key_get_req *r = c->req;
    struct tx *t = call_tx(c, on_get);

    t->impatient = true;
    if (r->origin.p)
        TX(t, KEY_ORIGIN, p_str(r->origin));
    else
        TX(t, KEY_GET, p_str(r->hash));
    tx_run(t);
}
