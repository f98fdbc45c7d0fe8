/* Citations: marks, excerpts that are the passage's own bytes, and answers that cite nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "cite/cite.h"
#include "common/text/text.h"

static const char *const passages[] = {
    "Sensors gather data from the physical world. A soil moisture sensor measures how wet the soil is. Actuators do the "
    "opposite: they turn data into actions, such as switching on a pump.",
    "The hub expires a worker after three seconds of silence. A killed worker is noticed within 300 milliseconds, because "
    "the hub probes busy workers. \xe2\x82\xac 5 was paid.",
    "Pizza dough rests for a day.",
};

struct fixture {
    struct hit hits[3];
    struct cite_req req;
    struct cite_rep rep;
    struct cite_counts counts;
    struct arena *a;
};

static void
run(struct fixture *f, const char *answer, bool refused)
{
    struct words *w = words_new();

    memset(f, 0, sizeof *f);
    f->a = arena_new(1 << 22);
    for (size_t i = 0; i < 3; i++)
        f->hits[i] = (struct hit){ .chunk_id = uuid_v4(),
                                   .document_id = uuid_v4(),
                                   .collection = STR("docs"),
                                   .text = str_of(passages[i]),
                                   .start = 100,
                                   .end = 100 + (int64_t)strlen(passages[i]),
                                   .score = 0.8 };
    f->req = (struct cite_req){ .answer = str_of(answer),
                                .question = STR("What does a moisture sensor measure?"),
                                .refused = refused,
                                .hits = { f->hits, 3 } };
    assert_int_equal(cite_answer(&f->req, w, f->a, &f->rep, &f->counts), ERR_OK);
    for (size_t i = 0; i < f->rep.citations.n; i++) {
        const struct citation *c = &f->rep.citations.v[i];
        const struct hit *h = &f->hits[c->n - 1];

        assert_true(c->start >= h->start && c->end <= h->end && c->end > c->start);
        assert_memory_equal(c->excerpt.p, h->text.p + (c->start - h->start), (size_t)(c->end - c->start));
        assert_int_equal(c->excerpt.n, c->end - c->start);
        assert_true(utf8_valid(c->excerpt) && utf8_count(c->excerpt) <= CITE_EXCERPT_CHARS);
        assert_true(uuid_eq(&c->chunk_id, &h->chunk_id) && uuid_version(&c->id) == 7);
    }
    words_free(&w);
}

/* One passage, whose place in its document is said to be so long. */
static size_t
cited(const char *text, int64_t length, struct citation *out)
{
    struct words *w = words_new();
    struct arena *a = arena_new(1 << 20);
    struct hit h = { .text = str_of(text), .start = 100, .end = 100 + length, .score = 0.8 };
    struct cite_req req = { .answer = STR("The valve is opened by hand. [1]"),
                            .question = STR("How is the valve opened?"),
                            .hits = { &h, 1 } };
    struct cite_counts counts;
    struct cite_rep rep;
    size_t n;

    assert_int_equal(cite_answer(&req, w, a, &rep, &counts), ERR_OK);
    n = rep.citations.n;
    if (n)
        *out = rep.citations.v[0];
    out->excerpt = STR(""); /* goes with the arena */
    arena_free(&a);
    words_free(&w);
    return n;
}

static void
an_excerpt_of_a_sentence_without_end_has_300_characters_at_most(void **state)
{
    struct citation c = { 0 };
    char text[2001];

    (void)state;
    for (size_t i = 0; i < sizeof text - 1; i++)
        text[i] = "the valve is opened by a hand wheel and "[i % 40];
    text[sizeof text - 1] = 0;
    assert_int_equal(cited(text, 2000, &c), 1);
    assert_in_range(c.end - c.start, 200, CITE_EXCERPT_CHARS);
}

static void
a_passage_whose_place_does_not_fit_its_text_is_not_cited(void **state)
{
    static const char text[] = "The valve is opened by hand.";
    struct citation c = { 0 };

    (void)state;
    assert_int_equal(cited(text, sizeof text - 1, &c), 1);
    assert_int_equal(cited(text, sizeof text, &c), 0);
    assert_int_equal(cited(text, sizeof text - 2, &c), 0);
}

