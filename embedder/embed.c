/* EMBED: texts → vectors of unit length.
 *
 *   call ─▶ order ─▶ cache (one Redis trip) ─▶ found ───────────────────────────┐
 *                     └▶ not found ─▶ flight in the air? ─▶ yes: wait for it ────┤─▶ all there: reply
 *                                       └▶ no: new flight ─▶ batch ─▶ provider ──┘
 *
 * EMBED_FREE is the same as long as nothing is paid for: else its reply says so, and has no vectors.
 * A flight is one distinct text (with model and dimensions) that is being embedded; others that want it wait,
 * so that a thousand equal questions cost one call. A batch is what one provider call carries; the order that
 * made it leads. When a leader's call fails in a way that may pass, one waiting order takes its flights over,
 * once; another failure is shared. A batch that nobody waits for any more is cancelled. Ownership: an order
 * owns its waiters, a batch its flights; both unlink themselves. An order ends when its last vector is there,
 * at its deadline, on cancel, or on a failure. */
#include <stdio.h>

#include "common/clock.h"
#include "common/digest.h"
#include "common/log.h"
#include "embedder/embed.h"
#include "embedder/span.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "vectors go over the bus as they are in memory");

#define BUCKETS 4096

struct waiter {
    struct order *order;
    size_t at;                   /* which of the order's texts */
    struct flight *flight;       /* NULL: served */
    struct waiter *next, **prev; /* flight->waiters */
};

struct flight {
    uint8_t key[32]; /* of model, dimensions, text */
    struct batch *batch;
    struct waiter *waiters;
    struct flight *next; /* same bucket */
    bool again;          /* was taken over once */
};

struct batch {
    struct embed_task t; /* first: task and batch are one block */
    struct embed *m;
    struct flight **flights; /* t.n of them */
    size_t n_waiters;        /* over all flights */
    uint64_t leader;         /* order id */
    bool ending, counted;    /* in on_done: not to be cancelled; the leader has its tokens */
};

struct order {
    struct embed *m;
    struct delivery *call;
    uint64_t id;
    size_t n, pending;      /* texts, and how many are not there yet */
    size_t dims;            /* 0: not known yet */
    float *vectors;         /* n × dims */
    struct waiter *waiters; /* n of them; flight NULL when not waiting */
    char model[129];
    int64_t ask_dims; /* as asked or configured; 0: the model's own */
    int64_t cached, tokens;
    int64_t upstream_us; /* the longest wait for the model server */
    int64_t begun_us;
    uint64_t timer;         /* deadline */
    uint64_t restart;       /* it begins anew in the next turn */
    bool use_cache, unsure; /* the model did not say what it took */
    bool unpaid;            /* EMBED_FREE of a model that is paid for: the cache or nothing */
    bool mixed, again;      /* vectors of two models came; it began anew for that, past the cache */
    const char *prefix;     /* stands before each text */
};

struct embed {
    struct embedder *e;
    struct embed_provider *p;
    struct flight *buckets[BUCKETS];
    size_t n_flights;
    uint64_t last_id;
};

/* ---- flights */
static void
flight_key(const struct order *j, struct str text, uint8_t out[32])
{
    char dims[24];
    struct str parts[4];

    snprintf(dims, sizeof dims, "%lld", (long long)j->ask_dims);
    parts[0] = (struct str){ j->model, strlen(j->model) + 1 };
    parts[1] = (struct str){ dims, strlen(dims) + 1 };
    parts[2] = text;
    sha256(parts, 3, out);
}

static struct flight **
flight_at(struct embed *m, const uint8_t key[32])
{
    uint32_t h;
    struct flight **p;

    memcpy(&h, key, sizeof h);
    for (p = &m->buckets[h % BUCKETS]; *p != NULL && memcmp((*p)->key, key, 32) != 0; p = &(*p)->next)
        ;
    return p;
}

static void
flight_free(struct embed *m, struct flight *f)
{
    struct flight **p = flight_at(m, f->key);

    if (*p == f)
        *p = f->next;
    m->n_flights--;
    mem_free(&f);
}

static void
wait_for(struct order *j, size_t at, struct flight *f)
{
    struct waiter *w = &j->waiters[at], **tail;

    for (tail = &f->waiters; *tail != NULL; tail = &(*tail)->next)
        ;
    *w = (struct waiter){ .order = j, .at = at, .flight = f, .prev = tail };
    *tail = w;
    if (f->batch)
        f->batch->n_waiters++;
}

static void
unwait(struct waiter *w)
{
    struct batch *b = w->flight->batch;

    *w->prev = w->next;
    if (w->next)
        w->next->prev = w->prev;
    w->flight = NULL;
    if (--b->n_waiters == 0 && !b->ending)
        b->t.p->cancel(&b->t);
}

