/* The ten rules of QueuePool (store/pool/pool.c), a test or more for each, against a private Postgres. */
#include "poolkit.h"

static void
nothing_is_opened_before_it_is_needed(void **state)
{
    struct pool *p = pool_of(pg.url, 2, 2);

    (void)state;
    assert_int_equal(pool_state(p).active + pool_state(p).idle, 0);
    script(p, "select 1", 1, 5000);
    until(1);
    assert_int_equal(ended[0].err, ERR_OK);
    assert_int_equal(pool_state(p).idle, 1);
    pool_free(&p);
}

static void
size_is_kept_and_overflow_is_closed_when_unused(void **state)
{
    struct pool *p = pool_of(pg.url, 2, 2);
    double before = closed(CLOSE_OVERFLOW);

    (void)state;
    for (int i = 0; i < 10; i++)
        script(p, "select pg_sleep(0.05)", i, 5000);
    assert_int_equal(pool_state(p).active, 4);
    assert_int_equal(pool_state(p).overflow, 2);
    assert_int_equal(pool_state(p).waiting, 10);
    until(10);
    until_overflow_is_closed(p);
    assert_int_equal(pool_state(p).idle, 2);
    assert_true(closed(CLOSE_OVERFLOW) == before + 2);
    pool_free(&p);
}

static void
overflow_that_is_needed_again_is_not_opened_anew(void **state)
{
    struct pool *p = pool_of(pg.url, 1, 2);
    double before = stat_of(STAT_POOL_OPENED);

    (void)state;
    for (int burst = 0; burst < 5; burst++) {
        for (int i = 0; i < 3; i++)
            script(p, "select pg_sleep(0.05)", i, 5000);
        until(3 * (burst + 1));
        turn_for(150);
    }
    assert_true(stat_of(STAT_POOL_OPENED) == before + 3);
    pool_free(&p);
}

static void
waiters_are_served_first_come_first_served(void **state)
{
    struct pool *p = pool_of(pg.url, 1, 0);

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
    struct pool *p = pool_of(pg.url, 1, 0);
    int64_t begun;

    (void)state;
    ask(p, "select 1");
    begun = clock_ms();
    script(p, "select pg_sleep(1)", 1, 5000);
    script(p, "select 1", 2, 100);
    until(2);
    assert_int_equal(ended[1].id, 2);
    assert_int_equal(ended[1].err, ERR_STORE_BUSY);
    assert_in_range(clock_ms() - begun, 90, 900);
    until(3);
    assert_int_equal(ended[2].err, ERR_OK);
    pool_free(&p);
}

static void
the_pools_own_timeout_ends_a_wait_when_it_is_shorter_than_the_time_left(void **state)
{
    struct pool_config cfg = config(pg.url, 1, 0);
    struct pool *p;
    double before = stat_of(STAT_POOL_TIMEOUTS);
    int64_t begun;

    (void)state;
    cfg.timeout_ms = 400;
    p = pool_with(cfg);
    ask(p, "select 1");
    begun = clock_ms();
    script(p, "select pg_sleep(1)", 1, 5000);
    script(p, "select 1", 2, 5000);
    turn_for(50);
    assert_int_equal(pool_state(p).waiting, 1);
    assert_in_range(pool_state(p).longest_wait_ms, 40, 399);
    until(2);
    assert_int_equal(ended[1].id, 2);
    assert_int_equal(ended[1].err, ERR_STORE_BUSY);
    assert_in_range(clock_ms() - begun, 390, 900);
    assert_true(stat_of(STAT_POOL_TIMEOUTS) == before + 1);
    until(3);
    pool_free(&p);
}

/* F25: 64 clients that come again as soon as they are answered. The pool has one thread, so what could race is the order. */
static struct {
    int64_t queued_us, begun_us;
} waits[64 * 40];
static int turns[64];
static long most_open;