static bool
answer_is(const struct fixture *f, const char *z)
{
    return str_is(f->rep.answer, z);
}

static void
a_mark_leads_to_the_sentence_that_supports_it(void **state)
{
    struct fixture f;

    (void)state;
    run(&f,
        "It tells you the wetness of soil: it measures how wet it is [1]. A dead worker is noticed in 300 ms, by probes.[2]",
        false);
    assert_int_equal(f.rep.citations.n, 2);
    assert_true(str_is(f.rep.citations.v[0].excerpt, "A soil moisture sensor measures how wet the soil is."));
    assert_true(str_starts(f.rep.citations.v[1].excerpt, "A killed worker is noticed"));
    assert_true(f.rep.grounded);
    assert_true(f.rep.confidence > 0.4 && f.rep.confidence <= 0.8);
    arena_free(&f.a);
}

static void
a_verbatim_quote_is_found_as_it_stands(void **state)
{
    struct fixture f;

    (void)state;
    run(&f, "The hub expires a worker after three seconds of silence. [2]", false);
    assert_int_equal(f.counts.verbatim, 1);
    assert_true(str_is(f.rep.citations.v[0].excerpt,
                       "The hub expires a worker after three seconds of silence."));
    assert_true(f.rep.confidence > 0.79);
    arena_free(&f.a);
    run(&f, "The manual says \"they turn data into actions\" about them [1].", false);
    assert_int_equal(f.counts.verbatim, 1);
    assert_true(str_starts(f.rep.citations.v[0].excerpt, "Actuators do the opposite"));
    arena_free(&f.a);
}

/* Line breaks, emphasis and quotes are the passage's own; so are the bytes of the excerpt. */
static void
a_quote_is_found_whatever_its_line_breaks_emphasis_and_quotes(void **state)
{
    static const char text[] = "> The **keeper** of the\n> lighthouse\xe2\x80\x99s lamp says \xe2\x80\x9c"
                               "good night\xe2\x80\x9d to all\nships at dusk. He sleeps.";
    static const char *const answers[] = {
        "The keeper of the lighthouse's lamp says \"good night\" to all ships at dusk [1].",
        "It is so. **The keeper** of the lighthouse\xe2\x80\x99s lamp says \"good night\" to all ships at dusk.",
        "The keeper of\nthe lighthouse's  lamp says \xe2\x80\x9cgood night\xe2\x80\x9d to all ships at dusk.",
    };
    struct hit h = { .text = { text, sizeof text - 1 }, .end = sizeof text - 1, .score = 0.8 };

    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct words *w = words_new();
        struct arena *a = arena_new(1 << 20);
        struct cite_req req = { .answer = str_of(answers[i]), .question = STR("What?"), .hits = { &h, 1 } };
        struct cite_counts counts;
        struct cite_rep rep;

        assert_int_equal(cite_answer(&req, w, a, &rep, &counts), ERR_OK);
        assert_int_equal(rep.citations.n, 1);
        assert_int_equal(counts.verbatim, 1);
        assert_true(str_has(rep.citations.v[0].excerpt, "The **keeper** of the\n> lighthouse"));
        assert_memory_equal(rep.citations.v[0].excerpt.p, text + rep.citations.v[0].start,
                            rep.citations.v[0].excerpt.n);
        arena_free(&a);
        words_free(&w);
    }
}

static void
marks_that_point_nowhere_are_removed(void **state)
{
    struct fixture f;

    (void)state;
    run(&f, "One [9]. Two [0] and [1, 7] three [4][2] [99999999999999999999].", false);
    assert_true(answer_is(&f, "One. Two [1] three [2]."));
    assert_int_equal(f.counts.dropped, 5);
    assert_int_equal(f.rep.citations.n, 2);
    arena_free(&f.a);
}

