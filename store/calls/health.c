/* The store's word about itself: it asks no database. */
#include "store/calls/calls.h"

void
store_health(struct delivery *c)
{
    const struct store *s = store_of(c);
    struct pool_state p = pool_state(s->pool);
    struct store_health_rep rep = { .postgres = p.up,
                                    .pool_active = p.active,
                                    .pool_idle = p.idle,
                                    .pool_max = p.max,
                                    .migration = s->migration,
                                    .outbox = s->outbox ? outbox_length(s->outbox) : 0 };

    worker_reply(c, &rep);
}
