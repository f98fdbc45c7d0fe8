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

static void
a_garbled_answer_is_asked_for_elsewhere_and_the_third_is_not_tried(void **state)
{
    struct buf b = { 0 };

    (void)state;
    join(0, 1, 1);
    join(0, 2, 1);
    join(0, 3, 1);
    ask(1, "a", 9000, 0);
    for (int i = 0; i < 2; i++) {
        struct sent s = *last(CMD_REQUEST);
        struct head_final h = { .req = s.req, .attempt = s.attempt };
        struct buf garbage = { 0 };
        struct blob *payload;

        assert_int_equal(t.n_ended, 0);
        buf_z(&garbage, "\x93\x01");
        payload = blob_of_buf(&garbage);
        buf_reset(&b);
        msg_encode(head_final_desc(), &h, &b);
        core_frame(t.core, 2, &(struct core_peer){ s.peer, ~0u, 0 }, CMD_FINAL, buf_slice(&b), payload);
        blob_drop(&payload);
        assert_null(core_check(t.core));
    }
    buf_free(&b);
    assert_int_equal(t.n_ended, 1);
    assert_int_equal(t.ended[0].err, ERR_POISON);
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
    assert_int_equal(t.n_ended, 1);
    assert_int_equal(t.ended[0].err, ERR_WORKER_LOST); /* which may be asked again; a poisoned one may not */
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
    for (int i = 1; i <= 40; i++) { /* the one that was used longest ago: they take turns until one is aside */
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
        T(a_hub_that_stood_still_blames_no_request_for_the_workers_that_left),
        T(workers_that_fall_silent_together_do_not_get_each_others_requests),
        T(a_worker_offers_only_what_its_key_is_listed_for),
        T(a_banned_key_stays_out_for_a_minute),
        T(five_failures_in_a_row_put_a_worker_aside_but_never_the_last_one),
        T(a_worker_that_was_put_aside_serves_again_when_the_others_are_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