/* ---- orders */
static void
order_free(struct order *j)
{
    loop_cancel(j->m->e->loop, &j->timer);
    loop_cancel(j->m->e->loop, &j->restart);
    for (size_t i = 0; i < j->n; i++)
        if (j->waiters[i].flight)
            unwait(&j->waiters[i]);
    mem_free(&j->waiters);
    mem_free(&j->vectors);
    mem_free(&j);
}

static void
order_fail(struct order *j, enum err err, int64_t retry_after_ms, const char *text)
{
    struct delivery *c = j->call;

    embed_took(c, 1, clock_us() - j->begun_us);
    c->on_cancel = NULL;
    order_free(j);
    worker_fail(c, err, retry_after_ms, text);
}

/* An order that has not all of its vectors would have to pay for the rest: its reply says so, and has none. */
static void
job_reply(struct order *j)
{
    char space[129] = "";
    struct embed_rep rep = { .tokens = j->tokens, .upstream_us = j->upstream_us, .vectors = STR("") };

    if (j->m->p->prefixes)
        embed_space_name(j->m->e->opt, j->model, space);
    else
        memcpy(space, j->model, sizeof space);
    rep.unsure = j->unsure;
    rep.model = str_of(space);
    if (j->pending == 0) {
        rep.dims = (int64_t)j->dims;
        rep.cached = j->cached;
        rep.vectors = (struct str){ (const char *)j->vectors, j->n * j->dims * sizeof *j->vectors };
    }
    embed_took(j->call, 0, clock_us() - j->begun_us);
    embed_span(j->call, &rep, j->n);
    j->call->on_cancel = NULL;
    worker_reply(j->call, &rep);
    order_free(j);
}

/* One vector is there. False: it does not fit the others (the order is then failed and gone). */
static bool
job_take(struct order *j, size_t at, const void *floats, size_t dims)
{
    if (j->dims == 0) {
        j->vectors = mem_try(j->n * dims * sizeof *j->vectors);
        if (!j->vectors) {
            order_fail(j, ERR_BUSY, 500, "not enough memory");
            return false;
        }
        j->dims = dims;
    }
    if (dims != j->dims) {
        j->mixed = true;
        j->pending--;
        return true;
    }
    memcpy(j->vectors + at * dims, floats, dims * sizeof *j->vectors);
    j->pending--;
    return true;
}

static void order_start(struct order *j);

static void
on_restart(void *arg)
{
    struct order *j = arg;

    j->restart = 0;
    order_start(j);
}

/* Its last vector is there. Vectors of a model that changed meanwhile are made anew, once, past the cache. */
static void
job_done(struct order *j)
{
    if (!j->mixed) {
        job_reply(j);
        return;
    }
    if (j->again) {
        order_fail(j, ERR_UPSTREAM_REPLY, 0, "vectors of different dimensions");
        return;
    }
    mem_free(&j->vectors);
    j->dims = 0;
    j->pending = j->n;
    j->cached = 0;
    j->mixed = j->use_cache = false;
    j->again = true;
    j->restart = loop_after(j->m->e->loop, 0, on_restart,
                            j); /* not among the flights that are just being served */
}

static void
on_cancel(struct delivery *c)
{
    order_fail(c->user, ERR_CANCELLED, 0, NULL);
}

static void
on_deadline(void *arg)
{
    struct order *j = arg;

    j->timer = 0;
    order_fail(j, ERR_DEADLINE, 0, "the vectors did not come in time");
}

/* ---- batches */
static void
batch_free(struct batch *b)
{
    for (size_t i = 0; i < b->t.n; i++) {
        char *text = (char *)(uintptr_t)b->t.texts[i].p;

        if (b->flights[i])
            flight_free(b->m, b->flights[i]);
        mem_free(&text);
    }
    mem_free(&b->t.vectors);
    mem_free(&b->t.texts);
    mem_free(&b->flights);
    mem_free(&b);
}

static void on_done(struct embed_task *t);

static struct batch *
batch_new(struct embed *m, const struct order *leader, size_t n)
{
    struct batch *b = mem_new(sizeof *b);
    const struct embed_req *req = leader->call->req;
    struct str trace = utf8_cut(str_of(leader->call->trace), sizeof b->t.trace - 1);

    b->m = m;
    b->leader = leader->id;
    b->flights = mem_new(n * sizeof *b->flights);
    b->t = (struct embed_task){ .e = m->e,
                                .p = m->p,
                                .dims = leader->ask_dims,
                                .documents = req->documents,
                                .fresh = req->fresh,
                                .deadline_ms = leader->call->deadline_ms,
                                .done = on_done };
    b->t.texts = mem_new(n * sizeof *b->t.texts);
    memcpy(b->t.model, leader->model, sizeof b->t.model);
    if (trace.n > 0)
        memcpy(b->t.trace, trace.p, trace.n);
    return b;
}

