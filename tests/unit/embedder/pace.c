/* How many texts a call, how many calls at once: a model server in small, with a clock of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "embedder/openai/pace.h"

static void
a_quick_server_is_soon_given_all_it_takes(void **state)
{
    struct pace p;

    (void)state;
    pace_init(&p, 256, 60000);
    assert_int_equal(p.size, 8);
    for (int i = 0; i < 6; i++)
        pace_good(&p, p.size, 50);
    assert_int_equal(p.size, 256);
    assert_true(p.calls > 4);
    for (int i = 0; i < 50; i++)
        pace_good(&p, p.size, 50);
    assert_int_equal(p.size, 256);
    assert_int_equal(p.calls, 16);
}

static void
a_slow_server_is_not_given_more_than_it_does_in_half_its_time(void **state)
{
    struct pace p;

    (void)state;
    pace_init(&p, 256, 60000);
    for (int i = 0; i < 100; i++) {
        pace_good(&p, p.size, (int64_t)p.size * 1000);
        assert_true(p.size * 1000 <= 30000 && p.calls == 2);
    }
    pace_init(&p, 256, 10000);
    for (int i = 0; i < 100; i++)
        pace_good(&p, p.size, (int64_t)p.size * 1000);
    assert_true(p.size <= 5);
}

static void
what_is_refused_is_remembered_and_never_asked_again(void **state)
{
    struct pace p;

    (void)state;
    pace_init(&p, 256, 60000);
    for (int i = 0; i < 40; i++) {
        if (p.size > 10)
            pace_too_many_texts(&p, p.size);
        else
            pace_good(&p, p.size, 10);
    }
    assert_int_equal(p.size, 8);
    pace_init(&p, 10, 60000); /* EMBEDDING_BATCH=10 */
    for (int i = 0; i < 40; i++)
        pace_good(&p, p.size, 10);
    assert_int_equal(p.size, 10);
    pace_too_many_texts(&p, 1);
    pace_not_the_number(&p);
    assert_int_equal(p.size, 8);
}

static void
too_many_calls_are_tried_again_after_a_while_only(void **state)
{
    struct pace p;

    (void)state;
    pace_init(&p, 8, 60000);
    pace_good(&p, 8, 10);
    assert_int_equal(p.calls, 3);
    pace_too_many_calls(&p, 3);
    assert_int_equal(p.calls, 2);
    for (int i = 0; i < 99; i++)
        pace_good(&p, 8, 10);
    assert_int_equal(p.calls, 2);
    for (int i = 0; i < 2; i++)
        pace_good(&p, 8, 10);
    assert_int_equal(p.calls, 3);
    pace_too_many_calls(&p, 1);
    assert_int_equal(p.calls, 1);
}

static void
a_call_that_was_given_up_halves_both(void **state)
{
    struct pace p;

    (void)state;
    pace_init(&p, 256, 60000);
    pace_late(&p, 8);
    assert_int_equal(p.size, 4);
    assert_int_equal(p.calls, 1);
    pace_late(&p, 1);
    assert_int_equal(p.size, 1);
    assert_int_equal(p.calls, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quick_server_is_soon_given_all_it_takes),
        cmocka_unit_test(a_slow_server_is_not_given_more_than_it_does_in_half_its_time),
        cmocka_unit_test(what_is_refused_is_remembered_and_never_asked_again),
        cmocka_unit_test(too_many_calls_are_tried_again_after_a_while_only),
        cmocka_unit_test(a_call_that_was_given_up_halves_both),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
