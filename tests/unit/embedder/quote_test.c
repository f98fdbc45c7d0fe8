/* The parts of a passage that can be quoted: blocks, and the units that are made of them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "embedder/builtin/quote.h"

static void
lines_become_blocks(void **state)
{
    static const enum block_kind right[] = { BLOCK_HEADING, BLOCK_TEXT,   BLOCK_IDLE,  BLOCK_ITEM,
                                             BLOCK_ITEM,    BLOCK_CODE,   BLOCK_TABLE, BLOCK_HEADING,
                                             BLOCK_TEXT,    BLOCK_FORMULA };
    static struct block b[QUOTE_BLOCKS];
    size_t n = quote_blocks(
        STR("# A\ntext\nmore\n\n- [ ] do it\n- one\n  - two\n\n```\ncode\n```\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
            "<details><summary>Why?</summary>\n\nBecause.\n\n$$\nx\n$$\n"),
        STR_NONE, b, QUOTE_BLOCKS);

    (void)state;
    assert_int_equal(n, sizeof right / sizeof *right);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(b[i].kind, right[i]);
    assert_true(b[4].indent == 2 && b[3].indent == 0 && b[5].whole && str_is(b[7].text, "Why?"));
}

static void
a_passage_may_begin_within_a_fence(void **state)
{
    static struct block b[QUOTE_BLOCKS];
    size_t n = quote_blocks(STR("x = 1\n```\nText of it.\n```\ny = 2\n```\n"), STR("```js"), b, QUOTE_BLOCKS);

    (void)state;
    assert_int_equal(n, 3);
    assert_true(b[0].kind == BLOCK_CODE && !b[0].whole && b[1].kind == BLOCK_TEXT &&
                b[2].kind == BLOCK_CODE && b[2].whole);
    assert_int_equal(quote_blocks(STR("```\nText of it.\n"), STR("```js"), b, QUOTE_BLOCKS), 2);
}

struct quoted {
    const char *question, *text, *first; /* first: what is quoted; NULL: nothing */
};

