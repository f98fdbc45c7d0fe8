/* Shared by the tests of the pool: a private Postgres, one loop, transactions whose ends are
 * noted in order. */
#ifndef TESTS_UNIT_STORE_POOLKIT_H
#define TESTS_UNIT_STORE_POOLKIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "common/clock.h"
#include "pgkit.h"
#include "store/pool/conn.h"
#include "store/stat.h"
#include "store/store.h"

static struct pgkit pg;
static struct loop *loop;

/* The transactions that ended, in order. */
static struct {
    enum err err;
    int id;
    int64_t value;
    char sqlstate[6];
    size_t rows;
} ended[4096];
static int n_ended, wanted;
static bool timed_out;

/* A script gives text: the number in its first column; a statement gives its second one. */
static int64_t
value_of(const struct tx *t)
{
    struct str s = col_str(t, 0, 0, 0);
    int64_t v = 0;

    if (!t->script)
        return col_i64(t, 0, 0, 1);
    for (size_t i = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
        v = v * 10 + (s.p[i] - '0');
    return v;
}

static void
on_end(struct tx *t)
{
    ended[n_ended].err = t->err;
    ended[n_ended].id = (int)(intptr_t)t->arg;
    ended[n_ended].rows = tx_rows(t, 0);
    ended[n_ended].value = value_of(t);
    memcpy(ended[n_ended++].sqlstate, t->sqlstate, 6);
    if (n_ended == wanted)
        loop_stop(loop);
}

static void
on_limit(void *arg)
{
    (void)arg;
    timed_out = true;
    loop_stop(loop);
}

/* Turns the loop until n transactions ended. */
static void
until(int n)
{
    uint64_t limit = loop_after(loop, 15000, on_limit, NULL);

    wanted = n;
    timed_out = false;
    while (n_ended < n && !timed_out) /* it may have been stopped by one that ended before */
        loop_run(loop);
    loop_cancel(loop, &limit);
    assert_false(timed_out);
}

static struct pool_config
config(const char *url, long size, long overflow)
{
    return (struct pool_config){ .url = url,
                                 .schema = "public",
                                 .size = size,
                                 .overflow = overflow,
                                 .recycle_ms = 3600000,
                                 .timeout_ms = 30000,
                                 .pre_ping = true };
}

static struct pool *
pool_with(struct pool_config cfg)
{
    n_ended = 0;
    return pool_new(loop, &cfg);
}

static struct pool *
pool_of(const char *url, long size, long overflow)
{
    return pool_with(config(url, size, overflow));
}

static void
script(struct pool *p, const char *sql, int id, int64_t timeout_ms)
{
    struct tx *t = tx_own(p, timeout_ms, on_end, (void *)(intptr_t)id);

    t->script = sql;
    tx_run(t);
}

static __attribute__((unused)) double
closed(enum conn_close why)
{
    return stat_value(&store_stats, STAT_POOL_CLOSED, (size_t)why, 0);
}

static __attribute__((unused)) double
stat_of(int id)
{
    return stat_value(&store_stats, id, 0, 0);
}

/* One script, and what its first column says. */
static __attribute__((unused)) int64_t
ask(struct pool *p, const char *sql)
{
    script(p, sql, n_ended, 5000);
    until(n_ended + 1);
    assert_int_equal(ended[n_ended - 1].err, ERR_OK);
    return ended[n_ended - 1].value;
}

static void
on_pause(void *arg)
{
    (void)arg;
    loop_stop(loop);
}

/* Turns the loop for so long. */
static __attribute__((unused)) void
turn_for(int64_t ms)
{
    loop_after(loop, ms, on_pause, NULL);
    loop_run(loop);
}

/* Turns the loop until nothing is open beyond the pool's size. */
static __attribute__((unused)) void
until_overflow_is_closed(struct pool *p)
{
    while (pool_state(p).overflow > 0)
        turn_for(20);
}

/* Fills the pool with n idle connections; backend[i]: their processes, the one used last at the end. */
static __attribute__((unused)) void
fill(struct pool *p, int n, int64_t *backend)
{
    int first = n_ended;

    for (int i = 0; i < n; i++) {
        static char sql[8][80];

        snprintf(sql[i % 8], sizeof sql[0], "select pg_backend_pid() from pg_sleep(%d.%02d)", i / 10,
                 5 + 8 * i);
        script(p, sql[i % 8], i, 5000);
    }
    until(first + n);
    for (int i = 0; i < n; i++)
        backend[i] = ended[first + i].value;
    assert_int_equal(pool_state(p).idle, n);
}

static int
setup(void **state)
{
    (void)state;
    pgkit_init(&pg);
    stats_init();
    loop = loop_new();
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    loop_free(&loop);
    stat_fini();
    pgkit_fini(&pg);
    return 0;
}

#endif
