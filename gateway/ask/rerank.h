/* Reranking (rerank.c): more passages than wanted are searched, weak ones too, and a reranker puts them in order. */
#ifndef GATEWAY_ASK_RERANK_H
#define GATEWAY_ASK_RERANK_H

#include "gateway/request/handler.h"

struct rerank_plan {
    bool on;       /* a reranker is there, and takes calls */
    int64_t top_k; /* passages that are wanted */
    bool all;      /* weak ones, too */
    bool asked;    /* the reranker was given passages */
};
/* Before the search: remembers what is wanted and widens the request. */
void rerank_plan(const struct request *r, struct search_req *req, struct rerank_plan *plan);
/* After it: the passages that are wanted, best first, from the request's arena. When the reranker fails or is
 * too slow, those that the search alone would have given. Sets plan->asked. */
const struct search_rep *rerank(struct request *r, struct held *held, struct rerank_plan *plan,
                                struct str query, const struct search_rep *found);

#endif
