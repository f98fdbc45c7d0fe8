/* Promises of the hub's core about its workers: lost, silent, draining, lying and banned ones. */
#include "hubkit.h"

static void
a_lost_workers_work_goes_elsewhere(void **state)
{
    (void)state;
    join(0, 1, 1);
    ask(1, "a", 9000, 0);
    join(2, 2, 1);
    core_unsent(t.core, 3, 1);
    assert_int_equal(last(CMD_REQUEST)->peer, 2);
    assert_int_equal(last(CMD_REQUEST)->attempt, 2);
    final(4, last(CMD_REQUEST), ERR_OK);
    assert_int_equal(t.ended[0].err, ERR_OK);
    assert_null(core_check(t.core));
}

static void
a_silent_worker_expires_after_three_seconds(void **state)
{
    (void)state;
    join(0, 1, 1);
    ask(1, "a", 20000, 0);
    core_tick(t.core, 2900);
    assert_int_equal(t.n_ended, 0);
    core_tick(t.core, 3100);
    struct core_view v;

    core_look(t.core, SERVICE_EMBED, &v);
    assert_int_equal(v.workers, 0);
    assert_int_equal(v.queued, 1);
}

static void
after_the_first_part_there_is_no_second_attempt(void **state)
{
    struct sent s;
    struct head_part p = { .attempt = 1 };
    struct buf b = { 0 };
    struct buf payload = { 0 };
    struct blob *bl;

    (void)state;
    join(0, 1, 1);
    join(0, 2, 1);
    ask(1, "a", 9000, 0);
    s = *last(CMD_REQUEST);
    p.req = s.req;
    msg_encode(head_part_desc(), &p, &b);
    buf_z(&payload, "x");
    bl = blob_of_buf(&payload);
    core_frame(t.core, 2, &(struct core_peer){ s.peer, ~0u, 0 }, CMD_PARTIAL, buf_slice(&b), bl);
    blob_drop(&bl);
    buf_free(&b);
    assert_int_equal(t.n_parts, 1);
    core_unsent(t.core, 3, s.peer);
    assert_int_equal(t.n_ended, 1);
    assert_int_equal(t.ended[0].err, ERR_WORKER_LOST);
}

static void
a_draining_worker_gets_nothing_new_and_an_acknowledgement(void **state)
{
    struct head_drain h = { STR_NONE };
    struct core_view v;

    (void)state;
    join(0, 1, 4);
    frame(1, 1, CMD_DRAIN, &h);
    assert_int_equal(last(CMD_DRAIN)->peer, 1);
    ask(2, "a", 9000, 0);
    core_look(t.core, SERVICE_EMBED, &v);
    assert_int_equal(v.queued, 1);
    assert_int_equal(v.workers, 0);
    join(3, 2, 1);
    assert_int_equal(last(CMD_REQUEST)->peer, 2);
}

static void
a_reply_of_another_worker_is_not_taken_and_bans_its_sender(void **state)
{
    struct core_view v;
    struct sent s;

    (void)state;
    join(0, 1, 1);
    ask(1, "a", 9000, 0);
    identity = 77;
    join(2, 2, 1);
    s = *last(CMD_REQUEST);
    s.peer = 2;
    final(3, &s, ERR_OK);
    assert_int_equal(t.n_ended, 0);
    assert_int_equal(last(CMD_DISCONNECT)->peer, 2);
    join(4, 3, 1); /* the same key */
    core_look(t.core, SERVICE_EMBED, &v);
    assert_int_equal(v.workers, 1);
    s.peer = 1;
    final(5, &s, ERR_OK);
    assert_int_equal(t.n_ended, 1);
}

static void
a_malformed_message_ends_the_connection_and_its_work_goes_elsewhere(void **state)
{
    struct core_view v;

    (void)state;
    join(0, 1, 1);
    ask(0, "a", 9000, 0);
    join(0, 2, 1);
    core_frame(t.core, 1, &(struct core_peer){ 1, ~0u, 0 }, CMD_FINAL, STR("\xc1"), NULL);
    core_look(t.core, SERVICE_EMBED, &v);
    assert_int_equal(v.workers, 1);
    assert_int_equal(last(CMD_DISCONNECT)->peer, 1);
    assert_int_equal(last(CMD_REQUEST)->peer, 2);
}

