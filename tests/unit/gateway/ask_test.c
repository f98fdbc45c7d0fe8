/* The question path against fake neighbours: what is asked of whom and in which order, and what the client gets when one of them
 * fails. The cache, keys and streams have tests of their own beside this one. */
#include "gateway/ask/embed.h"
#include "gateway/watch/fallback.h"
#include "askkit.h"

static void
an_answer_has_every_field_of_the_contract(void **state)
{
    static const char *const keys[] = { "answer",          "sources",    "session_id", "message_id",
                                        "conversation_id", "confidence", "cached",     "grounded",
                                        "saved",           "usage",      "finish" };
    json_t *o;

    (void)state;
    ask(ASKED);
    assert_int_equal(w.status, 200);
    o = body();
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_non_null(json_object_get(o, keys[i]));
    assert_int_equal(json_object_size(o), sizeof keys / sizeof keys[0]);
    assert_true(str_is(json_str(o, "cached"), "none") && str_is(json_str(o, "saved"), "yes"));
    assert_true(str_is(json_str(o, "session_id"), SESSION) && json_flag(o, "grounded", false));
    assert_int_equal(json_int(json_object_get(o, "usage"), "prompt_tokens", 0), 10);
    assert_true(json_flag(json_object_get(o, "usage"), "embedding_cached", false));
    json_decref(o);
}

static void
the_question_is_stored_before_anything_is_paid_for(void **state)
{
    (void)state;
    ask(ASKED);
    ORDER(KIND_TURN_BEGIN, KIND_EMBED_FREE, KIND_SEARCH, KIND_CHAT, KIND_TURN_FINISH);
    fresh(NULL);
    w.fail[KIND_TURN_BEGIN] = ERR_STORE_DOWN;
    ask(ASKED);
    assert_int_equal(w.status, 503);
    ORDER(KIND_TURN_BEGIN);
}