static void
on_turn(struct tx *t)
{
    int i = (int)(intptr_t)t->arg;
    struct pool_state s = pool_state(t->pool);

    assert_int_equal(t->err, ERR_OK);
    waits[n_ended].queued_us = t->queued_us;
    waits[n_ended].begun_us = t->begun_us;
    turns[i]++;
    if (s.active + s.idle > most_open)
        most_open = s.active + s.idle;
    n_ended++;
    if (turns[i] < 40) {
        struct tx *next = tx_own(t->pool, 10000, on_turn, t->arg);

        next->script = "select 1";
        tx_run(next);
    }
    if (n_ended == wanted)
        loop_stop(loop);
}

static void
sixty_four_clients_share_the_pool_fairly_and_never_open_more_than_it_may(void **state)
{
    struct pool *p = pool_of(pg.url, 5, 5);

    (void)state;
    for (int i = 0; i < 64; i++) {
        struct tx *t = tx_own(p, 10000, on_turn, (void *)(intptr_t)i);

        t->script = "select 1";
        tx_run(t);
    }
    until(64 * 40);
    assert_int_equal(most_open, 10);
    for (int a = 0; a < 64 * 40; a++)
        for (int b = 0; b < 64 * 40; b++)
            if (waits[a].queued_us < waits[b].queued_us)
                assert_true(waits[a].begun_us <= waits[b].begun_us);
    until_overflow_is_closed(p);
    assert_int_equal(pool_state(p).idle, 5);
    pool_free(&p);
}

static void
an_old_connection_is_replaced_at_checkout_however_busy_it_was(void **state)
{
    struct pool_config cfg = config(pg.url, 1, 0);
    struct pool *p;
    double before = closed(CLOSE_AGE);
    int64_t first;

    (void)state;
    cfg.recycle_ms = 300;
    p = pool_with(cfg);
    first = ask(p, "select pg_backend_pid()");
    assert_int_equal(ask(p, "select pg_backend_pid() from pg_sleep(0.1)"), first);
    assert_int_equal(ask(p, "select pg_backend_pid() from pg_sleep(0.3)"),
                     first); /* its age counts at checkout only */
    assert_int_not_equal(ask(p, "select pg_backend_pid()"), first);
    assert_true(closed(CLOSE_AGE) == before + 1);
    pool_free(&p);
}

static void
the_connection_used_last_is_used_first(void **state)
{
    struct pool *p = pool_of(pg.url, 4, 0);
    int64_t backend[4];

    (void)state;
    fill(p, 4, backend);
    for (int i = 0; i < 5; i++)
        assert_int_equal(ask(p, "select pg_backend_pid()"), backend[3]);
    pool_free(&p);
}

static void
a_connection_that_died_idle_is_seen_by_its_socket_at_checkout(void **state)
{
    struct pool *p = pool_of(pg.url, 2, 0);
    double retries = stat_of(STAT_STORE_RETRIES), pings = stat_of(STAT_POOL_PINGS), lost = closed(CLOSE_LOST);
    int64_t backend[2];

    (void)state;
    fill(p, 2, backend);
    kill((pid_t)backend[1], SIGTERM);
    for (int i = 0; i < 500 && kill((pid_t)backend[1], 0) == 0; i++) /* the loop does not turn meanwhile */
        nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
    assert_int_equal(ask(p, "select pg_backend_pid()"), backend[0]);
    assert_true(closed(CLOSE_LOST) == lost + 1);
    assert_true(stat_of(STAT_STORE_RETRIES) == retries && stat_of(STAT_POOL_PINGS) == pings);
    pool_free(&p);
}

static void
a_connection_idle_for_over_a_second_is_pinged_first(void **state)
{
    struct pool_config cfg = config(pg.url, 1, 0);
    struct pool *p = pool_with(cfg);
    double before = stat_of(STAT_POOL_PINGS);
    int64_t first = ask(p, "select pg_backend_pid()");

    (void)state;
    turn_for(500);
    assert_int_equal(ask(p, "select pg_backend_pid()"), first);
    assert_true(stat_of(STAT_POOL_PINGS) == before);
    turn_for(1050);
    assert_int_equal(ask(p, "select pg_backend_pid()"), first);
    assert_true(stat_of(STAT_POOL_PINGS) == before + 1);
    pool_free(&p);
    cfg.pre_ping = false;
    p = pool_with(cfg);
    ask(p, "select 1");
    turn_for(1050);
    ask(p, "select 1");
    assert_true(stat_of(STAT_POOL_PINGS) == before + 1);
    pool_free(&p);
}

