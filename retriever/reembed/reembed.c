/* The second set of vectors. When the embedder has another model than a collection's vectors are of, one
 * retriever makes them anew:
 *
 *   which model? (model.h) ─▶ MODEL_CLAIM ─▶ documents that lack them ─▶ a round (round.c): texts ─▶ EMBED ─▶ MODEL_PUT ─┐
 *          ▲                    │ none lacks them ─▶ compared on stored questions (compare.c) ─▶ MODEL_SWITCH          │
 *          └────────────────────┴──────────────────────────────────────────────────────────────────────────────────────┘
 *
 * The store leases a collection to one retriever; the others take other ones. The vectors are in the store
 * at once, so that who takes over goes on where another was killed. Questions are embedded by the model in
 * use until the switch (gateway/ask/embed.c). The indexes follow the feed: a document that has both sets is
 * loaded anew. A server that fails is asked again after 1 to 30 s. */
#include "retriever/reembed/parts.h"

#include <stdio.h>

#include "common/log.h"
#include "retriever/model.h"

enum {
    FIRST_MS = 1000,
    IDLE_MS = 3000,
    TIDY_MS = 50,
    LEASE_MS = 15000,
    RENEW_MS = 4000,
    FAULT_FIRST_MS = 1000,
    FAULT_MAX_MS = 30000,
    CLAIM_MS = 5000
};

static void look(void *arg);

static void
let_go(struct reembed *b)
{
    if (b->round)
        loop_cancel(b->r->loop, &b->round->timer);
    round_free(&b->round);
    compare_free(&b->compare);
    arena_free(&b->arena);
    b->work = NULL;
    loop_cancel(b->r->loop, &b->renew);
}

static void
after(struct reembed *b, int64_t ms)
{
    if (!b->stopped)
        b->timer = loop_after(b->r->loop, ms, look, b);
}

void
reembed_next(struct reembed *b, int64_t ms)
{
    let_go(b);
    b->pause_ms = 0;
    b->error[0] = '\0';
    after(b, ms);
}

void
reembed_fault(struct reembed *b, enum err e, const char *why)
{
    static struct log_gate gate;

    b->pause_ms = b->pause_ms == 0                 ? FAULT_FIRST_MS
                  : 2 * b->pause_ms < FAULT_MAX_MS ? 2 * b->pause_ms
                                                   : FAULT_MAX_MS;
    (void)snprintf(b->error, sizeof b->error, "%s%s%.200s", err_name(e), why[0] ? ": " : "", why);
    if (b->work && log_gate(&gate))
        LOG(WARN, NULL, M("vectors of another model could not be made: this is tried again"),
            KS("collection", b->collection), KS("why", b->error), KI("pause_ms", b->pause_ms));
    stat_inc(&retriever_stats, RETRIEVER_REEMBED_FAULTS);
    let_go(b);
    after(b, b->pause_ms);
}

void
reembed_call(struct reembed *b, enum kind kind, const void *req, int64_t ms, reply_fn fn, void *arg)
{
    (void)worker_call(b->r->worker, NULL, kind, req, b->tenant, "", ms, fn, arg);
}

/* ---- the lease */

static void
on_renewed(void *arg, struct reply *r)
{
    struct reembed *b = arg;

    b->lost = b->lost || r->err == ERR_CONFLICT;
}

static void
renew(void *arg)
{
    struct reembed *b = arg;
    struct model_renew_req q = { .worker = str_of(worker_instance(b->r->worker)),
                                 .lease_ms = LEASE_MS,
                                 .tenant = str_of(b->tenant),
                                 .collection = str_of(b->collection) };

    b->renew = loop_after(b->r->loop, RENEW_MS, renew, b);
    reembed_call(b, KIND_MODEL_RENEW, &q, CLAIM_MS, on_renewed, b);
}

/* ---- claims */

static bool
take(struct reembed *b, struct reply *r)
{
    const struct model_claim_rep *w = r->rep;
    bool same = str_is(w->tenant, b->tenant) && str_is(w->collection, b->collection);

    if (w->tenant.n >= sizeof b->tenant || w->collection.n >= sizeof b->collection || w->model.n == 0 ||
        w->model.n > 128 || w->dims < 1 || w->dims > 4096)
        return false;
    b->work = w;
    b->arena = r->arena;
    r->arena = NULL;
    (void)snprintf(b->tenant, sizeof b->tenant, STR_FMT, STR_ARG(w->tenant));
    (void)snprintf(b->collection, sizeof b->collection, STR_FMT, STR_ARG(w->collection));
    b->lost = false;
    b->by_name = !reembed_is_own(b, w->model, w->dims);
    b->renew = loop_after(b->r->loop, RENEW_MS, renew, b);
    if (!same)
        LOG(INFO, NULL, M("vectors of another model are made"), KS("tenant", b->tenant),
            KS("collection", b->collection), KN("model", w->model), KI("dims", w->dims),
            KN("instead_of", w->space));
    return true;
}

