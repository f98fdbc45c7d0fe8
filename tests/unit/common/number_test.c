/* Decimal numbers: what is one, what is out of its bounds, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/text/number.h"

static void
a_number_is_all_of_its_text_and_within_its_bounds(void **state)
{
    static const struct {
        const char *text;
        int64_t min, max, value; /* value -1: refused */
    } cases[] = {
        { "0", 0, 9, 0 },
        { "7", 0, 9, 7 },
        { "0042", 1, 100, 42 },
        { "65535", 1, 65535, 65535 },
        { "65536", 1, 65535, -1 },
        { "0", 1, 65535, -1 },
        { "999999999999999999", 0, INT64_MAX, 999999999999999999 },
        { "999999999999999999", 0, 999999999999999998, -1 },
        { "1000000000000000000", 0, INT64_MAX, -1 },
        { "0000000000000000001", 0, 9, -1 },
        { "99999999999999999999999999999999999999", 0, INT64_MAX, -1 },
        { "", 0, 9, -1 },
        { "+1", 0, 9, -1 },
        { "-1", -9, 9, -1 },
        { " 1", 0, 9, -1 },
        { "1 ", 0, 9, -1 },
        { "1,2", 0, 99, -1 },
        { "0x10", 0, 99, -1 },
        { "1e3", 0, 9999, -1 },
        { "1.0", 0, 99, -1 },
        { "\xef\xbc\x91", 0, 9, -1 }, /* a full-width 1 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t v = 4711;
        bool good = number_parse(str_of(cases[i].text), cases[i].min, cases[i].max, &v);

        if (good != (cases[i].value >= 0) || v != (good ? cases[i].value : 4711))
            fail_msg("\"%s\": %d, %lld", cases[i].text, good, (long long)v);
    }
}

static void
absent_text_and_a_byte_that_is_zero_are_no_numbers(void **state)
{
    int64_t v = 4711;

    (void)state;
    assert_false(number_parse(STR_NONE, 0, 9, &v));
    assert_false(number_parse((struct str){ "1\0", 2 }, 0, 9, &v));
    assert_true(number_parse((struct str){ "12", 1 }, 0, 9, &v)); /* nothing behind the slice is read */
    assert_int_equal(v, 1);
}

static void
the_number_in_front_is_read_and_what_is_too_large_says_so(void **state)
{
    int64_t v;

    (void)state;
    assert_int_equal(number_first(STR("12-3"), 99, &v), 2);
    assert_int_equal(v, 12);
    assert_int_equal(number_first(STR("x1"), 99, &v), 0);
    assert_int_equal(v, 0);
    assert_int_equal(number_first(STR("100;"), 99, &v), 3);
    assert_int_equal(v, 100);
    assert_int_equal(number_first(STR("99999999999999999999999999999999999999999 "), 99, &v), 41);
    assert_int_equal(v, 100);
    assert_int_equal(number_first(STR("99999999999999999999999999999999999999999 "), NUMBER_MOST, &v), 41);
    assert_int_equal(v, NUMBER_MOST + 1);
    assert_int_equal(number_first(STR_NONE, 9, &v), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_all_of_its_text_and_within_its_bounds),
        cmocka_unit_test(absent_text_and_a_byte_that_is_zero_are_no_numbers),
        cmocka_unit_test(the_number_in_front_is_read_and_what_is_too_large_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
