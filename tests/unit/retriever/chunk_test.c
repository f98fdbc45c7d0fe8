/* Extraction and chunking: what is refused, what is normalised, and that offsets always point at whole characters of the
 * stored text. Real Markdown: the sets in FOOTNOTE_EVAL, else our own documentation. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "text/sentence.h"
#include "common/text/text.h"
#include "retriever/extract/chunk.h"
#include "retriever/extract/front_matter.h"
#include "retriever/extract/markdown.h"

/* The text alone. */
static const char *
read_text(const char *mime, struct str body, struct buf *out)
{
    struct arena *a = arena_new(1 << 26);
    static struct extracted x;
    const char *why = extract(str_of(mime), body, a, out->max, &x);

    buf_str(out, buf_slice(&x.text));
    extract_fini(&x);
    arena_free(&a);
    return why;
}

/* Text as it would be read, without a change. */
static struct extracted
as_read(const char *mime, struct str text)
{
    static const struct extractor *by[2];
    struct extracted x;
    bool plain = strcmp(mime, "text/plain") == 0;
    struct arena *a = arena_new(1 << 20);

    if (!by[plain]) {
        assert_null(extract(str_of(mime), STR("x"), a, 100, &x));
        by[plain] = x.by;
        extract_fini(&x);
    }
    arena_free(&a);
    x = (struct extracted){ .by = by[plain], .text = { .p = (char *)(uintptr_t)text.p, .n = text.n } };
    return x;
}

static void
a_wrong_document_is_refused_with_a_reason(void **state)
{
    struct buf out = BUF_MAX(1000);

    (void)state;
    const char *why = read_text("application/zip", STR("PK"), &out);

    assert_non_null(strstr(why, "application/zip"));
    assert_non_null(strstr(why, "Markdown"));
    assert_non_null(strstr(read_text("text/plain", STR("a\0b"), &out), "NUL"));
    assert_non_null(strstr(read_text("text/plain",
                                     STR("a\xff"
                                         "b"),
                                     &out),
                           "UTF-8"));
    assert_non_null(strstr(read_text("text/plain", STR("\xed\xa0\x80"), &out), "UTF-8"));
    assert_non_null(strstr(read_text("text/plain", STR(" \r\n\t\xe2\x80\x8b"), &out), "no text"));
    buf_free(&out);
}

/* A row of joiners could spell a text that no reader sees. */
static void
joiners_stand_alone_behind_a_letter_that_is_not_ascii(void **state)
{
    static const struct {
        const char *given, *kept;
    } rows[] = {
        { "a\xe2\x80\x8d\xe2\x80\x8d"
          "b",
          "ab" },
        { "\xd9\x85\xe2\x80\x8c\xe2\x80\x8d\xe2\x80\x8c\xd8\xb4", "\xd9\x85\xe2\x80\x8c\xd8\xb4" },
        { "\xd9\x85\xe2\x80\x8b\xe2\x80\x8c\xd8\xb4", "\xd9\x85\xe2\x80\x8c\xd8\xb4" },
        { "\xe2\x84\xaa\xe2\x80\x8dx", "Kx" }, /* the sign of the kelvin is a K in NFC */
        { "x\n\xe2\x80\x8dy", "x\ny" },
    };
    struct buf out = BUF_MAX(1000);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_reset(&out);
        assert_null(read_text("text/plain", str_of(rows[i].given), &out));
        assert_string_equal(out.p, rows[i].kept);
    }
    buf_free(&out);
}

static void
text_is_normalised(void **state)
{
    struct buf out = BUF_MAX(1000);

    (void)state;
    assert_null(read_text("Text/Markdown; charset=utf-8",
                          STR("\xef\xbb\xbf"
                              "a\r\nb\rc\xe2\x80\x8b\xe2\x80\xae"
                              "d e\xcc\x81 \xc2\xad"
                              "f\x07"),
                          &out));
    assert_string_equal(out.p, "a\nb\ncd \xc3\xa9 f");
    buf_reset(&out);
    assert_null(read_text("text/plain", STR("Keller\fTelephone\vline\xc2\x85next\xe2\x80\xa8last\x1epart"),
                          &out));
    assert_string_equal(out.p, "Keller\nTelephone\nline\nnext\nlast\npart");
    buf_reset(&out);
    assert_null(read_text("text/plain", STR("می\xe2\x80\x8cشود ig\xe2\x80\x8dnore"), &out));
    assert_string_equal(out.p, "می\xe2\x80\x8cشود ignore");
    buf_free(&out);
}

