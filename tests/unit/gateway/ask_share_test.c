/* Questions whose answers sessions share, against fake neighbours: who gets another one's answer, as whose it is stored, and who
 * gets none. */
#include "askkit.h"

#define OTHER "6f1d2c3a-8e4b-4c5d-9e6f-7a8b9c0d1e20"
#define BODY(more) "{\"question\":\"how long  is an answer kept\",\"session_id\":\"" OTHER "\"" more "}"

/* A first session has asked; the next one to ask is another. */
static int
shared(void **state)
{
    fresh(state);
    w.shares = true;
    ask(ASKED);
    assert_int_equal(w.stored, 1);
    assert_int_equal(w.shared_stored, 1);
    again();
    w.cached = false;
    w.stands = true;
    return 0;
}

static void
another_session_gets_the_answer_as_its_own(void **state)
{
    struct turn_finish_req t;
    struct uuid message, id;
    json_t *o, *source;

    (void)state;
    ask(BODY(""));
    ORDER(KIND_TURN_BEGIN, KIND_TURN_FINISH);
    assert_answered("yes");
    assert_string_equal(w.x_cache, "hit");
    o = body();
    assert_true(str_is(json_str(o, "cached"), "query") && str_is(json_str(o, "answer"), "For one hour [1]."));
    assert_int_equal(json_int(json_object_get(o, "usage"), "prompt_tokens", -1), 0);
    assert_true(uuid_parse(json_str(o, "message_id"), &message));
    assert_false(uuid_eq(&message, &w.wanted));
    source = json_array_get(json_object_get(o, "sources"), 0);
    assert_true(uuid_parse(json_str(source, "id"), &id));
    message = ask_citation_id(&message, 1);
    assert_true(uuid_eq(&id, &message));
    json_decref(o);
    assert_true(uuid_is_nil(&w.origin_id)); /* whose answer it was is nobody's business */
    assert_non_null(memmem(w.trace.p, w.trace.n, "\"passages\"", 10));
    assert_null(memmem(w.trace.p, w.trace.n, "req-1", 5));
    assert_int_equal(w.stored, 1); /* for this session */
    assert_int_equal(w.shared_stored, 0);
    struct arena *a = arena_new(1 << 20);
    assert_int_equal(answer_unpack(buf_slice(&w.value), a, NULL, NULL, NULL, &t), ERR_OK);
    assert_int_equal(t.prompt_tokens, 10); /* what the next hit saves, too */
    arena_free(&a);
}

static void
its_next_question_is_a_hit_of_its_own(void **state)
{
    json_t *first, *second;

    (void)state;
    ask(BODY(""));
    first = body();
    again();
    ask(BODY(""));
    assert_int_equal(w.n_order, 0);
    second = body();
    assert_true(json_equal(json_object_get(first, "sources"), json_object_get(second, "sources")));
    json_decref(first);
    json_decref(second);
}

static void
a_stream_has_the_same_events(void **state)
{
    (void)state;
    ask_with(route_chat_stream, BODY(""), false);
    ORDER(KIND_TURN_BEGIN, KIND_TURN_FINISH);
    assert_string_equal(w.events.p, "meta sources delta citation done end");
}

static void
what_is_kept_for_others_tells_nothing_of_its_session(void **state)
{
    struct arena *a = arena_new(1 << 20);
    struct turn_finish_req t;
    struct uuid session;
    uint8_t hash[32];

    (void)state;
    uuid_parse(STR(SESSION), &session);
    session_digest(&session, hash);
    assert_int_equal(answer_unpack(buf_slice(&w.shared), a, NULL, NULL, NULL, &t), ERR_OK);
    assert_null(memmem(w.shared.p, w.shared.n, hash, sizeof hash));
    assert_null(memmem(w.shared.p, w.shared.n, conversation.b, 16));
    assert_null(memmem(w.shared.p, w.shared.n, "req-1", 5));
    assert_true(uuid_is_nil(&t.conversation_id));
    arena_free(&a);
}

static void
an_answer_that_was_erased_is_given_to_nobody(void **state)
{
    (void)state;
    w.stands = false;
    ask(BODY(""));
    ORDER(KIND_TURN_BEGIN, KIND_EMBED, KIND_SEARCH, KIND_CHAT, KIND_TURN_FINISH);
    assert_false(uuid_is_nil(&w.wanted));
    assert_answered("yes");
    assert_int_equal(w.dropped, 1);
    assert_int_equal(w.shared_stored, 1); /* the new one is */
}

