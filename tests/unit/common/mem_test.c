/* Memory: blocks, arenas, buffers and their bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <string.h>

#include "common/mem.h"

static void
a_block_is_zeroed_and_its_pointer_nulled_when_freed(void **state)
{
    unsigned char *p = mem_new(1000);

    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(p[i], 0);
    mem_free(&p);
    assert_null(p);
    mem_free(&p); /* NULL is fine */
}

static void
a_size_that_cannot_be_had_is_null_not_death(void **state)
{
    (void)state;
    assert_null(mem_try((size_t)PTRDIFF_MAX));
}

static void
copies_end_with_nul(void **state)
{
    char *a = mem_dup("hello"), *b = mem_dup_str((struct str){ "hello", 4 }), *c = mem_dup_str(STR_NONE);

    (void)state;
    assert_string_equal(a, "hello");
    assert_string_equal(b, "hell");
    assert_string_equal(c, "");
    mem_free(&a);
    mem_free(&b);
    mem_free(&c);
}

static void
arena_memory_is_zeroed_aligned_and_separate(void **state)
{
    struct arena *a = arena_new(1 << 20);
    unsigned char *last = NULL;

    (void)state;
    for (size_t n = 0; n < 500; n++) {
        unsigned char *p = arena_alloc(a, n);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xee, n);
        assert_ptr_not_equal(p, last);
        last = p;
    }
    assert_true(arena_used(a) >= 499 * 500 / 2);
    arena_free(&a);
    assert_null(a);
    arena_free(&a);
}

static void
an_arena_never_hands_out_more_than_its_maximum(void **state)
{
    struct arena *a = arena_new(1000);
    size_t total = 0;

    (void)state;
    assert_null(arena_alloc(a, 1001));
    assert_null(arena_alloc(a, SIZE_MAX));
    assert_null(arena_alloc(a, SIZE_MAX - 8));
    while (arena_alloc(a, 10))
        total += 10;
    assert_in_range(total, 500, 1000);
    assert_null(arena_dup(a, (struct str){ "x", SIZE_MAX }));
    assert_null(arena_str(a, STR("0123456789012345")).p);
    arena_free(&a);
}

static void
arena_text_is_copied_and_an_absent_slice_stays_absent(void **state)
{
    struct arena *a = arena_new(4096);
    char from[] = "passage";
    struct str s = arena_str(a, (struct str){ from, 7 }), empty = arena_str(a, STR(""));

    (void)state;
    from[0] = 'X';
    assert_true(str_is(s, "passage"));
    assert_non_null(empty.p);
    assert_int_equal(empty.n, 0);
    assert_null(arena_str(a, STR_NONE).p);
    assert_string_equal(arena_printf(a, "%s-%d", "chunk", 7), "chunk-7");
    assert_null(arena_printf(a, "%5000d", 7));
    arena_free(&a);
}

static void
a_buffer_grows_and_always_ends_with_nul(void **state)
{
    struct buf b = { 0 };

    (void)state;
    assert_string_equal(buf_slice(&b).p, "");
    for (int i = 0; i < 10000; i++) {
        buf_c(&b, (char)('a' + i % 26));
        assert_int_equal(b.p[b.n], 0);
    }
    buf_printf(&b, "%d", 42);
    assert_int_equal(b.n, 10002);
    buf_cut(&b, 10000);
    assert_string_equal(b.p, "42");
    buf_reset(&b);
    assert_string_equal(b.p, "");
    buf_str(&b, STR_NONE);
    assert_int_equal(b.n, 0);
    buf_free(&b);
    assert_null(b.p);
    buf_z(&b, "again");
    assert_string_equal(b.p, "again");
    buf_free(&b);
}

static void
a_buffer_takes_its_maximum_exactly_and_then_no_more(void **state)
{
    struct buf b = BUF_MAX(100);

    (void)state;
    for (int i = 0; i < 100; i++)
        buf_c(&b, 'x');
    assert_false(b.failed);
    buf_c(&b, 'y');
    assert_true(b.failed);
    assert_int_equal(b.n, 100);
    assert_true(b.cap <= 101);
    buf_cut(&b, 50);
    buf_z(&b, "z"); /* still failed: a hole in the middle would be worse than a short text */
    assert_int_equal(b.n, 50);
    buf_reset(&b);
    buf_z(&b, "z");
    assert_string_equal(b.p, "z");
    buf_add(&b, "", SIZE_MAX);
    assert_true(b.failed);
    buf_free(&b);
    assert_int_equal(b.max, 100);
}

static void
formatted_text_that_does_not_fit_leaves_nothing_behind(void **state)
{
    struct buf b = BUF_MAX(8);

    (void)state;
    buf_printf(&b, "%s", "12345678");
    assert_false(b.failed);
    buf_printf(&b, "%d", 9);
    assert_true(b.failed);
    assert_string_equal(b.p, "12345678");
    buf_free(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_zeroed_and_its_pointer_nulled_when_freed),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they end the process instead */
        cmocka_unit_test(a_size_that_cannot_be_had_is_null_not_death),
#endif
        cmocka_unit_test(copies_end_with_nul),
        cmocka_unit_test(arena_memory_is_zeroed_aligned_and_separate),
        cmocka_unit_test(an_arena_never_hands_out_more_than_its_maximum),
        cmocka_unit_test(arena_text_is_copied_and_an_absent_slice_stays_absent),
        cmocka_unit_test(a_buffer_grows_and_always_ends_with_nul),
        cmocka_unit_test(a_buffer_takes_its_maximum_exactly_and_then_no_more),
        cmocka_unit_test(formatted_text_that_does_not_fit_leaves_nothing_behind),
    };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    (void)a_size_that_cannot_be_had_is_null_not_death;
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