static const struct quoted quotes[] = {
    { "What is a mutex?", "## Goals\n\n- Understand what a mutex is\n\n## Mutex\n\nA mutex lets one in.\n",
      "A mutex lets one in." },
    { "Was ist ein Deich?", "Erkl\xc3\xa4re, was ein Deich ist.\n\nEin Deich h\xc3\xa4lt das Wasser ab.\n",
      "Ein Deich h\xc3\xa4lt das Wasser ab." },
    { "What is the fee?", "## What is the fee?\n\nTen euros. Pupils pay five.\n",
      "Ten euros. Pupils pay five." },
    { "How do I reset it?", "## Reset\n\n1. Hold it.\n2. Wait a bit.\n", "1. Hold it.\n2. Wait a bit." },
    { "How do I install foo on Fedora?", "On Fedora, run\n\n```\ndnf install foo\n```\n",
      "On Fedora, run\n\n```\ndnf install foo\n```" },
    { "What is there for lunch?", "- Lunch\n  - soup\n  - bread\n- Dinner\n  - fish\n",
      "Lunch\n  - soup\n  - bread" },
    { "Steps of station 151?", "| Station | Steps |\n|---|---|\n| Station 12 | 5 |\n| Station 13 | 8 |\n",
      NULL },
    { "What does E150 mean?", "| Code | Fault |\n|---|---|\n| E149 | lamp |\n| E150 | fuse |\n",
      "| E150 | fuse |" },
    { "Why is it so?", "Why is it so?\n\n- [ ] Why it is so\n", NULL },
    { "How is an upsert clause written?",
      "Used by:\xc2\xa0 upsert, clause\nSee also:\xc2\xa0 upsert.html\n\nAn upsert has a clause ON CONFLICT.\n",
      "An upsert has a clause ON CONFLICT." },
    { "What is work_mem?",
      "Higher settings help where work_mem is large. A query may use work_mem several times.\n\n"
      "work_mem (integer)\nSets the base amount of memory for a sort.\n\nhash_mem (float)\nIt multiplies work_mem.\n",
      "work_mem (integer)\nSets the base amount of memory for a sort." },
    { "What is fen?",
      "Boats leave fen behind before the evening comes. Fen is the lowest part of the harbour and dries at ebb.\n",
      "Fen is the lowest part of the harbour and dries at ebb." },
    { "What are dry docks?",
      "If dry docks are flooded, ships leave. In short, dry docks are basins that can be emptied.\n",
      "In short, dry docks are basins that can be emptied." },
    { "Was ist ein Koog?",
      "Hinter dem Koog liegt ein Koog. Ein Koog ist ein St\xc3\xbc"
      "ck Land hinter einem Deich.\n",
      "Ein Koog ist ein St\xc3\xbc"
      "ck Land hinter einem Deich." },
    { "How is the lamp cleaned?",
      "## Keepers\n\nA lamp that is cleaned lasts.\n\n## Cleaning the lamp\n\nTake the glass off, then wipe.\n",
      "Take the glass off, then wipe." },
    { "Where do the keepers meet?",
      "-> [https://a.example/people](https://a.example/people)\n\n-> [https://b.example/](https://b.example/)\n\n"
      "The keepers meet in the hall.\n",
      "The keepers meet in the hall." },
    { "How tall is the tower?", "It leans. [12][13] The tower is 30 m tall.\n", "The tower is 30 m tall." },
    { "Why do I get cannot find -lfoo?",
      "## Why do I get \"ld: cannot find -lfoo\"?\n\nThe symbolic link is missing; install it.\n",
      "The symbolic link is missing; install it." },
    /* a marked question is a heading in all but its form */
    { "Why did the lamp go out?",
      "**(3) The lamp went out. Why?**\n\nThe oil was used up. Fill it.\n\n**(4) What is ebb?**\n\nLow water.\n",
      "The oil was used up. Fill it." },
    { "When do you open?", "Q: When do you open?\nA: At ten. On Sundays at noon.\n",
      "At ten. On Sundays at noon." },
    { "Which parcels are too heavy?", "Which parcels are too heavy?\n: Those above 30 kg.\n",
      "Those above 30 kg." },
    /* code that was cut, and prose in it */
    { "How do I allow connections from a host?",
      "An entry with the address of the host allows connections.\n\n"
      "```\n# Allow connections from any host\nhost all all 10.0.0.0/8 trust /* allows connections from a host */\n",
      "An entry with the address of the host allows connections." },
    /* a title in a list is quoted with what stands below it */
    { "What is the largest size of a database?",
      "- Largest Database Size\n\nA database has at most 4294967294 pages.\n",
      "Largest Database Size\n\nA database has at most 4294967294 pages." },
    { "What is a tide gate?",
      "Tide gates rarely open at night. The harbour has a door called \"tide gate\", which keeps the ebb out.\n",
      "The harbour has a door called \"tide gate\", which keeps the ebb out." },
    /* the term above a paragraph counts for all of it */
    { "What is the default of max_boats?",
      "min_berths (integer)\nLeast number of berths that are kept free whenever max_boats is above ten. The default is three.\n\n"
      "max_boats (integer)\nLargest number of boats that may lie in the harbour at night. The default is fifty.\n",
      "The default is fifty." },
    { "What does the oil level mean?",
      "The oil level is looked at daily by the keeper.\n\nOil level: how high the oil stands in the lamp.\n",
      "Oil level: how high the oil stands in the lamp." },
};

