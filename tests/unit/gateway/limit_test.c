/* The limiter: how many pass at once and in time, also from many threads, and what the headers say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>

#include "gateway/admit/limit.h"
#include "gateway/request/head.h"

static void
exactly_the_quota_passes_at_once(void **s)
{
    struct policy p = { .q = 60, .w = 60 };
    int64_t tat = 0;
    int passed = 0;

    (void)s;
    for (int i = 0; i < 100; i++)
        passed += gcra(&tat, 5000000, 1, true, &p);
    assert_int_equal(passed, 60);
    assert_true(p.limited);
    assert_int_equal(p.remaining, 0);
    assert_int_equal(p.retry_ms, 1000);
    assert_int_equal(p.reset_ms, 60000);
}

static void
one_more_passes_after_each_interval(void **s)
{
    struct policy p = { .q = 60, .w = 60 };
    int64_t tat = 0, now = 1;

    (void)s;
    for (int i = 0; i < 60; i++)
        assert_true(gcra(&tat, now, 1, true, &p));
    assert_false(gcra(&tat, now + 999999, 1, true, &p));
    assert_true(gcra(&tat, now + 1000000, 1, true, &p));
    assert_false(gcra(&tat, now + 1000000, 1, true, &p));
}

static void
over_an_hour_never_more_than_quota_and_burst_pass(void **s)
{
    struct policy p = { .q = 60, .w = 60 };
    int64_t tat = 0;
    long passed = 0;

    (void)s;
    for (int64_t now = 1; now < 3600LL * 1000000; now += 100000)
        passed += gcra(&tat, now, 1, true, &p);
    assert_true(passed >= 3600 && passed <= 3660);
}

static void
a_clock_that_went_back_punishes_for_one_full_bucket_at_most(void **s)
{
    struct policy p = { .q = 60, .w = 60 };
    int64_t tat = 3600LL * 24 * 365 * 1000000;

    (void)s;
    assert_false(gcra(&tat, 1000, 1, true, &p));
    assert_true(p.retry_ms <= 1000);
    assert_true(p.reset_ms <= 60000);
}

static void
a_look_charges_nothing_and_the_floor_allows_twice(void **s)
{
    struct policy p = { .q = 10, .w = 60 };
    int64_t tat = 0;
    int passed = 0;

    (void)s;
    for (int i = 0; i < 50; i++)
        assert_true(gcra(&tat, 1000, 1, false, &p));
    assert_int_equal(p.remaining, 10);
    for (int i = 0; i < 50; i++)
        passed += gcra(&tat, 1000, 2, true, &p);
    assert_int_equal(passed, 20);
}

struct race {
    struct limiter *l;
    uint64_t id;
    long passed;
};

static void *
racer(void *arg)
{
    struct race *r = arg;
    struct policy p = { .q = 50, .w = 3600 };

    for (int i = 0; i < 200; i++)
        if (limiter_take(r->l, r->id, &p, 1, true))
            r->passed++;
    return NULL;
}

static void
from_eight_threads_exactly_the_quota_passes(void **s)
{
    struct limiter *l = limiter_new(8);
    struct race races[8];
    pthread_t t[8];
    long passed = 0;

    (void)s;
    for (int i = 0; i < 8; i++) {
        races[i] = (struct race){ l, limiter_id(l, STR("a:1.2.3.4"), "address"), 0 };
        assert_int_equal(pthread_create(&t[i], NULL, racer, &races[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(t[i], NULL);
        passed += races[i].passed;
    }
    assert_int_equal(passed, 50);
    limiter_free(&l);
    assert_null(l);
}

static void
one_key_runs_no_more_than_its_share_at_once(void **s)
{
    struct limiter *l = limiter_new(8);
    uint8_t a[32] = { 1 }, b[32] = { 2 };

    (void)s;
    for (int i = 0; i < 3; i++)
        assert_true(limiter_key_enter(l, a, 3));
    assert_false(limiter_key_enter(l, a, 3));
    assert_true(limiter_key_enter(l, b, 3));
    limiter_key_leave(l, a);
    assert_true(limiter_key_enter(l, a, 3));
    limiter_free(&l);
}

static void
a_flood_of_addresses_needs_no_more_memory_and_resets_nobody_at_once(void **s)
{
    struct limiter *l = limiter_new(8);
    struct policy p = { .q = 5, .w = 3600 };
    uint64_t held = limiter_id(l, STR("a:held"), "address");

    (void)s;
    while (limiter_take(l, held, &p, 1, true))
        ;
    for (uint64_t i = 1; i < 20000; i++)
        limiter_take(l, i * 0x9e3779b97f4a7c15u, &p, 1, true);
    assert_false(limiter_take(l, held, &p, 1, true));
    limiter_free(&l);
}

static void
the_headers_name_each_policy_and_what_is_left(void **s)
{
    struct limit_state st = { .n = 2, .violated = -1 };
    struct buf b = BUF_MAX(4096);

    (void)s;
    st.p[0] = (struct policy){ .name = "session", .q = 60, .w = 60, .remaining = 45, .reset_ms = 29001 };
    st.p[1] = (struct policy){ .name = "hour", .q = 1000, .w = 3600, .remaining = 900 };
    limit_headers(&st, &b);
    assert_non_null(strstr(b.p, "RateLimit-Policy: \"session\";q=60;w=60, \"hour\";q=1000;w=3600\r\n"));
    assert_non_null(strstr(b.p, "RateLimit: \"session\";r=45;t=30\r\n"));
    assert_non_null(strstr(b.p, "X-RateLimit-Remaining: 45\r\n"));
    buf_reset(&b);
    st.violated = 1;
    limit_headers(&st, &b);
    assert_non_null(strstr(b.p, "RateLimit: \"hour\";r=900"));
    buf_free(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_the_quota_passes_at_once),
        cmocka_unit_test(one_more_passes_after_each_interval),
        cmocka_unit_test(over_an_hour_never_more_than_quota_and_burst_pass),
        cmocka_unit_test(a_clock_that_went_back_punishes_for_one_full_bucket_at_most),
        cmocka_unit_test(a_look_charges_nothing_and_the_floor_allows_twice),
        cmocka_unit_test(from_eight_threads_exactly_the_quota_passes),
        cmocka_unit_test(one_key_runs_no_more_than_its_share_at_once),
        cmocka_unit_test(a_flood_of_addresses_needs_no_more_memory_and_resets_nobody_at_once),
        cmocka_unit_test(the_headers_name_each_policy_and_what_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
