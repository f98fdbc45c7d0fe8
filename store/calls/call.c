/* Shared by the handlers: the call's tenant, checks of what it brought, plain answers. */
#include <endian.h>
#include <jansson.h>

#include "common/text/json.h"
#include "store/calls/calls.h"

struct str
tenant_of(const struct delivery *c)
{
    return c->tenant && c->tenant[0] ? str_of(c->tenant) : STR("default");
}

struct tx *
call_tx(struct delivery *c, tx_fn done)
{
    return tx_new(store_of(c)->pool, c, done);
}

struct uuid
session_key(struct str tenant, struct str session)
{
    return uuid_named((const struct str[]){ STR("session"), tenant, session }, 3);
}

struct tx *
session_tx(struct delivery *c, struct str session, tx_fn done, struct owner *who)
{
    if (session.n != 32) {
        worker_fail(c, ERR_VALIDATION, 0, "the session is not a SHA-256");
        return NULL;
    }
    who->tenant = tenant_of(c);
    who->session = session_key(who->tenant, session);
    return call_tx(c, done);
}

bool
collection_ok(struct delivery *c, struct str name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    bool ok = name.n >= 1 && name.n <= 64;

    for (size_t i = 0; ok && i < name.n; i++)
        ok = memchr(allowed, name.p[i], sizeof allowed - 1) != NULL;
    if (!ok)
        worker_fail(c, ERR_VALIDATION, 0, "a collection's name has 1 to 64 of A-Z a-z 0-9 . _ -");
    return ok;
}

bool
metadata_ok(struct delivery *c, struct str json)
{
    enum json_fault fault;
    const char *detail;
    json_t *o;
    bool ok = true;

    if (!json.p || json.n == 0)
        return true;
    o = json_read(json, &fault, &detail);
    ok = json_is_object(o);
    json_decref(o);
    if (!ok)
        worker_fail(c, ERR_VALIDATION, 0, "metadata is not a JSON object");
    return ok;
}

#define CURSOR 24 /* bytes: time and id */

struct str
page_cursor(const struct tx *t, size_t row, int time, char out[PAGE_CURSOR])
{
    uint64_t at = htobe64((uint64_t)col_raw_time(t, 0, row, time));
    struct uuid id = col_id(t, 0, row, 0);
    uint8_t b[CURSOR];

    memcpy(b, &at, 8);
    memcpy(b + 8, id.b, 16);
    return str_of(hex_text(b, CURSOR, out));
}

bool
page_ok(struct delivery *c, int64_t page, int64_t limit, struct str cursor, struct page_from *from)
{
    uint8_t b[CURSOR];
    uint64_t at;

    *from = (struct page_from){ .time = INT64_MAX };
    memset(from->id.b, 0xff, sizeof from->id.b);
    bool known = !cursor.p || hex_parse(cursor, b, CURSOR);

    if (limit < 1 || limit > 200 || page < 0 || page > 100000 || !known) {
        worker_fail(c, ERR_VALIDATION, 0,
                    known ? "limit is 1 to 200, page 1 to 100000" : "cursor: is none of an earlier answer");
        return false;
    }
    from->skip = page > 1 && !cursor.p ? (page - 1) * limit : 0;
    if (cursor.p) {
        memcpy(&at, b, 8);
        from->time = (int64_t)be64toh(at);
        memcpy(from->id.b, b + 8, 16);
    }
    return true;
}

void *
page_items(struct tx *t, int i, size_t most, size_t size,
           size_t (*read)(struct tx *t, int i, size_t row, void *item), size_t *n, bool *more)
{
    size_t rows = tx_rows(t, i), bytes = 0;
    char *v = call_alloc(t->call, rows + 1, size);

    if (!v)
        return NULL;
    for (*n = 0; *n < rows && *n < most; ++*n) {
        bytes += read(t, i, *n, v + *n * size);
        if (bytes > PAGE_BYTES && *n > 0)
            break;
    }
    *more = *n < rows;
    return v;
}

void *
call_alloc(struct delivery *c, size_t n, size_t size)
{
    void *p = arena_alloc(c->arena, n * size);

    if (!p)
        worker_fail(c, ERR_BUSY, 1000, NULL);
    return p;
}

void
ack_one(struct tx *t)
{
    if (tx_touched(t, 0) == 0)
        worker_fail(t->call, ERR_NOT_FOUND, 0, NULL);
    else
        ack_touched(t);
}

void
ack_touched(struct tx *t)
{
    struct ack rep = { .count = tx_touched(t, 0) };

    worker_reply(t->call, &rep);
}

void
ack_ok(struct tx *t)
{
    struct ack rep = { .count = 1 };

    worker_reply(t->call, &rep);
}