static void
what_is_quoted(void **state)
{

    (void)state;
    for (size_t i = 0; i < sizeof quotes / sizeof *quotes; i++) {
        struct hit h = { .text = str_of(quotes[i].text), .score = 0.7 };
        struct chat_req req = { .question = str_of(quotes[i].question), .hits = { &h, 1 } };
        struct digest d = { .req = &req, .words = words_new(), .u = mem_new(QUOTE_UNITS * sizeof *d.u) };
        const struct unit *q[QUOTES];

        quote_terms(&d);
        quote_cut(&d);
        size_t n = quote_pick(&d, q);

        if ((n == 0) != (!quotes[i].first) || (n > 0 && !str_is(q[0]->text, quotes[i].first)))
            fail_msg("%s: %.*s", quotes[i].question, n ? (int)q[0]->text.n : 7, n ? q[0]->text.p : "nothing");
        mem_free(&d.u);
        words_free(&d.words);
    }
}

static void
the_title_of_a_document_is_no_term_of_its_first_sentence(void **state)
{
    struct hit h = { .title = STR("Write-Ahead Logging"),
                     .text = STR("Write-Ahead Logging\n\nWrite-ahead logging appends changes to a file.\n"),
                     .score = 0.7 };
    struct chat_req req = { .question = STR("What is write-ahead logging?"), .hits = { &h, 1 } };
    struct digest d = { .req = &req, .words = words_new(), .u = mem_new(QUOTE_UNITS * sizeof *d.u) };
    const struct unit *q[QUOTES];

    (void)state;
    quote_terms(&d);
    quote_cut(&d);
    assert_true(quote_pick(&d, q) > 0 &&
                str_is(q[0]->text, "Write-ahead logging appends changes to a file."));
    mem_free(&d.u);
    words_free(&d.words);
}

