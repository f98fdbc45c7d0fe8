/* Sealed values: what went in comes out, only with the same key, only unchanged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/digest.h"

static const uint8_t key[32] = { 1, 2, 3 };

static void
a_sealed_value_opens_with_its_key_only(void **state)
{
    static const uint8_t other[32] = { 1, 2, 4 };
    const struct str texts[] = { STR(""), STR("x"), STR("an answer that nobody else may read") };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct buf b = BUF_MAX(0), out = BUF_MAX(0);

        seal(key, texts[i], &b);
        assert_int_equal(b.n, texts[i].n + SEAL_EXTRA);
        assert_true(unseal(key, buf_slice(&b), &out) && str_eq(buf_slice(&out), texts[i]));
        buf_reset(&out);
        assert_false(unseal(other, buf_slice(&b), &out));
        assert_int_equal(out.n, 0);
        buf_free(&b);
        buf_free(&out);
    }
}

static void
a_changed_or_cut_value_does_not_open(void **state)
{
    struct buf b = BUF_MAX(0), out = BUF_MAX(0);

    (void)state;
    seal(key, STR("twelve bytes"), &b);
    for (size_t i = 0; i < b.n; i++) {
        b.p[i] = (char)(b.p[i] ^ 0x10);
        assert_false(unseal(key, buf_slice(&b), &out));
        b.p[i] = (char)(b.p[i] ^ 0x10);
    }
    for (size_t n = 0; n < b.n; n++)
        assert_false(unseal(key, (struct str){ b.p, n }, &out));
    assert_true(unseal(key, buf_slice(&b), &out));
    buf_free(&b);
    buf_free(&out);
}

static void
the_same_value_is_never_sealed_to_the_same_bytes(void **state)
{
    struct buf a = BUF_MAX(0), b = BUF_MAX(0);

    (void)state;
    seal(key, STR("twelve bytes"), &a);
    seal(key, STR("twelve bytes"), &b);
    assert_false(str_eq(buf_slice(&a), buf_slice(&b)));
    buf_free(&a);
    buf_free(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sealed_value_opens_with_its_key_only),
        cmocka_unit_test(a_changed_or_cut_value_does_not_open),
        cmocka_unit_test(the_same_value_is_never_sealed_to_the_same_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
