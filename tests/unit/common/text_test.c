/* UTF-8, UUIDs, hex, base64 and digests against the examples of their own specifications. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/digest.h"
#include "common/text/text.h"
#include "common/text/web.h"

static void
only_well_formed_utf8_is_valid(void **state)
{
    static const char *const good[] = { "",
                                        "plain ascii, longer than eight",
                                        "\xC2\x80",
                                        "\xDF\xBF",
                                        "\xE0\xA0\x80",
                                        "\xED\x9F\xBF",
                                        "\xEE\x80\x80",
                                        "\xF0\x90\x80\x80",
                                        "\xF4\x8F\xBF\xBF",
                                        "ascii before \xC3\xA4 and after it" };
    static const char *const bad[] = { "\x80",
                                       "\xC0\x80",
                                       "\xC1\xBF",
                                       "\xE0\x9F\xBF",
                                       "\xED\xA0\x80",
                                       "\xF0\x8F\xBF\xBF",
                                       "\xF4\x90\x80\x80",
                                       "\xF5\x80\x80\x80",
                                       "\xFF",
                                       "\xC3",
                                       "\xE2\x82",
                                       "\xF0\x9F\x98",
                                       "eight by\xC3",
                                       "a\xE2\x28\xA1" };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(utf8_valid(str_of(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(utf8_valid(str_of(bad[i])));
    assert_true(utf8_valid(STR_NONE));
}

static void
a_cut_never_splits_a_code_point(void **state)
{
    struct str s = STR("a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80z"); /* 1 + 2 + 3 + 4 + 1 bytes */
    static const size_t want[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11 };

    (void)state;
    for (size_t max = 0; max < sizeof want / sizeof *want; max++)
        assert_int_equal(utf8_cut(s, max).n, want[max]);
    assert_int_equal(utf8_count(s), 5);
}

static void
a_uuid_survives_its_text(void **state)
{
    struct uuid u, v;
    char text[37];

    (void)state;
    assert_true(uuid_parse(STR("F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6"), &u));
    assert_int_equal(uuid_version(&u), 1);
    assert_string_equal(uuid_text(&u, text), "f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
    assert_true(uuid_parse(str_of(text), &v));
    assert_true(uuid_eq(&u, &v));
    assert_false(uuid_is_nil(&u));
}

static void
a_malformed_uuid_is_refused_and_leaves_the_result_alone(void **state)
{
    static const char *const bad[] = { "",
                                       "f81d4fae-7dec-11d0-a765-00a0c91e6bf",
                                       "f81d4fae-7dec-11d0-a765-00a0c91e6bf60",
                                       "f81d4fae07dec-11d0-a765-00a0c91e6bf6",
                                       "g81d4fae-7dec-11d0-a765-00a0c91e6bf6",
                                       "f81d4fae7dec11d0a76500a0c91e6bf6",
                                       "{81d4fae-7dec-11d0-a765-00a0c91e6bf}",
                                       "f81d4fae-7dec-11d0-a76-500a0c91e6bf6" };
    struct uuid u = { { 0 } };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(uuid_parse(str_of(bad[i]), &u));
        assert_true(uuid_is_nil(&u));
    }
    assert_false(uuid_parse(STR_NONE, &u));
}

#define MANY 20000
static struct uuid minted[4][MANY];

static void *
mint(void *arg)
{
    struct uuid *u = arg;

    for (size_t i = 0; i < MANY; i++)
        u[i] = uuid_v7();
    return NULL;
}

static int
compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

static void
version_7_ids_are_ordered_within_a_thread_and_unique_over_all(void **state)
{
    pthread_t t[4];

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, mint, minted[i]), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 1; k < MANY; k++)
            assert_true(compare(&minted[i][k - 1], &minted[i][k]) < 0);
    qsort(minted, 4 * (size_t)MANY, sizeof(struct uuid), compare);
    for (size_t k = 1; k < 4 * (size_t)MANY; k++)
        assert_true(compare(&minted[0][0] + k - 1, &minted[0][0] + k) != 0);
    assert_int_equal(uuid_version(&minted[0][0]), 7);
    assert_int_equal(minted[0][0].b[8] & 0xC0, 0x80);
}

static void
a_named_id_depends_on_where_its_parts_end(void **state)
{
    const struct str x[] = { STR("ab"), STR("c") }, y[] = { STR("a"), STR("bc") };
    struct uuid u = uuid_named(x, 2), again = uuid_named(x, 2), v = uuid_named(y, 2), w = uuid_v4();

    (void)state;
    assert_true(uuid_eq(&u, &again));
    assert_false(uuid_eq(&u, &v));
    assert_int_equal(uuid_version(&u), 8);
    assert_int_equal(uuid_version(&w), 4);
}

static void
random_hex_has_all_its_digits_and_never_comes_twice(void **state)
{
    static const size_t lengths[] = { 1, 8, 32, 33, 70 };
    char a[141], b[141];

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        assert_ptr_equal(hex_random(lengths[i], a), a);
        assert_int_equal(strspn(a, "0123456789abcdef"), 2 * lengths[i]);
        assert_int_equal(strlen(a), 2 * lengths[i]);
        if (lengths[i] >= 8)
            assert_string_not_equal(a, hex_random(lengths[i], b));
    }
}