static void
batch_add(struct batch *b, struct flight *f, struct str text)
{
    size_t n = b->t.n++;

    b->t.texts[n] = (struct str){ mem_dup_str(text), text.n };
    b->flights[n] = f;
    f->batch = b;
    for (struct waiter *w = f->waiters; w != NULL; w = w->next)
        b->n_waiters++;
}

/* A job that came while the call was out waited for a part of it. */
static void
waited(struct order *j, const struct batch *b)
{
    int64_t since = clock_us() - j->begun_us, us = b->t.upstream_us < since ? b->t.upstream_us : since;

    if (us > j->upstream_us)
        j->upstream_us = us;
}

/* Give a vector to all who wait for it. */
static void
give_vector(struct batch *b, struct flight *f, const float *v)
{
    bool first = true;

    while (f->waiters) {
        struct order *j = f->waiters->order;
        size_t at = f->waiters->at;

        unwait(f->waiters);
        stat_add_at(&embedder_stats, EMBED_TEXTS, first ? SOURCE_MODEL : SOURCE_SHARED, 0, 1);
        first = false;
        waited(j, b);
        if (j->id == b->leader && !b->counted) {
            j->tokens += b->t.tokens;
            j->unsure |= b->t.tokens <= 0;
            b->counted = true;
        }
        if (job_take(j, at, v, b->t.out_dims) && j->pending == 0)
            job_done(j);
    }
}

static void
fail_waiters(struct flight *f, const struct embed_task *t, uint64_t only)
{
    struct waiter *w = f->waiters;

    while (w) {
        if (only != 0 && w->order->id != only) {
            w = w->next;
            continue;
        }
        order_fail(w->order, t->err, t->retry_after_ms, t->text);
        w = f->waiters; /* a failed order takes all its waiters along */
    }
}

/* The leader failed for a passing reason: those who still wait go on in a new batch, led by the first of them. */
static void
take_over(struct batch *b)
{
    struct batch *next = NULL;

    for (size_t i = 0; i < b->t.n; i++) {
        struct flight *f = b->flights[i];

        if (!f->waiters)
            continue;
        if (!next)
            next = batch_new(b->m, f->waiters->order, b->t.n);
        f->again = true;
        batch_add(next, f, b->t.texts[i]);
        b->flights[i] = NULL;
        for (const struct waiter *w = f->waiters; w != NULL; w = w->next)
            if (w->order->call->deadline_ms > next->t.deadline_ms)
                next->t.deadline_ms = w->order->call->deadline_ms;
    }
    if (!next)
        return;
    stat_inc(&embedder_stats, EMBED_PROMOTED);
    next->t.p->run(&next->t);
}

static void
batch_failed(struct batch *b)
{
    for (size_t i = 0; i < b->t.n; i++)
        fail_waiters(b->flights[i], &b->t, b->leader);
    for (size_t i = 0; i < b->t.n; i++)
        if (b->flights[i]->again || !err_retryable(b->t.err))
            fail_waiters(b->flights[i], &b->t, 0);
    take_over(b);
}

static void
on_done(struct embed_task *t)
{
    struct batch *b = (struct batch *)(void *)t;

    b->ending = true;
    if (t->err == ERR_OK) {
        if (!t->p->caches && (t->p->paid || !t->documents))
            embed_cache_put(t);
        for (size_t i = 0; i < t->n; i++)
            give_vector(b, b->flights[i], t->vectors + i * t->out_dims);
    } else if (t->err != ERR_CANCELLED || b->n_waiters > 0) {
        batch_failed(b);
    }
    batch_free(b);
}

/* ---- a call */
/* Copies what the cache has. False: the order failed and is gone. */
static bool
take_cached(struct order *j, const struct str *texts, bool *have)
{
    struct embed *m = j->m;
    struct arena *a = arena_new((size_t)64 << 20);
    struct cache_item *items = arena_alloc(a, j->n * sizeof *items);
    size_t now = j->ask_dims == 0 && m->p->dims_now != NULL ? m->p->dims_now(m->p, j->model) : 0;
    bool alive = true;

    for (size_t i = 0; items != NULL && i < j->n; i++)
        items[i].text = texts[i];
    if (items)
        embed_cache_get(m->e, a, j->model, j->ask_dims, items, j->n, j->unpaid);
    for (size_t i = 0; items != NULL && alive && i < j->n; i++) {
        const struct embed_found *f = &items[i].found;

        if (!f->floats || (j->dims != 0 && f->dims != j->dims) || (now != 0 && f->dims != now))
            continue;
        alive = job_take(j, i, f->floats, f->dims);
        have[i] = alive;
        j->cached += alive;
    }
    stat_add_at(&embedder_stats, EMBED_TEXTS, SOURCE_CACHE, 0, alive ? (uint64_t)j->cached : 0);
    if (alive && j->cached > 0 && m->p->check_dims)
        m->p->check_dims(m->p, j->model);
    arena_free(&a);
    return alive;
}

