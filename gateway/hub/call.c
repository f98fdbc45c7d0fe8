/* One call of a service, seen by the thread that makes it (hub.h).
 *
 *   hub_call: encode → hub_put ──► hub thread … call_add_part, call_finish ──► call_wait: decode
 *
 * A call is shared by two threads: its HTTP thread may give up first, so it is reference-counted. Replies are decoded on
 * the HTTP thread; what was decoded borrows from its payload, which the call keeps: of parts the last one. */
#include "gateway/hub/call_int.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/process/cond.h"
#include "gateway/hub/stat.h"

#define PARTS_MAX 65536 /* streamed parts that may wait for their HTTP thread */

/* For a message, decoded. */
static size_t
arena_most(enum kind kind)
{
    return kinds[kind].max_bytes * 8 + (1u << 20);
}

/* The part that the caller had is done with: an answer of a thousand parts needs the room of one. */
static void
part_end(struct call *q)
{
    if (!q->part)
        return;
    arena_free(&q->arena);
    q->arena = arena_new(arena_most(q->kind));
    blob_drop(&q->part);
}

void
call_unref(struct call *q)
{
    if (atomic_fetch_sub(&q->refs, 1) != 1)
        return;
    while (q->parts) {
        struct part *p = q->parts;

        q->parts = p->next;
        blob_drop(&p->payload);
        mem_free(&p);
    }
    blob_drop(&q->part);
    span_end(&q->span);
    arena_free(&q->arena);
    blob_drop(&q->payload);
    blob_drop(&q->request);
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->wake);
    mem_free(&q);
}

/* The caller is woken after the lock is free: else it runs at once, into the lock, and sleeps again. It may
 * free its call at any time; its waker holds a reference of its own. */
void
call_finish(struct call *q, enum err e, struct blob *payload, struct str text, int64_t retry_after_ms)
{
    bool ends;

    pthread_mutex_lock(&q->lock);
    if ((ends = !q->done)) {
        q->done = true;
        q->err = e;
        q->payload = blob_hold(payload);
        q->retry_after_ms = retry_after_ms;
        snprintf(q->text, sizeof q->text, STR_FMT, STR_ARG(text));
        span_error(q->span, e == ERR_OK ? NULL : err_name(e));
        span_stop(q->span);
    }
    pthread_mutex_unlock(&q->lock);
    if (ends)
        pthread_cond_signal(&q->wake);
}

/* On the hub thread: one more part of the answer. An answer with a hole is none: one that is read too slowly fails as a
 * whole, after the parts that came; the worker hears of it when the call is freed. */
void
call_add_part(struct call *q, struct blob *payload)
{
    struct part *p;
    bool full;

    pthread_mutex_lock(&q->lock);
    full = !q->done && q->n_parts >= PARTS_MAX;
    if (!q->done && !full) {
        p = mem_new(sizeof *p);
        p->payload = blob_hold(payload);
        *q->parts_tail = p;
        q->parts_tail = &p->next;
        q->n_parts++;
    }
    q->overrun |= full;
    pthread_mutex_unlock(&q->lock);
    if (!full) {
        pthread_cond_signal(&q->wake);
        return;
    }
    stat_inc(&hub_stats, HUB_OVERRUN);
    LOG(WARN, q->trace, M("an answer was not read as fast as it came"), KS("kind", kind_names[q->kind]));
    call_finish(q, ERR_BUSY, NULL, STR("the answer was not read in time"), 0);
}

static struct call *
make(struct hub *h, enum kind kind, const void *req, const char *tenant, const char *trace,
     int64_t deadline_ms, bool once)
{
    struct call *q = mem_new(sizeof *q);
    struct buf b = BUF_MAX(kinds[kind].max_bytes);
    enum err e;

    q->hub = h;
    q->kind = kind;
    q->once = once;
    atomic_init(&q->refs, 1);
    pthread_mutex_init(&q->lock, NULL);
    cond_init(&q->wake);
    q->parts_tail = &q->parts;
    q->deadline_ms = deadline_ms;
    q->arena = arena_new(arena_most(kind));
    snprintf(q->tenant, sizeof q->tenant, "%s", tenant ? tenant : "");
    snprintf(q->trace, sizeof q->trace, "%s", trace ? trace : "");
    q->span = span_child(trace_current(), SPAN_CLIENT, kind_names[kind]);
    span_context(q->span, q->context);
    if ((e = msg_encode(kinds[kind].req(), req, &b))) {
        LOG(WARN, trace, M("a request does not fit the bus"), KS("kind", kind_names[kind]),
            KS("why", msg_fault()));
        buf_free(&b);
        call_finish(q, e, NULL, str_of(msg_fault()), 0);
        return q;
    }
    q->request = blob_of_buf(&b);
    hub_put(h, q, false);
    return q;
}

