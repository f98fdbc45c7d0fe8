/* API keys: SHA-256 of the key only. A tenant's admin writes and lists its own. Gateways follow all of them by number:
 * key.changes is each key's last change after a number, revocations among them; key.get is one key, for a gateway that has
 * not read all of them yet. Migration 0008's triggers give the numbers, whoever writes. */
#include <endian.h>

#include "store/store.h"

#define REPLY_BYTES 900000   /* the reply's limit is 1 MB */
#define PAGE 1000            /* the most that a reply may hold */
#define CURSOR 40            /* bytes: time and hash of the last one seen */

static size_t
strs_bytes(const struct strs *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++)
        n += s->v[i].n + 8;
    return n;
}

/* Columns as KEY_COLS names them. Returns about how much room the key takes in a reply. */
static size_t
read_key(struct tx *t, int i, size_t row, struct api_key *k)
{
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
    return 256 + k->label.n + k->tenant.n + strs_bytes(&k->scopes) + strs_bytes(&k->collections) + strs_bytes(&k->origins);
}

/* ---- for people */

static int64_t
rows_asked(const struct key_list_req *r)
{
    return r->limit > 0 && r->limit < PAGE ? r->limit : PAGE;
}

static void
on_list(struct tx *t)
{
    struct call *c = t->call;
    size_t n = tx_rows(t, 0), bytes = 0, most = (size_t)rows_asked(c->req);
    struct key_list_rep rep = { 0 };
    char cursor[2 * CURSOR + 1];
    uint8_t at[CURSOR];
    uint64_t time;

    if (!(rep.items.v = call_alloc(c, n + 1, sizeof *rep.items.v)))
        return;
    while (rep.items.n < n && rep.items.n < most) {
        bytes += read_key(t, 0, rep.items.n, &rep.items.v[rep.items.n]);
        if (bytes > REPLY_BYTES && rep.items.n > 0)
            break;
        rep.items.n++;
    }
    rep.has_more = rep.items.n < n;
    if (rep.has_more) {
        time = htobe64((uint64_t)col_raw_time(t, 0, rep.items.n - 1, 8));
        memcpy(at, &time, 8);
        memcpy(at + 8, rep.items.v[rep.items.n - 1].hash.p, 32);
        rep.next_cursor = str_of(hex_text(at, CURSOR, cursor));
    }
    worker_reply(c, &rep);
}

void
key_list(struct call *c)
{
    const struct key_list_req *r = c->req;
    int64_t time = INT64_MIN, skip = r->page > 1 && !r->cursor.p ? (r->page - 1) * rows_asked(r) : 0;
    struct str hash = STR("");
    uint8_t at[CURSOR];
    uint64_t be;
    struct tx *t;

    bool known = !r->cursor.p || hex_parse(r->cursor, at, CURSOR);

    if (r->limit < 0 || r->page < 0 || r->page > 100000 || !known) {
        worker_fail(c, ERR_VALIDATION, 0, known ? "limit is 1 to 1000, page 1 to 100000" : "cursor: is none of an earlier answer");
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
    TX(t, KEY_LIST, p_str(r->tenant), p_strs(tx_buf(t), &r->collections), p_raw_time(time), p_str(buf_slice(&t->buf[0])),
       p_i64(rows_asked(r) + 1), p_i64(skip));
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
key_put(struct call *c)
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
       p_strs(tx_buf(t), &r->collections), p_strs(tx_buf(t), &r->origins), p_i64(r->per_minute), p_i64(r->per_hour),
       p_time(r->expires_ms));
    tx_add(t, SQL_KEY_HEAD, NULL, 0);
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
key_delete(struct call *c)
{
    const struct key_ref *r = c->req;
    struct tx *t = call_tx(c, on_deleted);

    TX(t, KEY_DELETE, p_str(r->hash), p_str(r->tenant), p_strs(tx_buf(t), &r->collections));
    tx_add(t, SQL_KEY_HEAD, NULL, 0);
    tx_run(t);
}

/* ---- for gateways */

static void
on_changes(struct tx *t)
{
    struct call *c = t->call;
    size_t n = tx_rows(t, 1), bytes = 0;
    struct key_changes_rep rep = { .seq = col_i64(t, 0, 0, 0) };

    if (!(rep.items.v = call_alloc(c, n + 1, sizeof *rep.items.v)))
        return;
    while (rep.items.n < n && rep.items.n < PAGE) {
        struct api_key *k = &rep.items.v[rep.items.n];

        bytes += read_key(t, 1, rep.items.n, k);
        if (bytes > REPLY_BYTES && rep.items.n > 0)
            break;
        k->gone = !k->tenant.p;
        if (k->gone)
            k->tenant = STR("");
        rep.items.n++;
    }
    rep.has_more = rep.items.n < n;
    if (rep.items.n > 0 && (rep.has_more || rep.items.v[rep.items.n - 1].seq > rep.seq))
        rep.seq = rep.items.v[rep.items.n - 1].seq;
    worker_reply(c, &rep);
}

void
key_changes(struct call *c)
{
    const struct key_changes_req *r = c->req;
    struct tx *t = call_tx(c, on_changes);

    t->impatient = true;
    tx_add(t, SQL_KEY_HEAD, NULL, 0); /* before the rows, so that it never promises a change that they lack */
    TX(t, KEY_CHANGES, p_i64(r->after), p_i64(PAGE + 1));
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
key_get(struct call *c)
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
