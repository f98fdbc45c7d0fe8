/* Marks and text: every form of a mark, every bracket that documents have of their own,
 * nothing left behind. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "cite/marks.h"
#include "common/text/text.h"

static const struct str documents[] = {
    { "The maple loses its leaves in October [1].", 42 },
    { "The birch loses its leaves in October [2].", 42 },
    { "The ash loses its leaves in October [3].", 40 },
    { "The oak loses its leaves in October [4].", 40 },
};

struct found {
    struct arena *a;
    struct buf out;
    struct marks marks;
};

static void
look(struct found *f, const char *answer, const struct str *docs, size_t n, size_t hits)
{
    struct evidence e = { .text = docs, .n = n, .budget = 1 << 20 };
    struct marks_in in = { .answer = str_of(answer), .hits = hits, .evidence = &e };

    *f = (struct found){ .a = arena_new(1 << 20), .out = BUF_MAX(1 << 20) };
    assert_true(marks_find(&in, &f->out, f->a, &f->marks));
    for (size_t i = 0; i < f->marks.n; i++) {
        assert_true(f->marks.v[i].n >= 1 && (size_t)f->marks.v[i].n <= hits);
        assert_true(f->marks.v[i].at < f->out.n);
    }
}

static void
done(struct found *f)
{
    arena_free(&f->a);
    buf_free(&f->out);
}

static void
becomes(const char *answer, const char *wanted, size_t marks)
{
    struct found f;

    look(&f, answer, NULL, 0, 8);
    if (!str_is(buf_slice(&f.out), wanted) || f.marks.n != marks)
        fail_msg("%s\n became %s (%zu marks), not %s (%zu)", answer, f.out.p, f.marks.n, wanted, marks);
    done(&f);
}

static void
every_common_form_is_read(void **state)
{
    (void)state;
    becomes("A [1].", "A [1].", 1);
    becomes("A [1][2].", "A [1][2].", 2);
    becomes("A [1, 2].", "A [1][2].", 2);
    becomes("A [1,2;3].", "A [1][2][3].", 3);
    becomes("A [Source 1].", "A [1].", 1);
    becomes("A [Sources 1, 2].", "A [1][2].", 2);
    becomes("A [Source: 1, Source: 3].", "A [1][3].", 2);
    becomes("A (Source 2).", "A [2].", 1);
    becomes("A [1-3].", "A [1][2][3].", 3);
    becomes("A [1\xe2\x80\x93"
            "2].",
            "A [1][2].", 2);
    becomes("A \xef\xbc\xbb\xef\xbc\x91\xef\xbc\xbd.", "A [1].", 1);
    becomes("A \xef\xbc\xbb"
            "1\xef\xbc\xbd.",
            "A [1].", 1);
    becomes("A [[1]].", "A [1].", 1);
    becomes("A \\[1\\].", "A [1].", 1);
    becomes("A [1 and 2].", "A [1][2].", 2);
    becomes("A [1, 2, and 3].", "A [1][2][3].", 3);
    becomes("A [1 & 2].", "A [1][2].", 2);
    becomes("A \xe3\x80\x90"
            "1\xe2\x80\xa0source\xe3\x80\x91.",
            "A [1].", 1);
    becomes("A [1\xe2\x80\xa0L3-L9].", "A [1].", 1);
    becomes("A [^1].", "A [1].", 1);
    becomes("A [#2].", "A [2].", 1);
    becomes("A [Quelle 1].", "A [1].", 1);
    becomes("A [\xe5\x87\xba\xe5\x85\xb8 1]\xe3\x80\x82", "A [1]\xe3\x80\x82", 1);
    becomes("A [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17].", "A [1][2][3][4][5][6][7][8].",
            8);
}

/* Marks are written as the page and the clients of the API look for them. */
static void
digits_and_blanks_of_all_scripts_are_read(void **state)
{
    (void)state;
    becomes("A [ 1 ].", "A [1].", 1);
    becomes("A [1 ,2].", "A [1][2].", 2);
    becomes("A [\xef\xbc\x91].", "A [1].", 1);
    becomes("A [\xd9\xa1].", "A [1].", 1);
    becomes("A [\xdb\xb1\xd8\x8c \xdb\xb2].", "A [1][2].", 2);
    becomes("A [\xe0\xa5\xa7]\xe0\xa5\xa4", "A [1]\xe0\xa5\xa4", 1);
    becomes("A [\xe0\xb9\x91-\xe0\xb9\x92].", "A [1][2].", 2);
    becomes("A [1\xc2\xa0].", "A [1].", 1);
    becomes("A [Source\xc2\xa0"
            "1].",
            "A [1].", 1);
    becomes("A [\xe2\x80\x8b"
            "1\xe2\x80\x8e].",
            "A [1].", 1);
    becomes("A [doc-1] [id=2] [source: 3].", "A [1] [2] [3].", 3);
    becomes("A \xe3\x80\x90"
            "1:0\xe2\x80\xa0source\xe3\x80\x91\xe3\x80\x90"
            "14:2\xe2\x80\xa0source\xe3\x80\x91.",
            "A [1].", 1);
    becomes("A [Source 1: The handbook] [Document 2 \xe2\x80\x93 Part].", "A [1] [2].", 2);
    becomes("A [1, \xc2\xa7"
            "3] [2, lines 3-9].",
            "A [1] [2].", 2);
    becomes("A [\xe5\xbc\x95\xe7\x94\xa8\xef\xbc\x9a"
            "1] [\xd8\xa7\xd9\x84\xd9\x85\xd8\xb5\xd8\xaf\xd8\xb1 2].",
            "A [1] [2].", 2);
    becomes("A<sup>[1]</sup> b<sup>[2], [3]</sup>.", "A[1] b[2], [3].", 3);
    becomes("A ` sign [1].\n\nAnother ` here [2].", "A ` sign [1].\n\nAnother ` here [2].", 2);
    becomes("A [1].\n\n[1]: https://x.example/guide", "A [1].\n\n[1]: https://x.example/guide", 1);
}

