/* Marks that are checked against what they stand behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cite/cite.h"
#include "common/text/text.h"

static const char *const passages[] = {
    "A soil moisture sensor measures how wet the soil is. It is placed at the depth of the roots and read every hour.",
    "The hub expires a worker after three seconds of silence. Workers that are killed are noticed within 300 milliseconds.",
    "Pizza dough rests for a day in the refrigerator before it is baked on a hot stone with tomatoes and cheese.",
    "Der Drehregler an der Rückseite des Gerätes stellt die Helligkeit der Anzeige ein, und zwar in sieben Stufen.",
};
enum { PASSAGES = sizeof passages / sizeof *passages };

struct asked {
    struct cite_rep rep;
    struct cite_counts counts;
    struct arena *a;
};

static void
cite(struct asked *k, const char *answer, bool marked)
{
    struct words *w = words_new();
    struct hit hits[PASSAGES];
    struct cite_req req = { .answer = str_of(answer), .question = STR("What is it?"), .marked = marked };

    k->a = arena_new(1 << 22);
    for (size_t i = 0; i < PASSAGES; i++)
        hits[i] = (struct hit){ .document_id = uuid_v4(),
                                .title = i == 1 ? STR("Liveness of processes") : STR_NONE,
                                .text = str_of(passages[i]),
                                .end = (int64_t)strlen(passages[i]),
                                .score = 0.8 };
    req.hits.v = hits;
    req.hits.n = PASSAGES;
    assert_int_equal(cite_answer(&req, w, k->a, &k->rep, &k->counts), ERR_OK);
    words_free(&w);
}

struct check_case {
    const char *answer, *want;
    size_t unsupported;
};

static void
a_mark_whose_passage_says_nothing_of_it_is_dropped_and_counted(void **state)
{
    static const struct check_case cases[] = {
        /* the wrong passage, alone and beside the right one */
        { "The sensor measures the moisture that is in the soil [3]. It is read every hour of the day [1].",
          "The sensor measures the moisture that is in the soil. It is read every hour of the day [1].", 1 },
        { "The sensor measures the moisture that is in the soil [1, 3].",
          "The sensor measures the moisture that is in the soil [1].", 1 },
        { "The sensor measures the moisture that is in the soil [3][1].",
          "The sensor measures the moisture that is in the soil [1].", 1 },
        { "The sensor measures the moisture that is in the soil (see [3]).",
          "The sensor measures the moisture that is in the soil [1].", 1 }, /* it proves itself */
        /* one word in common is enough, in any form, in the passage or its title */
        { "The dough should be given some time in a cool place before it is used [3].",
          "The dough should be given some time in a cool place before it is used [3].", 0 },
        { "That is how the liveness of every single part is found out in time [2].",
          "That is how the liveness of every single part is found out in time [2].", 0 },
        /* the mark at the end of a paragraph stands for all of it */
        { "The sensor measures the moisture that is in the soil. I hope that this helps you with the garden [1].",
          "The sensor measures the moisture that is in the soil. I hope that this helps you with the garden [1].",
          0 },
        { "The sensor measures the moisture that is in the soil.\n\nI hope that this little explanation helps you with the whole project [1].",
          "The sensor measures the moisture that is in the soil [1].\n\nI hope that this little explanation helps you with the whole project.",
          1 },
        /* too little to judge by */
        { "Yes, it is [3].", "Yes, it is [3].", 0 },
        { "It costs nothing [1].", "It costs nothing [1].", 0 },
        /* another language than the passage's: words cannot tell */
        { "The knob on the back of the device sets how bright the display is [4].",
          "The knob on the back of the device sets how bright the display is [4].", 0 },
        { "Der Sensor misst, wie feucht die Erde ist, und wird stündlich von dem Programm gelesen [1].",
          "Der Sensor misst, wie feucht die Erde ist, und wird stündlich von dem Programm gelesen [1].", 0 },
        { "Der Teig ruht einen ganzen Tag lang in dem Kühlschrank, und dann wird er gebacken [4].",
          "Der Teig ruht einen ganzen Tag lang in dem Kühlschrank, und dann wird er gebacken.", 1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct asked k;

        cite(&k, cases[i].answer, false);
        if (!str_is(k.rep.answer, cases[i].want) || k.counts.unsupported != cases[i].unsupported)
            fail_msg("case %zu: %zu unsupported, \"" STR_FMT "\"", i, k.counts.unsupported,
                     STR_ARG(k.rep.answer));
        assert_int_equal(k.counts.dropped, 0);
        arena_free(&k.a);
    }
}