/* The worker's answer is no whole msgpack value. */
static void
garble(int64_t now, const struct sent *s)
{
    struct head_final h = { .req = s->req, .attempt = s->attempt };
    struct buf b = { 0 }, garbage = { 0 };
    struct blob *payload;

    buf_z(&garbage, "\x93\x01");
    payload = blob_of_buf(&garbage);
    assert_int_equal(msg_encode(head_final_desc(), &h, &b), ERR_OK);
    core_frame(t.core, now, &(struct core_peer){ s->peer, ~0u, 0 }, CMD_FINAL, buf_slice(&b), payload);
    blob_drop(&payload);
    buf_free(&b);
    assert_null(core_check(t.core));
}

static void
garble_last(int64_t now)
{
    struct sent s = *last(CMD_REQUEST);

    garble(now, &s);
}

/* A worker that is known again by its life, 16 letters. */
static void
join_life(int64_t now, uint64_t peer, const char *of)
{
    life = of;
    join(now, peer, 1);
    life = NULL;
}

static void
a_garbled_answer_is_asked_for_elsewhere_and_the_third_is_not_tried(void **state)
{
    (void)state;
    join(0, 1, 1);
    join(0, 2, 1);
    join(0, 3, 1);
    ask(1, "a", 9000, 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(t.n_ended, 0);
        garble_last(2);
    }
    assert_int_equal(t.n_ended, 1);
    assert_int_equal(t.ended[0].err, ERR_POISON);
}

static void
a_garbled_answer_is_not_asked_for_where_it_came_from(void **state)
{
    (void)state;
    join(0, 1, 4);
    ask(0, "a", 9000, 0);
    ask(0, "a", 9000, 0);
    join(0, 2, 4);
    ask(0, "a", 9000, 0);
    assert_int_equal(last(CMD_REQUEST)->peer, 2);
    garble_last(1); /* 2 had more room than 1 */
    assert_int_equal(t.n_ended, 0);
    assert_int_equal(last(CMD_REQUEST)->peer, 1);
}

static void
a_worker_that_garbles_one_answer_twice_is_one_worker(void **state)
{
    (void)state;
    join_life(0, 1, "the-first-worker");
    ask(0, "a", 9000, 0);
    garble_last(1);
    join_life(2, 2, "the-first-worker");
    assert_int_equal(last(CMD_REQUEST)->peer, 2);
    garble_last(3);
    assert_int_equal(t.n_ended, 0);
    join_life(4, 3, "the-other-worker");
    assert_int_equal(last(CMD_REQUEST)->peer, 3);
    garble_last(5);
    assert_int_equal(t.n_ended, 1);
    assert_int_equal(t.ended[0].err, ERR_POISON);
}

static void
who_garbled_an_answer_is_asked_again_only_when_there_is_no_other(void **state)
{
    (void)state;
    join_life(0, 1, "the-first-worker");
    ask(0, "a", 9000, 0);
    garble_last(1);
    join_life(2, 2, "the-other-worker");
    assert_int_equal(last(CMD_REQUEST)->peer, 2);
    join_life(3, 3, "the-third-worker");
    join_life(3, 4, "the-first-worker"); /* the newest is the first that is looked at */
    core_bad_frame(t.core, 4, 2, "test");
    assert_int_equal(last(CMD_REQUEST)->peer, 3);
    core_bad_frame(t.core, 5, 3, "test");
    assert_int_equal(last(CMD_REQUEST)->peer, 4);
}

static void
a_request_whose_connections_broke_is_no_poison(void **state)
{
    (void)state;
    join_life(0, 1, "the-first-worker");
    join_life(0, 2, "the-other-worker");
    ask(0, "a", 20000, 0);
    for (uint64_t peer = 3; peer < 5; peer++) { /* each comes back before the next one goes */
        uint64_t gone = last(CMD_REQUEST)->peer;

        core_unsent(t.core, 10, gone);
        join_life(11, peer, gone == 1 ? "the-first-worker" : "the-other-worker");
    }
    core_unsent(t.core, 12, last(CMD_REQUEST)->peer);
    assert_int_equal(t.n_ended, 0);
    final(13, last(CMD_REQUEST), ERR_OK);
    assert_int_equal(t.ended[0].err, ERR_OK);
}