static void
a_failed_ping_invalidates_every_connection_opened_before_it_and_reconnects(void **state)
{
    struct pool *p = pool_of(pg.url, 4, 0);
    double stale = closed(CLOSE_STALE), lost = closed(CLOSE_LOST), opened;
    int64_t backend[4], got;

    (void)state;
    fill(p, 4, backend);
    opened = stat_of(STAT_POOL_OPENED);
    turn_for(1050);
    kill((pid_t)backend[3], SIGSTOP); /* its socket looks well */
    got = ask(p, "select pg_backend_pid()");
    for (int i = 0; i < 4; i++)
        assert_int_not_equal(got, backend[i]);
    assert_true(closed(CLOSE_LOST) == lost + 1 && closed(CLOSE_STALE) == stale + 3);
    assert_true(stat_of(STAT_POOL_OPENED) == opened + 1);
    kill((pid_t)backend[3], SIGCONT);
    pool_free(&p);
}

static void
a_loss_invalidates_those_at_work_too_when_they_come_back(void **state)
{
    struct pool *p = pool_of(pg.url, 2, 0);
    double stale = closed(CLOSE_STALE);
    int64_t backend[2];

    (void)state;
    fill(p, 2, backend);
    script(p, "select pg_backend_pid() from pg_sleep(0.3)", 10, 5000); /* on the newest, backend[1] */
    script(p, "select pg_sleep(0.3)", 11, 5000);
    turn_for(50);
    kill((pid_t)backend[0], SIGTERM);
    until(4);
    assert_int_equal(ended[2].id, 10);
    assert_int_equal(ended[2].value, backend[1]); /* finished in peace */
    assert_int_equal(ended[3].err, ERR_OK);       /* begun again on a new one */
    assert_true(closed(CLOSE_STALE) == stale + 1);
    pool_free(&p);
}

static void
a_transaction_left_open_is_rolled_back_before_anybody_else_gets_the_connection(void **state)
{
    struct pool *p = pool_of(pg.url, 1, 0);
    double before = stat_of(STAT_POOL_RESETS);
    int64_t backend = ask(p, "select pg_backend_pid()");

    (void)state;
    ask(p, "select 1; begin; create table left_open (x int)");
    assert_int_equal(ask(p, "select case when to_regclass('left_open') is null then 7 else 8 end"), 7);
    assert_int_equal(ask(p, "select pg_backend_pid()"), backend);
    assert_true(stat_of(STAT_POOL_RESETS) == before + 1);
    pool_free(&p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_opened_before_it_is_needed),
        cmocka_unit_test(size_is_kept_and_overflow_is_closed_when_unused),
        cmocka_unit_test(overflow_that_is_needed_again_is_not_opened_anew),
        cmocka_unit_test(waiters_are_served_first_come_first_served),
        cmocka_unit_test(a_waiter_gives_up_when_its_time_is_over),
        cmocka_unit_test(the_pools_own_timeout_ends_a_wait_when_it_is_shorter_than_the_time_left),
        cmocka_unit_test(sixty_four_clients_share_the_pool_fairly_and_never_open_more_than_it_may),
        cmocka_unit_test(an_old_connection_is_replaced_at_checkout_however_busy_it_was),
        cmocka_unit_test(the_connection_used_last_is_used_first),
        cmocka_unit_test(a_connection_that_died_idle_is_seen_by_its_socket_at_checkout),
        cmocka_unit_test(a_connection_idle_for_over_a_second_is_pinged_first),
        cmocka_unit_test(a_failed_ping_invalidates_every_connection_opened_before_it_and_reconnects),
        cmocka_unit_test(a_loss_invalidates_those_at_work_too_when_they_come_back),
        cmocka_unit_test(a_transaction_left_open_is_rolled_back_before_anybody_else_gets_the_connection),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