/* Marks in front of what they stand for, or amid it. */
static void
a_mark_in_front_of_its_sentence_is_checked_against_that_sentence(void **state)
{
    static const char *const answers[] = {
        "[1] The sensor measures the moisture of the soil.\n[2] The hub expires a worker after three seconds.\n[3] Pizza dough rests for a day.",
        "- [1] The sensor measures the moisture of the soil.\n- [2] The hub expires a silent worker after three seconds.\n- [3] The dough rests for a day.",
        "[1] says that a sensor measures the moisture of the soil. [2] says that the hub expires a worker after three seconds.",
        "As [1] says, a sensor measures the moisture of the soil. According to [3], the dough rests for a whole day.",
        "| Source | Part | What it does |\n|---|---|---|\n| [1] | Sensor | measures the moisture of the soil |\n| [2] | Hub | expires the workers after three seconds |",
        "**[3]:** Pizza dough rests for a day in the refrigerator.\n**[2]:** The hub expires a worker after three seconds.",
        "> [2] The hub expires a worker after three seconds of silence.\n\n1. [3] Pizza dough rests for a day in the refrigerator.",
    };
    static const char wrong
        [] =
            "[1] The sensor measures the moisture of the soil.\n[3] The hub expires a worker after three seconds.",
   right[] =
        "[1] The sensor measures the moisture of the soil.\nThe hub expires a worker after three seconds.";
    struct asked k;

    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        cite(&k, answers[i], false);
        if (!str_is(k.rep.answer, answers[i]) || k.counts.unsupported > 0 || k.rep.citations.n < 2)
            fail_msg("case %zu: %zu unsupported, \"" STR_FMT "\"", i, k.counts.unsupported,
                     STR_ARG(k.rep.answer));
        for (size_t c = 0; c < k.rep.citations.n; c++)
            assert_false(str_starts(k.rep.citations.v[c].excerpt, "It is placed") ||
                         str_starts(k.rep.citations.v[c].excerpt, "Workers that are killed"));
        arena_free(&k.a);
    }
    cite(&k, wrong, false);
    assert_int_equal(k.counts.unsupported, 1);
    assert_true(str_starts(k.rep.answer, right));
    arena_free(&k.a);
}

static void
what_is_dropped_is_no_source(void **state)
{
    struct asked k;

    (void)state;
    cite(&k, "There is a law about the taxation of the foreign companies [2].", false);
    assert_int_equal(k.rep.citations.n, 0);
    assert_false(k.rep.grounded);
    assert_true(k.rep.confidence <= 0);
    arena_free(&k.a);
}

static void
an_answer_that_lost_its_marks_gets_those_that_the_passages_prove(void **state)
{
    struct asked k;

    (void)state;
    cite(&k, "The hub expires a worker after three seconds of silence [3].", false);
    assert_int_equal(k.counts.unsupported, 1);
    assert_int_equal(k.counts.added, 1);
    assert_true(str_is(k.rep.answer, "The hub expires a worker after three seconds of silence [2]."));
    arena_free(&k.a);
}

static void
each_mark_that_stands_says_how_far_it_is_supported(void **state)
{
    struct asked k;

    (void)state;
    cite(
        &k,
        "The hub expires a worker after three seconds of silence [2]. It notices killed ones much faster and with ease [2]. "
        "The sensor measures the moisture that is in the soil [3][1].",
        false);
    assert_int_equal(k.counts.n_support, 3);
    assert_int_equal(k.counts.support[0].n, 2);
    assert_true(k.counts.support[0].share == 1.0);
    assert_int_equal(k.counts.support[1].n, 2);
    assert_true(k.counts.support[1].share > 0.1 && k.counts.support[1].share < 0.9);
    assert_int_equal(k.counts.support[2].n, 1);
    assert_true(k.counts.support[2].share > 0.5);
    arena_free(&k.a);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mark_whose_passage_says_nothing_of_it_is_dropped_and_counted),
        cmocka_unit_test(a_mark_in_front_of_its_sentence_is_checked_against_that_sentence),
        cmocka_unit_test(what_is_dropped_is_no_source),
        cmocka_unit_test(an_answer_that_lost_its_marks_gets_those_that_the_passages_prove),
        cmocka_unit_test(each_mark_that_stands_says_how_far_it_is_supported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
