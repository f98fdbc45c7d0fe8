/* The pool against a private Postgres: one loop, transactions of its own, no bus. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "common/clock.h"
#include "pgkit.h"
#include "store/conn.h"
#include "store/stats.h"
#include "store/store.h"

static struct pgkit pg;
static struct loop *loop;

/* What ended, in order. */
static struct { enum err err; int id; int64_t value; char sqlstate[6]; size_t rows; } ended[4096];
static int n_ended, wanted;
static bool timed_out;

static void
on_end(struct tx *t)
{
    ended[n_ended].err = t->err;
    ended[n_ended].id = (int)(intptr_t)t->arg;
    ended[n_ended].rows = tx_rows(t, 0);
    ended[n_ended].value = t->script ? 0 : col_i64(t, 0, 0, 1);
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
    if (n_ended < n)
        loop_run(loop);
    loop_cancel(loop, &limit);
    assert_false(timed_out);
}

static struct pool *
pool_of(const char *url, long size, long overflow, int64_t recycle_ms)
{
    struct pool_config cfg = { .url = url, .schema = "public", .size = size, .overflow = overflow,
                               .recycle_ms = recycle_ms, .timeout_ms = 30000, .pre_ping = true };

    n_ended = 0;
    return pool_new(loop, &cfg);
}

static void
script(struct pool *p, const char *sql, int id, int64_t timeout_ms)
{
    struct tx *t = tx_own(p, timeout_ms, on_end, (void *)(intptr_t)id);

    t->script = sql;
    tx_run(t);
}

static double
closed(enum conn_close why)
{
    return stat_value(&store_stats, STAT_POOL_CLOSED, (size_t)why, 0);
}

static void
nothing_is_opened_before_it_is_needed(void **state)
{
    struct pool *p = pool_of(pg.url, 2, 2, 3600000);

    (void)state;
    assert_int_equal(pool_state(p).active + pool_state(p).idle, 0);
    script(p, "select 1", 1, 5000);
    until(1);
    assert_int_equal(ended[0].err, ERR_OK);
    assert_int_equal(pool_state(p).idle, 1);
    pool_free(&p);
}

static void
size_is_kept_and_overflow_is_closed(void **state)
{
    struct pool *p = pool_of(pg.url, 2, 2, 3600000);
    double before = closed(CLOSE_OVERFLOW);

    (void)state;
    for (int i = 0; i < 10; i++)
        script(p, "select pg_sleep(0.05)", i, 5000);
    assert_int_equal(pool_state(p).active, 4);
    until(10);
    assert_int_equal(pool_state(p).idle, 2);
    assert_true(closed(CLOSE_OVERFLOW) == before + 2);
    pool_free(&p);
}

static void
waiters_are_served_first_come_first_served(void **state)
{
    struct pool *p = pool_of(pg.url, 1, 0, 3600000);

    (void)state;
    for (int i = 0; i < 200; i++)
        script(p, "select 1", i, 5000);
    assert_int_equal(pool_state(p).active, 1);
    until(200);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(ended[i].id, i);
        assert_int_equal(ended[i].err, ERR_OK);
    }
    pool_free(&p);
}

static void
a_waiter_gives_up_when_its_time_is_over(void **state)
{
    struct pool *p = pool_of(pg.url, 1, 0, 3600000);
    int64_t begun;

    (void)state;
    script(p, "select 1", 0, 5000);
    until(1);
    begun = clock_ms();
    script(p, "select pg_sleep(0.5)", 1, 5000);
    script(p, "select 1", 2, 100);
    until(2);
    assert_int_equal(ended[1].id, 2);
    assert_int_equal(ended[1].err, ERR_STORE_BUSY);
    assert_in_range(clock_ms() - begun, 90, 300);
    until(3);
    assert_int_equal(ended[2].err, ERR_OK);
    pool_free(&p);
}

static void
an_old_connection_is_replaced_at_checkout(void **state)
{
    struct pool *p = pool_of(pg.url, 1, 0, 1);
    double before = closed(CLOSE_AGE);

    (void)state;
    for (int i = 0; i < 3; i++) {
        script(p, "select pg_sleep(0.01)", i, 5000);
        until(i + 1);
    }
    assert_true(closed(CLOSE_AGE) == before + 2);
    pool_free(&p);
}

