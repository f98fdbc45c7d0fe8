/* Reading refuses what it must, and says which; writing gives what reading takes back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/text/json.h"

static enum json_fault
fault_of(struct str s)
{
    enum json_fault fault = JSON_OK;
    const char *detail = NULL;
    json_t *v = json_read(s, &fault, &detail);

    assert_non_null(detail);
    assert_int_equal(!v, fault != JSON_OK);
    assert_int_equal(*detail == 0, fault == JSON_OK);
    json_decref(v);
    return fault;
}

static void
what_is_not_one_object_or_array_is_refused(void **state)
{
    static const char *const bad[] = { "",
                                       " ",
                                       "1",
                                       "\"a\"",
                                       "null",
                                       "{",
                                       "[1,]",
                                       "{\"a\":1}x",
                                       "{\"a\":1,\"a\":2}",
                                       "[1e999]",
                                       "[99999999999999999999]",
                                       "[NaN]",
                                       "[\"\\ud800\"]",
                                       "{'a':1}",
                                       "[01]",
                                       "[\"\n\"]" };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(fault_of(str_of(bad[i])), JSON_BAD);
    assert_int_equal(fault_of(STR("[\"a\\u0000b\"]")), JSON_NUL);
    assert_int_equal(fault_of(STR("{\"a\\u0000\":1}")), JSON_NUL);
    assert_int_equal(fault_of(STR("[\"a\0b\"]")), JSON_BAD);
    assert_int_equal(fault_of(STR("[]\0")), JSON_BAD);
    assert_int_equal(fault_of(STR(" {\"a\": [1, 2.5, true, null, \"\xC3\xA4\"]} \n")), JSON_OK);
}

/* Such an object is read by our own reader, one with a number in it by jansson: both say the same of its strings. */
static void
escapes_are_read_as_jansson_reads_them(void **state)
{
    static const char *const strings[] = {
        "",    "a",          "\\n",  "\\\\",    "a\\\"b\\\"",     "\\/\\b\\f\\r\\t",
        "\\x", "\\",         "\n",   "\\u0041", "ends with \\\\", "\\n\\n between \\n",
        "\t",  "\\\"}{\\\"", "é\\né"
    };
    char text[128];

    (void)state;
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        enum json_fault fault;
        const char *detail;
        json_t *ours, *theirs;

        (void)snprintf(text, sizeof text, "{\"k\": \"%s\"}", strings[i]);
        ours = json_read(str_of(text), &fault, &detail);
        (void)snprintf(text, sizeof text, "{\"k\": \"%s\", \"n\": 1}", strings[i]);
        theirs = json_read(str_of(text), &fault, &detail);
        assert_int_equal(ours != NULL, theirs != NULL);
        if (ours)
            assert_true(json_equal(json_object_get(ours, "k"), json_object_get(theirs, "k")));
        json_decref(ours);
        json_decref(theirs);
    }
}

static void
text_that_is_not_utf8_is_refused_as_such(void **state)
{
    (void)state;
    assert_int_equal(fault_of(STR("[\"\xC3\"]")), JSON_BAD_UTF8);
    assert_int_equal(fault_of(STR("\xFF\xFE[\0]\0")), JSON_BAD_UTF8);
}

static void
depth_32_is_read_and_33_is_refused_before_parsing(void **state)
{
    struct buf b = { 0 };

    (void)state;
    for (int depth = 32; depth <= 33; depth++) {
        buf_reset(&b);
        for (int i = 0; i < depth; i++)
            buf_c(&b, '[');
        for (int i = 0; i < depth; i++)
            buf_c(&b, ']');
        assert_int_equal(fault_of(buf_slice(&b)), depth == 32 ? JSON_OK : JSON_TOO_DEEP);
    }
    buf_reset(&b);
    for (int i = 0; i < 1000000; i++)
        buf_c(&b, '[');
    assert_int_equal(fault_of(buf_slice(&b)), JSON_TOO_DEEP);
    buf_free(&b);
}

static void
more_values_than_allowed_are_refused_before_parsing(void **state)
{
    struct buf b = BUF_MAX(1 << 20);
    enum json_fault fault;
    const char *detail;
    json_t *v;

    (void)state;
    for (size_t n = 99; n <= 101; n++) {
        buf_reset(&b);
        buf_c(&b, '[');
        for (size_t i = 0; i < n; i++)
            buf_printf(&b, "%s\",[\"", i ? "," : "");
        buf_c(&b, ']');
        v = json_read_most(buf_slice(&b), 100, &fault, &detail);
        assert_true((v != NULL) == (n <= 100));
        json_decref(v);
        if (n > 100)
            assert_string_equal(detail, "too many values");
        v = json_read(buf_slice(&b), &fault, &detail);
        assert_non_null(v);
        json_decref(v);
    }
    buf_free(&b);
}

