/* Promises of the hub's core, with made-up time: no sockets, every event by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "gateway/hub_core.h"

#define LOG_MAX 4096

struct sent {
    uint64_t peer;
    int cmd;
    struct uuid req;
    int64_t attempt, ttl_ms;
    char tenant[65];
};
struct ended {
    void *asker;
    enum err err;
    int64_t retry_after_ms;
};

static struct {
    struct core *core;
    struct sent sent[LOG_MAX];
    size_t n_sent;
    struct ended ended[LOG_MAX];
    size_t n_ended, n_parts;
} t;

static unsigned allowed = ~0u; /* what the next frames' peer may offer */
static uint64_t identity;

static void
on_send(void *arg, uint64_t peer, int cmd, const void *head, struct blob *payload)
{
    struct sent *s = &t.sent[t.n_sent++ % LOG_MAX];

    (void)arg, (void)payload;
    *s = (struct sent){ .peer = peer, .cmd = cmd };
    if (cmd == CMD_REQUEST) {
        const struct head_request *h = head;

        s->req = h->req;
        s->attempt = h->attempt;
        s->ttl_ms = h->ttl_ms;
        snprintf(s->tenant, sizeof s->tenant, STR_FMT, STR_ARG(h->tenant));
    } else if (cmd == CMD_CANCEL) {
        s->req = ((const struct head_cancel *)head)->req;
    }
}

static void
on_part(void *arg, void *asker, struct blob *payload)
{
    (void)arg, (void)asker, (void)payload;
    t.n_parts++;
}

static void
on_done(void *arg, void *asker, enum err e, struct blob *payload, struct str text, int64_t retry_after_ms)
{
    (void)arg, (void)payload, (void)text;
    t.ended[t.n_ended++ % LOG_MAX] = (struct ended){ asker, e, retry_after_ms };
}

static int
setup(void **state)
{
    static const struct core_ops ops = { on_send, on_part, on_done };
    static const uint8_t epoch[16] = "hub-epoch-123456";

    (void)state;
    allowed = ~0u;
    identity = 0;
    memset(&t, 0, sizeof t);
    t.core = core_new(&ops, NULL, epoch, 0);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    core_free(&t.core);
    return 0;
}

static void
frame(int64_t now, uint64_t peer, int cmd, const void *head)
{
    struct buf b = { 0 };

    assert_int_equal(msg_encode(bus_head_desc(cmd), head, &b), ERR_OK);
    core_frame(t.core, now, &(struct core_peer){ peer, allowed, identity }, cmd, buf_slice(&b), NULL);
    buf_free(&b);
    assert_null(core_check(t.core));
}

static void
join(int64_t now, uint64_t peer, long capacity)
{
    struct offer o = { STR("embed"), capacity };
    struct head_ready h = { .services = { &o, 1 }, .instance = STR("0123456789abcdef") };

    frame(now, peer, CMD_READY, &h);
}

static uint64_t
ask(int64_t now, const char *tenant, int64_t deadline, uintptr_t asker)
{
    struct core_ask q = { KIND_EMBED, tenant, "trace", deadline, NULL, (void *)asker };

    return core_ask(t.core, now, &q);
}

static struct sent *
last(int cmd)
{
    for (size_t i = t.n_sent; i-- > 0;)
        if (t.sent[i].cmd == cmd)
            return &t.sent[i];
    fail_msg("nothing of command %d was sent", cmd);
    return NULL;
}

static void
final(int64_t now, const struct sent *s, enum err e)
{
    struct head_final h = { .req = s->req, .attempt = s->attempt, .code = (int64_t)e };

    frame(now, s->peer, CMD_FINAL, &h);
}

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
    assert_int_equal((uintptr_t)t.ended[0].asker, 1);
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
        core_bad_frame(t.core, 1000, peer);
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
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(an_answer_comes_once_and_a_double_one_is_dropped),
        T(a_workers_wild_retry_time_stays_within_a_day),
        T(work_goes_only_to_a_worker_with_credit),
        T(the_largest_free_share_gets_the_work),
        T(tenants_take_turns),
        T(a_lost_workers_work_goes_elsewhere),
        T(a_silent_worker_expires_after_three_seconds),
        T(a_nack_is_not_an_attempt),
        T(a_retryable_error_is_tried_once_more_and_no_further),
        T(retries_stay_within_their_budget),
        T(nothing_waits_past_its_deadline),
        T(a_full_queue_refuses_at_once),
        T(a_service_never_seen_is_503_at_once_but_not_in_the_first_two_seconds),
        T(after_the_first_part_there_is_no_second_attempt),
        T(a_draining_worker_gets_nothing_new_and_an_acknowledgement),
        T(who_gives_up_is_not_told_and_the_worker_is),
        T(a_reply_of_another_worker_is_not_taken_and_bans_its_sender),
        T(a_malformed_message_ends_the_connection_and_its_work_goes_elsewhere),
        T(a_hub_that_stood_still_blames_no_request_for_the_workers_that_left),
        T(workers_that_fall_silent_together_do_not_get_each_others_requests),
        T(a_garbled_answer_is_asked_for_elsewhere_and_the_third_is_not_tried),
        T(a_worker_offers_only_what_its_key_is_listed_for),
        T(a_worker_that_offers_nothing_yet_gets_work_when_it_does),
        T(a_banned_key_stays_out_for_a_minute),
        T(five_failures_in_a_row_put_a_worker_aside_but_never_the_last_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
