/* SEARCH, and CITE for gateways of a build that did not cite by itself: checked in the loop, found by the
 * engine, answered in the loop, now or later. A task belongs to its call; the caller's cancellation only
 * saves work that has not begun. */
#include <math.h>
#include <stdatomic.h>

#include "cite/cite.h"
#include "common/clock.h"
#include "common/process/threads.h"
#include "retriever/fallback.h"

enum { TOP_K_DEFAULT = 5, BEHIND_MS = 10 };

struct task {
    struct delivery *call;
    struct retriever *r;
    struct filter *filter;     /* owned; NULL for CITE */
    float *vector;             /* in the call's arena */
    struct engine_search find; /* at the engine; of CITE only cancelled and err are used */
    struct cite_rep cited;
    bool words;  /* it is asked of the index that stands in (fallback.h) */
    int64_t seq; /* the change that the index had reached when it began */
    int64_t started_us;
};

static void
on_cancel(struct delivery *c)
{
    struct task *t = c->user;

    atomic_store(&t->find.cancelled, true);
}

static void
cite_work(void *arg)
{
    struct task *t = arg;

    if (atomic_load(&t->find.cancelled) || clock_ms() >= t->call->deadline_ms) {
        t->find.err = atomic_load(&t->find.cancelled) ? ERR_CANCELLED : ERR_DEADLINE;
        return;
    }
    struct words *w = words_new();
    struct cite_counts unused;

    t->find.err = cite_answer(t->call->req, w, t->call->arena, &t->cited, &unused);
    words_free(&w);
}

/* The task lives in the call's arena: both are gone after the answer. */
static void
task_answer(struct task *t, const void *rep)
{
    struct delivery *c = t->call;

    filter_free(&t->filter);
    c->on_cancel = NULL;
    if (t->find.err == ERR_OK)
        worker_reply(c, rep);
    else
        worker_fail(c, t->find.err, 0, t->find.text);
}

static struct str
id_at(const void *hits, size_t i)
{
    static _Thread_local char id[37];

    return str_of(uuid_text(&((const struct hit *)hits)[i].document_id, id));
}

static double
score_at(const void *hits, size_t i)
{
    return ((const struct hit *)hits)[i].score;
}

/* The trace: which documents were found, and how good they are; no text of them. */
static void
trace_found(struct span *span, const struct task *t)
{
    const struct search_rep *rep = &t->find.found;

    span_int(span, "footnote.passages", (int64_t)rep->hits.n);
    span_strs(span, "footnote.document_ids", rep->hits.n, id_at, rep->hits.v);
    span_nums(span, "footnote.scores", rep->hits.n, score_at, rep->hits.v);
}

static void search_words(struct task *t);

static void
search_done(struct engine_search *s)
{
    struct task *t = s->arg;

    if (!t->words && fallback_told(t->r->fallback, s, t->call->deadline_ms)) {
        search_words(t);
        return;
    }
    stat_observe_traced(&retriever_stats, RETRIEVER_SEARCH, 0, 0, (double)(clock_us() - t->started_us) / 1e6,
                        span_trace_id(worker_span(t->call)));
    if (s->err == ERR_OK && s->found.hits.n == 0)
        stat_inc(&retriever_stats, RETRIEVER_EMPTY);
    s->found.seq = t->seq;
    s->found.degraded = t->words;
    if (worker_span(t->call))
        trace_found(worker_span(t->call), t);
    task_answer(t, &s->found);
}

static void
cite_done(void *arg)
{
    struct task *t = arg;

    task_answer(t, &t->cited);
}

static void
task_busy(struct task *t)
{
    struct delivery *c = t->call;

    filter_free(&t->filter);
    c->on_cancel = NULL;
    worker_nack(c, "the retriever has too much to do");
}

static struct task *
task_new(struct delivery *c)
{
    struct task *t = arena_alloc(c->arena, sizeof *t);

    if (!t) {
        worker_fail(c, ERR_INTERNAL, 0, NULL);
        return NULL;
    }
    t->call = c;
    t->r = worker_ctx(c);
    t->started_us = clock_us();
    c->user = t;
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
    t->find.query.vector = t->vector;
    t->find.query.dims = n;
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
    t->find.query.tenant = str_of(t->call->tenant);
    t->find.query.collections = &q->collections;
    t->find.query.text = q->query;
    t->find.query.context = q->context;
    t->find.query.model = q->model;
    t->find.query.filter = t->filter;
    t->find.query.top_k = q->top_k > 0 && q->top_k <= 200 ? (size_t)q->top_k
                          : q->top_k > 200                ? 200
                                                          : TOP_K_DEFAULT;
    t->find.query.threshold = q->threshold;
    t->find.query.all = q->all;
    t->find.selected = (struct engine_selected){ q->selection, q->chapter, q->section };
    return why;
}

static void search_begin(void *arg);

/* A switch to vectors that this index does not have yet, all of them: a moment later, or, when it takes
 * longer than an attempt may, somewhere else. */
static bool
is_behind(struct task *t)
{
    const struct search_req *q = t->call->req;

    t->seq = feed_seq_of(t->r->feed, t->call->tenant, t->find.query.collections);
    if (t->seq >= q->after || clock_ms() >= t->call->deadline_ms || atomic_load(&t->find.cancelled))
        return false;
    (void)loop_after(t->r->loop, BEHIND_MS, search_begin, t);
    return true;
}

/* By words only, in the index that stands in: what the engine may have found is forgotten. */
static void
search_words(struct task *t)
{
    struct engine_search *s = &t->find;
    struct engine *e = fallback_engine(t->r->fallback);

    t->words = true;
    t->seq = feed_seq_of(fallback_feed(t->r->fallback), t->call->tenant, s->query.collections);
    stat_inc(&retriever_stats, RETRIEVER_FALLBACKS);
    s->query.vector = NULL;
    s->query.dims = 0;
    s->deadline_ms = t->call->deadline_ms;
    s->err = ERR_OK;
    s->text = NULL;
    s->found = (struct search_rep){ .strong = 0 };
    s->place = (struct hit){ .score = 0 };
    if (!e->search(e, s))
        task_busy(t);
}

static void
search_begin(void *arg)
{
    struct task *t = arg;
    struct engine *e = t->r->engine;

    if (fallback_stands_in(t->r->fallback)) {
        search_words(t);
        return;
    }
    if (is_behind(t))
        return;
    t->find.deadline_ms = fallback_patience(t->r->fallback, t->call->deadline_ms);
    if (!e->search(e, &t->find))
        task_busy(t);
}

void
on_search(struct delivery *c)
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
    t->find.arena = c->arena;
    t->find.deadline_ms = c->deadline_ms;
    t->find.done = search_done;
    t->find.arg = t;
    c->on_cancel = on_cancel;
    search_begin(t);
}

void
on_cite(struct delivery *c)
{
    struct task *t = task_new(c);

    if (!t)
        return;
    c->on_cancel = on_cancel;
    if (threads_run(t->r->searchers, cite_work, cite_done, t) != 0)
        task_busy(t);
}
