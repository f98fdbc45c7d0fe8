/* Promises of the hub's core to those who ask: one answer, fair turns, deadlines, retries, bounded queues. */
#include "hubkit.h"

static void
an_answer_comes_once_and_a_double_one_is_dropped(void **state)
{
    struct core_view v;
    struct sent s;

    (void)state;
    join(0, 1, 2);
    ask(1, "a", 9000, 7);
    s = *last(CMD_REQUEST);
    final(5, &s, ERR_OK);
    final(6, &s, ERR_OK);
    assert_int_equal(t.n_ended, 1);
    assert_int_equal(t.ended[0].err, ERR_OK);
    core_look(t.core, SERVICE_EMBED, &v);
    assert_int_equal(v.outstanding, 0);
}

static void
work_goes_only_to_a_worker_with_credit(void **state)
{
    struct core_view v;

    (void)state;
    join(0, 1, 2);
    for (uintptr_t i = 0; i < 5; i++)
        ask(1, "a", 9000, i);
    core_look(t.core, SERVICE_EMBED, &v);
    assert_int_equal(v.outstanding, 2);
    assert_int_equal(v.queued, 3);
    final(2, last(CMD_REQUEST), ERR_OK);
    core_look(t.core, SERVICE_EMBED, &v);
    assert_int_equal(v.outstanding, 2);
    assert_int_equal(v.queued, 2);
}

static void
the_largest_free_share_gets_the_work(void **state)
{
    (void)state;
    join(0, 1, 2);
    join(0, 2, 8);
    ask(1, "a", 9000, 0); /* both are free: either */
    uint64_t first = last(CMD_REQUEST)->peer;

    ask(2, "a", 9000, 1);
    assert_true(last(CMD_REQUEST)->peer != first);
    ask(3, "a", 9000, 2); /* 1/2 free against 7/8 free */
    assert_int_equal(last(CMD_REQUEST)->peer, 2);
}

static void
tenants_take_turns(void **state)
{
    char order[5] = "";

    (void)state;
    join(0, 1, 1);
    ask(1, "busy", 9000, 0);
    for (uintptr_t i = 1; i < 4; i++)
        ask(1, "big", 9000, i);
    ask(2, "small", 9000, 9);
    for (int i = 0; i < 4; i++) {
        final(3, last(CMD_REQUEST), ERR_OK);
        order[i] = last(CMD_REQUEST)->tenant[0];
    }
    assert_string_equal(order, "bsbb");
}

static void
what_ends_begun_work_goes_before_what_begins_new(void **state)
{
    char order[7] = "";

    (void)state;
    join_as(0, 1, "store", 1);
    ask_kind(1, KIND_TURN_BEGIN, "running", 9000, 0);
    ask_kind(1, KIND_TURN_BEGIN, "a", 9000, 1);
    ask_kind(1, KIND_TURN_BEGIN, "b", 9000, 2);
    ask_kind(2, KIND_TURN_FINISH, "C", 9000, 3);
    ask_kind(2, KIND_TURN_FINISH, "C", 9000, 4);
    ask_kind(2, KIND_IDEM_FINISH, "D", 9000, 5);
    core_giveup(t.core, 2, ask_kind(2, KIND_TURN_FINISH, "E", 9000, 6));
    for (int i = 0; i < 5; i++) {
        final(3, last(CMD_REQUEST), ERR_OK);
        order[i] = last(CMD_REQUEST)->tenant[0];
    }
    assert_string_equal(order, "CDCab");
}

static void
a_nack_is_not_an_attempt(void **state)
{
    (void)state;
    join(0, 1, 1);
    ask(1, "a", 9000, 0);
    for (int i = 0; i < 5; i++) {
        struct sent s = *last(CMD_REQUEST);
        struct head_nack h = { s.req, s.attempt, STR("busy") };

        frame(2 + i, 1, CMD_NACK, &h);
    }
    assert_int_equal(t.n_ended, 0);
    final(9, last(CMD_REQUEST), ERR_OK);
    assert_int_equal(t.ended[0].err, ERR_OK);
}

static void
a_retryable_error_is_tried_once_more_and_no_further(void **state)
{
    (void)state;
    join(0, 1, 1);
    ask(1, "a", 9000, 0);
    final(2, last(CMD_REQUEST), ERR_UPSTREAM);
    assert_int_equal(t.n_ended, 0);
    final(3, last(CMD_REQUEST), ERR_UPSTREAM);
    assert_int_equal(t.n_ended, 1);
    assert_int_equal(t.ended[0].err, ERR_UPSTREAM);
    ask(4, "a", 9000, 0);
    final(5, last(CMD_REQUEST), ERR_UPSTREAM_REFUSED);
    assert_int_equal(t.n_ended, 2);
}