static void
all_ways_of_writing_a_mark_are_understood(void **state)
{
    struct fixture f;

    (void)state;
    run(&f,
        "A [1, 2]. B [1][3]. C \xe3\x80\x90"
        "2\xe3\x80\x91. D \xe3\x80\x90"
        "3\xe2\x80\xa0source\xe3\x80\x91",
        false);
    assert_true(answer_is(&f, "A [1][2]. B [1][3]. C [2]. D [3]"));
    assert_int_equal(f.rep.citations.n, 3);
    assert_int_equal(f.counts.marks, 6);
    arena_free(&f.a);
}

static void
code_and_links_are_no_marks(void **state)
{
    const char *answer = "Use `a[9]` and [9](http://x/) or\n```\nb[8]\n```\nand [x], [], [1.";
    struct fixture f;

    (void)state;
    run(&f, answer, false);
    assert_true(answer_is(&f, answer));
    assert_int_equal(f.rep.citations.n, 0);
    assert_false(f.rep.grounded);
    arena_free(&f.a);
}

static void
a_refusal_or_an_answer_without_marks_is_not_grounded(void **state)
{
    struct fixture f;

    (void)state;
    run(&f, "These documents do not say [1].", true);
    assert_true(answer_is(&f, "These documents do not say."));
    assert_false(f.rep.grounded);
    assert_int_equal(f.rep.citations.n, 0);
    assert_true(f.rep.confidence <= 0);
    arena_free(&f.a);
    run(&f, "Just so.", false);
    assert_false(f.rep.grounded);
    arena_free(&f.a);
    run(&f, "", false);
    assert_false(f.rep.grounded);
    arena_free(&f.a);
}

static void
an_unmarked_sentence_that_one_passage_says_gets_its_mark(void **state)
{
    struct fixture f;

    (void)state;
    run(&f, "The hub expires a worker after three seconds of silence. Pizza dough rests for a day!", false);
    assert_true(answer_is(
        &f, "The hub expires a worker after three seconds of silence [2]. Pizza dough rests for a day [3]!"));
    assert_int_equal(f.counts.added, 2);
    assert_int_equal(f.rep.citations.n, 2);
    assert_true(str_is(f.rep.citations.v[0].excerpt,
                       "The hub expires a worker after three seconds of silence."));
    assert_true(f.rep.grounded && f.rep.confidence > 0.7);
    arena_free(&f.a);
    run(&f, "It is simple:\n- A soil moisture sensor measures how wet soil is [9].\n- I like it.", false);
    assert_true(
        answer_is(&f, "It is simple:\n- A soil moisture sensor measures how wet soil is [1].\n- I like it."));
    arena_free(&f.a);
}

static void
a_mark_by_evidence_stands_before_the_stop_of_any_script(void **state)
{
    static const char text[] = "灯塔看守人在黎明时分清点船只。他晚上睡觉。";
    static const char *const answers[] = { "灯塔看守人在黎明时分清点船只。",
                                           "灯塔看守人在黎明时分清点船只 [S1]。" };
    struct hit h = { .text = { text, sizeof text - 1 }, .end = sizeof text - 1, .score = 0.8 };

    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct words *w = words_new();
        struct arena *a = arena_new(1 << 20);
        struct cite_req req = { .answer = str_of(answers[i]),
                                .question = STR("看守人什么时候清点船只？"),
                                .hits = { &h, 1 } };
        struct cite_counts counts;
        struct cite_rep rep;

        assert_int_equal(cite_answer(&req, w, a, &rep, &counts), ERR_OK);
        assert_true(str_is(rep.answer, "灯塔看守人在黎明时分清点船只 [1]。"));
        assert_int_equal(rep.citations.n, 1);
        arena_free(&a);
        words_free(&w);
    }
}

