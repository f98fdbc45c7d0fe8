/* The worker side of the bus: calls given and answered, drain. Calls made are in worker_call.c, connections in worker_conn.c.
 *
 *   REQUEST → incoming → handler → (PARTIAL…) FINAL | NACK
 */
#include "proto/worker.h"

#include <stdio.h>

#include "common/random.h"
#include "common/text/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "proto/worker_int.h"

#define TICK_MS 100
#define TTL_MAX_MS 600000 /* no call lives longer, whatever its header says */
#define DRAIN_ACK_MS 1000 /* longest wait for a hub to say that it knows */

struct stat_set bus_stats;

static const struct stat_def bus_stat_rows[] = {
#define STAT_TBL "proto/bus_stat.tbl"
#include "common/process/stat_rows.h"
#undef STAT_TBL
};

static void worker_tick(void *arg);

/* ---- calls we were given */

static void
incoming_free(struct incoming *in)
{
    struct worker *w = in->pub.worker;

    *in->prev = in->next;
    if (in->next)
        in->next->prev = in->prev;
    w->inflight[kinds[in->pub.kind].service]--;
    w->done_total[kinds[in->pub.kind].service]++;
    stat_observe_traced(&bus_stats, BUS_WORK, in->pub.kind, 0, (double)(clock_us() - in->start_us) / 1e6,
                        span_trace_id(in->span));
    span_end(&in->span);
    arena_free(&in->pub.arena);
    blob_drop(&in->payload);
    mem_free(&in);
}

static void
send_final(struct incoming *in, enum err e, int64_t retry_after_ms, const char *text, struct blob *payload)
{
    struct head_final h = { .req = in->req, .attempt = in->attempt, .code = (int64_t)e };

    h.retryable = err_retryable(e);
    h.retry_after_ms = retry_after_ms;
    h.work_ms = (clock_us() - in->start_us) / 1000;
    h.text = utf8_cut(str_of(text), 400);
    span_error(in->span, e == ERR_OK ? NULL : err_name(e));
    log_trace_id(span_trace_id(in->span));
    if (in->trace[0]) /* calls that no request caused (polls) would drown the rest */
        LOG(DEBUG, in->trace, M("call"), KS("kind", kind_names[in->pub.kind]), KS("result", err_name(e)),
            KI("ms", h.work_ms));
    log_trace_id(NULL);
    if (in->conn && !conn_send(in->conn, CMD_FINAL, &h, payload))
        in->conn->answer_lost = true;
}

void
worker_reply(struct delivery *c, const void *rep)
{
    struct incoming *in = (struct incoming *)(void *)c;
    struct buf b = BUF_MAX(kinds[c->kind].max_bytes);
    enum err e = msg_encode(kinds[c->kind].rep(), rep, &b);

    if (e) {
        LOG(ERROR, c->trace, M("a reply does not fit"), KS("kind", kind_names[c->kind]),
            KS("why", msg_fault()));
        buf_free(&b);
        worker_fail(c, ERR_INTERNAL, 0, "the answer is too large");
        return;
    }
    struct blob *payload = blob_of_buf(&b);
    send_final(in, ERR_OK, 0, NULL, payload);
    blob_drop(&payload);
    incoming_free(in);
}

void
worker_fail(struct delivery *c, enum err e, int64_t retry_after_ms, const char *text)
{
    struct incoming *in = (struct incoming *)(void *)c;

    stat_add_at(&bus_stats, BUS_FAILED, c->kind, 0, 1);
    send_final(in, e == ERR_OK ? ERR_INTERNAL : e, retry_after_ms, text, NULL);
    incoming_free(in);
}

void
worker_nack(struct delivery *c, const char *reason)
{
    struct incoming *in = (struct incoming *)(void *)c;
    struct head_nack h = { in->req, in->attempt, utf8_cut(str_of(reason), 64) };

    stat_add_at(&bus_stats, BUS_NACKED, c->kind, 0, 1);
    if (in->conn && !conn_send(in->conn, CMD_NACK, &h, NULL))
        in->conn->answer_lost = true;
    incoming_free(in);
}

bool
worker_part(struct delivery *c, const void *part)
{
    struct incoming *in = (struct incoming *)(void *)c;
    struct head_part h = { in->req, in->attempt, in->parts };
    struct buf b = BUF_MAX(kinds[c->kind].max_bytes);
    bool sent = false;

    if (in->conn && msg_encode(kinds[c->kind].part(), part, &b) == ERR_OK) {
        struct blob *payload = blob_of_buf(&b);

        sent = conn_send(in->conn, CMD_PARTIAL, &h, payload);
        blob_drop(&payload);
    }
    buf_free(&b);
    in->parts += sent;
    return sent;
}

void *
worker_ctx(const struct delivery *c)
{
    return c->worker->cfg.ctx;
}

struct span *
worker_span(const struct delivery *c)
{
    return ((const struct incoming *)(const void *)c)->span;
}

