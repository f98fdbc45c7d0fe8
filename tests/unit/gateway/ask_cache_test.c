/* Questions and the query cache, against fake neighbours: what is a hit, what is stored, how a hit is saved. */
#include "askkit.h"

static void
a_hit_is_answered_at_once_and_queued(void **state)
{
    struct arena *a = arena_new(1 << 20);
    struct turn_finish_req t;
    json_t *o, *was;

    (void)state;
    ask(ASKED);
    assert_int_equal(w.stored, 1);
    was = body();
    again();
    ask(ASKED);
    assert_int_equal(w.status, 200);
    assert_int_equal(w.n_order, 0);
    o = body();
    assert_true(str_is(json_str(o, "cached"), "query") && str_is(json_str(o, "saved"), "queued"));
    assert_true(str_eq(json_str(o, "answer"), json_str(was, "answer")));
    assert_true(json_equal(json_object_get(o, "sources"), json_object_get(was, "sources")));
    assert_false(str_eq(json_str(o, "message_id"), json_str(was, "message_id")));
    assert_true(str_eq(json_str(o, "conversation_id"), json_str(was, "conversation_id")));
    assert_int_equal(json_int(json_object_get(o, "usage"), "prompt_tokens", -1), 0);
    assert_int_equal(msg_decode(turn_finish_req_desc(), w.turn.p, w.turn.n, a, &t), ERR_OK);
    assert_true(str_is(t.question, "How long is an answer kept?") && t.from_cache &&
                str_is(t.tenant, "default"));
    json_decref(o);
    json_decref(was);
    arena_free(&a);
}

static void
an_answer_is_saved_with_how_it_came_about(void **state)
{
    enum json_fault fault;
    const char *detail;
    json_t *o, *found;

    (void)state;
    w.hits = 3;
    ask(ASKED);
    o = json_read(buf_slice(&w.trace), &fault, &detail);
    assert_non_null(o);
    found = json_object_get(json_object_get(o, "retrieval"), "passages");
    assert_int_equal(json_array_size(found), 3);
    assert_true(json_is_true(json_object_get(json_array_get(found, 0), "cited")));
    assert_false(json_is_true(json_object_get(json_array_get(found, 1), "cited")));
    assert_true(str_is(json_str(json_object_get(o, "caches"), "embedding"), "hit"));
    assert_int_equal(json_int(json_object_get(o, "tokens"), "prompt", 0), 10);
    assert_true(json_is_null(json_object_get(json_object_get(o, "cost_dollars"),
                                             "total"))); /* "gpt" has no price */
    assert_non_null(json_object_get(json_object_get(o, "stages_ms"), "cite"));
    assert_null(memmem(w.trace.p, w.trace.n, "kept", 4)); /* no text of question or document */
    json_decref(o);
    assert_true(uuid_is_nil(&w.origin_id));
}

static void
a_copied_answer_names_the_message_that_it_was_copied_from(void **state)
{
    struct uuid first;
    json_t *o;

    (void)state;
    ask(ASKED);
    o = body();
    assert_true(uuid_parse(json_str(o, "message_id"), &first));
    json_decref(o);
    again();
    w.appended = false; /* saved through the store, where it can be seen */
    ask(ASKED);
    assert_true(uuid_eq(&w.origin_id, &first));
    assert_int_equal(w.trace.n, 0);
}

static void
a_hit_that_cannot_be_queued_is_saved_before_its_answer(void **state)
{
    (void)state;
    ask(ASKED);
    again();
    w.appended = false;
    ask(ASKED);
    ORDER(KIND_TURN_FINISH);
    assert_true(w.finish_has_question);
    assert_answered("yes");
    again();
    w.fail[KIND_TURN_FINISH] = ERR_STORE_DOWN;
    ask(ASKED);
    assert_answered("no");
}

static void
a_malformed_cached_value_is_a_miss(void **state)
{
    (void)state;
    ask(ASKED);
    again();
    w.value.n -= 3;
    ask(ASKED);
    assert_int_equal(w.status, 200);
    ORDER(KIND_TURN_BEGIN, KIND_EMBED_FREE, KIND_SEARCH, KIND_CHAT, KIND_TURN_FINISH);
}

