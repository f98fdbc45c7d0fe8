/* The hub's timers: a heap of requests by their next time. */
#include "gateway/hub/state.h"

void
timer_set(struct core *c, struct hub_request *r, int64_t when)
{
    if (when != INT64_MAX)
        heap_put(&c->timers, &r->timer, when);
    else
        heap_drop(&c->timers, &r->timer);
}

struct hub_request *
timer_due(struct core *c, int64_t now)
{
    struct heap_node *first = heap_first(&c->timers);

    return first && first->key <= now ? (struct hub_request *)first : NULL; /* its first member */
}