static void
wrong_fields_are_named_and_nothing_is_asked(void **state)
{
    static const struct {
        const char *body, *pointer;
    } wrong[] = {
        { "{\"session_id\":\"" SESSION "\"}", "/question" },
        { "{\"question\":\" \\t \",\"session_id\":\"" SESSION "\"}", "/question" },
        { "{\"question\":7,\"session_id\":\"" SESSION "\"}", "/question" },
        { "{\"question\":\"q\",\"session_id\":\"" SESSION "\",\"top_k\":0}", "/top_k" },
        { "{\"question\":\"q\",\"session_id\":\"" SESSION "\",\"top_k\":2.5}", "/top_k" },
        { "{\"question\":\"q\",\"session_id\":\"" SESSION "\",\"filter\":[]}", "/filter" },
        { "{\"question\":\"q\",\"session_id\":\"" SESSION "\",\"conversation_id\":\"x\"}",
          "/conversation_id" },
        { "{\"question\":\"q\",\"session_id\":\"" SESSION "\",\"collection\":\"a/b\"}", "/collection" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        fresh(NULL);
        ask(wrong[i].body);
        assert_int_equal(w.status, 422);
        assert_string_equal(w.pointer, wrong[i].pointer);
        assert_int_equal(w.n_order + (size_t)w.admitted, 0);
    }
}

static void
a_question_has_500_characters_at_most_however_many_bytes(void **state)
{
    struct buf b = BUF_MAX(0);

    (void)state;
    for (int n = 500; n <= 501; n++) {
        fresh(NULL);
        buf_reset(&b);
        buf_z(&b, "{\"session_id\":\"" SESSION "\",\"question\":\"  ");
        for (int i = 0; i < n; i++)
            buf_z(&b, "漢");
        buf_z(&b, "\"}");
        ask(b.p);
        assert_int_equal(w.status, n == 500 ? 200 : 422);
    }
    buf_free(&b);
}

static void
nothing_found_asks_no_model_and_says_so(void **state)
{
    json_t *o;

    (void)state;
    w.hits = 0;
    w.has_collection = true;
    w.collection = (struct collection){ .name = STR("docs"), .refusal = STR("Ask the librarian.") };
    ask(ASKED);
    ORDER(KIND_TURN_BEGIN, KIND_EMBED_FREE, KIND_SEARCH, KIND_TURN_FINISH);
    o = body();
    assert_true(str_is(json_str(o, "answer"), "Ask the librarian."));
    assert_int_equal(json_array_size(json_object_get(o, "sources")), 0);
    assert_false(json_flag(o, "grounded", true));
    assert_true(json_num(o, "confidence", 1) == 0);
    assert_true(str_starts(buf_slice(&w.finished), "refused "));
    json_decref(o);
}

static void
a_turn_with_history_searches_with_the_previous_exchange(void **state)
{
    (void)state;
    w.turns[0] = (struct turn){ .role = STR("user"), .content = STR("What is the cache?") };
    w.turns[1] = (struct turn){ .role = STR("assistant"), .content = STR("It keeps answers.") };
    w.n_turns = 2;
    ask("{\"question\":\"How long?\",\"session_id\":\"" SESSION
        "\",\"conversation_id\":\"6f1d2c3a-8e4b-4c5d-9e6f-7a8b9c0d1e2f\"}");
    assert_true(str_is(buf_slice(&w.searched), "How long?|What is the cache?\nIt keeps answers."));
    assert_true(str_is(buf_slice(&w.embedded), "What is the cache?\nIt keeps answers.\nHow long?"));
}

static void
without_an_embedding_the_words_are_searched_and_the_answer_is_degraded(void **state)
{
    json_t *o;

    (void)state;
    w.fail[KIND_EMBED_FREE] = ERR_UPSTREAM;
    ask(ASKED);
    assert_int_equal(w.status, 200);
    assert_false(w.had_vector);
    o = body();
    assert_true(json_flag(json_object_get(o, "usage"), "degraded", false));
    assert_int_equal(w.stored, 0);
    json_decref(o);
    fresh(NULL);
    w.fail[KIND_EMBED_FREE] = ERR_UPSTREAM;
    w.hits = 0;
    ask(ASKED);
    assert_int_equal(w.problem, ERR_UPSTREAM);
    fresh(NULL);
    w.fail[KIND_EMBED_FREE] = ERR_UPSTREAM_QUOTA; /* no passing fault */
    ask(ASKED);
    ORDER(KIND_TURN_BEGIN, KIND_EMBED_FREE);
    assert_int_equal(w.problem, ERR_UPSTREAM_QUOTA);
}

static void
without_the_search_engine_the_answer_is_degraded_kept_by_nobody_and_no_guess(void **state)
{
    json_t *o;

    (void)state;
    w.away = true;
    ask(ASKED);
    assert_int_equal(w.status, 200);
    o = body();
    assert_true(json_flag(json_object_get(o, "usage"), "degraded", false));
    assert_int_equal(w.stored, 0);
    assert_int_equal(w.shared_stored, 0);
    assert_true(fallback_on());
    json_decref(o);
    fresh(NULL);
    w.away = true;
    w.hits = 0;
    ask(ASKED);
    assert_int_equal(w.problem, ERR_NO_WORKER);
    fresh(NULL);
    ask(ASKED);
    assert_int_equal(w.status, 200);
    assert_int_equal(w.stored, 1);
    assert_false(fallback_on());
}

static void
of_space(const char *own, const char *space)
{
    fresh(NULL);
    w.own = str_of(own);
    w.others = STR("old");
    w.has_collection = true;
    w.collection = (struct collection){
        .name = STR("docs"), .space = str_of(space), .space_dims = 1, .space_seq = 7
    };
    ask(ASKED);
    assert_int_equal(w.status, 200);
}

/* While vectors are made anew by another model, and after. */
static void
a_question_is_embedded_by_the_model_of_its_collections_vectors(void **state)
{
    json_t *o;

    (void)state;
    of_space("new", ""); /* of a collection that has none yet: the embedder's own */
    assert_true(w.had_vector && w.model[0] == '\0' && w.search_after == 0);
    of_space("new", "new");
    ORDER(KIND_TURN_BEGIN, KIND_EMBED_FREE, KIND_SEARCH, KIND_CHAT, KIND_TURN_FINISH);
    assert_true(w.had_vector);
    assert_string_equal(w.model, "new");
    assert_int_equal(w.search_after, 7);
    of_space("new", "old");
    ORDER(KIND_TURN_BEGIN, KIND_EMBED_FREE, KIND_SEARCH, KIND_CHAT, KIND_TURN_FINISH);
    assert_true(w.had_vector);
    of_space("new", "gone"); /* nobody has it: by words only */
    assert_false(w.had_vector);
    assert_true(embed_model_away());
    o = body();
    assert_true(json_flag(json_object_get(o, "usage"), "degraded", false));
    json_decref(o);
    of_space("old", "old");
    assert_true(w.had_vector);
}

static void
with_no_process_that_could_write_the_answer_a_question_waits_once_only(void **state)
{
    (void)state;
    w.fail[KIND_EMBED_FREE] = ERR_NO_WORKER;
    ask(ASKED);
    ORDER(KIND_TURN_BEGIN, KIND_EMBED_FREE);
    assert_int_equal(w.problem, ERR_NO_WORKER);
    fresh(NULL);
    w.fail[KIND_EMBED_FREE] = ERR_NO_WORKER;
    w.view.service[SERVICE_CHAT].workers = 1; /* roles are split: only embeddings are missing */
    ask(ASKED);
    assert_int_equal(w.status, 200);
}

static void
a_question_is_refused_before_it_is_stored_when_a_step_is_overloaded(void **state)
{
    static const enum service_id steps[] = { SERVICE_STORE, SERVICE_EMBED, SERVICE_RETRIEVE, SERVICE_CHAT };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        for (int keyed = 0; keyed < 2; keyed++) {
            fresh(NULL);
            w.idem_key = keyed ? "a" : NULL;
            w.view.service[steps[i]].overloaded = true;
            ask(ASKED);
            assert_int_equal(w.problem, ERR_BUSY);
            assert_in_range(w.retry_ms, 1000, 3000);
            assert_int_equal(w.n_order, 0);
        }
    }
}

