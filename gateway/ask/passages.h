/* Passages of a collection that fit a question best, without an answer (passages.c): POST /search and the tool search of
 * MCP. */
#ifndef GATEWAY_ASK_PASSAGES_H
#define GATEWAY_ASK_PASSAGES_H

#include "gateway/request/handler.h"

struct passages {
    struct str query, filter; /* filter: compact JSON, or absent */
    struct str collection;    /* its name */
    int64_t top_k;            /* as many at most */
    bool named;               /* the collection must be there */
    bool all;                 /* weak ones, too */
    /* found */
    const struct search_rep *found;
    bool degraded; /* searched by words only */
};
/* Fills what is found; the passages live as long as *held. ERR_NOT_FOUND: a named collection is not there. On failure *a
 * says why. The limits come before it: services are asked. */
enum err passages_find(struct request *r, struct held *held, struct passages *p, struct outcome *a);

#endif
