/* The pool when things go wrong: statements that fail, servers that go, hang, refuse or are not there. */
#include "poolkit.h"

static void
an_error_rolls_the_whole_pipeline_back_and_keeps_the_connection(void **state)
{
    struct pool *p = pool_of(pg.url, 1, 0);
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
    struct pool *p = pool_of(pg.url, 1, 0);
    static struct buf b[SQL_COUNT];
    const char *name;
    int before = 1 + migrate_count();

    (void)state;
    script(p, "drop table if exists cleanup_runs", 0, 60000);
    for (int n = 1; n < before; n++)
        script(p, migrate_sql(n, &name), 0, 60000);
    for (int i = 0; i < SQL_COUNT; i++) {
        b[i] = (struct buf){ 0 };
        buf_printf(&b[i], "PREPARE x_%d AS ", i);
        buf_z(&b[i], sqls[i].text);
        script(p, b[i].p, i, 60000);
    }
    until(SQL_COUNT + before);
    for (int i = 0; i < SQL_COUNT + before; i++)
        if (ended[i].err != ERR_OK)
            fail_msg("%s: %s %s", i < before ? "migration" : sqls[ended[i].id].name, err_name(ended[i].err), ended[i].sqlstate);
    for (int i = 0; i < SQL_COUNT; i++)
        buf_free(&b[i]);
    pool_free(&p);
}

static void
a_server_that_went_is_noticed_while_idle_and_waited_for(void **state)
{
    struct pool *p = pool_of(pg.url, 4, 0);

    (void)state;
    for (int i = 0; i < 4; i++)
        script(p, "select pg_sleep(0.02)", i, 5000);
    until(4);
    assert_in_range(pool_state(p).idle, 1, 4); /* on a busy machine one may serve two before the others are open */
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
    struct pool *p = pool_of("postgresql://nobody@127.0.0.1:1/none", 4, 4);
    int64_t begun = clock_ms();

    (void)state;
    for (int i = 0; i < 20; i++)
        script(p, "select 1", i, 5000);
    until(20);
    assert_in_range(clock_ms() - begun, 1000, 2100);
    begun = clock_ms();
    script(p, "select 1", 20, 5000);
    until(21);
    assert_true(clock_ms() - begun < 500);
    for (int i = 0; i < 21; i++)
        assert_int_equal(ended[i].err, ERR_STORE_DOWN);
    pool_free(&p);
}

static void
the_queue_of_waiters_is_bounded(void **state)
{
    struct pool *p = pool_of(pg.url, 1, 0);

    (void)state;
    for (int i = 0; i < 1100; i++)
        script(p, "select 1", i, 10000);
    assert_true(n_ended > 0 && ended[0].err == ERR_STORE_BUSY);
    until(1100);
    pool_free(&p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_rolls_the_whole_pipeline_back_and_keeps_the_connection),
        cmocka_unit_test(every_statement_is_valid_sql),
        cmocka_unit_test(a_server_that_went_is_noticed_while_idle_and_waited_for),
        cmocka_unit_test(without_a_server_requests_fail_in_time_and_later_ones_at_once),
        cmocka_unit_test(the_queue_of_waiters_is_bounded),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
