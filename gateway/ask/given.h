/* A question that came in another dialect than the chat API's (given.c). */
#ifndef GATEWAY_ASK_GIVEN_H
#define GATEWAY_ASK_GIVEN_H

#include "gateway/request/request.h"
#include "proto/msg.h"

struct turns {
    const struct turn *v;
    size_t n;
};

/* Already checked; slices are the caller's. */
struct given {
    struct str text, user, instructions, options, page_context, filter;
    struct str collection; /* absent: the caller's default */
    struct uuid session;   /* known to the caller, or made for it */
    struct uuid conversation_id;
    struct turns earlier; /* told by the caller */
    int64_t top_k;
    bool told, fresh, raw;
};

/* The session of a conversation of which the client names none: key, tenant, user and first question lead to it, for one use and
 * kind. No client can name it: it is of a version that is refused. */
struct uuid given_session(const struct request *r, const char *use, struct str user, const char *kind,
                          struct str first);

#endif