/* Join flights in the air, start new ones, and send the batches off. */
static void
embed_missing(struct order *j, const struct str *texts, const bool *have)
{
    struct embed *m = j->m;
    struct batch **batches = mem_new(j->n * sizeof *batches), *b = NULL;
    size_t bytes = 0, n_batches = 0;

    for (size_t i = 0; i < j->n; i++) {
        struct str text = texts[i];
        struct flight **at, *f;
        uint8_t key[32];

        if (have[i])
            continue;
        flight_key(j, text, key);
        at = flight_at(m, key);
        f = *at;
        if (!f) {
            f = *at = mem_new(sizeof *f);
            memcpy(f->key, key, sizeof key);
            m->n_flights++;
            if (!b || b->t.n >= m->p->max_texts || bytes + text.n > m->p->max_bytes) {
                b = batches[n_batches++] = batch_new(m, j, m->p->max_texts);
                bytes = 0;
            }
            batch_add(b, f, text);
            bytes += text.n;
        }
        wait_for(j, i, f);
    }
    for (size_t i = 0; i < n_batches; i++)
        m->p->run(&batches[i]->t);
    mem_free(&batches);
}

/* From the cache what it has, from the model the rest. */
static void
order_start(struct order *j)
{
    const struct embed_req *req = j->call->req;
    struct arena *a = arena_new((size_t)64 << 20);
    struct str *texts = req->texts.v;
    bool *have = mem_new(j->n * sizeof *have);

    if (j->prefix[0] != 0) {
        texts = arena_alloc(a, j->n * sizeof *texts);
        for (size_t i = 0; texts != NULL && i < j->n; i++)
            texts[i] = str_of(arena_printf(a, "%s" STR_FMT, j->prefix, STR_ARG(req->texts.v[i])));
        if (!texts || !texts[j->n - 1].p) {
            order_fail(j, ERR_VALIDATION, 0, "texts: too large");
            goto out;
        }
    }
    if (j->unpaid && j->m->p->doubts && j->m->p->doubts(j->m->p, j->model)) {
        job_reply(j);
    } else if (!j->use_cache || take_cached(j, texts, have)) {
        if (j->pending == 0)
            job_done(j);
        else if (j->unpaid)
            job_reply(j);
        else
            embed_missing(j, texts, have);
    }
out:
    arena_free(&a);
    mem_free(&have);
}

void
embed_on_call(struct delivery *c)
{
    const struct embed_req *req = c->req;
    const char *fault = embed_fault(req);
    char model[129];
    struct embed *m = embed_named(worker_ctx(c), req->model, model);
    struct order *j;

    if (!m)
        fault = "model: this deployment does not have it";
    if (fault) {
        worker_fail(c, ERR_VALIDATION, 0, fault);
        return;
    }
    j = mem_new(sizeof *j);
    *j = (struct order){ .m = m,
                         .call = c,
                         .id = ++m->last_id,
                         .n = req->texts.n,
                         .pending = req->texts.n,
                         .prefix = "",
                         .begun_us = clock_us(),
                         .ask_dims = req->dims > 0 ? req->dims : m->p->dims };
    j->unpaid = m->p->paid && c->kind == KIND_EMBED_FREE;
    j->use_cache = (m->p->paid || !req->documents) && !req->fresh;
    memcpy(j->model, model, sizeof j->model);
    if (m->p->prefixes)
        j->prefix = embed_prefix(m->e->opt, j->model, req->documents);
    j->waiters = mem_new(j->n * sizeof *j->waiters);
    j->timer = loop_after(m->e->loop, c->deadline_ms - clock_ms() > 0 ? c->deadline_ms - clock_ms() : 0,
                          on_deadline, j);
    c->user = j;
    c->on_cancel = on_cancel;
    order_start(j);
}

/* ---- life */
struct embed *
embed_new(struct embedder *e, struct embed_provider *p)
{
    struct embed *m = mem_new(sizeof *m);

    m->e = e;
    m->p = p;
    return m;
}

void
embed_stop(struct embed *m)
{
    if (m && m->p->stop)
        m->p->stop(m->p);
}

/* Calls in flight were answered before: the bus is gone, and so are the threads. */
void
embed_free(struct embed **m)
{
    if (!*m)
        return;
    (*m)->p->close((*m)->p);
    mem_free(m);
}

const struct embed_provider *
embed_provider_of(const struct embed *m)
{
    return m->p;
}

void
embed_sample(struct embed *m)
{
    stat_set(&embedder_stats, EMBED_FLIGHTS, (double)m->n_flights);
    if (m->p->sample)
        m->p->sample(m->p);
}