/* Forms that are no marks by themselves: they go where the words prove the passage that they name, and are no obstacle to a proof. */
static void
a_likely_mark_becomes_one_where_the_words_prove_it(void **state)
{
    static const char *const forms[] = {
        " (2)",
        " [S2]",
        " [Hub, 2]",
        " [2: Hub]",
        " {2}",
        " \xc2\xb2",
        " \xe2\x91\xa1",
        " [2](https://x.example/a)",
        " [2](#2)",
        " [hub p2]",
        " (see source 2)",
        "<sup>2</sup>",
        " [@2]",
        " [Nr. 2]",
        "",
    };
    struct fixture f;

    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct buf b = BUF_MAX(1024);

        buf_printf(&b, "The hub expires a worker after three seconds of silence%s. So it is.", forms[i]);
        run(&f, b.p, false);
        if (!answer_is(&f, "The hub expires a worker after three seconds of silence [2]. So it is."))
            fail_msg("%s became " STR_FMT, b.p, STR_ARG(f.rep.answer));
        assert_int_equal(f.rep.citations.n, 1);
        arena_free(&f.a);
        buf_free(&b);
    }
    run(&f, "According to source 2, the hub expires a worker after three seconds of silence.", false);
    assert_true(
        answer_is(&f, "According to source 2, the hub expires a worker after three seconds of silence [2]."));
    arena_free(&f.a);
    /* another number, a unit, an index: text */
    run(&f, "The hub expires a worker after three seconds of silence (1).", false);
    assert_true(answer_is(&f, "The hub expires a worker after three seconds of silence (1) [2]."));
    arena_free(&f.a);
    run(&f, "The hub expires a worker after three seconds of silence in all m\xc2\xb2.", false);
    assert_true(answer_is(&f,
                          "The hub expires a worker after three seconds of silence in all m\xc2\xb2 [2]."));
    arena_free(&f.a);
    run(&f, "(1) It is good. (2) It is not.", false);
    assert_true(answer_is(&f, "(1) It is good. (2) It is not."));
    arena_free(&f.a);
}

static void
what_no_passage_says_gets_no_mark(void **state)
{
    static const char *const answers[] = {
        "The hub expires a worker after 5 seconds of silence, within 300 milliseconds.", /* another number */
        "The hub never expires a worker after three seconds of silence.",                /* denied */
        "Il hub expires nessun worker after three seconds of silence.",
        "Does the hub expire a worker after three seconds of silence?",
        "The pump is red, costs 40 euros and was built in Norway.",
        "The hub is good. Pizza. Yes, dough.", /* too little is said */
        "# The hub expires a worker after three seconds of silence",
        "```\nThe hub expires a worker after three seconds of silence.\n```\n",
        "| The hub expires a worker after three seconds of silence. |",
    };

    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct fixture f;

        run(&f, answers[i], false);
        assert_true(answer_is(&f, answers[i]));
        assert_int_equal(f.counts.added, 0);
        assert_false(f.rep.grounded);
        assert_int_equal(f.rep.citations.n, 0);
        arena_free(&f.a);
    }
}

static void
beside_marks_only_a_quote_of_an_uncited_passage_gets_one_and_a_refusal_never(void **state)
{
    struct fixture f;

    (void)state;
    run(&f, "The hub expires a worker after 3 seconds. Pizza dough rests for a day [3].", false);
    assert_int_equal(f.counts.added, 0);
    assert_int_equal(f.rep.citations.n, 1);
    arena_free(&f.a);
    run(&f,
        "The hub expires a worker after three seconds of silence. Pizza dough rests for a day [3]. A killed worker is noticed [2].",
        false);
    assert_int_equal(f.counts.added, 0);
    arena_free(&f.a);
    run(&f,
        "It rests long [3]. The hub expires a worker after three seconds of silence. Sensors gather data [1].",
        false);
    assert_true(answer_is(
        &f,
        "It rests long [3]. The hub expires a worker after three seconds of silence [2]. Sensors gather data [1]."));
    assert_int_equal(f.counts.added, 1);
    assert_int_equal(f.rep.citations.n, 3);
    arena_free(&f.a);
    run(&f, "The hub expires a worker after three seconds of silence.", true);
    assert_int_equal(f.counts.added, 0);
    assert_false(f.rep.grounded);
    arena_free(&f.a);
}

