/* Every document has the second set. This index reaches it, questions that people asked lately are searched
 * with both models, and the store switches in one step, unless a document came meanwhile that lacks it.
 *
 *   wait for the feed ─▶ EMBED the questions, twice ─▶ search, one at a time ─▶ overlap of the ten best ─▶ MODEL_SWITCH
 *
 * The overlap is for people: it says how much will change, not whether it is better. Without questions, or
 * without one of the models, the switch is made all the same. */
#include "retriever/reembed/parts.h"

#include "common/clock.h"
#include "common/log.h"

enum {
    CALL_MS = 10000,
    EMBED_MS = 30000,
    SEARCH_MS = 10000,
    FEED_MS = 50,
    TOP = 10,
    FIND_BYTES = 1 << 24,
    OLD = 0,
    NEW = 1
};

struct compare {
    struct reembed *b;
    struct arena *arena[2]; /* of the vectors' replies */
    const struct embed_rep *rep[2];
    size_t at; /* search: question × 2 + model */
    struct filter *filter;
    struct strs collections;
    struct str collection;
    struct engine_search *find; /* at the engine */
    struct arena *found;        /* of it */
    float *vector;              /* aligned copy */
    struct uuid best[TOP];      /* of the old model's */
    size_t n_best;
    double overlap; /* sum */
    size_t compared;
};

static void next_search(struct compare *x);

void
compare_free(struct compare **xp)
{
    struct compare *x = *xp;

    if (!x)
        return;
    arena_free(&x->arena[OLD]);
    arena_free(&x->arena[NEW]);
    arena_free(&x->found);
    filter_free(&x->filter);
    mem_free(&x->vector);
    mem_free(xp);
}

/* ---- the switch */

static void
on_switched(void *arg, struct reply *r)
{
    struct reembed *b = arg;
    const struct ack *rep = r->rep;

    if (r->err != ERR_OK && r->err != ERR_NOT_FOUND) {
        reembed_fault(b, r->err, r->text);
        return;
    }
    if (r->err == ERR_OK && rep->count > 0) { /* else it lacks something again, or went */
        stat_inc(&retriever_stats, RETRIEVER_SWITCHES);
        LOG(INFO, NULL, M("collection switched to another model"), KS("tenant", b->tenant),
            KS("collection", b->collection), KN("model", b->work->model), KI("dims", b->work->dims),
            KN("from", b->work->space), KI("seq", rep->seq), KI("compared", b->compare->compared),
            KI("overlap_percent",
               b->compare->compared
                   ? (int64_t)(100 * b->compare->overlap / (double)b->compare->compared + 0.5)
                   : 0));
    }
    reembed_next(b, 0);
}

static void
switch_now(struct compare *x)
{
    struct reembed *b = x->b;
    struct model_switch_req q = { .worker = str_of(worker_instance(b->r->worker)),
                                  .tenant = str_of(b->tenant),
                                  .collection = str_of(b->collection),
                                  .compared = (int64_t)x->compared };

    if (x->compared)
        q.overlap = x->overlap / (double)x->compared;
    reembed_call(b, KIND_MODEL_SWITCH, &q, CALL_MS, on_switched, b);
}

/* ---- searches */

static void
count(struct compare *x, const struct search_rep *found)
{
    size_t both = 0, most;

    if (x->at % 2 == OLD) {
        x->n_best = found->hits.n;
        for (size_t i = 0; i < found->hits.n; i++)
            x->best[i] = found->hits.v[i].chunk_id;
        return;
    }
    most = found->hits.n > x->n_best ? found->hits.n : x->n_best;
    for (size_t i = 0; i < found->hits.n; i++)
        for (size_t k = 0; k < x->n_best; k++)
            both += uuid_eq(&x->best[k], &found->hits.v[i].chunk_id);
    if (most == 0)
        return; /* neither finds anything: that says nothing */
    x->overlap += (double)both / (double)most;
    x->compared++;
}

static void
search_done(struct engine_search *s)
{
    struct compare *x = s->arg;

    if (s->err == ERR_OK)
        count(x, &s->found);
    else if (x->at % 2 == OLD)
        x->n_best = 0;
    x->at++;
    x->find = NULL;
    arena_free(&x->found);
    next_search(x);
}

static void
search_again(void *arg)
{
    next_search(arg);
}