struct call *
hub_call(struct hub *h, enum kind kind, const void *req, const char *tenant, const char *trace,
         int64_t deadline_ms)
{
    return make(h, kind, req, tenant, trace, deadline_ms, false);
}

struct call *
hub_call_once(struct hub *h, enum kind kind, const void *req, const char *tenant, const char *trace,
              int64_t deadline_ms)
{
    return make(h, kind, req, tenant, trace, deadline_ms, true);
}

/* Decode on the caller's thread; the message borrows from the payload. */
static enum err
decode(const struct msg_desc *d, const struct blob *payload, struct arena *a, const void **out)
{
    struct str s = blob_slice(payload);
    void *msg;
    enum err e;

    *out = NULL;
    if (!d)
        return ERR_OK;
    if (!(msg = arena_alloc(a, d->size)))
        return ERR_BUSY;
    if ((e = msg_decode(d, s.p, s.n, a, msg)) == ERR_OK)
        *out = msg;
    return e;
}

static enum call_event
call_ended(struct call *q, struct outcome *out)
{
    *out = (struct outcome){ .err = q->err, .text = q->text, .retry_after_ms = q->retry_after_ms };
    pthread_mutex_unlock(&q->lock);
    if (out->err == ERR_OK && (out->err = decode(kinds[q->kind].rep(), q->payload, q->arena, &out->msg)))
        out->text = msg_fault();
    return CALL_DONE;
}

static enum call_event
call_took_part(struct call *q, struct outcome *out)
{
    struct part *p = q->parts;
    enum err e;

    q->parts = p->next;
    if (!q->parts)
        q->parts_tail = &q->parts;
    q->n_parts--;
    pthread_mutex_unlock(&q->lock);
    *out = (struct outcome){ .text = "" };
    q->part = p->payload;
    mem_free(&p);
    e = decode(kinds[q->kind].part(), q->part, q->arena, &out->msg);
    if (e == ERR_OK)
        return CALL_PART;
    out->err = e;
    out->text = msg_fault();
    return CALL_DONE;
}

enum call_event
call_wait(struct call *q, int64_t wake_ms, struct outcome *out)
{
    part_end(q);
    pthread_mutex_lock(&q->lock);
    for (;;) {
        int64_t now, until = wake_ms < q->deadline_ms ? wake_ms : q->deadline_ms;

        if (q->parts)
            return call_took_part(q, out);
        if (q->done)
            return call_ended(q, out);
        if ((now = clock_ms()) >= until) {
            pthread_mutex_unlock(&q->lock);
            *out = (struct outcome){ .err = now >= q->deadline_ms ? ERR_DEADLINE : ERR_OK, .text = "" };
            return out->err ? CALL_DONE : CALL_IDLE;
        }
        (void)cond_wait(&q->wake, &q->lock, until);
    }
}

void
call_free(struct call **qp)
{
    struct call *q = *qp;
    bool running;

    *qp = NULL;
    if (!q)
        return;
    pthread_mutex_lock(&q->lock);
    running = !q->done || q->overrun;
    q->done = true; /* later parts and the end are dropped */
    pthread_mutex_unlock(&q->lock);
    if (running)
        hub_put(q->hub, q, true);
    call_unref(q);
}

enum err
call_once(struct hub *h, enum kind kind, const void *req, const char *tenant, const char *trace,
          int64_t deadline_ms, struct call **q, struct outcome *out)
{
    *q = hub_call(h, kind, req, tenant, trace, deadline_ms);
    while (call_wait(*q, INT64_MAX, out) == CALL_PART)
        ;
    return out->err;
}