static void
brackets_and_quotes_inside_of_strings_do_not_count_as_depth(void **state)
{
    struct buf b = { 0 };

    (void)state;
    buf_z(&b, "[\"\\\"\\\\");
    for (int i = 0; i < 100; i++)
        buf_c(&b, '{');
    buf_z(&b, "\"]");
    assert_int_equal(fault_of(buf_slice(&b)), JSON_OK);
    buf_free(&b);
}

static void
members_of_another_type_give_the_fallback(void **state)
{
    enum json_fault fault;
    const char *detail;
    json_t *o = json_read(STR("{\"s\":\"x\",\"i\":7,\"d\":1.5,\"t\":true,\"n\":null}"), &fault, &detail);

    (void)state;
    assert_true(str_is(json_str(o, "s"), "x"));
    assert_null(json_str(o, "i").p);
    assert_null(json_str(o, "none").p);
    assert_int_equal(json_int(o, "i", -1), 7);
    assert_int_equal(json_int(o, "d", -1), -1);
    assert_true(json_num(o, "i", 0) == 7.0 && json_num(o, "d", 0) == 1.5 && json_num(o, "s", 3) == 3.0);
    assert_true(json_flag(o, "t", false));
    assert_true(json_flag(o, "n", true));
    assert_int_equal(json_int(NULL, "i", 9), 9);
    json_decref(o);
}

static void
a_written_string_is_valid_and_comes_back(void **state)
{
    struct buf b = { 0 };
    struct str s = STR("q\" b\\ n\n t\t nul\0 esc\x1B \xC3\xA4 bad\xFF\xC3 end\x7F");
    enum json_fault fault;
    const char *detail;
    json_t *o;

    (void)state;
    buf_c(&b, '{');
    buf_key(&b, "s");
    buf_json(&b, (struct str){ s.p, 14 });
    buf_key_str(&b, "none", STR_NONE);
    buf_key_str(&b, "k\"", (struct str){ s.p + 16, s.n - 16 });
    buf_key_int(&b, "i", INT64_MIN);
    buf_key_bool(&b, "t", true);
    buf_key_num(&b, "d", 0.1);
    buf_c(&b, '}');
    o = json_read(buf_slice(&b), &fault, &detail);
    assert_non_null(o);
    assert_true(str_eq(json_str(o, "s"), (struct str){ s.p, 14 }));
    assert_true(str_is(json_str(o, "k\""), " esc\x1B \xC3\xA4 bad\xEF\xBF\xBD\xEF\xBF\xBD end\x7F"));
    assert_true(json_is_null(json_object_get(o, "none")));
    assert_true(json_int(o, "i", 0) == INT64_MIN);
    json_decref(o);
    buf_reset(&b);
    buf_json(&b, STR("\0\x1F"));
    assert_true(str_is(buf_slice(&b), "\"\\u0000\\u001f\""));
    buf_free(&b);
}

static void
a_written_number_comes_back_unchanged_and_short(void **state)
{
    static const double v[] = { 0,       1,       -1,     0.1,
                                1.0 / 3, 1e21,    1e-7,   123456789.125,
                                DBL_MAX, DBL_MIN, 5e-324, 0.30000000000000004 };
    struct buf b = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        buf_reset(&b);
        buf_json_num(&b, v[i]);
        assert_true(strtod(b.p, NULL) == v[i]);
    }
    buf_reset(&b);
    buf_json_num(&b, 0.1);
    buf_c(&b, ' ');
    buf_json_num(&b, 5e-324);
    buf_c(&b, ' ');
    buf_json_num(&b, NAN);
    buf_c(&b, ' ');
    buf_json_num(&b, -INFINITY);
    assert_true(str_is(buf_slice(&b), "0.1 5e-324 null null"));
    buf_free(&b);
}

static void
a_text_that_does_not_fit_its_buffer_fails_and_stays_small(void **state)
{
    struct buf b = BUF_MAX(8);

    (void)state;
    buf_c(&b, '{');
    for (int i = 0; i < 100; i++)
        buf_key_int(&b, "key", i);
    assert_true(b.failed);
    assert_true(b.n <= 8);
    buf_free(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_one_object_or_array_is_refused),
        cmocka_unit_test(escapes_are_read_as_jansson_reads_them),
        cmocka_unit_test(text_that_is_not_utf8_is_refused_as_such),
        cmocka_unit_test(depth_32_is_read_and_33_is_refused_before_parsing),
        cmocka_unit_test(more_values_than_allowed_are_refused_before_parsing),
        cmocka_unit_test(brackets_and_quotes_inside_of_strings_do_not_count_as_depth),
        cmocka_unit_test(members_of_another_type_give_the_fallback),
        cmocka_unit_test(a_written_string_is_valid_and_comes_back),
        cmocka_unit_test(a_written_number_comes_back_unchanged_and_short),
        cmocka_unit_test(a_text_that_does_not_fit_its_buffer_fails_and_stays_small),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