static void
what_is_no_mark_stays(void **state)
{
    static const char *const text[] = {
        "the interval [0, 1] is closed",
        "argv[0] and a[0][1]",
        "Smith v Jones [1932] AC 562",
        "`a[1]` and\n```\nb[2]\n```\n",
        "[1](https://x.example) and [[2]](#two) and ![3](a.png)",
        "see [the guide][1]\n\n[1]: https://x.example/guide",
        "[^1]: a footnote",
        "[ ] to do, [x] done, [], [1.",
        "$x \\in [1, 2]$ and \\(y_{[1]}\\)",
        "(1) first (2) second",
        "10 m\xc2\xb2",
        "from [1990-1995]",
        "[1a] [a1] [1.2.0] [1 2]",
        "~~~\nb[2] [1]\n~~~\n",
        "Use ` here:\n```\nb[1] [2]\n```\n",
        "<code>b[1] [2]</code> and <kbd>[1]</kbd>",
        "\\[ x = y[1] \\] and \\[\n\\sum a_{[2]}\n\\]",
        "$$ y \\in [1, 2] $$ and $$\nx_1 = [1]\n$$",
        "\\begin{align}\nx &= [1, 2]\n\\end{align}",
        "the set = [1, 2] and x[1] + y[2] \xe2\x88\x88 [3, 4]",
        "digits match [1-9][0-9]",
    };

    (void)state;
    for (size_t i = 0; i < sizeof text / sizeof *text; i++)
        becomes(text[i], text[i], 0);
}

static bool
likely(const char *answer)
{
    struct likely l;

    return mark_likely(str_of(answer), 0, strlen(answer), &l);
}

static void
words_in_brackets_are_no_likely_mark(void **state)
{
    (void)state;
    assert_true(likely("It is [S1]") && likely("It is [Smith, 1]") && likely("It is [2: Hub]") &&
                likely("It is (1)"));
    assert_false(likely("Replace it [within 1 year]"));
    assert_false(likely("Replace it (within 1 year)"));
}

