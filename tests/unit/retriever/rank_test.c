/* Evidence → score: a strong vector alone, narrow models, half of the words in a handful of passages. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "retriever/index/rank.h"

static double
by_vector(const char *model, double cosine, double mean, bool many)
{
    struct index_signals s = { .semantic = true,
                               .fitted = rank_fitted(str_of(model)),
                               .words = 2,
                               .passages = many ? 1000 : 1,
                               .lift = rank_lift(str_of(model), cosine, mean, many) };

    return rank_relevance(&s);
}

static void
a_strong_vector_passes_alone(void **state)
{
    (void)state;
    assert_true(by_vector("all-MiniLM-L6-v2", 0.40, 0, false) >= RANK_THRESHOLD &&
                by_vector("all-MiniLM-L6-v2", 0.28, 0, false) < RANK_THRESHOLD);
    assert_true(by_vector("e5-small-v2#01234567", 0.80, 0, false) >= RANK_THRESHOLD &&
                by_vector("e5-small-v2", 0.72, 0, false) < RANK_THRESHOLD);
    assert_true(by_vector("text-embedding-ada-002", 0.84, 0.72, true) >= RANK_THRESHOLD &&
                by_vector("text-embedding-ada-002", 0.75, 0.72, true) < RANK_THRESHOLD);
    assert_true(by_vector("unheard-of", 0.82, 0.72, true) >= RANK_THRESHOLD &&
                by_vector("unheard-of", 0.77, 0.72, true) < RANK_THRESHOLD);
}

/* Of all-MiniLM-L6-v2 among 1,000 passages some passage is .3 near to any question, with a third of its words. */
static void
chance_neighbours_of_the_fitted_model_do_not_pass(void **state)
{
    struct index_signals s = { .semantic = true,
                               .fitted = true,
                               .words = 4,
                               .passages = 1000,
                               .z = 3.5,
                               .lift = 0.28,
                               .coverage = 0.33,
                               .depth = 0.2 };

    (void)state;
    assert_true(rank_relevance(&s) < RANK_THRESHOLD);
    s.fitted = false; /* of a model that nobody fitted: its passages are left to whoever writes the answer */
    assert_true(rank_relevance(&s) >= RANK_THRESHOLD);
    s = (struct index_signals){ .semantic = true,
                                .fitted = true,
                                .words = 4,
                                .passages = 1000,
                                .z = 5,
                                .lift = 0.5,
                                .coverage = 0.7,
                                .depth = 0.4 };
    assert_true(rank_relevance(&s) > 0.5);
    s = (struct index_signals){
        .semantic = true, .fitted = true, .words = 4, .passages = 1000, .z = 7, .lift = 0.55
    };
    assert_true(rank_relevance(&s) >= RANK_THRESHOLD); /* strong, and not one word */
}

static void
half_of_the_words_pass_in_a_handful_of_passages_only(void **state)
{
    struct index_signals s = { .coverage = 0.55, .depth = 0.28, .words = 2, .passages = 1 };
    double few = rank_relevance(&s);

    (void)state;
    s.passages = 1000;
    assert_true(few > 0.5 && rank_relevance(&s) < RANK_THRESHOLD);
    s.named = 1;
    assert_true(rank_relevance(&s) > 0.5); /* the question has the whole heading */
    assert_true(rank_relevance(&(struct index_signals){ .passages = 1, .words = 2 }) <
                1e-9); /* not one word */
}

static void
one_chance_word_is_no_rival_of_the_meaning(void **state)
{
    double rare = rank_idf(160, 1), full = 3 * rare;

    (void)state;
    assert_true(rank_trust(rare, full, rare) <= 0);       /* one of three words */
    assert_true(rank_trust(rare, rare, rare) >= 1);       /* the only one */
    assert_true(rank_trust(1.8 * rare, full, rare) >= 1); /* two rare ones */
    assert_true(rank_trust(0, 0, rare) <= 0);             /* a question without words */
    assert_true(rank_trust(1.4 * rare, full, rare) > 0 && rank_trust(1.4 * rare, full, rare) < 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_strong_vector_passes_alone),
        cmocka_unit_test(one_chance_word_is_no_rival_of_the_meaning),
        cmocka_unit_test(chance_neighbours_of_the_fitted_model_do_not_pass),
        cmocka_unit_test(half_of_the_words_pass_in_a_handful_of_passages_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