static void
an_answer_that_the_store_cannot_take_is_queued_or_said_to_be_lost(void **state)
{
    (void)state;
    w.fail[KIND_TURN_FINISH] = ERR_STORE_DOWN;
    ask(ASKED);
    assert_int_equal(w.queued, 1);
    assert_answered("queued");
    fresh(NULL);
    w.fail[KIND_TURN_FINISH] = ERR_STORE_DOWN;
    w.redis_down = true;
    ask(ASKED);
    assert_answered("no");
}

static void
collections_of_others_are_as_good_as_missing(void **state)
{
    (void)state;
    ask("{\"question\":\"q\",\"session_id\":\"" SESSION "\",\"collection\":\"foreign\"}");
    assert_int_equal(w.problem, ERR_NOT_FOUND);
    fresh(NULL);
    ask("{\"question\":\"q\",\"session_id\":\"" SESSION "\",\"collection\":\"unknown\"}");
    assert_int_equal(w.problem, ERR_NOT_FOUND);
    assert_int_equal(w.n_order, 0);
}

static void
a_selection_shapes_search_and_key(void **state)
{
    (void)state;
    ask_with(route_chat_selection,
             "{\"selected_text\":\"kept for one hour\",\"question\":\"Why?\",\"session_id\":\"" SESSION
             "\",\"chapter\":\"Caches\"}",
             false);
    assert_int_equal(w.status, 200);
    assert_true(str_is(buf_slice(&w.searched), "Why?|kept for one hour"));
    fresh(NULL);
    ask_with(route_chat_selection,
             "{\"selected_text\":\"four\",\"question\":\"Why?\",\"session_id\":\"" SESSION
             "\",\"chapter\":\"Caches\"}",
             false);
    assert_string_equal(w.pointer, "/selected_text");
    fresh(NULL);
    ask_with(route_chat_selection,
             "{\"selected_text\":\"kept for\",\"question\":\"Why?\",\"session_id\":\"" SESSION "\"}", false);
    assert_string_equal(w.pointer, "/chapter");
}

#define SELECT(more) \
    "{\"selected_text\":\"kept for one\",\"question\":\"Why?\",\"session_id\":\"" SESSION \
    "\",\"chapter\":\"Caches\"" more "}"

static const json_t *
first_source(json_t *o)
{
    return json_array_get(json_object_get(o, "sources"), 0);
}

static void
a_selection_that_no_document_has_is_the_readers_own(void **state)
{
    json_t *o;

    (void)state;
    w.hits = 0;
    ask_with(route_chat_selection, SELECT(""), false);
    assert_int_equal(w.status, 200);
    assert_true(w.selected && !w.carried && w.chat_hits == 1); /* asked although nothing was found */
    assert_true(str_is(buf_slice(&w.first_text), "kept for one") && is_selection(&w.first.document_id));
    assert_true(str_is(buf_slice(&w.stored_selection), "kept for one"));
    o = body();
    assert_true(str_is(json_str(first_source(o), "kind"), "selection") &&
                str_is(json_str(first_source(o), "content_excerpt"), "kept for one"));
    assert_true(json_is_null(json_object_get(first_source(o), "document_id")) &&
                json_is_null(json_object_get(first_source(o), "start")));
    json_decref(o);
}