static void
marks_of_footnotes_are_no_text(void **state)
{
    static const struct {
        const char *text;
        size_t end;
    } cases[] = { { "[5] a", 3 },  { "[12]", 4 },   { "[^a-b].", 6 }, { "[5](a.html)", 0 }, { "[5]: a", 0 },
                  { "[5][6]", 3 }, { "[5][a]", 0 }, { "[1234]", 0 },  { "[]", 0 },          { "[^]", 0 },
                  { "[^a b]", 0 }, { "[x]", 0 },    { "5]", 0 },      { "[", 0 },           { "", 0 } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(quote_note_end(str_of(cases[i].text), 0), cases[i].end);
    assert_true(str_is(quote_skip_notes(STR("[5][6] It is.[7]")), "It is.[7]") &&
                str_is(quote_skip_notes(STR("[5]")), "[5]") &&
                str_is(quote_skip_notes(STR("[2] means late")), "[2] means late"));
}

static void
titles_and_labels_are_no_sentences(void **state)
{
    (void)state;
    assert_true(quote_is_label(STR("Maximum Size Of A Page")) && quote_is_label(STR("The HTTP Server")) &&
                quote_is_label(STR("Used by: a\nSee also: b")));
    assert_true(quote_is_contents(STR("1.1. A\n1.2. B\n\n2.1 C\n")) &&
                quote_is_contents(STR("One ........ 3\nTwo . . . . . 4\nThree.... 12\nText\n")) &&
                quote_is_contents(STR("- [One](a.html)\n- [Two](b.html)\n- [Three](c.html)\n")));
    assert_false(quote_is_contents(STR("1.1. A\n1.2. B\n")) ||
                 quote_is_contents(STR("1. Hold it.\n2. Wait.\n3. Let go.\n")) ||
                 quote_is_contents(STR("It is 1.5 m.\nSee [One](a.html).\nAnd [two](b.html)\nor 3\n")));
    assert_false(quote_is_label(STR("Maximum Size Of A Page.")) || quote_is_label(STR("Run this")) ||
                 quote_is_label(STR("Note: it is at http://a.example/ now")) ||
                 quote_is_label(STR("the oil of the lamp is kept in a can")) ||
                 quote_is_label(STR("Port: 8080")));
}

static void
a_heading_is_asked_for_by_all_its_words(void **state)
{
    struct chat_req req = { .question = STR("curl: (7) Failed to connect: Connection refused") };
    struct digest d = { .req = &req, .words = words_new() };
    struct asking two, more, one, none;

    (void)state;
    quote_terms(&d);
    two = quote_asks(&d, STR("Connection refused"));
    more = quote_asks(&d, STR("Connection refused by the hub"));
    one = quote_asks(&d, STR("Connection"));
    none = quote_asks(&d, STR(""));
    assert_true(two.in_full && !more.in_full && !one.in_full && !none.in_full);
    assert_true(two.alike > more.alike && more.alike > one.alike && one.alike > 0 && none.alike <= 0);
    assert_true(!two.of_all &&
                quote_asks(&d, STR("A failed connect of curl: connection refused (7), and why")).of_all);
    words_free(&d.words);
}

static void
the_words_behind_what_name_the_kind_of_answer(void **state)
{
    static const struct {
        const char *question, *kinds; /* kinds: the terms of it, a space behind each */
    } cases[] = { { "In what country is Normandy?", "country " },
                  { "What type of cells does the serum kill?", "type cells " },
                  { "What is the harbour?", "" },
                  { "Welche Stadt liegt am Fluss?", "stadt liegt " },
                  { "Who sold the rights?", "" } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct chat_req req = { .question = str_of(cases[i].question) };
        struct digest d = { .req = &req, .words = words_new() };
        struct buf named = BUF_MAX(256);

        quote_terms(&d);
        for (size_t t = 0; t < d.n_terms; t++)
            if (d.kinds >> t & 1) {
                buf_add(&named, d.terms[t].written, d.terms[t].n);
                buf_c(&named, ' ');
            }
        if (!str_is(buf_slice(&named), cases[i].kinds))
            fail_msg("%s: %.*s", cases[i].question, (int)named.n, named.p);
        buf_free(&named);
        words_free(&d.words);
    }
}

/* Of one passage: is it quoted? */
static bool
quoted_by(enum support_by by, const char *question, double cosine, double rerank)
{
    struct hit h = { .text = STR("The harbour of Lund was sold to the guild in 1418 by the count."),
                     .score = 0.3,
                     .vector = cosine,
                     .rerank = rerank };
    struct chat_req req = { .question = str_of(question), .hits = { &h, 1 } };
    struct digest d = {
        .req = &req, .words = words_new(), .u = mem_new(QUOTE_UNITS * sizeof *d.u), .by = by
    };
    const struct unit *q[QUOTES];

    quote_terms(&d);
    quote_cut(&d);
    size_t n = quote_pick(&d, q);

    mem_free(&d.u);
    words_free(&d.words);
    return n > 0;
}

static void
a_near_passage_with_all_words_is_quoted_however_it_was_scored(void **state)
{
    (void)state;
    assert_true(quoted_by(SUPPORT_MEANING, "Who sold the harbour?", 0.5, 0) &&
                quoted_by(SUPPORT_MEANING, "What person sold the harbour?", 0.5, 0));
    assert_false(quoted_by(SUPPORT_MEANING, "Who painted the harbour guild?", 0.2, 0) ||
                 quoted_by(SUPPORT_MEANING, "Who sold the harbour of Malm?", 0.5, 0));
    /* a reranker's score, and one without a vector or with another model's, count as they did */
    assert_false(quoted_by(SUPPORT_MEANING, "Who sold the harbour?", 0.5, 0.3) ||
                 quoted_by(SUPPORT_FOUND, "Who sold the harbour?", 0.5, 0) ||
                 quoted_by(SUPPORT_MEANING, "Who sold the harbour?", 0, 0));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_become_blocks),
        cmocka_unit_test(a_passage_may_begin_within_a_fence),
        cmocka_unit_test(what_is_quoted),
        cmocka_unit_test(the_title_of_a_document_is_no_term_of_its_first_sentence),
        cmocka_unit_test(marks_of_footnotes_are_no_text),
        cmocka_unit_test(titles_and_labels_are_no_sentences),
        cmocka_unit_test(the_words_behind_what_name_the_kind_of_answer),
        cmocka_unit_test(a_near_passage_with_all_words_is_quoted_however_it_was_scored),
        cmocka_unit_test(a_heading_is_asked_for_by_all_its_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