static void
a_dropped_mark_leaves_no_scar(void **state)
{
    (void)state;
    becomes("The limit is:\n- 30 [15]\n- 60 [1]", "The limit is:\n- 30\n- 60 [1]", 1);
    becomes("Altogether:\n42 [15]", "Altogether:\n42", 0);
    becomes("The order (ID 471: paid) is shipped [1].", "The order (ID 471: paid) is shipped [1].", 1);
    becomes("It is 300 m[1] and 5 g[2].", "It is 300 m[1] and 5 g[2].", 2);
    becomes("x [15] and [1].", "x [1].", 1);
    becomes("x [15], [16] and [17].", "x.", 0);
    becomes("x ([1], [15]).", "x ([1]).", 1);
    becomes("x ([15]; [1]).", "x ([1]).", 1);
    becomes("x (see [15]).", "x.", 0);
    becomes("x (Source: [15])", "x", 0);
    becomes("x (siehe [15]) und y", "x und y", 0);
    becomes("x *[15]*, y _[16]_.", "x, y.", 0);
    becomes("x <sub>[15]</sub> <sup>[16]</sup>.", "x.", 0);
    becomes("x [1].\n\nSources: [15]", "x [1].", 1);
    becomes("x [1].\n\n**Sources:**\n- [15]\n- [1] a", "x [1].\n\n**Sources:**\n- [1] a", 2);
    becomes("x [1], [15] or more [2].", "x [1] or more [2].", 2);
    becomes("x [15].", "x.", 0);
    becomes("x [15] y", "x y", 0);
    becomes("[15] The x", "The x", 0);
    becomes("x ([15]).", "x.", 0);
    becomes("x **[15]**.", "x.", 0);
    becomes("x<sup>[15]</sup>.", "x.", 0);
    becomes("x [15], [1].", "x [1].", 1);
    becomes("x [1], [15].", "x [1].", 1);
    becomes("x [1] and [15].", "x [1].", 1);
    becomes("x [15][16].", "x.", 0);
    becomes("x [15] [16].", "x.", 0);
    becomes("x [1, 15].", "x [1].", 1);
    becomes("x [Source 15].", "x.", 0);
    becomes("- [15] a\n- [1] b", "- a\n- [1] b", 1);
    becomes("x [[15]].", "x.", 0);
    becomes("x \\[15\\].", "x.", 0);
}

static void
stays(const char *answer, const struct str *docs, size_t n, const char *wanted, size_t marks, size_t own)
{
    struct found f;

    look(&f, answer, docs, n, n);
    if (!str_is(buf_slice(&f.out), wanted) || f.marks.n != marks || f.marks.own != own)
        fail_msg("%s\n became %s (%zu marks, %zu own), not %s (%zu, %zu)", answer, f.out.p, f.marks.n,
                 f.marks.own, wanted, marks, own);
    done(&f);
}

static void
a_documents_own_note_is_text_when_it_is_copied(void **state)
{
    const struct str light[] = {
        STR("Light falls.[3] The cycle begins.[12][13] See also note [2]. Then [the guide](x)."),
        STR("Second."), STR("Third.")
    };
    const struct str code[] = { STR("The name stands in argv[1]. The loop reads argv[2] later."),
                                STR("argv is an array.") };
    const struct str list[] = { STR("[1] Smith, J. (2001). Trees.\n[2] Miller, A. (2003). Leaves."),
                                STR("Other.") };
    const struct str interval[] = { STR("All x are of the range [2, 5] here."), STR("Press [3] and wait."),
                                    STR("c"), STR("d"), STR("e") };
    const struct str han[] = {
        STR("\xe5\x85\x89\xe3\x81\x8c\xe8\x90\xbd\xe3\x81\xa1\xe3\x82\x8b\xe3\x80\x82[2] \xe7\xb5\x82\xe3\x82\x8f\xe3\x82\x8b\xe3\x80\x82"),
        STR("b")
    };

    (void)state;
    stays("The maple loses its leaves in October [1]. [2]", documents, 4,
          "The maple loses its leaves in October [1]. [2]", 1, 1);
    stays("The oak loses its leaves in October [4].", documents, 4,
          "The oak loses its leaves in October [4].", 0, 1);
    stays("The oak loses its leaves in October [2].", documents, 4,
          "The oak loses its leaves in October [2].", 1, 0);
    stays("The oak loses its leaves in October[2].", documents, 4, "The oak loses its leaves in October[2].",
          1, 0);
    stays("It is in October [2].", documents, 4, "It is in October [2].", 1, 0);
    stays("Light falls.[3] The cycle begins.[12][13] See also note [2]. [1]", light, 3,
          "Light falls.[3] The cycle begins.[12][13] See also note [2]. [1]", 1, 4);
    stays("**Light falls**.[3] It begins [3].", light, 3, "**Light falls**.[3] It begins [3].", 1, 1);
    stays("Its name is in argv[1] [2].", code, 2, "Its name is in argv[1] [2].", 1, 1);
    stays("[1] Smith, J. (2001). Trees. [2]", list, 2, "[1] Smith, J. (2001). Trees. [2]", 1, 1);
    stays("The value lies in [2, 5] for sure [1].", interval, 5, "The value lies in [2, 5] for sure [1].", 1,
          1);
    stays("x is in [2, 5] [1].", interval, 5, "x is in [2, 5] [1].", 1, 1);
    stays("Stop it by the key [3] [1].", interval, 5, "Stop it by the key [3] [1].", 1, 1);
    stays("Stop it by the key [4].", interval, 5, "Stop it by the key [4].", 1, 0);
    stays("It stops at once [3].", interval, 5, "It stops at once [3].", 1, 0);
    stays("Its interval is [2, 5].", interval, 5, "Its interval is [2, 5].", 0, 1);
    stays("So it is [2, 4].", interval, 5, "So it is [2][4].", 2, 0);
    stays("It is good [2, 5].", interval, 5, "It is good [2][5].", 2, 0);
    stays("\xe5\x85\x89\xe3\x81\x8c\xe8\x90\xbd\xe3\x81\xa1\xe3\x82\x8b\xe3\x80\x82[2][1]", han, 2,
          "\xe5\x85\x89\xe3\x81\x8c\xe8\x90\xbd\xe3\x81\xa1\xe3\x82\x8b\xe3\x80\x82[2][1]", 1, 1);
}