/* The promise: ascending, trimmed, whole characters; everything that is not white space is in some chunk. */
static void
check_pieces(struct str text, const struct pieces *p, size_t target, size_t overlap)
{
    size_t covered = 0;

    for (size_t i = 0; i < p->n; i++) {
        const struct piece *x = &p->v[i];
        struct str s = { text.p + x->start, x->end - x->start };

        assert_true(x->start < x->end && x->end <= text.n);
        assert_true(utf8_valid(s));
        assert_true(utf8_valid(x->section) && utf8_valid(x->chapter));
        assert_true(s.n <= 2 * target);
        assert_false(space_byte(s.p[0]) || space_byte(s.p[s.n - 1]));
        assert_true(x->start + overlap >= covered);
        for (size_t k = covered; k < x->start; k++)
            assert_true(space_byte(text.p[k]));
        assert_true(x->end > covered);
        covered = x->end;
    }
    for (size_t k = covered; k < text.n; k++)
        assert_true(space_byte(text.p[k]));
}

static size_t
cut(struct str text, const char *mime, size_t target, size_t overlap)
{
    struct arena *a = arena_new((size_t)1 << 26);
    struct chunk_rules rules = { .target = target, .overlap = overlap };
    struct extracted x = as_read(mime, text);
    struct pieces p;

    assert_true(chunk_text(&x, &rules, a, &p));
    check_pieces(text, &p, target, overlap);
    size_t n = p.n;

    arena_free(&a);
    return n;
}

static void
chunks_cover_generated_text(void **state)
{
    static const char *const parts[] = { "# Head\n",
                                         "\n",
                                         "A sentence here. ",
                                         "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
                                         "word ",
                                         "```\ncode line\n",
                                         "```\n",
                                         "\n\n",
                                         "- item\n",
                                         "Title\n===\n",
                                         "| a | b |\n",
                                         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                                         "......",
                                         "## Sub {#id}\n",
                                         "\t",
                                         "~~~\n" };
    unsigned seed = 1;

    (void)state;
    for (int round = 0; round < 400; round++) {
        struct buf b = { 0 };

        for (int i = 0; i < 300; i++) {
            seed = seed * 1103515245u + 12345u;
            buf_z(&b, parts[(seed >> 16) % (sizeof parts / sizeof *parts)]);
        }
        (void)cut(buf_slice(&b), round % 3 ? "text/markdown" : "text/plain", 200 + (size_t)(round % 5) * 100,
                  (size_t)(round % 4) * 40);
        buf_free(&b);
    }
}

static void
chunks_cover_real_documents(void **state)
{
    const char *eval = getenv("FOOTNOTE_EVAL");
    char pattern[512];
    glob_t g;

    (void)state;
    (void)snprintf(pattern, sizeof pattern, "%s%s*.md", eval ? eval : "docs", eval ? "/*/docs/" : "/");
    if (glob(pattern, 0, NULL, &g) != 0)
        skip();
    for (size_t i = 0; i < g.gl_pathc; i++) {
        struct buf b = { 0 }, out = BUF_MAX(1 << 26);
        static char block[4096];
        FILE *f = fopen(g.gl_pathv[i], "rb");

        assert_non_null(f);
        for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;)
            buf_add(&b, block, n);
        (void)fclose(f);
        assert_null(read_text("text/markdown", buf_slice(&b), &out));
        /* Front matter is kept in the text but is no passage. */
        size_t front = front_matter(buf_slice(&out));

        assert_true(cut((struct str){ out.p + front, out.n - front }, "text/markdown", 1100, 0) > 0);
        (void)cut((struct str){ out.p + front, out.n - front }, "text/markdown", 600, 120);
        buf_free(&b);
        buf_free(&out);
    }
    globfree(&g);
}

