/* The built-in models: deterministic vectors that follow the words, and answers that quote verbatim. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "embedder/builtin/builtin.h"

static double
cosine(const char *a, const char *b)
{
    struct tokens *w = tokens_new();
    float va[BUILTIN_EMBED_DIMS], vb[BUILTIN_EMBED_DIMS];
    double dot = 0;

    builtin_embed(w, str_of(a), va, BUILTIN_EMBED_DIMS);
    builtin_embed(w, str_of(b), vb, BUILTIN_EMBED_DIMS);
    for (size_t i = 0; i < BUILTIN_EMBED_DIMS; i++)
        dot += (double)va[i] * (double)vb[i];
    tokens_free(&w);
    return dot;
}

static void
words_are_folded_and_split(void **state)
{
    static const char *const folded[] = { "cafe", "connections", "pool", "size", "the", "fuss", "42" };
    struct tokens *w = tokens_new();
    struct token word;
    size_t n = 0;

    (void)state;
    tokens_set(w, LANG_ENGLISH, STR("Caf\xc3\xa9 connections: POOL_size, the fu\xc3\x9f 42"));
    while (tokens_next(w, &word)) {
        assert_true(n < 7);
        assert_int_equal(word.cls == WORD_STOP, n == 4);
        assert_true(str_is(word.folded, folded[n]));
        n++;
    }
    assert_int_equal(n, 7);
    tokens_free(&w);
}

static void
the_same_text_gives_the_same_unit_vector(void **state)
{
    static const char *const texts[] = { "How many connections?",    "",  "!!!",
                                         "\xe4\xb8\xad\xe6\x96\x87", "a", "the of and" };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_true(fabs(cosine(texts[i], texts[i]) - 1.0) < 1e-5);
    assert_true(cosine("Pool SIZE", "pool size") > 0.999);
}

static void
texts_that_share_words_are_nearer_than_others(void **state)
{
    const char *q = "How many connections does the database pool keep open?";

    (void)state;
    assert_true(cosine(q, "The pool keeps ten database connections open by default.") >
                cosine(q, "Bananas ripen faster in a paper bag.") + 0.2);
    assert_true(cosine("configure the cache", "configuration of caches") >
                cosine("configure the cache", "river boats") + 0.2);
    assert_true(cosine("what is it", "photosynthesis in leaves") < 0.2);
}

static const char guide[] =
    "# Connection pool\n\n"
    "The store keeps ten database connections open. Twenty more are opened\nwhen they are needed, and "
    "closed on return.\n\n"
    "| option | default |\n|---|---|\n| DATABASE_POOL_SIZE | 10 connections in the pool |\n\n"
    "```\nmake run  # starts the pool with ten connections\n```\n\n"
    "- The janitor runs daily at two in the morning.\n- It deletes what has expired.\n";
static const char other[] =
    "## Weather\n\nRain is expected on the coast. The wind turns west in the evening.\n";

static bool
ask(const char *question, struct buf *out)
{
    struct hit hits[2] = { { .title = STR("Weather"), .text = str_of(other), .score = 0.4 },
                           { .title = STR("Operating"), .text = str_of(guide), .score = 0.8 } };
    struct chat_req req = { .question = str_of(question) };
    bool refused;

    req.hits.v = hits;
    req.hits.n = 2;
    buf_reset(out);
    builtin_answer(&req, NULL, out, &(struct chat_marks){ 0 }, &refused);
    return refused;
}

/* Each piece before a mark is a slice of the passage that the mark names. */
static void
check_quotes(const char *answer)
{
    const char *p = answer, *mark;
    int n = 0;

    while ((mark = strstr(p, " [")) != NULL) {
        const char *text = mark[2] == '1' ? other : guide;

        while (*p == ' ' || *p == '\n')
            p++;
        assert_non_null(memmem(text, strlen(text), p, (size_t)(mark - p)));
        p = strchr(mark, ']') + 1;
        n++;
    }
    assert_true(n >= 1 && n <= 3);
    assert_int_equal(*p, 0);
}

static void
answers_quote_the_best_sentences_verbatim_with_marks(void **state)
{
    struct buf out = { 0 };

    (void)state;
    assert_false(ask("How many database connections are kept open?", &out));
    assert_true(str_starts(buf_slice(&out), "The store keeps ten database connections open. [2]"));
    check_quotes(out.p);
    assert_false(ask("When does the janitor run?", &out));
    assert_true(str_starts(buf_slice(&out), "The janitor runs daily at two in the morning. [2]"));
    check_quotes(out.p);
    assert_false(ask("Is rain expected?", &out));
    assert_true(str_starts(buf_slice(&out), "Rain is expected on the coast. [1]"));
    check_quotes(out.p);
    buf_free(&out);
}

static void
headings_tables_and_code_are_not_quoted_while_prose_answers(void **state)
{
    struct buf out = { 0 };

    (void)state;
    assert_false(ask("connection pool", &out));
    assert_null(strstr(out.p, "#"));
    assert_null(strstr(out.p, "|"));
    assert_null(strstr(out.p, "make run"));
    assert_false(ask("DATABASE_POOL_SIZE option",
                     &out)); /* no prose says it: the row, under the head of its table */
    assert_string_equal(
        out.p,
        "| option | default |\n|---|---|\n| DATABASE_POOL_SIZE | 10 connections in the pool |\n\n [2]");
    buf_free(&out);
}

static void
nothing_to_the_point_is_refused(void **state)
{
    struct buf out = { 0 };

    (void)state;
    assert_true(ask("Who composed the opera about penguins?", &out));
    assert_string_equal(out.p, REFUSAL_TEXT);
    assert_true(ask("???", &out));
    buf_free(&out);
}

