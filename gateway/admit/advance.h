/* Tokens of busy limits, taken from Redis in advance (advance.c). Thread-safe; every function accepts NULL for "off". */
#ifndef GATEWAY_ADMIT_ADVANCE_H
#define GATEWAY_ADMIT_ADVANCE_H

#include "gateway/admit/limit.h"

struct advance;
struct gateway;

/* With its thread; NULL after logging why. */
struct advance *advance_start(struct gateway *gw);
void advance_stop(struct advance **a); /* what is left goes back to Redis */

/* The buckets of a request: key[i] of policy s->p[i], id[i] its number in any table (limiter_id). */
struct advance_ask {
    const uint64_t *id;
    const char (*key)[LIMIT_KEY];
    struct limit_state *s;
};
/* Is a token of each here? */
bool advance_has(struct advance *a, const struct advance_ask *ask);
/* One more request for these has passed. */
void advance_note(struct advance *a, const struct advance_ask *ask);
/* Take one of each, or none; true: taken, and *ask->s says what is left. */
bool advance_take(struct advance *a, const struct advance_ask *ask);

#endif
