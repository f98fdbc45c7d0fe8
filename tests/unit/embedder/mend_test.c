/* Nearly JSON is read, and letters that were cut in two are put together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "embedder/openai/mend.h"

/* The member "a" of some objects, one after the other, with whole letters. */
static void
expect(const char *const *bodies, size_t n, const char *text)
{
    struct buf out = { 0 };
    struct mend m = { .n = 0 };

    buf_z(&out, "");
    for (size_t i = 0; i < n; i++) {
        json_t *root = server_json(str_of(bodies[i]));

        assert_non_null(root);
        mend_join(&m, json_str(root, "a"), &out);
        json_decref(root);
    }
    mend_end(&m, &out);
    if (!str_is(buf_slice(&out), text))
        fail_msg("%s … gives %s", bodies[0], out.p);
    buf_free(&out);
}

#define EXPECT(text, ...) \
    expect((const char *const[]){ __VA_ARGS__ }, \
           sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *), text)

static void
halves_of_letters_become_the_letter(void **state)
{
    (void)state;
    EXPECT("\xf0\x9f\x98\x80", "{\"a\":\"\\ud83d\\ude00\"}");
    EXPECT("x\xf0\x9f\x98\x80y", "{\"a\":\"x\\ud83d\"}", "{\"a\":\"\\uDE00y\"}");
    EXPECT("\xf0\x9f\x98\x80", "{\"a\":\"\\ud83d\"}", "{\"a\":\"\"}", "{\"a\":\"\\ude00\"}");
    EXPECT("\xe6\x97\xa5", "{\"a\":\"\xe6\"}", "{\"a\":\"\x97\"}", "{\"a\":\"\xa5\"}");
    EXPECT("\xf0\x9f\x98\x80!", "{\"a\":\"\xf0\x9f\"}", "{\"a\":\"\x98\x80!\"}");
}

static void
what_stays_alone_is_an_unknown_letter(void **state)
{
    (void)state;
    EXPECT("\xef\xbf\xbdx", "{\"a\":\"\\ud83dx\"}");
    EXPECT("\xef\xbf\xbd\xef\xbf\xbd", "{\"a\":\"\\ude00\\ud83d\"}");
    EXPECT("\xef\xbf\xbd", "{\"a\":\"\\ud83d\"}");
    EXPECT("\xef\xbf\xbd.", "{\"a\":\"\xe6\"}", "{\"a\":\".\"}");
    EXPECT("\xef\xbf\xbd\xef\xbf\xbd", "{\"a\":\"\xa5\xff\"}");
    EXPECT("a\xef\xbf\xbd\x62", "{\"a\":\"a\\u0000b\"}");
    EXPECT("\xf4\x8f\xbf\xbf\xf4\x80\x80\x80", "{\"a\":\"\xf4\x8f\xbf\xbf\xf4\x80\x80\x80\"}"); /* no marks */
}

static void
nearly_json_is_read(void **state)
{
    static const char *const good[] = {
        "\xef\xbb\xbf{\"a\":\"x\"}",
        "{\"a\":\"y\",\"a\":\"x\"}",
        "{\"n\":NaN,\"i\":-Infinity,\"a\":\"x\"}",
        "{\"n\":[18446744073709551616,-1e999],\"a\":\"x\"}",
        "{\"a\":\"x\",\"b\":\"\\q\\u12\x01\"}",
    };
    static const char *const bad[] = {
        "", "x", "{", "{\"a\":\"x}", "{\"a\":x}", "{\"a\":\"x\"} {}", "\"x\"", "NaN", "{\"a\":\"\\"
    };
    json_t *root;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        EXPECT("x", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        root = server_json(str_of(bad[i]));
        if (root)
            fail_msg("%s is taken", bad[i]);
    }
    root = server_json(STR("{\"n\":[NaN,18446744073709551615,12]}"));
    assert_true(json_is_null(json_array_get(json_object_get(root, "n"), 0)));
    assert_true(json_is_real(json_array_get(json_object_get(root, "n"), 1)));
    assert_int_equal(json_integer_value(json_array_get(json_object_get(root, "n"), 2)), 12);
    json_decref(root);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves_of_letters_become_the_letter),
        cmocka_unit_test(what_stays_alone_is_an_unknown_letter),
        cmocka_unit_test(nearly_json_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
