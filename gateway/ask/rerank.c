/* A reranker between search and answer (rerank.h). It is asked when an embedder with RERANK_URL is on the bus.
 *
 *   search: 4 x top_k passages, weak ones too → KIND_RERANK → order by its score → top_k
 *
 * A passage that the search takes for relevant stays one, whatever the reranker says of it: scores of
 * different models mean different things. A weak one becomes one from RERANK_SURE on, so that a reranker
 * turns refusals into answers and never the other way. */
#include "gateway/ask/rerank.h"

#include <math.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "gateway/admit/budget.h"
#include "gateway/ask/ask.h"

#define RERANK_MS 6000      /* over the longest RERANK_TIMEOUT of embedders: they end it */
#define RERANK_SURE 0.5     /* of a weak passage: more likely an answer than not */
#define RERANK_MOST 50      /* passages that a reranker is given */
#define RERANK_TIMES 4      /* of those that are wanted */
#define RERANK_BUSY_SHARE 2 /* of its capacity may be in use: above, questions go on without */

void
rerank_plan(const struct request *r, struct search_req *req, struct rerank_plan *plan)
{
    struct hub_view v;

    *plan = (struct rerank_plan){ .top_k = req->top_k > 0 ? req->top_k : 5, .all = req->all };
    hub_look(api_hub(r), &v);
    plan->on = v.service[SERVICE_RERANK].workers > 0 &&
               v.service[SERVICE_RERANK].outstanding * RERANK_BUSY_SHARE <=
                   v.service[SERVICE_RERANK].capacity;
    if (!plan->on)
        return;
    req->all = true;
    req->top_k = plan->top_k * RERANK_TIMES;
    if (req->top_k > RERANK_MOST)
        req->top_k = plan->top_k > RERANK_MOST ? plan->top_k : RERANK_MOST;
}

/* One call. NULL: it failed; the scores are little-endian float32, finite, 0 … 1. */
static const char *
scores_of(struct request *r, struct held *held, struct str query, const struct search_rep *found)
{
    struct rerank_req req = { .query = query };
    struct str *texts = arena_alloc(r->arena, (found->hits.n + 1) * sizeof *texts);
    int64_t deadline = clock_ms() + RERANK_MS;
    const struct rerank_rep *rep;
    struct outcome a;
    enum err e;

    if (!texts)
        return NULL;
    for (size_t i = 0; i < found->hits.n; i++)
        texts[i] = found->hits.v[i].text;
    req.texts = (struct strs){ texts, found->hits.n };
    e = budget_call(r, held, KIND_RERANK, &req, deadline < r->deadline_ms ? deadline : r->deadline_ms, &a);
    rep = a.msg;
    if (e == ERR_OK && rep->scores.n == found->hits.n * sizeof(float))
        return rep->scores.p;
    LOG(WARN, r->id, M("no reranking: the search's own order stands"), KS("code", err_name(e)));
    return NULL;
}

static double
score_at(const char *scores, size_t i)
{
    float f;

    memcpy(&f, scores + i * sizeof f, sizeof f);
    return isfinite(f) && f > 0 ? fmin(f, 1) : 0;
}

static int
by_score(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;

    return x->rerank != y->rerank ? (x->rerank < y->rerank) - (x->rerank > y->rerank)
                                  : (x->score < y->score) - (x->score > y->score);
}

const struct search_rep *
rerank(struct request *r, struct held *held, struct rerank_plan *plan, struct str query,
       const struct search_rep *found)
{
    size_t want = (size_t)plan->top_k, strong = (size_t)found->strong, n = 0;
    const char *scores;
    struct search_rep *out;
    struct hit *v;

    if (!plan->on)
        return found;
    out = arena_alloc(r->arena, sizeof *out);
    v = arena_alloc(r->arena, (found->hits.n + 1) * sizeof *v);
    if (!out || !v)
        return found;
    *out = *found;
    out->hits.v = v;
    plan->asked = found->hits.n > 0;
    scores = plan->asked ? scores_of(r, held, query, found) : NULL;
    for (size_t i = 0; i < found->hits.n; i++) {
        struct hit h = found->hits.v[i];

        h.rerank = scores ? score_at(scores, i) : 0;
        if (!plan->all && i >= strong && h.rerank < RERANK_SURE)
            continue;
        if (scores)
            h.score = fmax(h.rerank, i < strong ? h.score : 0);
        v[n++] = h;
    }
    if (scores)
        qsort(v, n, sizeof *v, by_score);
    out->hits.n = n < want ? n : want;
    if (plan->asked)
        ask_reranked(scores != NULL);
    return out;
}