static void
retries_stay_within_their_budget(void **state)
{
    size_t retried = 0;

    (void)state;
    join(0, 1, 200);
    for (uintptr_t i = 0; i < 100; i++) {
        size_t before = t.n_sent;

        ask(1, "a", 9000, i);
        final(2, last(CMD_REQUEST), ERR_UPSTREAM);
        if (t.n_sent > before + 1) {
            retried++;
            final(3, last(CMD_REQUEST), ERR_UPSTREAM);
        }
    }
    assert_int_equal(t.n_ended, 100);
    assert_in_range(retried, 3, 13);
}

static void
nothing_waits_past_its_deadline(void **state)
{
    (void)state;
    join(0, 1, 1);
    ask(1, "a", 500, 0);
    ask(1, "a", 400, 1);
    core_tick(t.core, 400);
    assert_int_equal(t.n_ended, 1);
    assert_int_equal((uintptr_t)t.ended[0].caller, 1);
    core_tick(t.core, 500);
    assert_int_equal(t.n_ended, 2);
    assert_int_equal(t.ended[1].err, ERR_DEADLINE);
    assert_int_equal(last(CMD_CANCEL)->peer, 1);
    assert_null(core_check(t.core));
}

static void
a_full_queue_refuses_at_once(void **state)
{
    (void)state;
    join(0, 1, 1);
    for (uintptr_t i = 0; i < 1026; i++)
        ask(1, "a", 9000, i);
    assert_int_equal(t.n_ended, 1);
    assert_int_equal(t.ended[0].err, ERR_BUSY);
}

static void
a_service_never_seen_is_503_at_once_but_not_in_the_first_two_seconds(void **state)
{
    (void)state;
    ask(100, "a", 9000, 0);
    assert_int_equal(t.n_ended, 0);
    ask(2500, "a", 9000, 1);
    assert_int_equal(t.n_ended, 1);
    assert_int_equal(t.ended[0].err, ERR_NO_WORKER);
}

static void
who_gives_up_is_not_told_and_the_worker_is(void **state)
{
    uint64_t h;

    (void)state;
    join(0, 1, 1);
    h = ask(1, "a", 9000, 0);
    core_giveup(t.core, 2, h);
    assert_int_equal(last(CMD_CANCEL)->peer, 1);
    final(3, last(CMD_REQUEST), ERR_OK);
    assert_int_equal(t.n_ended, 0);
    assert_null(core_check(t.core));
}

static void
a_workers_wild_retry_time_stays_within_a_day(void **state)
{
    static const int64_t said[] = { INT64_MAX, INT64_MIN, 1500 }, taken[] = { 86400000, 0, 1500 };

    (void)state;
    join(0, 1, 4);
    for (size_t i = 0; i < 3; i++) {
        struct head_final h = { .attempt = 1, .code = ERR_VALIDATION, .retry_after_ms = said[i] };

        ask(10, "a", 10000, i + 1);
        h.req = last(CMD_REQUEST)->req;
        frame(20, 1, CMD_FINAL, &h);
        assert_int_equal(t.n_ended, i + 1);
        assert_int_equal(t.ended[i].retry_after_ms, taken[i]);
    }
}

static void
a_worker_that_offers_nothing_yet_gets_work_when_it_does(void **state)
{
    struct head_credit more = { STR("embed"), 2 };

    (void)state;
    join(0, 1, 0);
    ask(2500, "a", 9000, 0);
    assert_int_equal(t.n_ended, 0); /* it waits: the service is known */
    frame(2600, 1, CMD_CREDIT, &more);
    assert_int_equal(last(CMD_REQUEST)->peer, 1);
    final(2700, last(CMD_REQUEST), ERR_OK);
    assert_int_equal(t.ended[0].err, ERR_OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_answer_comes_once_and_a_double_one_is_dropped),
        T(work_goes_only_to_a_worker_with_credit),
        T(the_largest_free_share_gets_the_work),
        T(tenants_take_turns),
        T(what_ends_begun_work_goes_before_what_begins_new),
        T(a_nack_is_not_an_attempt),
        T(a_retryable_error_is_tried_once_more_and_no_further),
        T(retries_stay_within_their_budget),
        T(nothing_waits_past_its_deadline),
        T(a_full_queue_refuses_at_once),
        T(a_service_never_seen_is_503_at_once_but_not_in_the_first_two_seconds),
        T(who_gives_up_is_not_told_and_the_worker_is),
        T(a_workers_wild_retry_time_stays_within_a_day),
        T(a_worker_that_offers_nothing_yet_gets_work_when_it_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
