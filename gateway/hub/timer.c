/* The hub's timers: a binary heap of requests by their next time. */
#include "gateway/hub/state.h"

static void
place(struct core *c, size_t i, struct hub_request *r)
{
    c->heap[i] = r;
    r->heap_at = i;
}

static void
sift_up(struct core *c, size_t i, struct hub_request *r)
{
    while (i > 1 && c->heap[i / 2]->timer_ms > r->timer_ms) {
        place(c, i, c->heap[i / 2]);
        i /= 2;
    }
    place(c, i, r);
}

static void
sift_down(struct core *c, size_t i, struct hub_request *r)
{
    for (;;) {
        size_t k = 2 * i;

        if (k > c->n_heap)
            break;
        if (k < c->n_heap && c->heap[k + 1]->timer_ms < c->heap[k]->timer_ms)
            k++;
        if (c->heap[k]->timer_ms >= r->timer_ms)
            break;
        place(c, i, c->heap[k]);
        i = k;
    }
    place(c, i, r);
}

static void
timer_remove(struct core *c, struct hub_request *r)
{
    size_t i = r->heap_at;
    struct hub_request *last = c->heap[c->n_heap--];

    r->heap_at = 0;
    if (last == r)
        return;
    if (i > 1 && c->heap[i / 2]->timer_ms > last->timer_ms)
        sift_up(c, i, last);
    else
        sift_down(c, i, last);
}

void
timer_set(struct core *c, struct hub_request *r, int64_t when)
{
    if (r->heap_at)
        timer_remove(c, r);
    r->timer_ms = when;
    if (when != INT64_MAX)
        sift_up(c, ++c->n_heap, r); /* the heap has room for every slot */
}

struct hub_request *
timer_due(struct core *c, int64_t now)
{
    return c->n_heap && c->heap[1]->timer_ms <= now ? c->heap[1] : NULL;
}
