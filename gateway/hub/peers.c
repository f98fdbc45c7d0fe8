/* Workers by the ids of their connections: a table of lists, of which most hold one worker. A hub with a thousand workers looked through
 * five hundred for each message. */
#include "gateway/hub/peers.h"

#include "gateway/hub/state.h"

struct hub_worker *
peers_find(const struct core *c, uint64_t peer)
{
    struct hub_worker *w = c->peers[peer % WORKERS_MAX];

    while (w && w->peer != peer)
        w = w->beside;
    return w;
}

void
peers_put(struct core *c, struct hub_worker *w)
{
    struct hub_worker **place = &c->peers[w->peer % WORKERS_MAX];

    w->beside = *place;
    *place = w;
}

void
peers_drop(struct core *c, struct hub_worker *w)
{
    struct hub_worker **at = &c->peers[w->peer % WORKERS_MAX];

    while (*at != w)
        at = &(*at)->beside;
    *at = w->beside;
}
