/* Shared by the tests of the hub's core: made-up time, no sockets, every event by hand; what the
 * core said is noted. */
#ifndef TESTS_UNIT_GATEWAY_HUBKIT_H
#define TESTS_UNIT_GATEWAY_HUBKIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "gateway/hub/core.h"

#define LOG_MAX 4096

struct sent {
    uint64_t peer;
    int cmd;
    struct uuid req;
    int64_t attempt, ttl_ms;
    char tenant[65];
};
struct ended {
    void *caller;
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
static uint64_t unreachable; /* what is sent to this peer goes nowhere */
static const char *life;     /* what the next READY tells, 16 bytes; NULL: nothing, as builds before it */

static bool
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
    return peer != unreachable;
}

static void
on_part(void *arg, void *caller, struct blob *payload)
{
    (void)arg, (void)caller, (void)payload;
    t.n_parts++;
}

static void
on_done(void *arg, void *caller, enum err e, struct blob *payload, struct str text, int64_t retry_after_ms)
{
    (void)arg, (void)payload, (void)text;
    t.ended[t.n_ended++ % LOG_MAX] = (struct ended){ caller, e, retry_after_ms };
}

static int
setup(void **state)
{
    static const struct core_ops ops = { on_send, on_part, on_done };
    static const uint8_t epoch[16] = "hub-epoch-123456";

    (void)state;
    allowed = ~0u;
    identity = unreachable = 0;
    life = NULL;
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

static inline void
frame(int64_t now, uint64_t peer, int cmd, const void *head)
{
    struct buf b = { 0 };

    assert_int_equal(msg_encode(bus_head_desc(cmd), head, &b), ERR_OK);
    core_frame(t.core, now, &(struct core_peer){ peer, allowed, identity }, cmd, buf_slice(&b), NULL);
    buf_free(&b);
    assert_null(core_check(t.core));
}

static inline void
join_as(int64_t now, uint64_t peer, const char *service, long capacity)
{
    struct offer o = { str_of(service), capacity };
    struct head_ready h = { .services = { &o, 1 }, .instance = STR("0123456789abcdef") };
    char instance[17];

    snprintf(instance, sizeof instance, "instance-%07u", (unsigned)peer);
    h.instance.p = instance;
    h.life = str_of(life);

    frame(now, peer, CMD_READY, &h);
}

static inline void
join(int64_t now, uint64_t peer, long capacity)
{
    join_as(now, peer, "embed", capacity);
}

static inline uint64_t
ask_kind(int64_t now, enum kind kind, const char *tenant, int64_t deadline, uintptr_t caller)
{
    struct core_call q = { kind, tenant, "trace", deadline, NULL, (void *)caller, NULL, false };

    return core_call(t.core, now, &q);
}

static inline uint64_t
ask(int64_t now, const char *tenant, int64_t deadline, uintptr_t caller)
{
    return ask_kind(now, KIND_EMBED, tenant, deadline, caller);
}

static inline struct sent *
last(int cmd)
{
    for (size_t i = t.n_sent; i-- > 0;)
        if (t.sent[i].cmd == cmd)
            return &t.sent[i];
    fail_msg("nothing of command %d was sent", cmd);
    return NULL;
}

static inline void
final(int64_t now, const struct sent *s, enum err e)
{
    struct head_final h = { .req = s->req, .attempt = s->attempt, .code = (int64_t)e };

    frame(now, s->peer, CMD_FINAL, &h);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