static void
a_question_about_the_selection_takes_its_words_from_there(void **state)
{
    struct hit hit = { .text = str_of(guide), .score = 0.5 };
    struct chat_req req = { .question = STR("What does this mean?"),
                            .selection = STR("ten database connections") };
    struct buf out = { 0 };
    bool refused;

    (void)state;
    req.hits.v = &hit;
    req.hits.n = 1;
    builtin_answer(&req, NULL, &out, &(struct chat_marks){ 0 }, &refused);
    assert_false(refused);
    assert_true(str_starts(buf_slice(&out), "The store keeps ten database connections open. [1]"));
    buf_free(&out);
}

static bool
ask_selected(const char *question, const char *selection, bool carried, struct buf *out)
{
    struct hit hits[2] = {
        { .text = str_of(selection),
          .document_id = { { 1 } },
          .end = (int64_t)strlen(selection),
          .score = 1 },
        { .title = STR("Operating"), .text = str_of(guide), .document_id = { { 2 } }, .score = 0.5 }
    };
    struct chat_req req = {
        .question = str_of(question), .selection = str_of(selection), .selected = true, .carried = carried
    };
    bool refused;

    req.hits.v = hits;
    req.hits.n = 2;
    buf_reset(out);
    builtin_answer(&req, NULL, out, &(struct chat_marks){ 0 }, &refused);
    return !refused;
}

static void
a_selection_is_answered_about_whatever_is_asked(void **state)
{
    static const char *const questions[] = {
        "Explain this in simple words",
        "Was bedeutet das?",
        "give an example",
        "summarise",
        "why?",
        "translate this into German",
        "is that true?",
        "\xe8\xbf\x99\xe6\x98\xaf\xe4\xbb\x80\xe4\xb9\x88\xe6\x84\x8f\xe6\x80\x9d\xef\xbc\x9f",
        "???",
        "Who is the king of Norway?"
    };
    static const char *const selections[] = {
        "Tops spin. A spinning top stays upright because its axis resists a torque.",
        "## A heading",
        "Is it so?",
        "word",
        "```\ncode()\n```",
        "- [ ] a box",
        "| a | b |",
        "\xf0\x9f\x98\x80\xf0\x9f\x98\x80",
        "Explain the difference.",
        "\xe5\x85\x89\xe5\x90\x88\xe4\xbd\x9c\xe7\x94\xa8\xe6\x98\xaf\xe8\xbf\x87\xe7\xa8\x8b\xe3\x80\x82"
    };
    struct buf out = { 0 };

    (void)state;
    for (size_t q = 0; q < sizeof questions / sizeof *questions; q++)
        for (size_t s = 0; s < sizeof selections / sizeof *selections; s++) {
            assert_true(ask_selected(questions[q], selections[s], false, &out));
            assert_non_null(strstr(out.p, " ["));
        }
    assert_true(ask_selected(questions[0], selections[0], false, &out));
    assert_non_null(strstr(out.p, "A spinning top stays upright because its axis resists a torque. [1]"));
    assert_true(ask_selected("explain", "pool", false,
                             &out)); /* a word says nothing: what documents say of it does */
    assert_non_null(strstr(out.p, "[2]"));
    assert_true(ask_selected("When does the janitor run?", selections[0], false, &out));
    assert_string_equal(out.p, "The janitor runs daily at two in the morning. [2]");
    buf_free(&out);
}

static void
an_earlier_selection_answers_only_what_is_about_it(void **state)
{
    struct buf out = { 0 };

    (void)state;
    assert_true(ask_selected("why?", "A spinning top stays upright because its axis resists a torque.", true,
                             &out));
    assert_non_null(strstr(out.p, "[1]"));
    assert_true(ask_selected("What resists a torque?",
                             "A spinning top stays upright because its axis resists a torque.", true, &out));
    assert_non_null(strstr(out.p, "[1]"));
    assert_false(ask_selected("Who is the king of Norway?",
                              "A spinning top stays upright because its axis resists a torque.", true, &out));
    buf_free(&out);
}

static void
odd_passages_do_no_harm(void **state)
{
    static const char *const odd[] = { "",
                                       "\n\n\n",
                                       "```",
                                       "#",
                                       "| a |",
                                       "- ",
                                       "1. ",
                                       "\xf0\x9f\x98\x80",
                                       "....",
                                       "a.b.c. D. E?!",
                                       "===\n---\n***\n> > >\n",
                                       "    indented code that never ends and never ends and" };
    struct buf out = { 0 };
    bool refused;

    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        struct hit hit = { .text = str_of(odd[i]) };
        struct chat_req req = { .question = STR("indented code that never ends") };

        req.hits.v = &hit;
        req.hits.n = 1;
        buf_reset(&out);
        builtin_answer(&req, NULL, &out, &(struct chat_marks){ 0 }, &refused);
        assert_true(out.n > 0);
    }
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_folded_and_split),
        cmocka_unit_test(the_same_text_gives_the_same_unit_vector),
        cmocka_unit_test(texts_that_share_words_are_nearer_than_others),
        cmocka_unit_test(answers_quote_the_best_sentences_verbatim_with_marks),
        cmocka_unit_test(headings_tables_and_code_are_not_quoted_while_prose_answers),
        cmocka_unit_test(nothing_to_the_point_is_refused),
        cmocka_unit_test(a_question_about_the_selection_takes_its_words_from_there),
        cmocka_unit_test(a_selection_is_answered_about_whatever_is_asked),
        cmocka_unit_test(an_earlier_selection_answers_only_what_is_about_it),
        cmocka_unit_test(odd_passages_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