static struct incoming *
incoming_new(struct conn *c, const struct head_request *h, enum kind kind, zmq_msg_t *payload)
{
    struct worker *w = c->w;
    struct incoming *in = mem_new(sizeof *in);

    in->conn = c;
    in->req = h->req;
    in->attempt = h->attempt;
    in->start_us = clock_us();
    in->pub.worker = w;
    in->pub.kind = kind;
    in->pub.deadline_ms = clock_ms() + (h->ttl_ms < TTL_MAX_MS ? h->ttl_ms : TTL_MAX_MS) - BUS_MARGIN_MS;
    in->pub.arena = arena_new(kinds[kind].max_bytes * 4 + (4u << 20));
    snprintf(in->tenant, sizeof in->tenant, STR_FMT, STR_ARG(h->tenant));
    snprintf(in->trace, sizeof in->trace, STR_FMT, STR_ARG(h->trace));
    in->span = span_remote(h->context, kind_names[kind]);
    span_z(in->span, "footnote.request_id", in->trace);
    in->pub.tenant = in->tenant;
    in->pub.trace = in->trace;
    if (payload)
        in->payload = zframe_blob(payload);
    in->next = w->in;
    in->prev = &w->in;
    if (w->in)
        w->in->prev = &in->next;
    w->in = in;
    w->inflight[kinds[kind].service]++;
    stat_add_at(&bus_stats, BUS_CALLS, kind, 0, 1);
    return in;
}

static enum err
incoming_decode(struct incoming *in)
{
    const struct msg_desc *d = kinds[in->pub.kind].req();
    struct str s = blob_slice(in->payload);
    void *req;

    if (!d)
        return ERR_OK;
    if (s.n > kinds[in->pub.kind].max_bytes)
        return ERR_TOO_LARGE;
    if (!(req = arena_alloc(in->pub.arena, d->size)))
        return ERR_BUSY;
    in->pub.req = req;
    return msg_decode(d, s.p, s.n, in->pub.arena, req);
}

static void
on_request(struct conn *c, const void *head, struct zmessage *m)
{
    const struct head_request *h = head;
    int kind = kind_find(h->kind);
    struct incoming *in;
    enum err e;

    if (kind < 0 || !c->w->cfg.handlers[kind]) {
        struct head_final f = { .req = h->req, .attempt = h->attempt, .code = ERR_UNSUPPORTED };

        conn_send(c, CMD_FINAL, &f, NULL);
        return;
    }
    in = incoming_new(c, h, (enum kind)kind, m->payload);
    if (h->ttl_ms < BUS_LEAST_MS) {
        worker_nack(&in->pub, "too_late");
    } else if ((e = incoming_decode(in))) {
        stat_inc(&bus_stats, BUS_BAD_FRAMES);
        LOG(WARN, in->trace, M("request refused"), KS("kind", kind_names[kind]), KS("why", msg_fault()));
        worker_fail(&in->pub, e, 0, msg_fault());
    } else {
        c->w->cfg.handlers[kind](&in->pub);
    }
}

static void
on_cancel(struct conn *c, const void *head, struct zmessage *m)
{
    const struct head_cancel *h = head;

    (void)m;
    stat_inc(&bus_stats, BUS_CANCELLED);
    for (struct incoming *in = c->w->in; in; in = in->next)
        if (in->conn == c && uuid_eq(&in->req, &h->req) && in->attempt == h->attempt) {
            if (in->pub.on_cancel)
                in->pub.on_cancel(&in->pub);
            return;
        }
}

/* ---- what a hub sends */

static void
on_drain(struct conn *c, const void *head, struct zmessage *m)
{
    (void)head, (void)m;
    if (c->w->draining) {
        c->drain_acked = true; /* no work comes after this */
    } else {
        c->backoff_ms = 0; /* no failure: another one may be there at once */
        conn_lose(c, "the gateway is leaving");
    }
}

void
worker_on_message(struct conn *c, struct zmessage *m)
{
    static void (*const handlers[CMD_COUNT])(struct conn *, const void *, struct zmessage *) = {
        [CMD_REQUEST] = on_request,
        [CMD_CANCEL] = on_cancel,
        [CMD_FINAL] = worker_on_final,
        [CMD_DRAIN] = on_drain,
    };
    const struct msg_desc *d = bus_head_desc(m->cmd);
    struct arena *a;
    void *head;

    if (!d || !handlers[m->cmd]) {
        stat_inc(&bus_stats, BUS_BAD_FRAMES);
        return;
    }
    a = arena_new(8192);
    head = arena_alloc(a, d->size);
    if (msg_decode(d, m->head.p, m->head.n, a, head))
        stat_inc(&bus_stats, BUS_BAD_FRAMES);
    else
        handlers[m->cmd](c, head, m);
    arena_free(&a);
}

void
worker_on_conn_lost(struct conn *c)
{
    struct worker *w = c->w;

    worker_calls_lost(c);
    for (struct incoming *in = w->in, *next; in; in = next) {
        next = in->next;
        if (in->conn != c)
            continue;
        in->conn = NULL; /* the answer goes nowhere: tell the handler that it may stop */
        if (in->pub.on_cancel)
            in->pub.on_cancel(&in->pub);
    }
}

