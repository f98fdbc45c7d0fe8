/* Postgres as the rest of the store sees it: transactions in, results out. Only conn.c, dial.c, result.c and url_check.c know libpq.
 *
 *   handler → tx_new → TX(…) TX(…) → tx_run → [waiters, FIFO] → [connection: one pipeline, one round trip] → done(tx)
 *
 * A pipeline without BEGIN is one transaction: it commits at its sync, or nothing of it happened. */
#ifndef STORE_POOL_POOL_H
#define STORE_POOL_POOL_H

#include "common/process/loop.h"
#include "common/process/stat.h"
#include "proto/worker.h"

enum sql_id {
#define SQL(id, params, scope, text) SQL_##id,
#include "store_sql.tbl"
#undef SQL
    SQL_COUNT
};
struct sql_desc {
    const char *name; /* also the name of the prepared statement */
    const char *text;
    int params;
    bool tenant; /* touches one tenant only */
};
extern const struct sql_desc sqls[SQL_COUNT];

/* One parameter, binary. Bytes are borrowed until the transaction ends. */
struct param {
    const char *p; /* NULL with n 0: SQL NULL; with n > 0: the bytes are in be */
    size_t n;      /* length */
    char be[16];   /* a number in network order, an id */
};
struct param p_str(struct str s); /* text or bytea; an absent slice is NULL */
struct param p_z(const char *z);
struct param p_id(const struct uuid *u); /* nil: NULL */
struct param p_i64(int64_t v);
struct param p_f64(double v);
struct param p_flag(bool v);
struct param p_time(int64_t wall_ms);   /* 0: NULL */
struct param p_raw_time(int64_t pg_us); /* microseconds since 2000-01-01, as col_raw_time gives them */
struct param p_strs(struct buf *b, const struct strs *s); /* text[], written to b; no entries: NULL */

/* Arrays in Postgres's binary form, one element after the other. */
enum array_type { ARRAY_BYTEA = 17, ARRAY_INT8 = 20, ARRAY_TEXT = 25, ARRAY_FLOAT8 = 701, ARRAY_UUID = 2950 };
void array_begin(struct buf *b, enum array_type t, size_t n);
void array_add(struct buf *b, struct param p); /* NULL elements as with p_str and p_id */

#define TX_STATEMENTS 12
#define TX_PARAMS 96
#define TX_BUFS 24
#define TX_TRIES 3
#define GROUP_MAX 16 /* transactions that share one */

struct tx;
struct pool;
struct conn;
typedef void (*tx_fn)(struct tx *t);

/* A unit of work. Owned by the pool from tx_run until done returns; then it is gone. */
struct tx {
    struct pool *pool;
    struct delivery *call;        /* answered by done; NULL for the store's own work */
    void *arg;                    /* the caller's */
    tx_fn done;                   /* success; failures too when there is no call or want_errors is set */
    bool impatient;               /* asked again and again: an error soon is better than a late answer */
    bool brief;                   /* each statement takes milliseconds: none sets a time for itself */
    bool want_errors;             /* done sees err instead of the call being failed */
    const char *script;           /* instead of statements: SQL text, run by itself */
    int64_t deadline_ms, wait_ms; /* clock_ms(); of all of it, and of waiting (0: the same) */
    bool groups;      /* may share a transaction with others of its like, see lanes.h; else runs alone */
    struct uuid lock; /* groups: the session whose row it takes first; a group takes them in this order */
    int n;            /* statements */
    struct {
        enum sql_id id;
        int at, n;
    } stmt[TX_STATEMENTS];
    int n_params;
    struct param param[TX_PARAMS];
    struct buf buf[TX_BUFS]; /* memory of arrays */
    int n_bufs;
    /* outcome */
    enum err err;
    int refused; /* code of refuse(…), or -1 */
    char sqlstate[6];
    void *result[TX_STATEMENTS]; /* conn.c's */
    /* the pool's */
    struct conn *conn;           /* where it runs; NULL while it waits */
    struct tx_list *in;          /* where it waits */
    struct tx *next, *prev;      /* there */
    struct tx *more;             /* the rest of its group, while it runs */
    bool lane;                   /* holds one of the lanes */
    uint64_t timer;              /* of the wait, then of the run */
    int64_t queued_us, begun_us; /* for statistics */
    int tries;                   /* how often it was begun */
    bool sent, unwanted;         /* a commit may have happened; cancelled: not begun again */
};

struct tx *tx_new(struct pool *p, struct delivery *c, tx_fn done); /* deadline of the call */
struct tx *tx_own(struct pool *p, int64_t timeout_ms, tx_fn done, void *arg);
int tx_add(struct tx *t, enum sql_id id, const struct param *params, size_t n); /* index of its result */
#define TX(t, id, ...) \
    tx_add((t), SQL_##id, (const struct param[]){ __VA_ARGS__ }, \
           sizeof((const struct param[]){ __VA_ARGS__ }) / sizeof(struct param))
struct buf *tx_buf(struct tx *t); /* memory that lives as long as the transaction */
void tx_run(struct tx *t);
void tx_end(struct tx *t);  /* the pool's: done, or the call failed; frees */
void tx_fail(struct tx *t); /* fail the call with t->err */
void tx_free(struct tx **t);
void tx_forget(struct tx *t); /* results dropped, ready to be begun again */
enum err tx_map(const char *sqlstate, int *refused);

/* Results: of statement i (as tx_add counted). Columns that are NULL or of another size read as absent or 0. */
size_t tx_rows(const struct tx *t, int i);
int64_t tx_touched(const struct tx *t, int i);                      /* rows inserted, updated or deleted */
struct str col_str(const struct tx *t, int i, size_t row, int col); /* borrowed until done returns */
int64_t col_i64(const struct tx *t, int i, size_t row, int col);
double col_f64(const struct tx *t, int i, size_t row, int col);
bool col_flag(const struct tx *t, int i, size_t row, int col);
struct uuid col_id(const struct tx *t, int i, size_t row, int col);
int64_t col_ms(const struct tx *t, int i, size_t row, int col); /* a time as wall-clock ms; NULL: 0 */
int64_t col_raw_time(const struct tx *t, int i, size_t row, int col);
struct strs col_strs(const struct tx *t, int i, size_t row, int col, struct arena *a); /* text[] */

/* SQLAlchemy's QueuePool in one thread. */
struct pool_config {
    const char *url, *schema; /* the URL as pg_url_read left it */
    long size, overflow;      /* kept; closed when nobody needs them any more */
    int64_t recycle_ms, timeout_ms;
    bool pre_ping;
    /* each transaction may meet another server connection (PgBouncer): nothing is kept there */
    bool unprepared;
};
struct pool_state {
    long active, idle, max, waiting;
    long overflow;           /* connections beyond the size that is kept */
    int64_t longest_wait_ms; /* of those that wait now */
    bool up, down;           /* neither: no connection was needed yet */
};

struct pool *pool_new(struct loop *l, const struct pool_config *cfg);
void pool_free(struct pool **p);
void pool_submit(struct pool *p, struct tx *t);
void pool_cancel(struct tx *t); /* while it waits; else it is not begun again when it is lost */
struct pool_state pool_state(const struct pool *p);

/* postgres://, postgresql+driver:// and ssl=… to what libpq takes; parameters that libpq lacks are dropped and named in
 * *dropped. False with *why set when it is no Postgres URL or conninfo. */
bool pg_url_read(const char *url, struct buf *out, struct buf *dropped, const char **why);

#endif
