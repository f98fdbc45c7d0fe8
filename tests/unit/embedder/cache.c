/* Values of the embedding cache: what is taken, and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/digest.h"
#include "embedder/embed.h"

#define DIMS 8

static struct buf
value(const char *text, uint8_t sha[32], int64_t tokens)
{
    struct str s = str_of(text);
    struct buf b = { 0 };
    float v[DIMS] = { 0.6f, 0.8f };

    sha256(&s, 1, sha);
    embed_value_encode(&b, sha, v, DIMS, tokens);
    return b;
}

static void
a_value_comes_back_as_it_was_put(void **state)
{
    uint8_t sha[32];
    struct buf b = value("text", sha, 0);
    struct embed_found found;
    float f;

    (void)state;
    assert_int_equal(b.n, EMBED_VALUE_HEAD + DIMS * 4);
    assert_int_equal(embed_value_decode(buf_slice(&b), sha, 0, &found), VALUE_OK);
    assert_int_equal(embed_value_decode(buf_slice(&b), sha, DIMS, &found), VALUE_OK);
    assert_int_equal(found.dims, DIMS);
    assert_int_equal(found.tokens, 0);
    memcpy(&f, found.floats + 4, sizeof f);
    assert_true(f == 0.8f);
    buf_free(&b);
}

static void
every_truncation_and_every_changed_head_byte_is_refused(void **state)
{
    uint8_t sha[32];
    struct buf b = value("text", sha, 0);
    struct embed_found found;

    (void)state;
    for (size_t n = 0; n < b.n; n++)
        assert_int_equal(embed_value_decode((struct str){ b.p, n }, sha, 0, &found), VALUE_BAD);
    for (size_t i = 0; i < EMBED_VALUE_HEAD; i++) {
        b.p[i] ^= 0x41;
        assert_int_not_equal(embed_value_decode(buf_slice(&b), sha, 0, &found), VALUE_OK);
        b.p[i] ^= 0x41;
    }
    buf_c(&b, 0);
    assert_int_equal(embed_value_decode(buf_slice(&b), sha, 0, &found), VALUE_BAD);
    buf_free(&b);
}

static void
what_a_text_cost_comes_back_and_a_value_without_it_still_counts(void **state)
{
    uint8_t sha[32];
    struct buf b = value("text", sha, 70000);
    struct embed_found found;

    (void)state;
    assert_int_equal(b.n, EMBED_VALUE_HEAD + DIMS * 4 + 4);
    assert_int_equal(embed_value_decode(buf_slice(&b), sha, DIMS, &found), VALUE_OK);
    assert_int_equal(found.tokens, 70000);
    for (size_t n = 0; n < b.n; n++)
        assert_int_equal(embed_value_decode((struct str){ b.p, n }, sha, 0, &found), VALUE_BAD);
    b.p[3] = 0; /* says that none follow */
    assert_int_equal(embed_value_decode(buf_slice(&b), sha, 0, &found), VALUE_BAD);
    buf_free(&b);
}

static void
another_text_with_the_same_key_is_no_hit(void **state)
{
    uint8_t sha[32], other[32];
    struct buf b = value("text", sha, 0), c = value("other", other, 0);
    struct embed_found found;

    (void)state;
    assert_int_equal(embed_value_decode(buf_slice(&b), other, 0, &found), VALUE_OTHER_TEXT);
    assert_int_equal(embed_value_decode(buf_slice(&b), sha, 16, &found), VALUE_BAD);
    buf_free(&b);
    buf_free(&c);
}

static void
numbers_that_are_no_unit_vector_are_refused(void **state)
{
    static const float bad[] = { NAN, INFINITY, -INFINITY, 5.0f, 1e30f };
    uint8_t sha[32];
    struct embed_found found;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct buf b = value("text", sha, 0);

        memcpy(b.p + EMBED_VALUE_HEAD, &bad[i], 4);
        assert_int_equal(embed_value_decode(buf_slice(&b), sha, 0, &found), VALUE_BAD);
        buf_free(&b);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_comes_back_as_it_was_put),
        cmocka_unit_test(every_truncation_and_every_changed_head_byte_is_refused),
        cmocka_unit_test(what_a_text_cost_comes_back_and_a_value_without_it_still_counts),
        cmocka_unit_test(another_text_with_the_same_key_is_no_hit),
        cmocka_unit_test(numbers_that_are_no_unit_vector_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
