/* Frames of footnote-extract: what was written is read, and nothing that points outside, runs backwards or is no text. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/extracted.h"

static const struct extracted_block blocks[] = { { EXTRACTED_HEADING, 2, 0, 7, 3, 7 },
                                                 { EXTRACTED_TABLE, 0, 9, 14, 0, 0 } };
static const struct extracted_page pages[] = { { 0, 1 }, { 9, 4 } };

static struct extraction
sample(void)
{
    return (struct extraction){ .title = STR("T"),
                                .text = STR("## Oil\xc3\xa9\n| a |"),
                                .blocks = (struct extracted_block *)(uintptr_t)blocks,
                                .n_blocks = 2,
                                .pages = (struct extracted_page *)(uintptr_t)pages,
                                .n_pages = 2 };
}

static bool
decodes(struct str s, struct extraction *out)
{
    struct arena *a = arena_new(1 << 20);
    const char *why;
    bool ok = extracted_decode(s, a, out, &why);

    assert_true(ok || why[0]);
    arena_free(&a);
    return ok;
}

static void
what_was_written_is_read(void **state)
{
    struct extraction e = sample(), out;
    struct arena *a = arena_new(1 << 20);
    struct buf b = { 0 };
    const char *why;

    (void)state;
    e.blocks = arena_alloc(a, sizeof blocks);
    memcpy(e.blocks, blocks, sizeof blocks);
    e.blocks[0].end = e.blocks[0].to = 8;
    extracted_encode(&e, &b);
    assert_true(extracted_decode(buf_slice(&b), a, &out, &why));
    assert_true(str_eq(out.text, e.text) && str_eq(out.title, e.title) && !out.reason.p);
    assert_int_equal(out.n_blocks, 2);
    assert_int_equal(out.blocks[0].level, 2);
    assert_int_equal(out.blocks[1].start, 9);
    assert_int_equal(out.pages[1].number, 4);
    buf_free(&b);
    arena_free(&a);
}

static void
a_block_in_the_middle_of_a_character_is_refused(void **state)
{
    struct extraction e = sample(), out; /* its heading ends within the é */
    struct buf b = { 0 };

    (void)state;
    extracted_encode(&e, &b);
    assert_false(decodes(buf_slice(&b), &out));
    buf_free(&b);
}

static void
ranges_out_of_place_are_refused(void **state)
{
    static const struct extracted_block wrong[] = {
        { EXTRACTED_PARAGRAPH, 0, 0, 15, 0, 0 },
        { EXTRACTED_PARAGRAPH, 0, 5, 5, 0, 0 },
        { EXTRACTED_PARAGRAPH, 0, 6, 2, 0, 0 },
        { EXTRACTED_KINDS, 0, 0, 4, 0, 0 },
        { EXTRACTED_HEADING, 0, 0, 4, 0, 4 },
        { EXTRACTED_HEADING, 7, 0, 4, 0, 4 },
        { EXTRACTED_HEADING, 1, 2, 4, 0, 4 },
        { EXTRACTED_HEADING, 1, 2, 4, 3, 6 },
        { EXTRACTED_PARAGRAPH, 0, 0, 0xffffffff, 0, 0 },
    };
    struct buf b = { 0 };

    (void)state;
    for (size_t i = 0; i <= sizeof wrong / sizeof *wrong; i++) {
        struct extraction e = { .text = STR("words, and more"), .n_blocks = 1 }, out;
        struct extracted_block two[2] = { { EXTRACTED_PARAGRAPH, 0, 4, 9, 0, 0 },
                                          { EXTRACTED_PARAGRAPH, 0, 2, 12, 0, 0 } };
        struct extracted_block one = i < sizeof wrong / sizeof *wrong ? wrong[i] : two[0];

        e.text.n = 14;
        e.blocks = i < sizeof wrong / sizeof *wrong ? &one : two;
        e.n_blocks = i < sizeof wrong / sizeof *wrong ? 1 : 2; /* the last: backwards */
        buf_reset(&b);
        extracted_encode(&e, &b);
        assert_false(decodes(buf_slice(&b), &out));
    }
    buf_free(&b);
}

static void
whatever_is_cut_or_added_is_refused(void **state)
{
    struct extraction e = { .title = STR("T"), .text = STR("some words") }, out;
    struct buf b = { 0 };
    size_t n;

    (void)state;
    extracted_encode(&e, &b);
    n = b.n;
    assert_true(decodes(buf_slice(&b), &out));
    for (size_t i = 0; i < n; i++)
        assert_false(decodes((struct str){ b.p, i }, &out));
    buf_c(&b, 'x');
    assert_false(decodes(buf_slice(&b), &out));
    buf_reset(&b);
    e.text = STR("a\xff");
    extracted_encode(&e, &b);
    assert_false(decodes(buf_slice(&b), &out));
    buf_reset(&b);
    e = (struct extraction){ .reason = STR("the file is damaged") };
    extracted_encode(&e, &b);
    assert_true(decodes(buf_slice(&b), &out) && str_is(out.reason, "the file is damaged"));
    buf_free(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(a_block_in_the_middle_of_a_character_is_refused),
        cmocka_unit_test(ranges_out_of_place_are_refused),
        cmocka_unit_test(whatever_is_cut_or_added_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
