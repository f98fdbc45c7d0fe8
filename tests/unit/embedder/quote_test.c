/* What of a passage can be quoted: blocks, and the units that are made of them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "embedder/builtin/quote.h"

static void
lines_become_blocks(void **state)
{
    static const enum block_kind right[] = { BLOCK_HEADING, BLOCK_TEXT, BLOCK_IDLE, BLOCK_ITEM, BLOCK_ITEM, BLOCK_CODE, BLOCK_TABLE, BLOCK_HEADING,
        BLOCK_TEXT, BLOCK_FORMULA };
    static struct block b[QUOTE_BLOCKS];
    size_t n = quote_blocks(STR("# A\ntext\nmore\n\n- [ ] do it\n- one\n  - two\n\n```\ncode\n```\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
                                "<details><summary>Why?</summary>\n\nBecause.\n\n$$\nx\n$$\n"), b, QUOTE_BLOCKS);

    (void)state;
    assert_int_equal(n, sizeof right / sizeof *right);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(b[i].kind, right[i]);
    assert_true(b[4].indent == 2 && b[3].indent == 0 && b[5].whole && str_is(b[7].text, "Why?"));
}

struct quoted {
    const char *question, *text, *first;   /* first: what is quoted; NULL: nothing */
};

static void
what_is_quoted(void **state)
{
    static const struct quoted cases[] = {
        { "What is a mutex?", "## Goals\n\n- Understand what a mutex is\n\n## Mutex\n\nA mutex lets one in.\n", "A mutex lets one in." },
        { "Was ist ein Deich?", "Erkl\xc3\xa4re, was ein Deich ist.\n\nEin Deich h\xc3\xa4lt das Wasser ab.\n", "Ein Deich h\xc3\xa4lt das Wasser ab." },
        { "What is the fee?", "## What is the fee?\n\nTen euros. Pupils pay five.\n", "Ten euros. Pupils pay five." },
        { "How do I reset it?", "## Reset\n\n1. Hold it.\n2. Wait a bit.\n", "1. Hold it.\n2. Wait a bit." },
        { "How do I install foo on Fedora?", "On Fedora, run\n\n```\ndnf install foo\n```\n", "On Fedora, run\n\n```\ndnf install foo\n```" },
        { "What is there for lunch?", "- Lunch\n  - soup\n  - bread\n- Dinner\n  - fish\n", "Lunch\n  - soup\n  - bread" },
        { "Steps of station 151?", "| Station | Steps |\n|---|---|\n| Station 12 | 5 |\n| Station 13 | 8 |\n", NULL },
        { "What does E150 mean?", "| Code | Fault |\n|---|---|\n| E149 | lamp |\n| E150 | fuse |\n", "| E150 | fuse |" },
        { "Why is it so?", "Why is it so?\n\n- [ ] Why it is so\n", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hit h = { .text = str_of(cases[i].text), .score = 0.7 };
        struct chat_req req = { .question = str_of(cases[i].question), .hits = { &h, 1 } };
        struct digest d = { .req = &req, .words = words_new(), .u = mem_new(QUOTE_UNITS * sizeof *d.u) };
        const struct unit *q[QUOTES];

        quote_terms(&d);
        quote_cut(&d);
        size_t n = quote_pick(&d, q);

        if ((n == 0) != (cases[i].first == NULL) || (n > 0 && !str_is(q[0]->text, cases[i].first)))
            fail_msg("%s: %.*s", cases[i].question, n ? (int)q[0]->text.n : 7, n ? q[0]->text.p : "nothing");
        mem_free(&d.u);
        words_free(&d.words);
    }
}

static void
a_heading_is_asked_for_by_all_its_words(void **state)
{
    struct chat_req req = { .question = STR("curl: (7) Failed to connect: Connection refused") };
    struct digest d = { .req = &req, .words = words_new() };

    (void)state;
    quote_terms(&d);
    assert_true(quote_asks(&d, STR("Connection refused")));
    assert_false(quote_asks(&d, STR("Connection refused by the hub")));
    assert_false(quote_asks(&d, STR("Connection")));
    assert_false(quote_asks(&d, STR("")));
    words_free(&d.words);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_become_blocks),
        cmocka_unit_test(what_is_quoted),
        cmocka_unit_test(a_heading_is_asked_for_by_all_its_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
