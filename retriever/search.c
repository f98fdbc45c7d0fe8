/* SEARCH, and CITE for gateways of a build that did not cite by itself: checked in the loop, computed on a thread, answered in the loop. A task belongs to its call; the
 * caller's cancellation only saves work that has not begun. */
#include <math.h>
#include <stdatomic.h>

#include "cite/cite.h"
#include "common/clock.h"
#include "retriever/retriever.h"

enum { TOP_K_DEFAULT = 5 };

struct task {
    struct call *call;
    struct retriever *r;
    struct filter *filter;       /* owned; NULL for CITE */
    float *vector;               /* in the call's arena */
    struct index_query query;
    struct selected selected;    /* text absent: nothing was */
    struct hit place;            /* of it */
    struct search_rep found;
    struct cite_rep cited;
    enum err err;
    int64_t seq;                 /* what the index had reached when it began */
    int64_t started_us;
    atomic_bool cancelled;
};

static void
on_cancel(struct call *c)
{
    atomic_store(&((struct task *)c->user)->cancelled, true);
}

static void
search_work(void *arg)
{
    struct task *t = arg;

    if (atomic_load(&t->cancelled) || clock_ms() >= t->call->deadline_ms) {
        t->err = atomic_load(&t->cancelled) ? ERR_CANCELLED : ERR_DEADLINE;
        return;
    }
    struct words *w = words_new();

    t->err = index_search(t->r->index, w, &t->query, t->call->arena, &t->found);
    if (t->err == ERR_OK && t->selected.text.n > 0)
        t->err = index_near(t->r->index, w, &t->query, &t->selected, t->call->arena, &t->found);
    if (t->err == ERR_OK && t->selected.text.n > 0 &&
        index_select(t->r->index, w, &t->query, &t->selected, t->call->arena, &t->place)) {
        t->found.selected.v = &t->place;
        t->found.selected.n = 1;
    }
    words_free(&w);
}

static void
cite_work(void *arg)
{
    struct task *t = arg;

    if (atomic_load(&t->cancelled) || clock_ms() >= t->call->deadline_ms) {
        t->err = atomic_load(&t->cancelled) ? ERR_CANCELLED : ERR_DEADLINE;
        return;
    }
    struct words *w = words_new();
    struct cite_counts unused;

    t->err = cite_answer(t->call->req, w, t->call->arena, &t->cited, &unused);
    words_free(&w);
}

/* The task lives in the call's arena: both are gone after the answer. */
static void
task_answer(struct task *t, const void *rep)
{
    struct call *c = t->call;

    filter_free(&t->filter);
    c->on_cancel = NULL;
    if (t->err == ERR_OK)
        worker_reply(c, rep);
    else
        worker_fail(c, t->err, 0, t->err == ERR_INTERNAL ? "the search needs more memory than it may have" : NULL);
}

static void
search_done(void *arg)
{
    struct task *t = arg;

    stat_observe(&retriever_stats, RETRIEVER_SEARCH, (double)(clock_us() - t->started_us) / 1e6);
    if (t->err == ERR_OK && t->found.hits.n == 0)
        stat_inc(&retriever_stats, RETRIEVER_EMPTY);
    t->found.seq = t->seq;
    task_answer(t, &t->found);
}

static void
cite_done(void *arg)
{
    struct task *t = arg;

    task_answer(t, &t->cited);
}

static void
task_run(struct task *t, loop_fn work, loop_fn done)
{
    t->call->user = t;
    t->call->on_cancel = on_cancel;
    if (threads_run(t->r->searchers, work, done, t) == 0)
        return;
    struct call *c = t->call;

    filter_free(&t->filter);
    c->on_cancel = NULL;
    worker_nack(c, "every thread of the retriever is busy");
}

static struct task *
task_new(struct call *c)
{
    struct task *t = arena_alloc(c->arena, sizeof(*t));

    if (!t) {
        worker_fail(c, ERR_INTERNAL, 0, NULL);
        return NULL;
    }
    t->call = c;
    t->r = worker_ctx(c);
    t->started_us = clock_us();
    return t;
}

/* A finite vector of some length, scaled to length 1; else the reason why not. */
static const char *
take_vector(struct task *t, struct str raw)
{
    double norm = 0;
    size_t n = raw.n / sizeof(float);

    if (raw.n == 0)
        return NULL;
    if (raw.n % sizeof(float))
        return "vector: not whole float32 numbers";
    t->vector = arena_alloc(t->call->arena, raw.n);
    if (!t->vector)
        return "vector: too long";
    memcpy(t->vector, raw.p, raw.n);
    for (size_t i = 0; i < n; i++)
        norm += (double)t->vector[i] * t->vector[i];
    if (!isfinite(norm) || norm < 1e-12)
        return "vector: not finite, or all zero";
    norm = 1 / sqrt(norm);
    for (size_t i = 0; i < n; i++)
        t->vector[i] = (float)(t->vector[i] * norm);
    t->query.vector = t->vector;
    t->query.dims = n;
    return NULL;
}

static const char *
take_query(struct task *t, const struct search_req *q)
{
    const char *why = take_vector(t, q->vector);

    if (why)
        return why;
    if (!isfinite(q->threshold))
        return "threshold: not a number";
    t->filter = filter_new(q->filter, &why);
    t->query.tenant = str_of(t->call->tenant);
    t->query.collections = &q->collections;
    t->query.text = q->query;
    t->query.context = q->context;
    t->query.model = q->model;
    t->query.filter = t->filter;
    t->query.top_k = q->top_k > 0 && q->top_k <= 200 ? (size_t)q->top_k : q->top_k > 200 ? 200 : TOP_K_DEFAULT;
    t->query.threshold = q->threshold;
    t->query.all = q->all;
    t->selected = (struct selected){ q->selection, q->chapter, q->section };
    return why;
}

void
on_search(struct call *c)
{
    struct task *t = task_new(c);

    if (!t)
        return;
    const char *why = take_query(t, c->req);

    if (why) {
        stat_inc(&retriever_stats, RETRIEVER_REFUSED);
        filter_free(&t->filter);
        worker_fail(c, ERR_VALIDATION, 0, why);
        return;
    }
    t->seq = feed_seq_of(t->r->feed, c->tenant, t->query.collections);
    task_run(t, search_work, search_done);
}

void
on_cite(struct call *c)
{
    struct task *t = task_new(c);

    if (t)
        task_run(t, cite_work, cite_done);
}
