/* Tickers and the waits below them: when a tick comes, and that nothing comes after the stop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/process/cond.h"
#include "common/process/ticker.h"

#define PATIENCE_MS 20000

struct count { /* what a tick sees */
    pthread_mutex_t lock;
    pthread_cond_t more;
    int ticks, held; /* those that were; the one that waits until held is another */
    int64_t answer;
    bool blocked; /* the thread takes no SIGTERM */
};

static int64_t
tick(void *arg)
{
    struct count *c = arg;
    sigset_t mask;
    int64_t answer;

    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    pthread_mutex_lock(&c->lock);
    c->ticks++;
    c->blocked = sigismember(&mask, SIGTERM) == 1;
    pthread_cond_broadcast(&c->more);
    while (c->held == c->ticks)
        pthread_cond_wait(&c->more, &c->lock);
    answer = c->answer;
    pthread_mutex_unlock(&c->lock);
    return answer;
}

static void
count_init(struct count *c, int64_t answer)
{
    *c = (struct count){ .answer = answer };
    pthread_mutex_init(&c->lock, NULL);
    cond_init(&c->more);
}

static void
count_fini(struct count *c)
{
    pthread_cond_destroy(&c->more);
    pthread_mutex_destroy(&c->lock);
}

/* Ticks that were, after at least n of them, or after ms. */
static int
ticks_after(struct count *c, int n, int64_t ms)
{
    int64_t until = clock_ms() + ms;
    int ticks;

    pthread_mutex_lock(&c->lock);
    while (c->ticks < n && cond_wait(&c->more, &c->lock, until))
        ;
    ticks = c->ticks;
    pthread_mutex_unlock(&c->lock);
    return ticks;
}

static void
the_first_tick_comes_at_once_and_others_when_they_are_due(void **state)
{
    struct count c;
    struct ticker *t;
    int64_t began = clock_ms();

    (void)state;
    count_init(&c, 30);
    t = ticker_start("a test", tick, &c);
    assert_non_null(t);
    assert_true(ticks_after(&c, 4, PATIENCE_MS) >= 4);
    assert_true(clock_ms() - began >= 90);
    assert_true(c.blocked);
    ticker_stop(&t);
    assert_null(t);
    ticker_stop(&t);
    count_fini(&c);
}

static void
a_ticker_that_waits_for_ever_is_woken(void **state)
{
    struct count c;
    struct ticker *t;

    (void)state;
    count_init(&c, TICKER_WOKEN);
    t = ticker_start("a test", tick, &c);
    assert_int_equal(ticks_after(&c, 1, PATIENCE_MS), 1);
    assert_int_equal(ticks_after(&c, 2, 50), 1);
    ticker_wake(t);
    assert_int_equal(ticks_after(&c, 2, PATIENCE_MS), 2);
    ticker_stop(&t);
    assert_int_equal(c.ticks, 2);
    count_fini(&c);
}

static void
a_wake_during_a_tick_is_not_lost(void **state)
{
    struct count c;
    struct ticker *t;

    (void)state;
    count_init(&c, TICKER_WOKEN);
    c.held = 1;
    t = ticker_start("a test", tick, &c);
    assert_int_equal(ticks_after(&c, 1, PATIENCE_MS), 1);
    ticker_wake(t);
    ticker_wake(t); /* one tick answers both */
    pthread_mutex_lock(&c.lock);
    c.held = 0;
    pthread_cond_broadcast(&c.more);
    pthread_mutex_unlock(&c.lock);
    assert_int_equal(ticks_after(&c, 2, PATIENCE_MS), 2);
    assert_int_equal(ticks_after(&c, 3, 50), 2);
    ticker_stop(&t);
    count_fini(&c);
}

static void
a_stop_does_not_wait_for_the_next_tick(void **state)
{
    struct count c;
    struct ticker *t;
    int64_t began = clock_ms();

    (void)state;
    count_init(&c, 600000);
    t = ticker_start("a test", tick, &c);
    assert_int_equal(ticks_after(&c, 1, PATIENCE_MS), 1);
    ticker_stop(&t);
    assert_true(clock_ms() - began < PATIENCE_MS);
    assert_int_equal(c.ticks, 1);
    count_fini(&c);
}

static void
a_wait_ends_by_the_monotonic_clock(void **state)
{
    struct count c;
    int64_t began = clock_ms();

    (void)state;
    count_init(&c, 0);
    pthread_mutex_lock(&c.lock);
    while (cond_wait(&c.more, &c.lock, began + 40))
        ;
    pthread_mutex_unlock(&c.lock);
    assert_true(clock_ms() >= began + 40);
    assert_true(clock_ms() < began + PATIENCE_MS);
    count_fini(&c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_tick_comes_at_once_and_others_when_they_are_due),
        cmocka_unit_test(a_ticker_that_waits_for_ever_is_woken),
        cmocka_unit_test(a_wake_during_a_tick_is_not_lost),
        cmocka_unit_test(a_stop_does_not_wait_for_the_next_tick),
        cmocka_unit_test(a_wait_ends_by_the_monotonic_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