static void
two_passages_that_differ_support_no_guess_but_the_same_words_twice_do(void **state)
{
    static const char *const said = "The archive is closed on Mondays.";
    struct hit hits[2] = { { .text = STR("The archive is closed on Mondays in winter."), .score = 0.8 },
                           { .text = STR("The archive is closed on Mondays in May, too."), .score = 0.7 } };
    struct cite_req req = { .answer = str_of(said), .question = STR("When?"), .hits = { hits, 2 } };
    struct words *w = words_new();
    struct arena *a = arena_new(1 << 22);
    struct cite_counts counts;
    struct cite_rep rep;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        hits[i].document_id = uuid_v4();
        hits[i].end = (int64_t)hits[i].text.n;
    }
    assert_int_equal(cite_answer(&req, w, a, &rep, &counts), ERR_OK);
    assert_int_equal(rep.citations.n, 0);
    hits[1].text = hits[0].text;
    hits[1].end = hits[0].end;
    assert_int_equal(cite_answer(&req, w, a, &rep, &counts), ERR_OK);
    assert_int_equal(rep.citations.n, 1);
    assert_int_equal(rep.citations.v[0].n, 1);
    arena_free(&a);
    words_free(&w);
}

/* A model in a loop: each mark is looked at once, not once for each other one. */
static void
many_marks_in_a_row_are_read_in_time(void **state)
{
    struct buf b = { 0 };
    struct fixture f;

    (void)state;
    buf_z(&b, "The hub expires a worker after three seconds of silence ");
    for (int i = 0; i < 40000; i++)
        buf_z(&b, "[2]");
    run(&f, b.p, false);
    assert_true(f.rep.grounded);
    arena_free(&f.a);
    buf_free(&b);
}

static void
any_bytes_of_a_model_are_survived(void **state)
{
    static const char *const parts[] = { "[",
                                         "]",
                                         "1",
                                         "2",
                                         ",",
                                         " ",
                                         "`",
                                         "```",
                                         "\xe3\x80\x90",
                                         "\xe3\x80\x91",
                                         "\xe2\x80\xa0",
                                         ". ",
                                         "soil",
                                         "\n",
                                         "\"",
                                         "(",
                                         "99",
                                         "\xe2\x80\x9c",
                                         "\xe2\x80\x9d",
                                         "[1]" };
    unsigned seed = 7;

    (void)state;
    for (int round = 0; round < 500; round++) {
        struct buf b = { 0 };
        struct fixture f;

        for (int i = 0; i < 60; i++) {
            seed = seed * 1103515245u + 12345u;
            buf_z(&b, parts[(seed >> 16) % (sizeof parts / sizeof *parts)]);
        }
        run(&f, b.p, false);
        assert_true(utf8_valid(f.rep.answer));
        arena_free(&f.a);
        buf_free(&b);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mark_leads_to_the_sentence_that_supports_it),
        cmocka_unit_test(a_verbatim_quote_is_found_as_it_stands),
        cmocka_unit_test(an_excerpt_of_a_sentence_without_end_has_300_characters_at_most),
        cmocka_unit_test(a_passage_whose_place_does_not_fit_its_text_is_not_cited),
        cmocka_unit_test(a_quote_is_found_whatever_its_line_breaks_emphasis_and_quotes),
        cmocka_unit_test(marks_that_point_nowhere_are_removed),
        cmocka_unit_test(all_ways_of_writing_a_mark_are_understood),
        cmocka_unit_test(code_and_links_are_no_marks),
        cmocka_unit_test(a_refusal_or_an_answer_without_marks_is_not_grounded),
        cmocka_unit_test(an_unmarked_sentence_that_one_passage_says_gets_its_mark),
        cmocka_unit_test(a_likely_mark_becomes_one_where_the_words_prove_it),
        cmocka_unit_test(a_mark_by_evidence_stands_before_the_stop_of_any_script),
        cmocka_unit_test(what_no_passage_says_gets_no_mark),
        cmocka_unit_test(beside_marks_only_a_quote_of_an_uncited_passage_gets_one_and_a_refusal_never),
        cmocka_unit_test(two_passages_that_differ_support_no_guess_but_the_same_words_twice_do),
        cmocka_unit_test(many_marks_in_a_row_are_read_in_time),
        cmocka_unit_test(any_bytes_of_a_model_are_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
