/* One question to a service, seen by the thread that asks (hub.h).
 *
 *   hub_ask: encode → hub_put ──► hub thread … ask_add_part, ask_finish ──► ask_wait: decode
 *
 * An ask is shared by two threads: its HTTP thread may give up first, so it is reference-counted. Replies are decoded on
 * the HTTP thread; what was decoded borrows from its payload, which the ask keeps. */
#include "gateway/hub/call_int.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "gateway/hub/stat.h"

#define PARTS_MAX 65536 /* streamed parts that may wait for their HTTP thread */

void
ask_unref(struct ask *q)
{
    if (atomic_fetch_sub(&q->refs, 1) != 1)
        return;
    while (q->parts) {
        struct part *p = q->parts;

        q->parts = p->next;
        blob_drop(&p->payload);
        mem_free(&p);
    }
    arena_free(&q->arena);
    for (size_t i = 0; i < q->n_held; i++)
        blob_drop(&q->held[i]);
    mem_free(&q->held);
    blob_drop(&q->payload);
    blob_drop(&q->request);
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->wake);
    mem_free(&q);
}

/* The asker is woken after the lock is free: else it runs at once, into the lock, and sleeps again. It may free its ask at any
 * time; who wakes it holds a reference of his own. */
void
ask_finish(struct ask *q, enum err e, struct blob *payload, struct str text, int64_t retry_after_ms)
{
    bool ends;

    pthread_mutex_lock(&q->lock);
    if ((ends = !q->done)) {
        q->done = true;
        q->err = e;
        q->payload = blob_hold(payload);
        q->retry_after_ms = retry_after_ms;
        snprintf(q->text, sizeof q->text, STR_FMT, STR_ARG(text));
    }
    pthread_mutex_unlock(&q->lock);
    if (ends)
        pthread_cond_signal(&q->wake);
}

/* On the hub thread: one more part of the answer. An answer with a hole is none: one that is read too slowly fails as a
 * whole, after the parts that came; the worker hears of it when the ask is freed. */
void
ask_add_part(struct ask *q, struct blob *payload)
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
    ask_finish(q, ERR_BUSY, NULL, STR("the answer was not read in time"), 0);
}

struct ask *
hub_ask(struct hub *h, enum kind kind, const void *req, const char *tenant, const char *trace, int64_t deadline_ms)
{
    struct ask *q = mem_new(sizeof *q);
    struct buf b = BUF_MAX(kinds[kind].max_bytes);
    pthread_condattr_t attr;
    enum err e;

    q->hub = h;
    q->kind = kind;
    atomic_init(&q->refs, 1);
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&q->wake, &attr);
    pthread_condattr_destroy(&attr);
    q->parts_tail = &q->parts;
    q->deadline_ms = deadline_ms;
    q->arena = arena_new(kinds[kind].max_bytes * 8 + (1u << 20));
    snprintf(q->tenant, sizeof q->tenant, "%s", tenant ? tenant : "");
    snprintf(q->trace, sizeof q->trace, "%s", trace ? trace : "");
    if ((e = msg_encode(kinds[kind].req(), req, &b))) {
        LOG(WARN, trace, M("a request does not fit the bus"), KS("kind", kind_names[kind]), KS("why", msg_fault()));
        buf_free(&b);
        ask_finish(q, e, NULL, str_of(msg_fault()), 0);
        return q;
    }
    q->request = blob_of_buf(&b);
    hub_put(h, q, false);
    return q;
}

static void
hold(struct ask *q, struct blob *b)
{
    q->held = mem_resize(q->held, (q->n_held + 1) * sizeof *q->held);
    q->held[q->n_held++] = b;
}

/* Decode on the asking thread; the message borrows from the payload, which the ask keeps. */
static enum err
ask_decode(struct ask *q, const struct msg_desc *d, struct blob *payload, const void **out)
{
    struct str s = blob_slice(payload);
    void *msg;
    enum err e;

    *out = NULL;
    if (payload)
        hold(q, payload);
    if (!d)
        return ERR_OK;
    if (!(msg = arena_alloc(q->arena, d->size)))
        return ERR_BUSY;
    if ((e = msg_decode(d, s.p, s.n, q->arena, msg)) == ERR_OK)
        *out = msg;
    return e;
}

static enum ask_event
ask_ended(struct ask *q, struct answer *out)
{
    struct blob *payload = q->payload;

    q->payload = NULL;
    *out = (struct answer){ .err = q->err, .text = q->text, .retry_after_ms = q->retry_after_ms };
    pthread_mutex_unlock(&q->lock);
    if (out->err == ERR_OK && (out->err = ask_decode(q, kinds[q->kind].rep(), payload, &out->msg)))
        out->text = msg_fault();
    return ASK_DONE;
}

static enum ask_event
ask_took_part(struct ask *q, struct answer *out)
{
    struct part *p = q->parts;
    enum err e;

    q->parts = p->next;
    if (!q->parts)
        q->parts_tail = &q->parts;
    q->n_parts--;
    pthread_mutex_unlock(&q->lock);
    *out = (struct answer){ .text = "" };
    e = ask_decode(q, kinds[q->kind].part(), p->payload, &out->msg);
    mem_free(&p);
    if (e == ERR_OK)
        return ASK_PART;
    out->err = e;
    out->text = msg_fault();
    return ASK_DONE;
}

enum ask_event
ask_wait(struct ask *q, int64_t wake_ms, struct answer *out)
{
    pthread_mutex_lock(&q->lock);
    for (;;) {
        int64_t now, until = wake_ms < q->deadline_ms ? wake_ms : q->deadline_ms;
        struct timespec ts;

        if (q->parts)
            return ask_took_part(q, out);
        if (q->done)
            return ask_ended(q, out);
        if ((now = clock_ms()) >= until) {
            pthread_mutex_unlock(&q->lock);
            *out = (struct answer){ .err = now >= q->deadline_ms ? ERR_DEADLINE : ERR_OK, .text = "" };
            return out->err ? ASK_DONE : ASK_IDLE;
        }
        ts = (struct timespec){ until / 1000, (until % 1000) * 1000000 };
        pthread_cond_timedwait(&q->wake, &q->lock, &ts);
    }
}

void
ask_free(struct ask **qp)
{
    struct ask *q = *qp;
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
    ask_unref(q);
}

enum err
ask_once(struct hub *h, enum kind kind, const void *req, const char *tenant, const char *trace, int64_t deadline_ms,
         struct ask **q, struct answer *out)
{
    *q = hub_ask(h, kind, req, tenant, trace, deadline_ms);
    while (ask_wait(*q, INT64_MAX, out) == ASK_PART)
        ;
    return out->err;
}
