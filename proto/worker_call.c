/* Calls that a worker makes of other services, through a hub (worker.h). Each ends once: by its answer, its deadline, the loss of
 * its hub, or its caller's cancellation. */
#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/random.h"
#include "proto/bus.h"
#include "proto/worker_int.h"

static void
outgoing_end(struct outgoing *o, struct reply *r)
{
    reply_fn fn = o->fn;
    void *arg = o->arg;

    span_error(o->span, r->err == ERR_OK ? NULL : err_name(r->err));
    span_end(&o->span);
    loop_cancel(o->w->loop, &o->timer);
    *o->prev = o->next;
    if (o->next)
        o->next->prev = o->prev;
    mem_free(&o);
    if (!r->arena)
        r->arena = arena_new(4096);
    if (!r->text)
        r->text = "";
    fn(arg, r);
    arena_free(&r->arena);
}

static void
outgoing_cancel_sent(struct outgoing *o)
{
    struct head_cancel h = { o->req, 1 };

    if (o->conn)
        conn_send(o->conn, CMD_CANCEL, &h, NULL);
}

static void
on_outgoing_timeout(void *arg)
{
    struct outgoing *o = arg;
    struct reply r = { .err = o->err ? o->err : ERR_DEADLINE };

    o->timer = 0;
    if (!o->err)
        outgoing_cancel_sent(o);
    outgoing_end(o, &r);
}

/* A call that cannot be sent fails from the loop, never from inside worker_call. */
static void
outgoing_fail_soon(struct outgoing *o, enum err e)
{
    o->conn = NULL;
    o->err = e;
    loop_cancel(o->w->loop, &o->timer);
    o->timer = loop_after(o->w->loop, 0, on_outgoing_timeout, o);
}

static struct conn *
conn_for(struct worker *w, struct delivery *parent)
{
    if (parent)
        return ((struct incoming *)(void *)parent)->conn;
    for (size_t i = 0; i < w->n_conns; i++) {
        struct conn *c = w->conns[(w->next_id + i) % w->n_conns];

        if (c->state == CONN_REGISTERED)
            return c;
    }
    return NULL;
}

static enum err
outgoing_send(struct outgoing *o, const void *req, const char *tenant, const char *trace, int64_t ttl_ms)
{
    struct head_request h = {
        .req = o->req, .attempt = 1, .ttl_ms = ttl_ms, .kind = str_of(kind_names[o->kind])
    };
    struct buf b = BUF_MAX(kinds[o->kind].max_bytes);
    char context[TRACE_CONTEXT];
    struct blob *payload;
    bool sent;
    enum err e;

    h.trace = utf8_cut(str_of(trace), 128);
    h.tenant = utf8_cut(str_of(tenant), 64);
    if (o->span) {
        span_context(o->span, context);
        h.context = str_of(context);
    }
    if ((e = msg_encode(kinds[o->kind].req(), req, &b))) {
        LOG(ERROR, trace, M("a request does not fit"), KS("kind", kind_names[o->kind]),
            KS("why", msg_fault()));
        buf_free(&b);
        return e;
    }
    payload = blob_of_buf(&b);
    sent = conn_send(o->conn, CMD_REQUEST, &h, payload);
    blob_drop(&payload);
    return sent ? ERR_OK : ERR_NO_WORKER;
}

uint64_t
worker_call(struct worker *w, struct delivery *parent, enum kind kind, const void *req, const char *tenant,
            const char *trace, int64_t timeout_ms, reply_fn fn, void *arg)
{
    struct outgoing *o = mem_new(sizeof *o);
    enum err e = ERR_NO_WORKER;

    if (parent) {
        int64_t left = parent->deadline_ms - clock_ms();

        timeout_ms = left < timeout_ms ? left : timeout_ms;
        tenant = parent->tenant;
        trace = parent->trace;
    }
    *o = (struct outgoing){ .id = ++w->next_id, .kind = kind, .fn = fn, .arg = arg, .w = w, .next = w->out };
    o->span = parent ? span_child(worker_span(parent), SPAN_CLIENT, kind_names[kind]) : NULL;
    o->conn = conn_for(w, parent);
    random_bytes(&o->req, sizeof o->req);
    o->prev = &w->out;
    if (w->out)
        w->out->prev = &o->next;
    w->out = o;
    stat_add_at(&bus_stats, BUS_ASKED, kind, 0, 1);
    if (timeout_ms <= 0)
        e = ERR_DEADLINE;
    else if (o->conn)
        e = outgoing_send(o, req, tenant, trace, timeout_ms);
    if (e)
        outgoing_fail_soon(o, e);
    else
        o->timer = loop_after(w->loop, timeout_ms, on_outgoing_timeout, o);
    return o->id;
}

void
worker_call_cancel(struct worker *w, uint64_t id)
{
    for (struct outgoing *o = w->out; o; o = o->next)
        if (o->id == id) {
            outgoing_cancel_sent(o);
            loop_cancel(w->loop, &o->timer);
            *o->prev = o->next;
            if (o->next)
                o->next->prev = o->prev;
            span_error(o->span, err_name(ERR_CANCELLED));
            span_end(&o->span);
            mem_free(&o);
            return;
        }
}

void
worker_on_final(struct conn *c, const void *head, struct zmessage *m)
{
    const struct head_final *h = head;
    struct reply r = { .retry_after_ms = h->retry_after_ms > 0 ? h->retry_after_ms : 0 };
    struct outgoing *o = c->w->out;
    char text[401];

    while (o && !(o->conn == c && uuid_eq(&o->req, &h->req)))
        o = o->next;
    if (!o)
        return; /* cancelled or timed out here */
    r.err = err_known((int)h->code) ? (enum err)h->code : ERR_INTERNAL;
    if (r.err == ERR_OK && kinds[o->kind].rep()) {
        size_t n = m->payload ? zmq_msg_size(m->payload) : 0;
        void *rep;

        r.arena = arena_new(kinds[o->kind].max_bytes * 8 + (1u << 20));
        rep = arena_alloc(r.arena, kinds[o->kind].rep()->size);
        /* the callback may keep the arena: the bytes must live in it too */
        struct str copy = arena_str(r.arena, (struct str){ m->payload ? zmq_msg_data(m->payload) : "", n });

        r.err = copy.p ? msg_decode(kinds[o->kind].rep(), copy.p, copy.n, r.arena, rep) : ERR_BAD_FRAME;
        if (r.err) {
            stat_inc(&bus_stats, BUS_BAD_FRAMES);
            r.text = msg_fault();
        } else {
            r.rep = rep;
        }
    } else if (r.err != ERR_OK && h->text.n) {
        snprintf(text, sizeof text, STR_FMT, STR_ARG(h->text));
        r.text = text;
    }
    outgoing_end(o, &r);
}

/* Their hub is gone. */
void
worker_calls_lost(struct conn *c)
{
    for (struct outgoing *o = c->w->out; o; o = o->next)
        if (o->conn == c)
            outgoing_fail_soon(o, ERR_WORKER_LOST);
}