/* Two workers are gone with a request. A third one is there. */
static void
two_are_gone(void)
{
    join_life(0, 1, "the-first-worker");
    join_life(0, 2, "the-other-worker");
    ask(0, "a", 20000, 0);
    for (int i = 0; i < 2; i++)
        core_unsent(t.core, 10, last(CMD_REQUEST)->peer);
    join_life(10, 3, "the-third-worker");
    assert_null(core_check(t.core));
    assert_int_equal(t.n_ended, 0);
    assert_int_not_equal(last(CMD_REQUEST)->peer, 3); /* as long as they may have died */
}

static void
a_request_with_two_lost_workers_waits_until_one_shows_that_it_lives(void **state)
{
    (void)state;
    two_are_gone();
    join_life(200, 4, "the-first-worker");
    assert_true(last(CMD_REQUEST)->peer >= 3); /* any of both */
    final(201, last(CMD_REQUEST), ERR_OK);
    assert_int_equal(t.ended[0].err, ERR_OK);
}

static void
a_request_with_two_lost_workers_is_poison_when_none_comes_back(void **state)
{
    struct head_heartbeat beat = { 0 };

    (void)state;
    two_are_gone();
    frame(1000, 3, CMD_HEARTBEAT, &beat);
    core_tick(t.core, 1000);
    assert_int_equal(t.n_ended, 0);
    core_tick(t.core, 1010);
    assert_int_equal(t.n_ended, 1);
    assert_int_equal(t.ended[0].err, ERR_POISON);
    join_life(1011, 4, "the-first-worker"); /* too late */
    assert_int_equal(t.n_ended, 1);
    assert_null(core_check(t.core));
}

static void
a_request_that_waits_for_lost_workers_ends_at_its_deadline(void **state)
{
    (void)state;
    join_life(0, 1, "the-first-worker");
    join_life(0, 2, "the-other-worker");
    ask(0, "a", 500, 0);
    for (int i = 0; i < 2; i++)
        core_unsent(t.core, 10, last(CMD_REQUEST)->peer);
    core_tick(t.core, 500);
    assert_int_equal(t.n_ended, 1);
    assert_int_equal(t.ended[0].err, ERR_DEADLINE);
}

static void
who_never_got_a_request_did_not_die_of_it(void **state)
{
    (void)state;
    join(0, 1, 1);
    unreachable = 1;
    ask(0, "a", 9000, 0);
    core_unsent(t.core, 1, 1);
    join(2, 2, 1);
    core_unsent(t.core, 3, 2);
    assert_int_equal(t.n_ended, 0); /* one strike */
    join(4, 3, 1);
    core_unsent(t.core, 5, 3);
    assert_int_equal(t.ended[0].err, ERR_POISON);
}

static void
a_kind_that_may_not_be_repeated_moves_only_when_nobody_saw_it(void **state)
{
    (void)state;
    join_as(0, 1, "store", 1);
    unreachable = 1;
    ask_kind(0, KIND_CLEANUP, "a", 9000, 0);
    core_unsent(t.core, 1, 1);
    join_as(2, 2, "store", 1);
    assert_int_equal(last(CMD_REQUEST)->peer, 2);
    core_bad_frame(t.core, 3, 2, "test");
    assert_int_equal(t.n_ended, 1);
    assert_int_equal(t.ended[0].err, ERR_WORKER_LOST);
}

static void
a_request_outlives_four_lost_workers_whoever_is_to_blame(void **state)
{
    (void)state;
    ask(0, "a", 9000, 0);
    for (uint64_t peer = 1; peer <= 5; peer++) {
        join(1, peer, 1);
        assert_int_equal(last(CMD_REQUEST)->peer, peer);
        assert_int_equal(t.n_ended, 0);
        core_bad_frame(t.core, 1, peer, "test");
    }
    assert_int_equal(t.n_ended, 1);
    assert_int_equal(t.ended[0].err, ERR_WORKER_LOST);
    assert_null(core_check(t.core));
}

