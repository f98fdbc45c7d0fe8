/* The breaker's moves, with a clock of our own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/process/breaker.h"

static bool
fail_at(struct breaker *b, int64_t now_ms)
{
    bool probe;

    assert_true(breaker_enter(b, now_ms, &probe));
    return breaker_leave(b, now_ms, probe, true);
}

static void
five_failures_within_a_second_open_it(void **state)
{
    struct breaker b = { 0 };

    (void)state;
    for (int64_t t = 1; t <= 4; t++)
        assert_false(fail_at(&b, t * 250));
    assert_true(fail_at(&b, 1250));
    assert_int_equal(b.state, BREAKER_OPEN);
}

static void
failures_that_are_spread_out_do_not_open_it(void **state)
{
    struct breaker b = { 0 };

    (void)state;
    for (int64_t t = 1; t <= 100; t++)
        assert_false(fail_at(&b, t * 251));
    assert_int_equal(b.state, BREAKER_CLOSED);
}

static void
one_call_probes_and_the_pause_doubles_up_to_eight_seconds(void **state)
{
    static const int64_t pause[] = { 1000, 2000, 4000, 8000, 8000 };
    struct breaker b = { 0 };
    int64_t now = 1000;
    bool probe, other;

    (void)state;
    for (int i = 0; i < 5; i++)
        fail_at(&b, now);
    for (size_t i = 0; i < sizeof pause / sizeof *pause; i++) {
        assert_false(breaker_enter(&b, now + pause[i] - 1, &probe));
        now += pause[i];
        assert_true(breaker_enter(&b, now, &probe));
        assert_true(probe);
        assert_false(breaker_enter(&b, now, &other));
        assert_true(breaker_leave(&b, now, probe, true));
    }
    assert_true(breaker_enter(&b, now + 8000, &probe));
    assert_true(breaker_leave(&b, now + 8000, probe, false));
    assert_int_equal(b.state, BREAKER_CLOSED);
    assert_int_equal(b.open_for_ms, 0);
}

static void
calls_that_were_under_way_when_it_opened_change_nothing(void **state)
{
    struct breaker b = { 0 };
    bool probe;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(breaker_enter(&b, 999, &probe));
    for (int i = 0; i < 5; i++) {
        b.doubt = false;
        fail_at(&b, 1000);
    }
    assert_false(breaker_leave(&b, 1001, false, false));
    assert_false(breaker_leave(&b, 1001, false, true));
    assert_true(breaker_enter(&b, 2000, &probe));
    assert_false(breaker_leave(&b, 2000, false, true));
    assert_int_equal(b.state, BREAKER_PROBING);
}

static void
the_owner_may_set_how_long_it_stays_open(void **state)
{
    static const int64_t pause[] = { 250, 500, 600, 600 };
    struct breaker b = { .min_ms = 250, .max_ms = 600 };
    int64_t now = 1000;
    bool probe;

    (void)state;
    for (int i = 0; i < 5; i++)
        fail_at(&b, now);
    for (size_t i = 0; i < sizeof pause / sizeof *pause; i++) {
        assert_int_equal(b.open_for_ms, pause[i]);
        assert_false(breaker_enter(&b, now + pause[i] - 1, &probe));
        now += pause[i];
        assert_true(breaker_enter(&b, now, &probe));
        assert_true(breaker_leave(&b, now, probe, true));
    }
    b.max_ms = 300; /* another failure, another bound */
    now += 600;
    assert_true(breaker_enter(&b, now, &probe));
    assert_true(breaker_leave(&b, now, probe, true));
    assert_int_equal(b.open_for_ms, 300);
}

/* A steady stream of calls that hang for 100 ms: no more than five of them are ever out. */
static void
a_server_that_hangs_holds_five_calls_at_most(void **state)
{
    int64_t due[64];
    struct breaker b = { 0 };
    size_t n = 0, ended = 0;
    bool probe;

    (void)state;
    for (int64_t now = 1000; now < 1600; now += 20) {
        for (; ended < n && due[ended] <= now; ended++)
            breaker_leave(&b, now, false, true);
        if (breaker_enter(&b, now, &probe))
            due[n++] = now + 100;
    }
    assert_int_equal(n, 5);
    assert_int_equal(b.state, BREAKER_OPEN);
}

static void
one_success_ends_the_doubt(void **state)
{
    struct breaker b = { 0 };
    bool probe;

    (void)state;
    for (int i = 0; i < 4; i++)
        fail_at(&b, 1000);
    assert_true(breaker_enter(&b, 1001, &probe));
    assert_false(breaker_enter(&b, 1001, &probe));
    assert_false(breaker_leave(&b, 1002, false, false));
    for (int i = 0; i < 20; i++)
        assert_true(breaker_enter(&b, 1002, &probe));
}

static void
with_little_patience_one_failure_opens_it(void **state)
{
    struct breaker b = { .patience = 1 };

    (void)state;
    assert_true(fail_at(&b, 1000));
    assert_int_equal(b.state, BREAKER_OPEN);
}

static void
failures_in_a_row_count_however_old_they_are(void **state)
{
    struct breaker b = { .in_a_row = true };

    (void)state;
    for (int64_t t = 1; t <= 4; t++)
        assert_false(breaker_bad(&b, t * 60000, false));
    assert_false(breaker_good(&b, false));
    for (int64_t t = 5; t <= 8; t++)
        assert_false(breaker_bad(&b, t * 60000, false));
    assert_true(breaker_bad(&b, 9 * 60000, false));
    assert_int_equal(b.state, BREAKER_OPEN);
}

static void
a_hold_opens_it_from_anywhere_and_a_dropped_probe_holds_it_once_more(void **state)
{
    struct breaker b = { .in_a_row = true };
    bool probe;

    (void)state;
    breaker_hold(&b, 1000, 60000);
    breaker_hold(&b, 2000, 60000);
    assert_false(breaker_ask(&b, 61999, &probe));
    assert_true(breaker_ask(&b, 62000, &probe));
    assert_true(probe);
    breaker_drop(&b, 62000, false); /* another call's end */
    assert_int_equal(b.state, BREAKER_PROBING);
    breaker_drop(&b, 62000, true);
    assert_false(breaker_ask(&b, 121999, &probe));
    assert_true(breaker_ask(&b, 122000, &probe));
    breaker_hold(&b, 122000, 60000);
    assert_false(breaker_good(&b, true)); /* that probe is none any more */
    assert_true(breaker_ask(&b, 182000, &probe));
    assert_true(breaker_bad(&b, 182000, true));
    assert_int_equal(b.held_ms, 0); /* failures opened it now: for their time */
    assert_true(breaker_ask(&b, 183000, &probe));
    assert_true(breaker_good(&b, true));
    assert_int_equal(b.state, BREAKER_CLOSED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_failures_within_a_second_open_it),
        cmocka_unit_test(failures_that_are_spread_out_do_not_open_it),
        cmocka_unit_test(one_call_probes_and_the_pause_doubles_up_to_eight_seconds),
        cmocka_unit_test(calls_that_were_under_way_when_it_opened_change_nothing),
        cmocka_unit_test(the_owner_may_set_how_long_it_stays_open),
        cmocka_unit_test(a_server_that_hangs_holds_five_calls_at_most),
        cmocka_unit_test(one_success_ends_the_doubt),
        cmocka_unit_test(with_little_patience_one_failure_opens_it),
        cmocka_unit_test(failures_in_a_row_count_however_old_they_are),
        cmocka_unit_test(a_hold_opens_it_from_anywhere_and_a_dropped_probe_holds_it_once_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
