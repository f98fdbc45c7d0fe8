/* Health, probed and never assumed (health.c). Thread-safe. */
#ifndef GATEWAY_WATCH_HEALTH_H
#define GATEWAY_WATCH_HEALTH_H

#include "gateway/gateway.h"

struct look { /* one look at everything */
    struct hub_view bus;
    bool store, postgres;        /* the store answers; its database does, if the store says so */
    bool cache, state;           /* both Redis servers answer */
    struct store_health_rep rep; /* of the store */
    int64_t at_ms;               /* clock_ms(); 0: never */
};

struct health *health_start(struct gateway *gw); /* with its thread; NULL after logging why */
void health_stop(struct health **h);
struct look health_look(struct health *h); /* at most half a second old, if that can be had in 200 ms */
const char *health_postgres(const struct look *l); /* "ok", "down", or "unknown": no store tells */
/* Can a question be answered? reasons gets what is missing. Redis may be away. */
bool health_ready_by(const struct gateway *gw, const struct look *l, struct buf *reasons);
bool health_ready(struct gateway *gw, struct buf *reasons); /* from the last probe; never blocks */

#endif