/* All connections close at once, and the hub learns of each only by sending. */
static void
a_request_outlives_any_number_of_workers_that_never_got_it(void **state)
{
    (void)state;
    ask(0, "a", 9000, 0);
    for (uint64_t peer = 1; peer <= 12; peer++) {
        unreachable = peer;
        join(1, peer, 1);
        core_unsent(t.core, 1, peer);
        assert_int_equal(t.n_ended, 0);
        assert_null(core_check(t.core));
    }
    unreachable = 0;
    join(2, 13, 1);
    assert_int_equal(last(CMD_REQUEST)->peer, 13);
    final(3, last(CMD_REQUEST), ERR_OK);
    assert_int_equal(t.n_ended, 1);
    assert_int_equal(t.ended[0].err, ERR_OK);
}

static void
a_new_connection_of_a_worker_is_the_end_of_its_old_one(void **state)
{
    struct core_view v;

    (void)state;
    join_life(0, 1, "the-first-worker");
    ask(0, "a", 9000, 0);
    identity = 77; /* the life of another key's worker is nobody's business */
    join_life(1, 2, "the-first-worker");
    core_look(t.core, SERVICE_EMBED, &v);
    assert_int_equal(v.workers, 2);
    identity = 0;
    join_life(2, 3, "the-first-worker");
    core_look(t.core, SERVICE_EMBED, &v);
    assert_int_equal(v.workers, 2);
    assert_int_equal(v.outstanding, 1);
    assert_int_equal(last(CMD_REQUEST)->attempt, 2);
    assert_int_equal(t.n_ended, 0);
}

static void
a_hub_that_stood_still_blames_no_request_for_the_workers_that_left(void **state)
{
    (void)state;
    join(0, 1, 1);
    join(0, 2, 1);
    ask(0, "a", 20000, 0);
    core_tick(t.core, 40);
    core_unsent(t.core, 60, last(CMD_REQUEST)->peer); /* the request's own first strike */
    core_tick(t.core, 90);
    core_tick(t.core, 3300);
    assert_int_equal(t.n_ended, 0);
    join(3400, 3, 1);
    assert_int_equal(last(CMD_REQUEST)->peer, 3);
    assert_null(core_check(t.core));
}

static void
workers_that_fall_silent_together_do_not_get_each_others_requests(void **state)
{
    (void)state;
    join(0, 1, 1);
    join(0, 2, 1);
    ask(0, "a", 20000, 0);
    for (int64_t now = 0; now <= BUS_EXPIRE_MS + 200; now += 50)
        core_tick(t.core, now);
    assert_int_equal(t.n_ended, 0);
    join(BUS_EXPIRE_MS + 300, 3, 1);
    assert_int_equal(last(CMD_REQUEST)->peer, 3);
}

static void
a_worker_offers_only_what_its_key_is_listed_for(void **state)
{
    struct core_view v;

    (void)state;
    allowed = 1u << SERVICE_STORE;
    join(0, 1, 1);
    core_look(t.core, SERVICE_EMBED, &v);
    assert_int_equal(v.workers, 0);
    assert_int_equal(last(CMD_DISCONNECT)->peer, 1);
    allowed = 1u << SERVICE_EMBED;
    join(0, 2, 1);
    core_look(t.core, SERVICE_EMBED, &v);
    assert_int_equal(v.workers, 1);
}

static void
a_banned_key_stays_out_for_a_minute(void **state)
{
    struct core_view v;

    (void)state;
    identity = 77;
    for (uint64_t peer = 1; peer <= 3; peer++) {
        join(0, peer, 1);
        core_look(t.core, SERVICE_EMBED, &v);
        assert_int_equal(v.workers, 1);
        core_bad_frame(t.core, 1000, peer, "test");
    }
    join(2000, 8, 1);
    core_look(t.core, SERVICE_EMBED, &v);
    assert_int_equal(v.workers, 0);
    join(61001, 9, 1);
    core_look(t.core, SERVICE_EMBED, &v);
    assert_int_equal(v.workers, 1);
}

