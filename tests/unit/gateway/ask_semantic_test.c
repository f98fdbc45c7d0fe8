/* Answers of near-identical questions, against fake neighbours: who gets one, what keeps it from being given, and how it is checked. */
#include "askkit.h"

#define OTHER "6f1d2c3a-8e4b-4c5d-9e6f-7a8b9c0d1e20"
#define BODY(question, more) "{\"question\":\"" question "\",\"session_id\":\"" OTHER "\"" more "}"
#define NEAR "Hi, how long are answers kept please"

/* A first session has asked; the next one to ask is another. */
static int
kept(void **state)
{
    fresh(state);
    w.shares = w.semantic = true;
    ask(ASKED);
    assert_int_equal(w.ring_added, 1);
    assert_int_equal(w.shared_stored, 1);
    again();
    w.cached = false;
    w.stands = true;
    return 0;
}

static void
assert_cached(const char *as)
{
    json_t *o = body();

    assert_int_equal(w.status, 200);
    assert_true(str_is(json_str(o, "cached"), as));
    json_decref(o);
}

static void
a_near_question_gets_the_answer_as_its_own(void **state)
{
    (void)state;
    ask(BODY(NEAR, ""));
    ORDER(KIND_EMBED, KIND_TURN_BEGIN, KIND_TURN_FINISH);
    assert_cached("semantic");
    assert_string_equal(w.x_cache, "semantic");
    assert_null(memmem(w.body.p, w.body.n, "How long is an answer", 21)); /* what the other one asked */
    assert_int_equal(w.stored + w.shared_stored, 0); /* it is kept once, where it came from */
    assert_int_equal(w.ring_added, 1);
}

static void
a_question_that_differs_is_answered_anew_with_its_one_vector(void **state)
{
    static const char *const bodies[] = { BODY("How long is an answer not kept?", ""),
                                          BODY("How long is every answer kept?", ""),
                                          BODY("How long are 2 answers kept?", ""),
                                          BODY("Why is an answer kept long?", ""),
                                          BODY("How long is a question kept?", "") };

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        kept(NULL);
        ask(bodies[i]);
        ORDER(KIND_EMBED, KIND_TURN_BEGIN, KIND_SEARCH, KIND_CHAT, KIND_TURN_FINISH);
        assert_cached("none");
        assert_true(w.had_vector);
        assert_int_equal(w.ring_looks, 2);
        assert_int_equal(w.ring_added, 2);
    }
}

static void
nothing_is_looked_for_where_it_is_off(void **state)
{
    (void)state;
    w.semantic = false;
    ask(BODY(NEAR, ""));
    ORDER(KIND_TURN_BEGIN, KIND_EMBED_FREE, KIND_SEARCH, KIND_CHAT, KIND_TURN_FINISH);
    assert_cached("none");
    kept(NULL);
    ask(BODY(NEAR, ",\"page_context\":\"The page.\""));
    ORDER(KIND_TURN_BEGIN, KIND_EMBED_FREE, KIND_SEARCH, KIND_CHAT, KIND_TURN_FINISH);
    kept(NULL);
    w.restricted = true;
    ask(BODY(NEAR, ""));
    assert_cached("none");
    kept(NULL);
    w.switched_off = true;
    ask(BODY(NEAR, ""));
    assert_cached("none");
    assert_int_equal(w.ring_looks, 2);
    assert_int_equal(w.ring_added, 2); /* what is asked meanwhile is there when it is on again */
}

static void
a_record_that_leads_to_another_kind_of_question_leads_to_nothing(void **state)
{
    (void)state;
    ask(BODY(NEAR, ",\"top_k\":3")); /* its own ring has nothing; the fake one has what was kept without it */
    assert_int_equal(w.ring_looks, 2);
    assert_cached("none");
    kept(NULL);
    w.shared.p[w.shared.n - 1] ^= 1; /* damaged */
    ask(BODY(NEAR, ""));
    assert_cached("none");
}

static void
an_answer_that_was_erased_is_given_to_nobody_near(void **state)
{
    (void)state;
    w.stands = false;
    ask(BODY(NEAR, ""));
    ORDER(KIND_EMBED, KIND_TURN_BEGIN, KIND_SEARCH, KIND_CHAT, KIND_TURN_FINISH);
    assert_cached("none");
    assert_int_equal(w.dropped, 1);
}

static void
a_sampled_one_is_answered_anew_and_compared(void **state)
{
    (void)state;
    w.sampled = true;
    ask(BODY(NEAR, ""));
    ORDER(KIND_EMBED, KIND_TURN_BEGIN, KIND_SEARCH, KIND_CHAT, KIND_TURN_FINISH);
    assert_cached("none");
    assert_int_equal(w.agreed, 1);
    assert_int_equal(w.differed, 0);
    kept(NULL);
    w.sampled = w.uncited = true; /* no source: not that of the answer that was kept */
    ask(BODY(NEAR, ""));
    assert_int_equal(w.differed, 1);
    kept(NULL);
    w.sampled = w.degraded = w.uncited = true; /* says nothing of it */
    ask(BODY(NEAR, ""));
    assert_int_equal(w.agreed + w.differed, 0);
}

static void
without_a_vector_the_question_goes_its_usual_way(void **state)
{
    (void)state;
    w.fail[KIND_EMBED] = w.fail[KIND_EMBED_FREE] = ERR_UPSTREAM;
    ask(BODY(NEAR, ""));
    ORDER(KIND_EMBED, KIND_TURN_BEGIN, KIND_EMBED_FREE, KIND_SEARCH, KIND_CHAT, KIND_TURN_FINISH);
    assert_cached("none");
    assert_int_equal(w.ring_looks, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_near_question_gets_the_answer_as_its_own, kept),
        cmocka_unit_test_setup(a_question_that_differs_is_answered_anew_with_its_one_vector, kept),
        cmocka_unit_test_setup(nothing_is_looked_for_where_it_is_off, kept),
        cmocka_unit_test_setup(a_record_that_leads_to_another_kind_of_question_leads_to_nothing, kept),
        cmocka_unit_test_setup(an_answer_that_was_erased_is_given_to_nobody_near, kept),
        cmocka_unit_test_setup(a_sampled_one_is_answered_anew_and_compared, kept),
        cmocka_unit_test_setup(without_a_vector_the_question_goes_its_usual_way, kept),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    fresh(NULL);
    return failed;
}