/* Of more than one retriever each has room for about the same: ours speaks for all. */
static bool
has_room(struct reembed *b)
{
    struct engine *e = b->r->engine;
    size_t passages = 0;

    for (size_t i = 0; i < b->work->items.n; i++)
        passages += (size_t)(b->work->items.v[i].chunks > 0 ? b->work->items.v[i].chunks : 0);
    return engine_room(e, e->cost(e, 0, passages, (size_t)b->work->dims));
}

static void
on_claim(void *arg, struct reply *r)
{
    struct reembed *b = arg;
    const struct model_claim_rep *w = r->rep;

    if (r->err != ERR_OK) {
        reembed_fault(b, r->err, r->text);
    } else if (w->tenant.n == 0) {
        b->tenant[0] = b->collection[0] = b->after[0] = '\0';
        reembed_next(b, IDLE_MS);
    } else if (w->tidying) {
        b->after[0] = '\0';
        reembed_next(b, TIDY_MS);
    } else if (w->items.n == 0 && b->after[0]) { /* behind the last one: once more from the beginning */
        b->after[0] = '\0';
        reembed_next(b, 0);
    } else if (!take(b, r)) {
        reembed_fault(b, ERR_BAD_FRAME, "work that cannot be done");
    } else if (w->items.n == 0) {
        compare_begin(b);
    } else if (!has_room(b)) {
        b->pause_ms = FAULT_MAX_MS;
        reembed_fault(b, ERR_INDEX_FULL,
                      "the index has no room for a second set of vectors: raise INDEX_MAX_BYTES");
    } else {
        round_begin(b);
    }
}

static void
claim(struct reembed *b)
{
    struct model_claim_req q = { .worker = str_of(worker_instance(b->r->worker)),
                                 .lease_ms = LEASE_MS,
                                 .model = str_of(model_name(b->r->model)),
                                 .dims = (int64_t)model_dims(b->r->model),
                                 .keep_days = b->r->opt->reembed_keep,
                                 .limit = ROUND_TEXTS };

    if (b->after[0])
        q.after = str_of(b->after);
    if (b->error[0])
        q.error = str_of(b->error);
    reembed_call(b, KIND_MODEL_CLAIM, &q, CLAIM_MS, on_claim, b);
}

/* ---- which model */

bool
reembed_is_own(const struct reembed *b, struct str model, int64_t dims)
{
    return str_is(model, model_name(b->r->model)) && dims == (int64_t)model_dims(b->r->model);
}

/* Also while the embedder is away: then with the model of before, so that the store hears why it stands still. */
static void
on_model(void *arg, struct reply *r)
{
    struct reembed *b = arg;

    (void)r;
    if (b->stopped)
        return;
    if (model_name(b->r->model)[0])
        claim(b);
    else
        after(b, IDLE_MS);
}

static void
look(void *arg)
{
    struct reembed *b = arg;

    b->timer = 0;
    if (b->stopped)
        return;
    if (b->r->opt->reembed_rate == 0 || !worker_registered(b->r->worker) || !feed_caught_up(b->r->feed)) {
        after(b, IDLE_MS);
        return;
    }
    if (model_age_ms(b->r->model) < 1000 * b->r->opt->reembed_probe)
        claim(b);
    else
        model_ask(b->r->model, on_model, b);
}

/* ---- life */

struct reembed *
reembed_new(struct retriever *r)
{
    struct reembed *b = mem_new(sizeof *b);

    b->r = r;
    after(b, FIRST_MS);
    return b;
}

void
reembed_stop(struct reembed *b)
{
    b->stopped = true;
    loop_cancel(b->r->loop, &b->timer);
    loop_cancel(b->r->loop, &b->renew);
    if (b->round)
        loop_cancel(b->r->loop, &b->round->timer);
}

void
reembed_free(struct reembed **b)
{
    if (!*b)
        return;
    let_go(*b);
    mem_free(b);
}