/* The question, who asks it, or the deployment. */
static void
nothing_is_shared_that_more_than_the_text_shapes(void **state)
{
    static const char *const bodies[] = {
        BODY(",\"page_context\":\"p\""),
        BODY(",\"filter\":{\"a\":1}"),
        BODY(",\"selected_text\":\"some text\",\"chapter\":\"c\""),
        BODY(",\"conversation_id\":\"" SESSION "\""),
        BODY(",\"new_conversation\":true"),
        BODY(",\"chapter\":\"c\""),
        BODY(",\"top_k\":3"),
        BODY(""), /* a restricted key */
        BODY(""), /* a key, which may read the documents, too */
        BODY(""), /* not shared */
        BODY(""), /* the collection says no */
    };

    (void)state;
    for (size_t i = 0; i < 11; i++) {
        shared(state);
        w.restricted = i == 7;
        by_key = i == 8;
        w.shares = i != 9;
        if (i == 10) {
            w.has_collection = true;
            w.collection = (struct collection){ .name = STR("docs"),
                                                .cache_scope = STR(CACHE_SCOPE_SESSION) };
        }
        ask(bodies[i]);
        by_key = false;
        if (w.n_order == 2)
            fail_msg("case %zu got another session's answer", i);
        assert_true(uuid_is_nil(&w.wanted));
        assert_int_equal(w.shared_stored, i == 6 || i == 8); /* under another key */
    }
}

static void
a_collection_may_share_where_the_deployment_does_not(void **state)
{
    (void)state;
    fresh(NULL);
    w.has_collection = true;
    w.collection = (struct collection){ .name = STR("docs"), .cache_scope = STR(CACHE_SCOPE_COLLECTION) };
    ask(ASKED);
    assert_int_equal(w.shared_stored, 1);
    again();
    w.cached = false;
    w.stands = true;
    ask(BODY(""));
    ORDER(KIND_TURN_BEGIN, KIND_TURN_FINISH);
}

static void
every_setting_that_shapes_the_answer_leads_elsewhere(void **state)
{
    static char seen[8][128];

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        fresh(NULL);
        w.shares = w.has_collection = true;
        w.collection = (struct collection){ .name = STR("docs") };
        if (i == 1)
            w.collection.prompt = STR("Be brief.");
        if (i == 2)
            w.collection.model = STR("gpt");
        if (i == 3)
            w.collection.top_k = 3;
        if (i == 4)
            w.collection.threshold = .2;
        if (i == 5)
            w.collection.refusal = STR("No.");
        if (i == 6)
            w.collection.language = STR("de");
        asker = i == 7 ? "another" : "default";
        ask(BODY(""));
        asker = "default";
        memcpy(seen[i], w.share.key, sizeof seen[i]);
        assert_true(seen[i][0]);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(seen[k], seen[i]);
    }
}

static void
only_an_answer_that_the_store_has_is_kept_for_others(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        fresh(NULL);
        w.shares = true;
        w.refused = i == 0;
        w.uncited = i == 1;
        w.degraded = i == 2;
        w.index_seq = i == 3 ? 6 : 9;
        w.fail[KIND_TURN_FINISH] = i == 4 ? ERR_STORE_DOWN : ERR_OK;
        ask(ASKED);
        assert_int_equal(w.status, 200);
        assert_int_equal(w.shared_stored, 0);
    }
}

static void
an_answer_that_is_there_needs_no_model(void **state)
{
    (void)state;
    w.view.service[SERVICE_CHAT].overloaded = w.view.service[SERVICE_EMBED].overloaded = true;
    ask(BODY(""));
    ORDER(KIND_TURN_BEGIN, KIND_TURN_FINISH);
    shared(NULL);
    w.view.service[SERVICE_STORE].overloaded = true;
    ask(BODY(""));
    assert_int_equal(w.n_order, 0);
    assert_int_equal(w.status, 503);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(another_session_gets_the_answer_as_its_own, shared),
        cmocka_unit_test_setup(its_next_question_is_a_hit_of_its_own, shared),
        cmocka_unit_test_setup(a_stream_has_the_same_events, shared),
        cmocka_unit_test_setup(what_is_kept_for_others_tells_nothing_of_its_session, shared),
        cmocka_unit_test_setup(an_answer_that_was_erased_is_given_to_nobody, shared),
        cmocka_unit_test_setup(nothing_is_shared_that_more_than_the_text_shapes, shared),
        cmocka_unit_test_setup(a_collection_may_share_where_the_deployment_does_not, shared),
        cmocka_unit_test_setup(every_setting_that_shapes_the_answer_leads_elsewhere, shared),
        cmocka_unit_test_setup(only_an_answer_that_the_store_has_is_kept_for_others, shared),
        cmocka_unit_test_setup(an_answer_that_is_there_needs_no_model, shared),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    fresh(NULL);
    return failed;
}
