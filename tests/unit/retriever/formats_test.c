/* AsciiDoc, reStructuredText, source code, and documents that another process read: headings, tables and
 * pages in their passages. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "retriever/extract/chunk.h"

static struct pieces
pieces_of(const char *mime, const char *text, struct arena *a, struct extracted *x)
{
    static const struct chunk_rules rules = { .target = 200 };
    struct pieces p = { 0 };

    assert_null(extract(str_of(mime), str_of(text), a, 100000, x));
    assert_true(chunk_text(x, &rules, a, &p));
    return p;
}

static void
headings_of_asciidoc_name_their_passages(void **state)
{
    struct arena *a = arena_new(1 << 20);
    struct extracted x;
    struct pieces p =
        pieces_of("text/asciidoc",
                  "= The Guide\n:toc: left\n\nWords.\n\n== Install\nRun it.\n\n----\n== no heading\n----\n\n"
                  "=== On Debian\n\nApt.\n",
                  a, &x);

    (void)state;
    assert_int_equal(p.n, 3);
    assert_true(str_is(x.title, "The Guide") && str_is(p.v[0].chapter, "The Guide"));
    assert_true(str_is(p.v[1].section, "Install"));
    assert_non_null(memmem(x.text.p + p.v[1].start, p.v[1].end - p.v[1].start, "== no heading", 13));
    assert_true(str_is(p.v[2].section, "Install > On Debian"));
    extract_fini(&x);
    arena_free(&a);
}

static void
headings_of_rst_have_the_levels_of_their_signs(void **state)
{
    struct arena *a = arena_new(1 << 20);
    struct extracted x;
    struct pieces p = pieces_of(
        "text/x-rst",
        "=====\nGuide\n=====\n\nWords.\n\nInstall\n=======\n\nRun.\n\nDebian\n------\n\nApt.\n\nUse\n===\n\n"
        "Go.\n\nLong title here\n---\n\nEnd.\n",
        a, &x);

    (void)state;
    assert_int_equal(p.n, 4);
    assert_true(str_is(x.title, "Guide") && str_is(p.v[0].chapter, "Guide") &&
                str_is(p.v[1].section, "Install"));
    assert_true(str_is(p.v[2].section, "Install > Debian"));
    assert_true(str_is(p.v[3].section, "Use")); /* a line that is too short makes no heading */
    extract_fini(&x);
    arena_free(&a);
}

/* Words that begin with "seen" are in some passage; "gone" is in none, and the text has as many lines and bytes as its source. */
static void
expect_hidden(const char *mime, const char *source)
{
    struct arena *a = arena_new(1 << 20);
    struct extracted x;
    struct pieces p = pieces_of(mime, source, a, &x);
    size_t seen = 0, wanted = 0;

    for (const char *s = source; (s = strstr(s, "seen")) != NULL; s++)
        wanted++;
    for (size_t i = 0; i < p.n; i++)
        for (const char *s = x.text.p + p.v[i].start, *end = x.text.p + p.v[i].end;
             (s = memmem(s, (size_t)(end - s), "seen", 4)) != NULL; s++)
            seen++;
    if (seen != wanted || memmem(x.text.p, x.text.n, "gone", 4))
        fail_msg("%zu of %zu in passages of: " STR_FMT, seen, wanted, STR_ARG(buf_slice(&x.text)));
    assert_int_equal(x.text.n, strlen(source));
    for (size_t i = 0; i < x.text.n; i++)
        assert_true(x.text.p[i] == source[i] || (x.text.p[i] == ' ' && source[i] != '\n'));
    extract_fini(&x);
    arena_free(&a);
}

static void
comments_of_asciidoc_are_no_text(void **state)
{
    (void)state;
    expect_hidden(
        "text/asciidoc",
        "= seen title\n// gone\n\nseen words\n//gone\nseen more\n\n////\ngone\n\n== gone\n////\n\nseen end");
    expect_hidden("text/asciidoc", "seen\n\n/////\ngone\n////\ngone\n/////\nseen\n\n////\ngone to the end");
    expect_hidden(
        "text/asciidoc",
        "seen /// words // seen\n/// seen\n  // seen\nhttps://seen\n\n----\n// seen in code\n////\n----\n\n|===\n| seen\n// gone\n|===\n");
    expect_hidden(
        "text/asciidoc",
        "[comment]\ngone\ngone\n\nseen\n\n[comment]\n--\ngone\n\ngone\n--\nseen\n\n[comment]\n====\ngone\n====\n\nseen");
}