static void
an_error_rolls_the_whole_pipeline_back_and_keeps_the_connection(void **state)
{
    struct pool *p = pool_of(pg.url, 1, 0, 3600000);
    struct tx *t;
    double opened;

    (void)state;
    script(p, "create table if not exists cleanup_runs (job text primary key, last_run timestamptz)", 0, 5000);
    until(1);
    opened = stat_value(&store_stats, STAT_POOL_OPENED, 0, 0);
    t = tx_own(p, 5000, on_end, NULL);
    TX(t, CLEAN_MARK, p_z("x"));
    tx_add(t, SQL_FEED_HEAD, NULL, 0); /* its table is not there */
    tx_run(t);
    until(2);
    assert_string_equal(ended[1].sqlstate, "42P01");
    assert_int_equal(ended[1].err, ERR_INTERNAL);
    t = tx_own(p, 5000, on_end, NULL);
    TX(t, CLEAN_INFO, p_z("x"), p_z("cleanup_runs"));
    tx_run(t);
    until(3);
    assert_int_equal(ended[2].err, ERR_OK);
    assert_int_equal(ended[2].value, 0);
    assert_true(stat_value(&store_stats, STAT_POOL_OPENED, 0, 0) == opened);
    pool_free(&p);
}

static void
every_statement_is_valid_sql(void **state)
{
    struct pool *p = pool_of(pg.url, 1, 0, 3600000);
    struct buf b[SQL_COUNT];
    const char *name;
    int before = 1 + migrate_count();

    (void)state;
    script(p, "drop table if exists cleanup_runs", 0, 5000);
    for (int n = 1; n < before; n++)
        script(p, migrate_sql(n, &name), 0, 5000);
    for (int i = 0; i < SQL_COUNT; i++) {
        b[i] = (struct buf){ 0 };
        buf_printf(&b[i], "PREPARE x_%d AS ", i);
        buf_z(&b[i], sqls[i].text);
        script(p, b[i].p, i, 5000);
    }
    until(SQL_COUNT + before);
    for (int i = 0; i < SQL_COUNT + before; i++)
        if (ended[i].err != ERR_OK)
            fail_msg("%s: %s", i < before ? "migration" : sqls[ended[i].id].name, ended[i].sqlstate);
    for (int i = 0; i < SQL_COUNT; i++)
        buf_free(&b[i]);
    pool_free(&p);
}

static void
a_server_that_went_is_noticed_while_idle_and_waited_for(void **state)
{
    struct pool *p = pool_of(pg.url, 4, 0, 3600000);

    (void)state;
    for (int i = 0; i < 4; i++)
        script(p, "select pg_sleep(0.02)", i, 5000);
    until(4);
    assert_int_equal(pool_state(p).idle, 4);
    pgkit_stop(&pg, SIGINT);
    pgkit_start(&pg);
    for (int i = 4; i < 40; i++)
        script(p, "select 1", i, 5000);
    until(40);
    for (int i = 4; i < 40; i++)
        assert_int_equal(ended[i].err, ERR_OK);
    pool_free(&p);
}

static void
without_a_server_requests_fail_in_time_and_later_ones_at_once(void **state)
{
    struct pool *p = pool_of("postgresql://nobody@127.0.0.1:1/none", 4, 4, 3600000);
    int64_t begun = clock_ms();

    (void)state;
    for (int i = 0; i < 20; i++)
        script(p, "select 1", i, 5000);
    until(20);
    assert_in_range(clock_ms() - begun, 1000, 2100);
    begun = clock_ms();
    script(p, "select 1", 20, 5000);
    until(21);
    assert_true(clock_ms() - begun < 50);
    for (int i = 0; i < 21; i++)
        assert_int_equal(ended[i].err, ERR_STORE_DOWN);
    pool_free(&p);
}

static void
the_queue_of_waiters_is_bounded(void **state)
{
    struct pool *p = pool_of(pg.url, 1, 0, 3600000);

    (void)state;
    for (int i = 0; i < 1100; i++)
        script(p, "select 1", i, 10000);
    assert_true(n_ended > 0 && ended[0].err == ERR_STORE_BUSY);
    until(1100);
    pool_free(&p);
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_opened_before_it_is_needed),
        cmocka_unit_test(size_is_kept_and_overflow_is_closed),
        cmocka_unit_test(waiters_are_served_first_come_first_served),
        cmocka_unit_test(a_waiter_gives_up_when_its_time_is_over),
        cmocka_unit_test(an_old_connection_is_replaced_at_checkout),
        cmocka_unit_test(an_error_rolls_the_whole_pipeline_back_and_keeps_the_connection),
        cmocka_unit_test(every_statement_is_valid_sql),
        cmocka_unit_test(a_server_that_went_is_noticed_while_idle_and_waited_for),
        cmocka_unit_test(without_a_server_requests_fail_in_time_and_later_ones_at_once),
        cmocka_unit_test(the_queue_of_waiters_is_bounded),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