static void
a_long_text_without_borders_is_cut_in_linear_time(void **state)
{
    struct buf b = { 0 };

    (void)state;
    for (int i = 0; i < 1 << 18; i++)
        buf_z(&b, i & 1 ? "x.\"" : "....");
    assert_true(cut(buf_slice(&b), "text/plain", 1000, 0) >= b.n / 2000);
    buf_free(&b);
}

static void
headings_name_their_passages(void **state)
{
    struct str text = STR(
        "---\ntitle: \"Front\"\n---\n# The *Guide*\n\nIntro text that stands alone.\n\n# Two\n\n## Install {#in}\n\n"
        "```\n# not a heading\n```\n\n### On Debian\n\nRun it.\n");
    struct arena *a = arena_new(1 << 20);
    struct chunk_rules rules = { .target = 200 };
    struct extracted x;
    struct pieces p;

    (void)state;
    assert_null(extract(STR("text/markdown"), text, a, 10000, &x));
    assert_true(str_is(x.title, "The Guide"));
    assert_true(chunk_text(&x, &rules, a, &p));
    assert_int_equal(p.n, 3);
    assert_true(str_is(p.v[0].chapter, "The Guide"));
    assert_int_equal(p.v[0].section.n, 0);
    assert_true(str_is(p.v[1].chapter, "Two"));
    assert_true(str_is(p.v[1].section, "Install"));
    assert_true(str_is(p.v[2].section, "Install > On Debian"));
    extract_fini(&x);
    static const char *const titles[][3] = { { "text/markdown", "---\ntitle: 'F'\n---\ntext", "F" },
                                             { "text/plain", "# x", NULL } };

    for (size_t i = 0; i < 2; i++) {
        assert_null(extract(str_of(titles[i][0]), str_of(titles[i][1]), a, 100, &x));
        assert_true(titles[i][2] ? str_is(x.title, titles[i][2]) : !x.title.p);
        extract_fini(&x);
    }
    arena_free(&a);
}

static void
a_fence_that_fits_stays_whole(void **state)
{
    struct buf b = { 0 };
    struct arena *a = arena_new(1 << 20);
    struct chunk_rules rules = { .target = 300 };
    struct pieces p;

    (void)state;
    for (int i = 0; i < 5; i++)
        buf_z(&b, "Some words before the code that take room. ");
    buf_z(
        &b,
        "\n\n```c\nint\nmain(void)\n{\n\n    return 0; /* a comment that makes this fence a little longer than it was */\n}\n```\n");
    struct extracted x = as_read("text/markdown", buf_slice(&b));

    assert_true(chunk_text(&x, &rules, a, &p));
    assert_int_equal(p.n, 2);
    assert_true(str_starts((struct str){ b.p + p.v[1].start, p.v[1].end - p.v[1].start }, "```c"));
    assert_int_equal(p.v[1].end, b.n - 1);
    buf_free(&b);
    arena_free(&a);
}

static void
a_fence_and_the_few_words_before_it_keep_the_longest_passage(void **state)
{
    (void)state;
    for (size_t words = 1; words < 45; words++)
        for (size_t code = 100; code < 920; code += 10)
            for (size_t gap = 0; gap < 300; gap += 50) {
                struct buf b = BUF_MAX(1 << 16);

                for (size_t i = 0; i < words; i++)
                    buf_z(&b, i + 1 < words ? "word " : "word.");
                buf_printf(&b, "%*s\n\n```\n", (int)gap, "");
                for (size_t i = 0; i < code; i++)
                    buf_z(&b, "x");
                buf_z(&b, "\n```\n\nThe end.\n");
                (void)cut(buf_slice(&b), "text/markdown", 600, 0);
                buf_free(&b);
            }
}