/* ---- life */

void
worker_check(const char *endpoints, bool curve, const char *secret_key, const char *hub_key, struct buf *err)
{
    check_endpoints("HUB_ENDPOINTS", endpoints, false, err);
    if (curve) {
        check_hex_key("BUS_SECRET_KEY", secret_key, err);
        check_hex_key("HUB_PUBLIC_KEY", hub_key, err);
    }
}

/* BUS_CURVE and its keys. */
static bool
curve_options(struct worker *w, const struct opt_set *opts)
{
    if (!opts || opt_find_int(opts, "BUS_CURVE") != 1)
        return true;
    w->curve = true;
    if (curve_parse(str_of(opt_find_str(opts, "BUS_SECRET_KEY")), &w->secret) &&
        curve_parse(str_of(opt_find_str(opts, "HUB_PUBLIC_KEY")), &w->hub_key))
        return true;
    LOG(ERROR, NULL,
        M("BUS_CURVE=on needs BUS_SECRET_KEY and HUB_PUBLIC_KEY, 64 hex digits each (make secrets)"));
    return false;
}

struct worker *
worker_new(struct loop *l, const struct worker_config *cfg)
{
    static bool registered;
    struct worker *w = mem_new(sizeof *w);

    if (!registered)
        stat_register(&bus_stats, bus_stat_rows, sizeof bus_stat_rows / sizeof *bus_stat_rows);
    registered = true;
    w->loop = l;
    w->cfg = *cfg;
    w->head = BUF_MAX(BUS_HEAD_MAX);
    for (size_t i = 0; i < cfg->n_services; i++)
        w->services[i] = cfg->services[i];
    loop_hook(l, conns_hook, w);
    if (!curve_options(w, cfg->opts) || !conns_init(w)) {
        worker_free(&w);
        return NULL;
    }
    w->tick = loop_after(l, TICK_MS, worker_tick, w);
    return w;
}

void
worker_free(struct worker **wp)
{
    struct worker *w = *wp;

    if (!w)
        return;
    loop_unhook(w->loop, conns_hook, w);
    loop_cancel(w->loop, &w->tick);
    while (w->out)
        worker_call_cancel(w, w->out->id);
    while (w->in)
        worker_fail(&w->in->pub, ERR_DRAINING, 0, NULL);
    conns_fini(w);
    buf_free(&w->head);
    mem_free(wp);
    bus_context_end();
}

bool
worker_registered(const struct worker *w)
{
    return conns_registered(w) > 0;
}

const char *
worker_instance(const struct worker *w)
{
    return w->instance_hex;
}

void
worker_set_capacity(struct worker *w, enum service_id id, long capacity)
{
    for (size_t i = 0; i < w->cfg.n_services; i++)
        if (w->services[i].id == id)
            w->services[i].capacity = capacity > 0 ? capacity : 0;
    conns_share(w);
}

void
worker_drain(struct worker *w, void (*done)(void *arg), void *arg)
{
    struct head_drain h = { STR_NONE };

    if (w->draining)
        return;
    w->draining = true;
    w->drain_done = done;
    w->drain_arg = arg;
    w->drain_end_ms = clock_ms() + w->cfg.drain_ms;
    for (size_t i = 0; i < w->n_conns; i++)
        if (w->conns[i]->state == CONN_REGISTERED)
            conn_send(w->conns[i], CMD_DRAIN, &h, NULL);
}

static bool
drain_acked(const struct worker *w, int64_t now)
{
    if (now > w->drain_end_ms - w->cfg.drain_ms + DRAIN_ACK_MS)
        return true;
    for (size_t i = 0; i < w->n_conns; i++)
        if (w->conns[i]->state == CONN_REGISTERED && !w->conns[i]->drain_acked)
            return false;
    return true;
}

static void
drain_tick(struct worker *w, int64_t now)
{
    struct head_disconnect h = { STR("drained") };

    if (w->drained || (w->in && now < w->drain_end_ms) || !drain_acked(w, now))
        return;
    w->drained = true;
    while (w->in)
        worker_fail(&w->in->pub, ERR_DRAINING, 0, "the service is stopping");
    for (size_t i = 0; i < w->n_conns; i++)
        if (w->conns[i]->state == CONN_REGISTERED)
            conn_send(w->conns[i], CMD_DISCONNECT, &h, NULL);
    w->drain_done(w->drain_arg);
}

static void
worker_tick(void *arg)
{
    struct worker *w = arg;
    int64_t now = clock_ms();
    long inflight = 0;

    w->tick = loop_after(w->loop, w->draining ? 10 : TICK_MS, worker_tick, w);
    for (size_t i = 0; i < w->n_conns; i++)
        conn_tick(w->conns[i], now);
    for (int i = 0; i < SERVICE_COUNT; i++)
        inflight += w->inflight[i];
    stat_set(&bus_stats, BUS_INFLIGHT, (double)inflight);
    resolve_tick(w, now);
    if (w->draining)
        drain_tick(w, now);
}
