/* The begin of a turn: what runs beside it, and what waits for it. In all tests of the question path the neighbours themselves refuse to be paid
 * before it is known (askkit.h). */
#include "askkit.h"

#define TURN_OF \
    "{\"question\":\"How long?\",\"session_id\":\"" SESSION \
    "\",\"conversation_id\":\"6f1d2c3a-8e4b-4c5d-9e6f-7a8b9c0d1e2f\"}"

static void
what_costs_nothing_does_not_wait_for_the_begin(void **state)
{
    (void)state;
    w.slow = true;
    w.embed_ms = 3;
    ask(ASKED);
    ORDER(KIND_TURN_BEGIN, KIND_EMBED_FREE, KIND_SEARCH, KIND_CHAT, KIND_TURN_FINISH);
    assert_answered("yes");
    assert_true(w.had_vector);
    assert_int_equal(w.looks, 5); /* before each of the two calls, and whenever the first one let it */
}

static void
what_would_be_paid_for_waits_for_the_begin(void **state)
{
    json_t *o;

    (void)state;
    w.slow = w.paid = true;
    ask(ASKED);
    ORDER(KIND_TURN_BEGIN, KIND_EMBED_FREE, KIND_EMBED, KIND_SEARCH, KIND_CHAT, KIND_TURN_FINISH);
    assert_true(w.had_vector);
    o = body();
    assert_false(json_flag(json_object_get(o, "usage"), "degraded", true));
    json_decref(o);
    fresh(NULL);
    w.slow = w.paid = true;
    w.fail[KIND_TURN_BEGIN] = ERR_STORE_DOWN;
    ask(ASKED);
    ORDER(KIND_TURN_BEGIN, KIND_EMBED_FREE);
    assert_int_equal(w.problem, ERR_STORE_DOWN);
}

static void
a_begin_that_fails_is_the_end_whatever_ran_beside_it(void **state)
{
    static const struct {
        enum err embed, search;
    } besides[] = {
        { ERR_OK, ERR_OK },
        { ERR_UPSTREAM, ERR_OK },
        { ERR_UPSTREAM_QUOTA, ERR_OK },
        { ERR_NO_WORKER, ERR_NO_WORKER },
        { ERR_OK, ERR_NO_WORKER },
    };
    static const enum err why[] = { ERR_STORE_DOWN, ERR_NO_WORKER, ERR_IDEMPOTENCY, ERR_IN_PROGRESS };

    (void)state;
    for (size_t i = 0; i < sizeof besides / sizeof *besides; i++)
        for (size_t k = 0; k < sizeof why / sizeof *why; k++) {
            fresh(NULL);
            w.slow = true;
            w.fail[KIND_TURN_BEGIN] = why[k];
            w.fail[KIND_EMBED_FREE] = besides[i].embed;
            w.fail[KIND_SEARCH] = besides[i].search;
            ask(ASKED);
            assert_int_equal(w.problem, why[k]);
            assert_int_equal(w.order[1], KIND_EMBED_FREE);
            assert_true(w.n_order <= 3); /* no model, and nothing that is saved */
        }
    fresh(NULL);
    w.fail[KIND_TURN_BEGIN] = ERR_STORE_DOWN;
    w.embed_ms = 3;
    ask(ASKED);
    ORDER(KIND_TURN_BEGIN); /* it was known at once */
}

static void
what_runs_beside_it_fails_as_it_does_without(void **state)
{
    (void)state;
    w.slow = true;
    w.fail[KIND_EMBED_FREE] = ERR_UPSTREAM_QUOTA;
    ask(ASKED);
    ORDER(KIND_TURN_BEGIN, KIND_EMBED_FREE);
    assert_true(w.known);
    assert_int_equal(w.problem, ERR_UPSTREAM_QUOTA);
    fresh(NULL);
    w.slow = true;
    w.fail[KIND_SEARCH] = ERR_BUSY;
    ask(ASKED);
    assert_true(w.known);
    assert_int_equal(w.problem, ERR_BUSY);
}

static void
a_stream_says_nothing_before_the_begin_is_known(void **state)
{
    (void)state;
    w.slow = true;
    ask_with(route_chat_stream, ASKED, false);
    ORDER(KIND_TURN_BEGIN, KIND_EMBED_FREE, KIND_SEARCH, KIND_CHAT, KIND_TURN_FINISH);
    assert_string_equal(w.events.p, "meta sources delta delta citation done end");
    fresh(NULL);
    w.slow = true;
    w.fail[KIND_TURN_BEGIN] = ERR_STORE_DOWN;
    ask_with(route_chat_stream, ASKED, false);
    ORDER(KIND_TURN_BEGIN, KIND_EMBED_FREE, KIND_SEARCH);
    assert_int_equal(w.events.n, 0);
    assert_int_equal(w.status, 503);
    fresh(NULL);
    w.slow = true;
    w.fail[KIND_SEARCH] = ERR_BUSY; /* the question stands: its stream has begun */
    ask_with(route_chat_stream, ASKED, false);
    assert_string_equal(w.events.p, "meta error end");
}

static void
a_stream_that_nobody_reads_is_not_answered(void **state)
{
    (void)state;
    w.slow = true;
    w.streams_left = 1;
    ask_with(route_chat_stream, ASKED, false);
    ORDER(KIND_TURN_BEGIN, KIND_EMBED_FREE, KIND_SEARCH);
}

static void
a_turn_of_a_conversation_is_searched_for_when_its_past_is_known(void **state)
{
    (void)state;
    w.slow = true;
    ask(TURN_OF);
    ORDER(KIND_TURN_BEGIN, KIND_EMBED, KIND_SEARCH, KIND_CHAT, KIND_TURN_FINISH);
    fresh(NULL);
    w.slow = true;
    w.fail[KIND_TURN_BEGIN] = ERR_NOT_FOUND;
    ask(TURN_OF);
    ORDER(KIND_TURN_BEGIN);
    assert_int_equal(w.problem, ERR_NOT_FOUND);
}

/* It comes last, since for a minute it is known what an embedder has said. */
static void
an_embedder_that_knows_no_such_call_is_asked_when_the_question_is_stored(void **state)
{
    (void)state;
    w.slow = w.old = true;
    ask(ASKED);
    ORDER(KIND_TURN_BEGIN, KIND_EMBED_FREE, KIND_EMBED, KIND_SEARCH, KIND_CHAT, KIND_TURN_FINISH);
    assert_answered("yes");
    fresh(NULL);
    w.slow = w.old = true;
    ask(ASKED);
    ORDER(KIND_TURN_BEGIN, KIND_EMBED, KIND_SEARCH, KIND_CHAT, KIND_TURN_FINISH);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_costs_nothing_does_not_wait_for_the_begin, fresh),
        cmocka_unit_test_setup(what_would_be_paid_for_waits_for_the_begin, fresh),
        cmocka_unit_test_setup(a_begin_that_fails_is_the_end_whatever_ran_beside_it, fresh),
        cmocka_unit_test_setup(what_runs_beside_it_fails_as_it_does_without, fresh),
        cmocka_unit_test_setup(a_stream_says_nothing_before_the_begin_is_known, fresh),
        cmocka_unit_test_setup(a_stream_that_nobody_reads_is_not_answered, fresh),
        cmocka_unit_test_setup(a_turn_of_a_conversation_is_searched_for_when_its_past_is_known, fresh),
        cmocka_unit_test_setup(an_embedder_that_knows_no_such_call_is_asked_when_the_question_is_stored,
                               fresh),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    fresh(NULL);
    return failed;
}