static void
five_failures_in_a_row_put_a_worker_aside_but_never_the_last_one(void **state)
{
    (void)state;
    join(0, 1, 4);
    for (int i = 0; i < 12; i++) { /* alone: it stays */
        ask(1, "a", 9000, 0);
        final(1, last(CMD_REQUEST), ERR_UPSTREAM);
        while (t.n_ended <= (size_t)i)
            final(1, last(CMD_REQUEST), ERR_UPSTREAM);
    }
    join(2, 2, 4);
    for (size_t n = t.n_sent, i = 0; i < 20; i++) {
        ask(3, "a", 9000, 0);
        final(3, last(CMD_REQUEST), last(CMD_REQUEST)->peer == 1 ? ERR_UPSTREAM_LIMITED : ERR_OK);
        (void)n;
    }
    for (int i = 0; i < 6; i++) {
        ask(4, "a", 9000, 0);
        assert_int_equal(last(CMD_REQUEST)->peer, 2);
        final(4, last(CMD_REQUEST), ERR_OK);
    }
    ask(5003, "a", 15000, 0); /* five seconds later it gets work again: it was used longest ago */
    core_tick(t.core, 5003);
    assert_int_equal(last(CMD_REQUEST)->peer, 1);
}

static void
a_worker_that_was_put_aside_serves_again_when_the_others_are_gone(void **state)
{
    (void)state;
    join(0, 1, 4);
    join(0, 2, 4);
    for (int i = 1; i <= 40;
         i++) { /* the one that was used longest ago: they take turns until one is aside */
        ask(i, "a", 9000, 0);
        final(i, last(CMD_REQUEST), last(CMD_REQUEST)->peer == 1 ? ERR_UPSTREAM_LIMITED : ERR_OK);
    }
    for (int i = 0; i < 2; i++) {
        ask(41, "a", 9000, 0);
        assert_int_equal(last(CMD_REQUEST)->peer, 2); /* 1 is aside */
    }
    core_bad_frame(t.core, 42, 2, "test");
    assert_int_equal(last(CMD_REQUEST)->peer, 1); /* at once, not when 2 comes back and garbles it again */
    final(43, last(CMD_REQUEST), ERR_OK);
    ask(44, "a", 9000, 0);
    assert_int_equal(last(CMD_REQUEST)->peer, 1);
    join(45, 3, 4);
    ask(46, "a", 9000, 0);
    assert_int_equal(last(CMD_REQUEST)->peer, 3); /* and stays aside when there is another one */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_lost_workers_work_goes_elsewhere),
        T(a_silent_worker_expires_after_three_seconds),
        T(after_the_first_part_there_is_no_second_attempt),
        T(a_draining_worker_gets_nothing_new_and_an_acknowledgement),
        T(a_reply_of_another_worker_is_not_taken_and_bans_its_sender),
        T(a_malformed_message_ends_the_connection_and_its_work_goes_elsewhere),
        T(a_garbled_answer_is_asked_for_elsewhere_and_the_third_is_not_tried),
        T(a_garbled_answer_is_not_asked_for_where_it_came_from),
        T(a_worker_that_garbles_one_answer_twice_is_one_worker),
        T(who_garbled_an_answer_is_asked_again_only_when_there_is_no_other),
        T(a_request_whose_connections_broke_is_no_poison),
        T(a_request_with_two_lost_workers_waits_until_one_shows_that_it_lives),
        T(a_request_with_two_lost_workers_is_poison_when_none_comes_back),
        T(a_request_that_waits_for_lost_workers_ends_at_its_deadline),
        T(who_never_got_a_request_did_not_die_of_it),
        T(a_kind_that_may_not_be_repeated_moves_only_when_nobody_saw_it),
        T(a_request_outlives_four_lost_workers_whoever_is_to_blame),
        T(a_request_outlives_any_number_of_workers_that_never_got_it),
        T(a_new_connection_of_a_worker_is_the_end_of_its_old_one),
        T(a_hub_that_stood_still_blames_no_request_for_the_workers_that_left),
        T(workers_that_fall_silent_together_do_not_get_each_others_requests),
        T(a_worker_offers_only_what_its_key_is_listed_for),
        T(a_banned_key_stays_out_for_a_minute),
        T(five_failures_in_a_row_put_a_worker_aside_but_never_the_last_one),
        T(a_worker_that_was_put_aside_serves_again_when_the_others_are_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