static void
comments_of_rst_are_no_text(void **state)
{
    (void)state;
    expect_hidden(
        "text/x-rst",
        "seen\n====\n\n.. gone\n   gone\n\n   gone\n\nseen\n\n..\n   gone\n   gone\n\n..\n\n   seen quoted\n");
    expect_hidden(
        "text/x-rst",
        ".. _seen-target:\n\n.. [1] seen note\n\n.. |seen| replace:: seen\n\n.. note:: seen\n\n   seen\n\n   .. gone\n\n   seen\n");
    expect_hidden(
        "text/x-rst",
        "seen::\n\n   .. seen in code\n\n.. gone\n\n.. code-block:: rst\n   :caption: seen\n\n   .. seen in code\n\n.. c:function:: seen(int)\n\nseen ... seen\n..seen\nseen\n.. seen\n");
    expect_hidden("text/x-rst",
                  "seen\n\n* seen item\n\n  .. gone: gone\n     gone\n\n  seen\n\n.. gone to the end");
}

static void
code_is_cut_at_lines(void **state)
{
    struct arena *a = arena_new(1 << 20);
    struct buf b = { 0 };
    struct extracted x;
    struct pieces p;

    (void)state;
    for (int i = 0; i < 30; i++)
        buf_printf(&b, "    call_number(%d); also_this. And_that.\n", i);
    p = pieces_of("text/x-source", b.p, a, &x);
    assert_true(p.n > 4);
    for (size_t i = 1; i < p.n; i++)
        assert_true(str_starts((struct str){ x.text.p + p.v[i].start, 20 }, "call_number("));
    extract_fini(&x);
    buf_free(&b);
    arena_free(&a);
}

/* As footnote-extract would have said it: a heading, a table of many rows on page 3, a paragraph on page 4. */
static void
a_table_is_cut_at_rows_under_its_head_and_a_passage_stands_on_one_page(void **state)
{
    struct arena *a = arena_new(1 << 20);
    struct chunk_rules rules = { .target = 200 };
    struct extracted x = { .by = &extractor_child, .arena = a };
    struct extracted_block blocks[3];
    struct extracted_page pages[2] = { { 0, 3 }, { 0, 4 } };
    struct pieces p;
    size_t table;

    (void)state;
    buf_z(&x.text, "## Parts\n\n");
    blocks[0] = (struct extracted_block){ EXTRACTED_HEADING, 2, 0, 8, 3, 8 };
    table = x.text.n;
    buf_z(&x.text, "| Part | Price |\n| --- | --- |");
    for (int i = 0; i < 40; i++)
        buf_printf(&x.text, "\n| Valve. Number %d | %d. |", i, i);
    blocks[1] = (struct extracted_block){ EXTRACTED_TABLE, 0, (uint32_t)table, (uint32_t)x.text.n, 0, 0 };
    buf_z(&x.text, "\n\n");
    pages[1].start = (uint32_t)x.text.n;
    buf_z(&x.text, "Words.");
    blocks[2] = (struct extracted_block){ EXTRACTED_PARAGRAPH, 0, pages[1].start, (uint32_t)x.text.n, 0, 0 };
    x.blocks = blocks;
    x.n_blocks = 3;
    x.pages = pages;
    x.n_pages = 2;
    assert_true(chunk_text(&x, &rules, a, &p));
    assert_true(p.n > 4);
    assert_int_equal(p.v[0].lead.n, 0);
    for (size_t i = 1; i + 1 < p.n; i++) {
        struct str s = { x.text.p + p.v[i].start, p.v[i].end - p.v[i].start };

        assert_true(str_starts(s, "| Valve. Number") && s.p[s.n - 1] == '|' && s.n <= 200);
        assert_true(str_is(p.v[i].lead, "| Part | Price |\n| --- | --- |"));
        assert_true(str_is(p.v[i].section, "Parts"));
        assert_int_equal(p.v[i].page, 3);
    }
    assert_int_equal(p.v[p.n - 1].page, 4);
    assert_int_equal(p.v[p.n - 1].lead.n, 0);
    extract_fini(&x);
    arena_free(&a);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headings_of_asciidoc_name_their_passages),
        cmocka_unit_test(headings_of_rst_have_the_levels_of_their_signs),
        cmocka_unit_test(comments_of_asciidoc_are_no_text),
        cmocka_unit_test(comments_of_rst_are_no_text),
        cmocka_unit_test(code_is_cut_at_lines),
        cmocka_unit_test(a_table_is_cut_at_rows_under_its_head_and_a_passage_stands_on_one_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
