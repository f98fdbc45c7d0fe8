/* Group commit (store/pool/lanes.c): transactions of one kind that come together share pipelines and connections, and yet each
 * ends by itself. */
#include "poolkit.h"

#include "store/pool/lanes.h"

/* Notes its number in a table of its own; what: the job that is marked, NULL: a statement whose table is not there. */
static struct tx *
mark(struct pool *p, const char *what, int id, int64_t timeout_ms)
{
    struct tx *t = tx_own(p, timeout_ms, on_end, (void *)(intptr_t)id);

    t->groups = true;
    t->lock.b[15] = (uint8_t)(200 - id);
    if (what)
        TX(t, CLEAN_MARK, p_z(what));
    else
        tx_add(t, SQL_FEED_HEAD, NULL, 0);
    tx_run(t);
    return t;
}

static struct pool *
pool_ready(long size)
{
    struct pool *p = pool_of(pg.url, size, 0);

    script(
        p,
        "drop table if exists cleanup_runs; create table cleanup_runs (job text primary key, last_run timestamptz)",
        0, 5000);
    until(1);
    assert_int_equal(ended[0].err, ERR_OK);
    memset(ended, 0, sizeof ended);
    n_ended = 0;
    return p;
}

static const char *
name_of(int i)
{
    static char names[256][8];

    snprintf(names[i], sizeof names[0], "job%d", i);
    return names[i];
}

static void
many_at_once_take_few_lanes_and_all_are_answered(void **state)
{
    struct pool *p = pool_ready(10);

    (void)state;
    for (int i = 0; i < 100; i++)
        mark(p, name_of(i), i, 5000);
    assert_true(pool_state(p).active <= LANES);
    assert_in_range(pool_state(p).waiting, 100 - LANES, 100);
    until(100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(ended[i].err, ERR_OK);
    assert_int_equal(ask(p, "select count(*) from cleanup_runs"), 100);
    pool_free(&p);
}

static void
a_group_is_one_transaction(void **state)
{
    struct pool *p = pool_ready(10);

    (void)state;
    for (int i = 0; i < LANES + GROUP_MAX * LANES; i++)
        mark(p, name_of(i), i, 5000);
    until(LANES + GROUP_MAX * LANES);
    /* the first of each lane went alone, the others in groups: full ones, unless the machine was slow */
    assert_in_range(ask(p, "select count(distinct xmin::text) from cleanup_runs"), 2, GROUP_MAX);
    pool_free(&p);
}

static void
one_that_fails_fails_alone_and_the_others_are_done(void **state)
{
    struct pool *p = pool_ready(10);

    (void)state;
    for (int i = 0; i < 60; i++)
        mark(p, i % 7 == 3 ? NULL : name_of(i), i, 5000);
    until(60);
    for (int i = 0; i < 60; i++)
        assert_int_equal(ended[i].err, ended[i].id % 7 == 3 ? ERR_INTERNAL : ERR_OK);
    assert_int_equal(ask(p, "select count(*) from cleanup_runs"), 60 - 9);
    pool_free(&p);
}

static void
one_whose_time_is_over_while_it_is_held_leaves_the_others(void **state)
{
    struct pool *p = pool_ready(1);

    (void)state;
    script(p, "select pg_sleep(0.3)", 250, 5000);
    for (int i = 0; i < 30; i++)
        mark(p, name_of(i), i, i == 20 ? 50 : 5000);
    until(31);
    for (int i = 0; i < 31; i++)
        assert_int_equal(ended[i].err, ended[i].id == 20 ? ERR_STORE_BUSY : ERR_OK);
    assert_int_equal(ask(p, "select count(*) from cleanup_runs"), 29);
    pool_free(&p);
}

static void
one_that_is_held_is_cancelled_and_the_rest_goes_on(void **state)
{
    struct pool *p = pool_ready(10);
    struct tx *t[30];

    (void)state;
    for (int i = 0; i < 30; i++)
        t[i] = mark(p, name_of(i), i, 5000);
    pool_cancel(t[25]);
    pool_cancel(t[0]); /* it waits for its connection, or runs: then it is not heard */
    until(30);
    for (int i = 0; i < 30; i++)
        if (ended[i].id != 0)
            assert_int_equal(ended[i].err, ended[i].id == 25 ? ERR_CANCELLED : ERR_OK);
    pool_free(&p);
}

static void
lanes_that_hang_on_a_lock_do_not_hold_the_others(void **state)
{
    struct pool *p = pool_ready(10);

    (void)state;
    script(p, "insert into cleanup_runs values ('job0', now()); select pg_sleep(2)", 250, 9000);
    turn_for(100);
    for (int i = 0; i < LANES; i++)
        mark(p, "job0", i, 9000); /* wait for the script's commit */
    for (int i = LANES; i < 20; i++)
        mark(p, name_of(i), i, 5000);
    until(20 - LANES);
    for (int i = 0; i < 20 - LANES; i++)
        assert_true(ended[i].id >= LANES && ended[i].id != 250); /* while the lock is held */
    until(21);
    for (int i = 0; i < 21; i++)
        assert_int_equal(ended[i].err,
                         ended[i].id < LANES ? ERR_STORE_BUSY : ERR_OK); /* lock_timeout is 500 ms */
    pool_free(&p);
}

static void
a_group_whose_connection_is_lost_is_run_again(void **state)
{
    struct pool *p = pool_ready(10);

    (void)state;
    script(p, "begin; insert into cleanup_runs values ('job5', now()); select pg_sleep(0.3); rollback", 250,
           5000);
    turn_for(100);
    for (int i = 0; i < 20; i++)
        mark(p, name_of(i), i, 5000); /* the group of job5 waits */
    turn_for(50);
    script(p, "select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock'", 251,
           5000);
    until(22);
    for (int i = 0; i < 22; i++)
        assert_int_equal(ended[i].err, ERR_OK);
    assert_int_equal(ask(p, "select count(*) from cleanup_runs"), 20);
    pool_free(&p);
}

static void
a_pool_that_ends_answers_those_that_are_held(void **state)
{
    struct pool *p = pool_ready(10);

    (void)state;
    for (int i = 0; i < 40; i++)
        mark(p, name_of(i), i, 5000);
    pool_free(&p);
    assert_int_equal(n_ended, 40);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_at_once_take_few_lanes_and_all_are_answered),
        cmocka_unit_test(a_group_is_one_transaction),
        cmocka_unit_test(one_that_fails_fails_alone_and_the_others_are_done),
        cmocka_unit_test(one_whose_time_is_over_while_it_is_held_leaves_the_others),
        cmocka_unit_test(one_that_is_held_is_cancelled_and_the_rest_goes_on),
        cmocka_unit_test(lanes_that_hang_on_a_lock_do_not_hold_the_others),
        cmocka_unit_test(a_group_whose_connection_is_lost_is_run_again),
        cmocka_unit_test(a_pool_that_ends_answers_those_that_are_held),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