static void
given_marks_are_the_only_ones(void **state)
{
    const char *answer = "The maple [2] falls. [1] So [3].";
    struct mark given[] = { { 1, 21 }, { 9, 28 } };
    struct marks_in in = {
        .answer = str_of(answer), .hits = 4, .given = given, .n_given = 2, .have_given = true
    };
    struct found f = { .a = arena_new(1 << 20), .out = BUF_MAX(1 << 20) };

    (void)state;
    assert_true(marks_find(&in, &f.out, f.a, &f.marks));
    assert_true(str_is(buf_slice(&f.out), answer));
    assert_int_equal(f.marks.n, 1);
    assert_int_equal(f.marks.v[0].n, 1);
    assert_int_equal(f.marks.v[0].at, 21);
    done(&f);
}

static void
hostile_answers_and_documents_cost_bounded_time(void **state)
{
    struct buf answer = { 0 }, document = { 0 };
    struct str doc;
    struct found f;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        buf_z(&answer, "a a [1] ");
        buf_z(&document, "a a [2] ");
    }
    doc = buf_slice(&document);
    look(&f, answer.p, &doc, 1, 1);
    assert_true(f.marks.n <= MARKS_MAX);
    done(&f);
    buf_free(&answer);
    buf_free(&document);
}

/* For any answer: valid UTF-8 stays valid, marks point into the text, and nothing empty is left. */
static void
random_answers_are_read_without_scars(void **state)
{
    static const char *const parts[] = { "[",
                                         "]",
                                         "[1]",
                                         "[9]",
                                         "[Source 9]",
                                         " ",
                                         " and ",
                                         ", ",
                                         "leaf",
                                         ".",
                                         "(",
                                         ")",
                                         "[12, 13]",
                                         "\\[9\\]",
                                         ("\xe3\x80\x90"
                                          "9\xe3\x80\x91"),
                                         "\xef\xbc\xbb",
                                         "\n",
                                         "`",
                                         "$",
                                         "October ",
                                         "[2]",
                                         "[0, 1]",
                                         "\xe2\x80\xa0",
                                         "^",
                                         "-",
                                         "1" };
    unsigned seed = 11;

    (void)state;
    for (int round = 0; round < 2000; round++) {
        struct buf b = { 0 };
        struct found f;

        for (int i = 0; i < 40; i++) {
            seed = seed * 1103515245u + 12345u;
            buf_z(&b, parts[(seed >> 16) % (sizeof parts / sizeof *parts)]);
        }
        look(&f, b.p, documents, 4, 4);
        assert_true(utf8_valid(buf_slice(&f.out)));
        assert_true(f.out.n <= b.n + 4 * f.marks.n);
        done(&f);
        buf_free(&b);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_common_form_is_read),
        cmocka_unit_test(digits_and_blanks_of_all_scripts_are_read),
        cmocka_unit_test(what_is_no_mark_stays),
        cmocka_unit_test(words_in_brackets_are_no_likely_mark),
        cmocka_unit_test(a_dropped_mark_leaves_no_scar),
        cmocka_unit_test(a_documents_own_note_is_text_when_it_is_copied),
        cmocka_unit_test(given_marks_are_the_only_ones),
        cmocka_unit_test(hostile_answers_and_documents_cost_bounded_time),
        cmocka_unit_test(random_answers_are_read_without_scars),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
