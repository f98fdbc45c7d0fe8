/* The pool when things go wrong: statements that fail, servers that go, hang, refuse or are not there. */
#include "poolkit.h"

/* of INDEX_ENGINE=pgvector, beside the migrated ones: all but those of vectors, which alone need the extension */
static const char index_tables[] =
#include "pgvector_tables.inc"
    ;

static void
an_error_rolls_the_whole_pipeline_back_and_keeps_the_connection(void **state)
{
    struct pool *p = pool_of(pg.url, 1, 0);
    struct tx *t;
    double opened;

    (void)state;
    script(p, "create table if not exists cleanup_runs (job text primary key, last_run timestamptz)", 0,
           5000);
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
    int before = 1;

    (void)state;
    script(p, "drop table if exists cleanup_runs", 0, 60000);
    for (int n = 1; n <= migrate_newest(); n++)
        if (migrate_sql(n, &name)) {
            script(p, migrate_sql(n, &name), 0, 60000);
            before++;
        }
    script(p, index_tables, 0, 60000);
    before++;
    for (int i = 0; i < SQL_COUNT; i++) {
        b[i] = (struct buf){ 0 };
        buf_printf(&b[i], "PREPARE x_%d AS ", i);
        buf_z(&b[i], sqls[i].text);
        script(p, b[i].p, i, 60000);
    }
    until(SQL_COUNT + before);
    for (int i = 0; i < SQL_COUNT + before; i++)
        if (ended[i].err != ERR_OK)
            fail_msg("%s: %s %s", i < before ? "migration" : sqls[ended[i].id].name, err_name(ended[i].err),
                     ended[i].sqlstate);
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
    assert_in_range(pool_state(p).idle, 1,
                    4); /* on a busy machine one may serve two before the others are open */
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

/* Its backend is ended while it runs. */
static enum err
end_of_a_lost_one(struct pool *p, bool cancelled)
{
    struct tx *t = tx_own(p, 5000, on_end, NULL);
    int first = n_ended;

    t->script = "select pg_sleep(0.7)";
    tx_run(t);
    while (!t->conn)
        turn_for(10);
    turn_for(100); /* it is under way */
    if (cancelled)
        pool_cancel(t);
    script(
        p,
        "select pg_terminate_backend(pid) from pg_stat_activity where query = 'select pg_sleep(0.7)' and state = 'active'",
        1, 5000);
    until(first + 2);
    return ended[first].id == 0 ? ended[first].err : ended[first + 1].err;
}

static void
a_lost_transaction_is_begun_again_unless_it_was_cancelled(void **state)
{
    struct pool *p = pool_of(pg.url, 2, 0);
    double again = stat_of(STAT_STORE_RETRIES);

    (void)state;
    assert_int_equal(end_of_a_lost_one(p, false), ERR_OK);
    assert_true(stat_of(STAT_STORE_RETRIES) > again);
    again = stat_of(STAT_STORE_RETRIES);
    assert_int_equal(end_of_a_lost_one(p, true), ERR_STORE_IN_DOUBT);
    assert_true(stat_of(STAT_STORE_RETRIES) == again);
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
        cmocka_unit_test(a_lost_transaction_is_begun_again_unless_it_was_cancelled),
        cmocka_unit_test(the_queue_of_waiters_is_bounded),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