/* Words that end in a colon stand in the passage of what they announce, wherever the border falls. */
static void
what_leads_to_a_block_stays_with_it(void **state)
{
    (void)state;
    for (size_t words = 10; words < 130; words++) {
        struct buf b = BUF_MAX(1 << 16);
        struct arena *a = arena_new(1 << 22);
        struct pieces p;

        buf_z(&b, "# Start\n\n");
        for (size_t i = 0; i < words; i++)
            buf_z(&b, "word ");
        buf_z(&b, "end.\n\nStart it so:\n\n```\nrun --now\n```\n\nThen it runs, and says so.\n");
        struct extracted x = as_read("text/markdown", buf_slice(&b));
        struct chunk_rules rules = { .target = 400, .overlap = 50 };

        assert_true(chunk_text(&x, &rules, a, &p));
        for (size_t i = 0; i < p.n; i++) {
            struct str s = { b.p + p.v[i].start, p.v[i].end - p.v[i].start };
            bool told = memmem(s.p, s.n, "Start it so:", 12) != NULL,
                 shown = memmem(s.p, s.n, "run --now", 9) != NULL;

            if (told != shown)
                fail_msg("after %zu words: " STR_FMT, words, STR_ARG(s));
        }
        arena_free(&a);
        buf_free(&b);
    }
}

static void
a_question_names_the_passage_of_its_answer(void **state)
{
    static const struct {
        const char *mime, *text, *sections[4];
    } cases[] = {
        { "text/plain",
          "Shop hours.\n\nQ: When do you open?\nA: At ten.\n\nQ: Do you\ndeliver?\n\nA: Yes.\n",
          { "", "When do you open?", "Do you deliver?" } },
        { "text/markdown",
          "## Pool\n\n**Is the `deep` end closed?**\n\nNo.\n\nNot at all.\n\n## Fees\n\nTen euros.\n",
          { "Pool > Is the deep end closed?", "Fees" } },
        /* a list of questions, and one without an answer */
        { "text/markdown",
          "## Learn\n\n1. What is a pool?\n\n2. Who swims there?\n\n## Fees\n\nTen euros.\n",
          { "Learn", "Fees" } },
        { "text/plain", "It is late. Why is that so?\n\nNobody knows that.\n", { "" } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena *a = arena_new(1 << 20);
        struct extracted x = as_read(cases[i].mime, str_of(cases[i].text));
        struct chunk_rules rules = { .target = 400 };
        struct pieces p;
        size_t n = 0;

        x.arena = a;
        assert_true(chunk_text(&x, &rules, a, &p));
        for (; n < 4 && cases[i].sections[n]; n++)
            if (n >= p.n || !str_is(p.v[n].section, cases[i].sections[n]))
                fail_msg("%s: %zu is \"" STR_FMT "\"", cases[i].text, n,
                         STR_ARG(n < p.n ? p.v[n].section : STR_NONE));
        assert_int_equal(p.n, n);
        arena_free(&a);
    }
}

static void
sentences_end_where_readers_see_it(void **state)
{
    struct str s = STR(
        "Dr. Smith met J. Doe, e.g. at 3.5 km. He left! \"Why?\" she said.\n- item one\n- item two\n\nLast");
    const char *want[] = { "Dr. Smith met J. Doe, e.g. at 3.5 km.",
                           "He left!",
                           "\"Why?\" she said.",
                           "- item one",
                           "- item two",
                           "Last" };
    struct span x;
    size_t at = 0, n = 0;

    (void)state;
    while (sentence_next(s, &at, &x)) {
        assert_true(n < 6);
        assert_true(str_is((struct str){ s.p + x.start, x.end - x.start }, want[n]));
        n++;
    }
    assert_int_equal(n, 6);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_document_is_refused_with_a_reason),
        cmocka_unit_test(text_is_normalised),
        cmocka_unit_test(joiners_stand_alone_behind_a_letter_that_is_not_ascii),
        cmocka_unit_test(chunks_cover_generated_text),
        cmocka_unit_test(chunks_cover_real_documents),
        cmocka_unit_test(a_long_text_without_borders_is_cut_in_linear_time),
        cmocka_unit_test(headings_name_their_passages),
        cmocka_unit_test(a_fence_that_fits_stays_whole),
        cmocka_unit_test(a_fence_and_the_few_words_before_it_keep_the_longest_passage),
        cmocka_unit_test(what_leads_to_a_block_stays_with_it),
        cmocka_unit_test(a_question_names_the_passage_of_its_answer),
        cmocka_unit_test(sentences_end_where_readers_see_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
