/* Paths and queries have one meaning or none; echoed identifiers match exactly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "gateway/edge/path.h"

static void
a_path_is_decoded_once(void **s)
{
    char out[64];

    (void)s;
    assert_true(path_decode("/api/v1/collections/my%20docs", out));
    assert_string_equal(out, "/api/v1/collections/my docs");
    assert_true(path_decode("/%2541", out));
    assert_string_equal(out, "/%41");
    assert_true(path_decode("/%C3%a4", out));
    assert_string_equal(out, "/\xc3\xa4");
    assert_true(path_decode("/", out));
    assert_true(path_decode("/a+b/...", out));
    assert_string_equal(out, "/a+b/...");
}

static void
a_path_with_two_meanings_is_refused(void **s)
{
    static const char *const bad[] = { "/a%00b", "/a%2fb",    "/a%2Fb",   "/a%5cb",  "/a\\b", "/../a",
                                       "/a/..",  "/%2e%2e/a", "/a/%2E/b", "/.",      "//a",   "/a//b",
                                       "/%",     "/%2",       "/%zz",     "/%c0%af", "/%ff",  "/a%0d%0a",
                                       "/a%7f",  "a",         "" };
    char out[64];

    (void)s;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(path_decode(bad[i], out));
}

static void
a_query_parameter_is_found_by_its_decoded_name(void **s)
{
    const char *q = "a=1&b%20c=x+y%26z&empty=&flag&a=2";
    char out[64];

    (void)s;
    assert_int_equal(query_get(q, "a", out), 1);
    assert_string_equal(out, "1");
    assert_int_equal(query_get(q, "b c", out), 1);
    assert_string_equal(out, "x y&z");
    assert_int_equal(query_get(q, "empty", out), 1);
    assert_string_equal(out, "");
    assert_int_equal(query_get(q, "flag", out), 1);
    assert_string_equal(out, "");
    assert_int_equal(query_get(q, "none", out), 0);
    assert_int_equal(query_get(NULL, "a", out), 0);
    assert_int_equal(query_get("a=%41", "a", out), 1);
    assert_string_equal(out, "A");
}

static void
a_malformed_query_is_refused(void **s)
{
    char out[64];

    (void)s;
    assert_int_equal(query_get("a=%4", "a", out), -1);
    assert_int_equal(query_get("a=%00", "a", out), -1);
    assert_int_equal(query_get("a=%ff", "a", out), -1);
    assert_false(query_valid("a=%zz") || query_valid("a=%00") || query_valid("a b") || query_valid("a#b"));
    assert_true(query_valid("a=%41&b=+") && query_valid(""));
}

static void
only_exact_identifiers_are_echoed(void **s)
{
    char long_id[131] = { 0 };

    (void)s;
    memset(long_id, 'a', 128);
    assert_true(request_id_valid(long_id) && request_id_valid("A.b_c-9"));
    long_id[128] = 'a';
    assert_false(request_id_valid(long_id) || request_id_valid("") || request_id_valid("a b") ||
                 request_id_valid("a\r\nb") || request_id_valid("\xe2\x80\xa8"));
    assert_true(traceparent_valid("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    assert_false(traceparent_valid("00-00000000000000000000000000000000-b7ad6b7169203331-01"));
    assert_false(traceparent_valid("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"));
    assert_false(traceparent_valid("00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    assert_false(traceparent_valid("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    assert_false(traceparent_valid("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1"));
    assert_false(traceparent_valid(""));
    assert_true(traceparent_valid("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    assert_true(traceparent_valid("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later"));
    assert_false(traceparent_valid("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.later"));
    assert_false(traceparent_valid("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"));
    assert_false(traceparent_valid("0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_is_decoded_once),
        cmocka_unit_test(a_path_with_two_meanings_is_refused),
        cmocka_unit_test(a_query_parameter_is_found_by_its_decoded_name),
        cmocka_unit_test(a_malformed_query_is_refused),
        cmocka_unit_test(only_exact_identifiers_are_echoed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