static void
every_field_that_shapes_the_answer_is_in_the_cache_key(void **state)
{
    static const char *const bodies[] = {
        ASKED,
        "{\"question\":\"how long is an answer kept?\",\"session_id\":\"" SESSION "\"}",
        "{\"question\":\"How long is an answer kept?\",\"session_id\":\"6f1d2c3a-8e4b-4c5d-9e6f-7a8b9c0d1e20\"}",
        "{\"question\":\"How long is an answer kept?\",\"session_id\":\"" SESSION "\",\"top_k\":3}",
        "{\"question\":\"How long is an answer kept?\",\"session_id\":\"" SESSION
        "\",\"page_context\":\"p\"}",
        "{\"question\":\"How long is an answer kept?\",\"session_id\":\"" SESSION "\",\"filter\":{\"a\":1}}",
        "{\"question\":\"How long is an answer kept?\",\"session_id\":\"" SESSION "\",\"filter\":{\"a\":2}}",
    };
    static char seen[16][128];
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        fresh(NULL);
        ask(bodies[i]);
        assert_memory_equal(w.probe.key, "fn:q:default:", 13);
        assert_int_equal(strlen(w.probe.key), 13 + 32);
        for (size_t k = 0; k < n; k++)
            assert_string_not_equal(seen[k], w.probe.key);
        memcpy(seen[n++], w.probe.key, 128);
    }
    fresh(NULL);
    ask("{\"filter\":{},\"session_id\":\"" SESSION "\",\"question\":\"x\"}");
    memcpy(seen[0], w.probe.key, 128);
    fresh(NULL);
    w.has_collection = true;
    w.collection = (struct collection){ .name = STR("docs"), .prompt = STR("Be brief.") };
    ask("{\"filter\":{},\"session_id\":\"" SESSION "\",\"question\":\"x\"}");
    assert_string_not_equal(seen[0], w.probe.key);
    for (int i = 0; i < 2; i++) {
        fresh(NULL);
        ask_with(route_chat_selection,
                 i ? "{\"selected_text\":\"another text\",\"question\":\"Why?\",\"session_id\":\"" SESSION
                     "\",\"chapter\":\"c\"}"
                   : "{\"selected_text\":\"a text\",\"question\":\"Why?\",\"session_id\":\"" SESSION
                     "\",\"chapter\":\"c\"}",
                 false);
        memcpy(seen[i], w.probe.key, 128);
    }
    assert_true(seen[0][0] && strcmp(seen[0], seen[1]) != 0);
}

/* The tenant stands in the key's name and in what is hashed: neither way alone leads to another's answer. */
static void
the_tenant_is_in_the_name_and_in_the_hash_of_a_cache_key(void **state)
{
    char ours[128];

    (void)state;
    ask(ASKED);
    memcpy(ours, w.probe.key, sizeof ours);
    fresh(NULL);
    asker = "another";
    ask(ASKED);
    asker = "default";
    assert_memory_equal(w.probe.key, "fn:q:another:", 13);
    assert_string_not_equal(ours + 13, w.probe.key + 13);
}

/* A session may be asked in with a key and without one: the links of a cached answer are those of who may follow them. */
static void
a_reader_without_a_key_is_not_given_the_cached_links_of_one_with_a_key(void **state)
{
    static const char of_links[] = "dcdc";

    (void)state;
    for (int i = 0; i < 4; i++) {
        const char *link;
        json_t *o;

        again();
        by_key = of_links[i] == 'd';
        ask(ASKED);
        by_key = false;
        o = body();
        link = json_string_value(json_object_get(json_array_get(json_object_get(o, "sources"), 0), "link"));
        assert_non_null(link);
        assert_int_equal(strstr(link, "?t=")[3], of_links[i]);
        json_decref(o);
    }
}

static void
the_cache_is_left_alone_when_it_does_not_apply(void **state)
{
    (void)state;
    ask_with(route_chat_query, ASKED, true); /* Cache-Control: no-cache */
    assert_true(w.probe.key[0] == 0 && w.stored == 0);
    fresh(NULL);
    w.epoch_known = false; /* no news from the change feed */
    ask(ASKED);
    assert_true(w.probe.key[0] == 0 && w.stored == 0);
    fresh(NULL);
    ask("{\"question\":\"q\",\"session_id\":\"" SESSION
        "\",\"conversation_id\":\"6f1d2c3a-8e4b-4c5d-9e6f-7a8b9c0d1e2f\"}");
    assert_true(w.probe.key[0] == 0 && w.stored == 0);
}