static void
a_selection_of_a_document_is_its_bytes(void **state)
{
    json_t *o;

    (void)state;
    w.place = (struct hit){ .chunk_id = chunk,
                            .document_id = document,
                            .collection = STR("docs"),
                            .text = STR("kept _for_ one"),
                            .start = 12,
                            .end = 26,
                            .score = 1 };
    ask_with(route_chat_selection, SELECT(""), false);
    o = body();
    assert_int_equal(json_int(first_source(o), "start", 0), 12);
    assert_true(str_is(json_str(first_source(o), "kind"), "document") &&
                str_is(json_str(first_source(o), "content_excerpt"), "kept _for_ one"));
    json_decref(o);
    fresh(NULL);
    w.place = (struct hit){ .chunk_id = chunk,
                            .document_id = document,
                            .collection = STR("docs"),
                            .text = STR(""),
                            .start = 84,
                            .end = 100 };
    ask_with(route_chat_selection, SELECT(""), false); /* over several chunks: the store has the bytes */
    assert_true(str_is(buf_slice(&w.first_text), "kept **for** one"));
    fresh(NULL);
    w.place = (struct hit){ .chunk_id = chunk,
                            .document_id = document,
                            .collection = STR("docs"),
                            .text = STR(""),
                            .start = 84,
                            .end = 90 };
    ask_with(route_chat_selection, SELECT(""),
             false); /* not the bytes that were asked for: the document has changed */
    assert_true(is_selection(&w.first.document_id));
    fresh(NULL);
    w.place = (struct hit){ .chunk_id = chunk,
                            .document_id = document,
                            .collection = STR("docs"),
                            .text = STR(""),
                            .start = 84,
                            .end = 100 };
    w.fail[KIND_DOCUMENT_TEXT] = ERR_NO_WORKER;
    ask_with(route_chat_selection, SELECT(""), false);
    assert_int_equal(w.status, 200);
    assert_true(is_selection(&w.first.document_id));
}

static void
a_follow_up_has_the_selection_of_its_conversation(void **state)
{
    (void)state;
    w.turns[0] = (struct turn){ .role = STR("user"),
                                .content = STR("Why?"),
                                .selection = STR("the selected words") };
    w.turns[1] = (struct turn){ .role = STR("assistant"), .content = STR("So.") };
    w.n_turns = 2;
    w.hits = 0;
    ask("{\"question\":\"How?\",\"session_id\":\"" SESSION
        "\",\"conversation_id\":\"6f1d2c3a-8e4b-4c5d-9e6f-7a8b9c0d1e2f\"}");
    assert_true(w.selected && w.carried && str_is(buf_slice(&w.first_text), "the selected words"));
    assert_int_equal(w.stored_selection.n, 0); /* it is the earlier question's */
    fresh(NULL);
    w.turns[0] = (struct turn){ .role = STR("user"),
                                .content = STR("Why?"),
                                .selection = STR("the selected words") };
    w.n_turns = 1;
    ask_with(route_chat_selection, SELECT(",\"conversation_id\":\"6f1d2c3a-8e4b-4c5d-9e6f-7a8b9c0d1e2f\""),
             false);
    assert_true(w.selected && !w.carried && str_is(buf_slice(&w.first_text), "kept for one"));
    fresh(NULL);
    ask("{\"question\":\"How?\",\"session_id\":\"" SESSION "\",\"new_conversation\":true,"
        "\"conversation_id\":\"6f1d2c3a-8e4b-4c5d-9e6f-7a8b9c0d1e2f\"}");
    assert_string_equal(w.pointer, "/new_conversation");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_answer_has_every_field_of_the_contract, fresh),
        cmocka_unit_test_setup(the_question_is_stored_before_anything_is_paid_for, fresh),
        cmocka_unit_test_setup(wrong_fields_are_named_and_nothing_is_asked, fresh),
        cmocka_unit_test_setup(a_question_has_500_characters_at_most_however_many_bytes, fresh),
        cmocka_unit_test_setup(nothing_found_asks_no_model_and_says_so, fresh),
        cmocka_unit_test_setup(a_turn_with_history_searches_with_the_previous_exchange, fresh),
        cmocka_unit_test_setup(without_an_embedding_the_words_are_searched_and_the_answer_is_degraded, fresh),
        cmocka_unit_test_setup(without_the_search_engine_the_answer_is_degraded_kept_by_nobody_and_no_guess,
                               fresh),
        cmocka_unit_test_setup(a_question_is_embedded_by_the_model_of_its_collections_vectors, fresh),
        cmocka_unit_test_setup(with_no_process_that_could_write_the_answer_a_question_waits_once_only, fresh),
        cmocka_unit_test_setup(a_question_is_refused_before_it_is_stored_when_a_step_is_overloaded, fresh),
        cmocka_unit_test_setup(an_answer_that_the_store_cannot_take_is_queued_or_said_to_be_lost, fresh),
        cmocka_unit_test_setup(collections_of_others_are_as_good_as_missing, fresh),
        cmocka_unit_test_setup(a_selection_shapes_search_and_key, fresh),
        cmocka_unit_test_setup(a_selection_that_no_document_has_is_the_readers_own, fresh),
        cmocka_unit_test_setup(a_selection_of_a_document_is_its_bytes, fresh),
        cmocka_unit_test_setup(a_follow_up_has_the_selection_of_its_conversation, fresh),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    fresh(NULL);
    return failed;
}