static void
next_search(struct compare *x)
{
    struct reembed *b = x->b;
    struct engine *e = b->r->engine;
    size_t question = x->at / 2, set = x->at % 2;
    const struct embed_rep *rep = x->rep[set];

    if (b->stopped)
        return;
    if (question == b->work->questions.n) {
        switch_now(x);
        return;
    }
    x->found = arena_new(FIND_BYTES);
    x->find = arena_alloc(x->found, sizeof *x->find);
    memcpy(x->vector, rep->vectors.p + question * (size_t)rep->dims * sizeof(float),
           (size_t)rep->dims * sizeof(float));
    *x->find = (struct engine_search){ .query = { .tenant = str_of(b->tenant),
                                                  .collections = &x->collections,
                                                  .text = b->work->questions.v[question],
                                                  .vector = x->vector,
                                                  .dims = (size_t)rep->dims,
                                                  .model = rep->model,
                                                  .filter = x->filter,
                                                  .top_k = TOP,
                                                  .all = true },
                                       .arena = x->found,
                                       .deadline_ms = clock_ms() + SEARCH_MS,
                                       .done = search_done,
                                       .arg = x };
    if (e->search(e, x->find))
        return;
    x->find = NULL;
    arena_free(&x->found);
    (void)loop_after(b->r->loop, FEED_MS, search_again, x);
}

/* ---- vectors of the questions */

static bool
usable(const struct reembed *b, const struct embed_rep *rep, size_t set)
{
    struct str model = set == OLD ? b->work->space : b->work->model;
    int64_t dims = set == OLD ? b->work->space_dims : b->work->dims;

    return str_eq(rep->model, model) && rep->dims == dims && dims > 0 &&
           rep->vectors.n == b->work->questions.n * (size_t)dims * sizeof(float);
}

static void ask_vectors(struct compare *x, size_t set, reply_fn fn);

static void
on_vectors(struct compare *x, struct reply *r, size_t set)
{
    if (r->err == ERR_OK && usable(x->b, r->rep, set)) {
        x->rep[set] = r->rep;
        x->arena[set] = r->arena;
        r->arena = NULL;
    } else {
        LOG(INFO, NULL, M("the models are not compared: one of them cannot be asked"),
            KS("collection", x->b->collection), KS("error", err_name(r->err)), KS("text", r->text));
    }
}

static void
on_new(void *arg, struct reply *r)
{
    struct compare *x = arg;

    on_vectors(x, r, NEW);
    if (!x->rep[NEW]) {
        switch_now(x);
        return;
    }
    x->vector = mem_new(sizeof(float) * (size_t)(x->rep[OLD]->dims > x->rep[NEW]->dims ? x->rep[OLD]->dims
                                                                                       : x->rep[NEW]->dims));
    next_search(x);
}

static void
on_old(void *arg, struct reply *r)
{
    struct compare *x = arg;

    on_vectors(x, r, OLD);
    if (x->rep[OLD])
        ask_vectors(x, NEW, on_new);
    else
        switch_now(x);
}

static void
ask_vectors(struct compare *x, size_t set, reply_fn fn)
{
    const struct reembed *b = x->b;
    struct embed_req q = { .texts = b->work->questions };
    struct str model = set == OLD ? b->work->space : b->work->model;
    int64_t dims = set == OLD ? b->work->space_dims : b->work->dims;

    if (!reembed_is_own(b, model, dims)) {
        q.model = model;
        q.dims = dims;
    }
    reembed_call(x->b, KIND_EMBED, &q, EMBED_MS, fn, x);
}

/* ---- the line */

static bool
is_repair(const struct reembed *b)
{
    return str_eq(b->work->model, b->work->space) && b->work->dims == b->work->space_dims;
}

static void
wait_for_feed(void *arg)
{
    struct compare *x = arg;
    struct reembed *b = x->b;

    if (b->stopped)
        return;
    if (b->lost)
        reembed_next(b, 0);
    else if (feed_seq_of(b->r->feed, b->tenant, &x->collections) < b->work->seq)
        (void)loop_after(b->r->loop, FEED_MS, wait_for_feed, x);
    else if (b->work->questions.n == 0 || is_repair(b))
        switch_now(x);
    else
        ask_vectors(x, OLD, on_old);
}

void
compare_begin(struct reembed *b)
{
    struct compare *x = b->compare = mem_new(sizeof *x);
    const char *why;

    x->b = b;
    x->collection = str_of(b->collection);
    x->collections = (struct strs){ &x->collection, 1 };
    x->filter = filter_new(STR_NONE, &why);
    wait_for_feed(x);
}