static void
only_whole_grounded_answers_are_cached(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        fresh(NULL);
        w.refused = i == 0;
        w.uncited = i == 1;
        w.degraded = i == 2;
        w.hits = i == 3 ? 0 : 2;
        ask(ASKED);
        assert_int_equal(w.status, 200);
        assert_int_equal(w.stored, 0);
    }
}

static void
an_answer_from_an_index_behind_the_epoch_is_not_cached(void **state)
{
    (void)state;
    w.index_seq = 6; /* the gateway knows of a deletion that the index has not seen */
    ask(ASKED);
    assert_int_equal(w.status, 200);
    assert_int_equal(w.stored, 0);
    fresh(NULL);
    w.index_seq = 9;
    ask(ASKED);
    assert_int_equal(w.stored, 1);
}

static void
an_answer_is_cached_while_it_is_saved(void **state)
{
    (void)state;
    ask(ASKED);
    assert_int_equal(w.stored, 1);
    assert_int_equal(w.stored_by, 1);
    assert_int_equal(w.taken_back, 0);
}

static void
an_answer_that_the_store_refuses_is_taken_out_of_the_cache(void **state)
{
    static const enum err erased[] = { ERR_NOT_FOUND, ERR_CONFLICT };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        fresh(NULL);
        w.fail[KIND_TURN_FINISH] = erased[i];
        ask(ASKED);
        assert_answered("no");
        assert_true(w.taken_back == 1 && w.queued == 0 && w.value.n == 0);
        w.fail[KIND_TURN_FINISH] = ERR_OK;
        again();
        ask(ASKED);
        ORDER(KIND_TURN_BEGIN, KIND_EMBED_FREE, KIND_SEARCH, KIND_CHAT, KIND_TURN_FINISH);
    }
    fresh(NULL);
    w.fail[KIND_TURN_FINISH] = ERR_NOT_FOUND;
    w.refused = true;
    ask(ASKED);
    assert_int_equal(w.taken_back, 0); /* it never was there */
}

static void
an_answer_that_waits_for_the_store_stays_in_the_cache(void **state)
{
    (void)state;
    w.fail[KIND_TURN_FINISH] = ERR_STORE_DOWN;
    ask(ASKED);
    assert_answered("queued");
    assert_true(w.stored == 1 && w.taken_back == 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_hit_is_answered_at_once_and_queued, fresh),
        cmocka_unit_test_setup(an_answer_is_saved_with_how_it_came_about, fresh),
        cmocka_unit_test_setup(a_copied_answer_names_the_message_that_it_was_copied_from, fresh),
        cmocka_unit_test_setup(a_hit_that_cannot_be_queued_is_saved_before_its_answer, fresh),
        cmocka_unit_test_setup(a_malformed_cached_value_is_a_miss, fresh),
        cmocka_unit_test_setup(every_field_that_shapes_the_answer_is_in_the_cache_key, fresh),
        cmocka_unit_test_setup(the_tenant_is_in_the_name_and_in_the_hash_of_a_cache_key, fresh),
        cmocka_unit_test_setup(a_reader_without_a_key_is_not_given_the_cached_links_of_one_with_a_key, fresh),
        cmocka_unit_test_setup(the_cache_is_left_alone_when_it_does_not_apply, fresh),
        cmocka_unit_test_setup(only_whole_grounded_answers_are_cached, fresh),
        cmocka_unit_test_setup(an_answer_from_an_index_behind_the_epoch_is_not_cached, fresh),
        cmocka_unit_test_setup(an_answer_is_cached_while_it_is_saved, fresh),
        cmocka_unit_test_setup(an_answer_that_the_store_refuses_is_taken_out_of_the_cache, fresh),
        cmocka_unit_test_setup(an_answer_that_waits_for_the_store_stays_in_the_cache, fresh),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    fresh(NULL);
    return failed;
}
