/* Streamed answers, against fake neighbours: their events, their breaks, and clients that leave. */
#include "askkit.h"

static void
a_stream_has_its_events_in_order(void **state)
{
    json_t *o;

    (void)state;
    ask_with(route_chat_stream, ASKED, false);
    assert_string_equal(w.events.p, "meta sources delta delta citation done end");
    o = body();
    assert_true(str_is(json_str(o, "answer"), "For one hour [1].") && str_is(json_str(o, "saved"), "yes"));
    json_decref(o);
    again();
    ask_with(route_chat_stream, ASKED, false); /* from the cache */
    assert_int_equal(w.n_order, 0);
    assert_string_equal(w.events.p, "meta sources delta citation done end");
}

static void
what_no_part_could_bring_is_shown_with_the_whole_answer(void **state)
{
    (void)state;
    w.parts_lost = 1;
    ask_with(route_chat_stream, ASKED, false);
    assert_string_equal(w.events.p, "meta sources delta delta citation done end");
    assert_non_null(strstr(w.body.p, "For one hour [1]."));
    fresh(NULL);
    w.parts_lost = 2;
    ask_with(route_chat_stream, ASKED, false);
    assert_string_equal(w.events.p, "meta sources delta citation done end");
}

static void
a_stream_that_breaks_says_so_and_keeps_what_was_shown(void **state)
{
    (void)state;
    w.fail[KIND_CHAT] = ERR_UPSTREAM_CUT;
    ask_with(route_chat_stream, ASKED, false);
    assert_string_equal(w.events.p, "meta sources delta delta error end");
    assert_string_equal(w.finished.p, "incomplete For one hour [1].");
    assert_int_equal(w.stored, 0);
}

static void
a_stream_that_fails_before_it_began_has_a_status(void **state)
{
    (void)state;
    w.fail[KIND_TURN_BEGIN] = ERR_NO_WORKER;
    ask_with(route_chat_stream, ASKED, false);
    assert_int_equal(w.status, 503);
    assert_int_equal(w.events.n, 0);
}

static void
a_client_that_left_cancels_the_model(void **state)
{
    (void)state;
    w.streams_left = 4; /* headers, meta, sources, one delta */
    ask_with(route_chat_stream, ASKED, false);
    assert_true(str_starts(buf_slice(&w.finished), "incomplete For one "));
    assert_int_equal(w.order[w.n_order - 2], KIND_CHAT);
    fresh(NULL);
    w.gone = true;
    ask(ASKED);
    assert_int_equal(w.problem, ERR_CANCELLED);
    assert_int_equal(w.order[w.n_order - 1], KIND_CHAT);
}

/* Others read along: the answer is theirs, too, at whichever event its first reader goes. */
static void
an_answer_that_others_read_is_ended_without_its_reader(void **state)
{
    (void)state;
    for (int writes = 3; writes <= 7;
         writes++) { /* headers, meta, sources; two parts, the rest, and the rest that the sanitizer held */
        fresh(NULL);
        w.shares = w.flies = true;
        w.open_end = " See `1h";
        w.streams_left = writes;
        ask_with(route_chat_stream, ASKED, false);
        assert_string_equal(w.finished.p, "complete For one hour [1]. See `1h");
        assert_int_equal(w.landed, 1);
    }
    fresh(NULL);
    w.open_end = " See `1h";
    w.streams_left = 6;
    ask_with(route_chat_stream, ASKED, false); /* nobody else reads */
    assert_true(str_starts(buf_slice(&w.finished), "incomplete "));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_stream_has_its_events_in_order, fresh),
        cmocka_unit_test_setup(what_no_part_could_bring_is_shown_with_the_whole_answer, fresh),
        cmocka_unit_test_setup(a_stream_that_breaks_says_so_and_keeps_what_was_shown, fresh),
        cmocka_unit_test_setup(a_stream_that_fails_before_it_began_has_a_status, fresh),
        cmocka_unit_test_setup(a_client_that_left_cancels_the_model, fresh),
        cmocka_unit_test_setup(an_answer_that_others_read_is_ended_without_its_reader, fresh),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    fresh(NULL);
    return failed;
}
