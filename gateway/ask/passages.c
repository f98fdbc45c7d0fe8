/* Passages without an answer (passages.h): settings → embed → search → rerank (where a reranker is on the bus). When no
 * embedding can be had for a passing reason, the words alone are searched. */
#include "gateway/ask/passages.h"

#include "common/clock.h"
#include "gateway/ask/embed.h"
#include "gateway/ask/rerank.h"
#include "gateway/watch/epochs.h"
#include "gateway/watch/fallback.h"

#define SETTINGS_MS \
    300 /* they only say by which model: a store that is slow to tell keeps no search from its passages */

static enum err
find_settings(struct request *r, const struct passages *p, const struct collection **settings,
              struct outcome *a)
{
    int64_t deadline = clock_ms() + SETTINGS_MS;
    enum err e = collection_within(r, p->collection, deadline < r->deadline_ms ? deadline : r->deadline_ms,
                                   settings);

    if (e != ERR_NOT_FOUND || !p->named)
        return ERR_OK;
    *a = (struct outcome){ .err = e, .text = "there is no such collection" };
    return e;
}

enum err
passages_find(struct request *r, struct held *held, struct passages *p, struct outcome *a)
{
    struct search_req req = { .query = p->query,
                              .collections = { &p->collection, 1 },
                              .top_k = p->top_k,
                              .filter = p->filter,
                              .all = p->all };
    const struct collection *settings;
    struct rerank_plan plan;
    enum err e = find_settings(r, p, &settings, a);

    if (e != ERR_OK)
        return e;
    e = embed_question(r, held, settings, p->query, r->deadline_ms, &req, a, &p->degraded);
    if (e != ERR_OK && !err_retryable(e))
        return e;
    p->degraded = p->degraded || e != ERR_OK;
    rerank_plan(r, &req, &plan);
    e = api_call(r, held, KIND_SEARCH, &req, r->deadline_ms, a);
    if (e != ERR_OK)
        return e;
    p->found = rerank(r, held, &plan, p->query, a->msg);
    p->degraded = p->degraded || p->found->degraded;
    fallback_heard(p->found->degraded);
    return ERR_OK;
}