static void
hex_is_exact_about_its_length_and_digits(void **state)
{
    uint8_t b[3];
    char text[7];

    (void)state;
    assert_true(hex_parse(STR("00fFa5"), b, 3));
    assert_string_equal(hex_text(b, 3, text), "00ffa5");
    assert_false(hex_parse(STR("00ffa"), b, 3));
    assert_false(hex_parse(STR("00ffa50"), b, 3));
    assert_false(hex_parse(STR("00ffag"), b, 3));
}

static void
base64_gives_the_vectors_of_rfc_4648_both_ways(void **state)
{
    static const char *const pair[][2] = { { "", "" },
                                           { "f", "Zg==" },
                                           { "fo", "Zm8=" },
                                           { "foo", "Zm9v" },
                                           { "foob", "Zm9vYg==" },
                                           { "fooba", "Zm9vYmE=" },
                                           { "foobar", "Zm9vYmFy" } };

    (void)state;
    for (size_t i = 0; i < sizeof pair / sizeof *pair; i++) {
        struct buf enc = { 0 }, dec = { 0 };

        assert_int_equal(base64_encode(str_of(pair[i][0]), &enc), strlen(pair[i][1]));
        assert_true(str_is(buf_slice(&enc), pair[i][1]));
        assert_true(base64_decode(str_of(pair[i][1]), &dec));
        assert_true(str_is(buf_slice(&dec), pair[i][0]));
        buf_free(&enc);
        buf_free(&dec);
    }
}

static void
malformed_base64_is_refused(void **state)
{
    static const char *const bad[] = { "Zg",   "Zg=",      "Zh==",   "Zm9=", "Z===",
                                       "====", "Zg==Zg==", "Zm9v\n", "Zm9-", "Zm=v" };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf out = { 0 };

        assert_false(base64_decode(str_of(bad[i]), &out));
        buf_free(&out);
    }
}

static void
base64_that_does_not_fit_its_buffer_is_refused(void **state)
{
    struct buf out = BUF_MAX(3);

    (void)state;
    assert_false(base64_decode(STR("Zm9vYmFy"), &out));
    buf_free(&out);
}

static void
digests_are_those_of_their_rfcs_over_all_parts(void **state)
{
    const struct str abc[] = { STR("a"), STR_NONE, STR("bc") };
    uint8_t d[32];
    char text[65];

    (void)state;
    md5(abc, 3, d);
    assert_string_equal(hex_text(d, 16, text), "900150983cd24fb0d6963f7d28e17f72");
    sha1(abc, 3, d);
    assert_string_equal(hex_text(d, 20, text), "a9993e364706816aba3e25717850c26c9cd0d89d");
    sha256(abc, 3, d);
    assert_string_equal(hex_text(d, 32, text),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hmac_sha256(STR("Jefe"), STR("what do ya want for nothing?"), d); /* RFC 4231, case 2 */
    assert_string_equal(hex_text(d, 32, text),
                        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_true(bytes_equal("abc", "abc", 3));
    assert_false(bytes_equal("abc", "abd", 3));
}

static void
addresses_of_the_web_are_known_and_their_paths_stay_below_where_they_begin(void **state)
{
    static const char *const paths[][2] = {
        { "a/b", "a/b" },   { "a/./b/", "a/b/" },   { "a/b/../c", "a/c" }, { "a/b/..", "a/" },
        { "../../a", "a" }, { "a/../../b/..", "" }, { "a//b", "a//b" },    { "", "" },
    };

    (void)state;
    assert_int_equal(web_scheme(STR("http://a")), 7);
    assert_int_equal(web_scheme(STR("HTTPS://a")), 8);
    assert_int_equal(web_scheme(STR("https://")), 0);
    assert_int_equal(web_scheme(STR("javascript:a")), 0);
    assert_true(web_tidy(STR("https://a/b?c=d#e")));
    for (const char *p = " \t\n\x7f<>\"`\\"; *p != 0; p++)
        assert_false(web_tidy((struct str){ p, 1 }));
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct buf b = { 0 };

        buf_z(&b, "https://h/");
        web_path(&b, str_of(paths[i][0]));
        assert_true(str_starts(buf_slice(&b), "https://h/"));
        assert_true(str_is((struct str){ b.p + 10, b.n - 10 }, paths[i][1]));
        buf_free(&b);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_well_formed_utf8_is_valid),
        cmocka_unit_test(a_cut_never_splits_a_code_point),
        cmocka_unit_test(a_uuid_survives_its_text),
        cmocka_unit_test(a_malformed_uuid_is_refused_and_leaves_the_result_alone),
        cmocka_unit_test(version_7_ids_are_ordered_within_a_thread_and_unique_over_all),
        cmocka_unit_test(a_named_id_depends_on_where_its_parts_end),
        cmocka_unit_test(random_hex_has_all_its_digits_and_never_comes_twice),
        cmocka_unit_test(hex_is_exact_about_its_length_and_digits),
        cmocka_unit_test(base64_gives_the_vectors_of_rfc_4648_both_ways),
        cmocka_unit_test(malformed_base64_is_refused),
        cmocka_unit_test(base64_that_does_not_fit_its_buffer_is_refused),
        cmocka_unit_test(digests_are_those_of_their_rfcs_over_all_parts),
        cmocka_unit_test(addresses_of_the_web_are_known_and_their_paths_stay_below_where_they_begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
