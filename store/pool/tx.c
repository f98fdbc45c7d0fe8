/* Transactions: their statements and parameters, what an SQLSTATE means, and how they end. Knows no libpq. */
#include <assert.h>
#include <endian.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"
#include "store/pool/pool.h"
#include "store/stat.h"

#define ANSWER_MS 100 /* before the hub gives an attempt up */

const struct sql_desc sqls[SQL_COUNT] = {
#define TENANT true
#define SHARED false
#define SQL(id, params, scope, text) { #id, text, params, scope },
#include "store_sql.tbl"
#undef SQL
#undef TENANT
#undef SHARED
};

enum tx_class { /* of a failed transaction */
#define CLASS(id, label) CLASS_##id,
#include "store/pool/class.tbl"
#undef CLASS
};

/* SQLSTATE prefix, error, class. First match counts. */
static const struct {
    const char *state;
    enum err err;
    enum tx_class class;
} states[] = {
    { "57014", ERR_DEADLINE, CLASS_TIMEOUT },   { "55P03", ERR_STORE_BUSY, CLASS_LOCK },
    { "53100", ERR_STORE_FULL, CLASS_FULL },    { "53", ERR_STORE_BUSY, CLASS_FULL },
    { "40", ERR_STORE_BUSY, CLASS_LOCK },       { "57P", ERR_STORE_DOWN, CLASS_CONNECTION },
    { "08", ERR_STORE_DOWN, CLASS_CONNECTION }, { "25006", ERR_STORE_DOWN, CLASS_CONNECTION },
    { "23", ERR_CONFLICT, CLASS_CONFLICT },     { "22", ERR_VALIDATION, CLASS_DATA },
    { "", ERR_INTERNAL, CLASS_OTHER },
};

enum err
tx_map(const char *sqlstate, int *refused)
{
    size_t i = 0;

    *refused = -1;
    if (strncmp(sqlstate, "FN", 2) == 0 && strlen(sqlstate) == 5) {
        *refused = (sqlstate[2] - '0') * 100 + (sqlstate[3] - '0') * 10 + (sqlstate[4] - '0');
        stat_add_at(&store_stats, STAT_STORE_ERRORS, CLASS_REFUSED, 0, 1);
        return *refused > 0 && err_known(*refused) ? (enum err) * refused : ERR_CONFLICT;
    }
    while (strncmp(sqlstate, states[i].state, strlen(states[i].state)) != 0)
        i++;
    stat_add_at(&store_stats, STAT_STORE_ERRORS, (size_t)states[i].class, 0, 1);
    return states[i].err;
}

/* ---- parameters */

struct param
p_str(struct str s)
{
    return (struct param){ .p = s.p, .n = s.p ? s.n : 0 };
}

struct param
p_z(const char *z)
{
    return p_str(str_of(z));
}

struct param
p_id(const struct uuid *u)
{
    struct param p = { .n = sizeof u->b };

    if (uuid_is_nil(u))
        return p_str(STR_NONE);
    memcpy(p.be, u->b, sizeof u->b);
    return p;
}

struct param
p_i64(int64_t v)
{
    struct param p = { .n = 8 };
    uint64_t be = htobe64((uint64_t)v);

    memcpy(p.be, &be, sizeof be);
    return p;
}

struct param
p_f64(double v)
{
    int64_t bits;

    memcpy(&bits, &v, sizeof bits);
    return p_i64(bits);
}

struct param
p_flag(bool v)
{
    return (struct param){ .n = 1, .be = { v } };
}

struct param
p_raw_time(int64_t pg_us)
{
    return p_i64(pg_us);
}

static void
add_be32(struct buf *b, uint32_t v)
{
    uint32_t be = htobe32(v);

    buf_add(b, &be, sizeof be);
}

void
array_begin(struct buf *b, enum array_type t, size_t n)
{
    add_be32(b, n ? 1 : 0);
    add_be32(b, 0);
    add_be32(b, (uint32_t)t);
    if (n) {
        add_be32(b, (uint32_t)n);
        add_be32(b, 1);
    }
}

void
array_add(struct buf *b, struct param p)
{
    if (!p.p && p.n == 0) {
        add_be32(b, UINT32_MAX);
        return;
    }
    add_be32(b, (uint32_t)p.n);
    buf_add(b, p.p ? p.p : p.be, p.n);
}

struct param
p_strs(struct buf *b, const struct strs *s)
{
    if (s->n == 0)
        return p_str(STR_NONE);
    array_begin(b, ARRAY_TEXT, s->n);
    for (size_t i = 0; i < s->n; i++)
        array_add(b, p_str(s->v[i].p ? s->v[i] : STR("")));
    return p_str(buf_slice(b));
}

/* ---- life */

struct tx *
tx_new(struct pool *p, struct delivery *c, tx_fn done)
{
    struct tx *t = mem_new(sizeof *t);

    t->pool = p;
    t->call = c;
    t->done = done;
    t->refused = -1;
    t->deadline_ms = c ? c->deadline_ms : 0;
    t->wait_ms = c ? clock_ms() + kinds[c->kind].attempt_ms - ANSWER_MS : 0;
    return t;
}

struct tx *
tx_own(struct pool *p, int64_t timeout_ms, tx_fn done, void *arg)
{
    struct tx *t = tx_new(p, NULL, done);

    t->arg = arg;
    t->want_errors = true;
    t->deadline_ms = clock_ms() + timeout_ms;
    return t;
}

int
tx_add(struct tx *t, enum sql_id id, const struct param *params, size_t n)
{
    assert(t->n < TX_STATEMENTS && t->n_params + (int)n <= TX_PARAMS && (int)n == sqls[id].params);
    t->stmt[t->n].id = id;
    t->stmt[t->n].at = t->n_params;
    t->stmt[t->n].n = (int)n;
    if (n > 0)
        memcpy(t->param + t->n_params, params, n * sizeof *params);
    t->n_params += (int)n;
    return t->n++;
}

struct buf *
tx_buf(struct tx *t)
{
    assert(t->n_bufs < TX_BUFS);
    return &t->buf[t->n_bufs++];
}

static void
on_cancel(struct delivery *c)
{
    pool_cancel(c->user);
}

void
tx_run(struct tx *t)
{
    if (t->call) {
        t->call->user = t;
        t->call->on_cancel = on_cancel;
    }
    pool_submit(t->pool, t);
}

void
tx_fail(struct tx *t)
{
    bool away = t->err == ERR_STORE_DOWN || t->err == ERR_STORE_IN_DOUBT;

    worker_fail(t->call, t->err,
                away                                                    ? 2000
                : t->err == ERR_STORE_BUSY || t->err == ERR_IN_PROGRESS ? 1000
                                                                        : 0,
                away ? "the database cannot be reached" : NULL);
}

void
tx_end(struct tx *t)
{
    if (t->call)
        t->call->on_cancel = NULL;
    if (t->err == ERR_OK || t->want_errors)
        t->done(t);
    else if (t->call)
        tx_fail(t);
    tx_free(&t);
}
