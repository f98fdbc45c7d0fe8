/* A question with an Idempotency-Key, against fake neighbours: what a repetition gets, and what is stored for it. */
#include "askkit.h"

static void
with_key(const char *key)
{
    w.idem_key = key;
    w.claim.seed = uuid_v7();
}

/* The store has the answer of the run before. */
static void
stored_before(void)
{
    again();
    w.claim.stored = buf_slice(&w.kept);
    w.claim.status = w.kept_status;
}

static void
a_key_is_claimed_first_and_its_answer_is_stored_with_the_turn(void **state)
{
    struct uuid message;

    (void)state;
    with_key("a");
    ask(ASKED);
    assert_int_equal(w.status, 200);
    ORDER(KIND_IDEM_CLAIM, KIND_TURN_BEGIN, KIND_EMBED_FREE, KIND_SEARCH, KIND_CHAT, KIND_TURN_FINISH);
    assert_int_equal(w.kept_status, 200);
    assert_true(uuid_eq(&w.question_id, &w.claim.seed));
    assert_null(strstr(w.kept.p, SESSION)); /* sealed */
    message = w.message_id;
    again();
    w.cached = false;
    ask(ASKED); /* a rerun after a crash: the same rows */
    assert_true(uuid_eq(&w.message_id, &message));
}

static void
a_repetition_gets_the_stored_answer_and_nothing_is_asked(void **state)
{
    struct buf first = BUF_MAX(0);

    (void)state;
    with_key("a");
    ask(ASKED);
    buf_str(&first, buf_slice(&w.body));
    stored_before();
    ask(ASKED);
    ORDER(KIND_IDEM_CLAIM);
    assert_true(w.replayed && w.status == 200 && str_eq(buf_slice(&w.body), buf_slice(&first)));
    buf_free(&first);
}

static void
a_stream_is_replayed_as_meta_and_done(void **state)
{
    (void)state;
    with_key("a");
    ask_with(route_chat_stream, ASKED, false);
    stored_before();
    ask_with(route_chat_stream, ASKED, false);
    ORDER(KIND_IDEM_CLAIM);
    assert_true(w.replayed);
    assert_string_equal(w.events.p, "meta done end");
}

static void
another_header_value_cannot_open_a_stored_answer(void **state)
{
    (void)state;
    with_key("a");
    ask(ASKED);
    stored_before();
    w.idem_key = "b";
    ask(ASKED);
    assert_int_equal(w.status, 409);
    assert_false(w.replayed);
    ORDER(KIND_IDEM_CLAIM);
}

static void
a_running_and_a_foreign_request_are_told_apart(void **state)
{
    (void)state;
    with_key("a");
    w.fail[KIND_IDEM_CLAIM] = ERR_IN_PROGRESS;
    ask(ASKED);
    assert_true(w.status == 409 && w.retry_ms == 1000);
    again();
    w.fail[KIND_IDEM_CLAIM] = ERR_IDEMPOTENCY;
    ask(ASKED);
    assert_int_equal(w.status, 422);
    ORDER(KIND_IDEM_CLAIM);
}

static void
a_cache_hit_with_a_key_is_saved_through_the_store(void **state)
{
    (void)state;
    ask(ASKED);
    again();
    with_key("a");
    ask(ASKED);
    ORDER(KIND_IDEM_CLAIM, KIND_TURN_FINISH);
    assert_true(w.status == 200 && w.kept_status == 200 && w.finish_has_question);
    again();
    w.save_hits = false;
    ask(ASKED);
    ORDER(KIND_IDEM_CLAIM, KIND_IDEM_FINISH);
    assert_int_equal(w.kept_status, 200);
}

static void
a_passing_failure_frees_the_key_and_a_final_one_is_stored(void **state)
{
    (void)state;
    with_key("a");
    w.fail[KIND_CHAT] = ERR_UPSTREAM;
    w.kept_status = -1;
    ask(ASKED);
    ORDER(KIND_IDEM_CLAIM, KIND_TURN_BEGIN, KIND_EMBED_FREE, KIND_SEARCH, KIND_CHAT, KIND_IDEM_FINISH);
    assert_int_equal(w.kept_status, 0);
    again();
    w.fail[KIND_TURN_BEGIN] = ERR_NOT_FOUND;
    ask(ASKED);
    ORDER(KIND_IDEM_CLAIM, KIND_TURN_BEGIN, KIND_IDEM_FINISH);
    assert_int_equal(w.kept_status, 404);
    stored_before();
    w.fail[KIND_TURN_BEGIN] = ERR_OK;
    ask_with(route_chat_stream, ASKED, false);
    assert_true(w.status == 404 && w.replayed);
}

static void
a_malformed_key_is_refused_before_anything_is_asked(void **state)
{
    static const char *const bad[] = { "", "a b", "\x7f", "\xc3\xa4" };
    char longest[257];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        again();
        with_key(bad[i]);
        ask(ASKED);
        assert_true(w.status == 400 && w.n_order == 0);
    }
    memset(longest, 'k', 256);
    longest[256] = 0;
    again();
    with_key(longest);
    ask(ASKED);
    assert_true(w.status == 400 && w.n_order == 0);
    again();
    with_key(longest + 1);
    ask(ASKED);
    assert_int_equal(w.status, 200);
}

static void
only_what_a_repetition_would_get_again_is_stored(void **state)
{
    (void)state;
    assert_true(idem_final(200) && idem_final(202) && idem_final(404) && idem_final(422) && idem_final(413));
    assert_false(idem_final(408) || idem_final(409) || idem_final(429) || idem_final(499) ||
                 idem_final(500) || idem_final(503));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_key_is_claimed_first_and_its_answer_is_stored_with_the_turn, fresh),
        cmocka_unit_test_setup(a_repetition_gets_the_stored_answer_and_nothing_is_asked, fresh),
        cmocka_unit_test_setup(a_stream_is_replayed_as_meta_and_done, fresh),
        cmocka_unit_test_setup(another_header_value_cannot_open_a_stored_answer, fresh),
        cmocka_unit_test_setup(a_running_and_a_foreign_request_are_told_apart, fresh),
        cmocka_unit_test_setup(a_cache_hit_with_a_key_is_saved_through_the_store, fresh),
        cmocka_unit_test_setup(a_passing_failure_frees_the_key_and_a_final_one_is_stored, fresh),
        cmocka_unit_test_setup(a_malformed_key_is_refused_before_anything_is_asked, fresh),
        cmocka_unit_test_setup(only_what_a_repetition_would_get_again_is_stored, fresh),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    fresh(NULL);
    return failed;
}
