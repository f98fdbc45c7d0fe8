/* Time and chance. See storm_time.h. */
#include "tests/sim/storm_time.h"

#include <math.h>
#include <stdlib.h>

static struct heap due;
static struct event *free_events;

/* ---- random numbers: xorshift */

static uint64_t rng;

uint32_t
rnd(uint32_t n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)((rng >> 11) % n);
}

double
rnd_exp(double mean)
{
    return -mean * log((1 + rnd(1000000)) / 1000001.0);
}

void
storm_seed(uint64_t seed)
{
    rng = seed * 0x9e3779b97f4a7c15u + 1;
}

int64_t
wire_us(void)
{
    return s.cost.wire + rnd((uint32_t)s.cost.wire + 1);
}

/* ---- events */

struct event *
event_at(int64_t us, enum what what, int hub, int worker)
{
    struct event *e = free_events;

    if (e)
        free_events = e->next;
    else
        e = mem_new(sizeof *e);
    *e = (struct event){ .what = what, .hub = hub, .worker = worker };
    heap_put(&due, &e->at, us);
    return e;
}

void
event_free(struct event *e)
{
    e->next = free_events;
    free_events = e;
}

struct event *
event_until(int64_t us)
{
    struct heap_node *n = heap_first(&due);

    if (!n || n->key > us)
        return NULL;
    heap_drop(&due, n);
    return (struct event *)(void *)n;
}

void
events_end(void)
{
    for (struct heap_node *n; (n = heap_first(&due));) {
        heap_drop(&due, n);
        free(n);
    }
    heap_fini(&due);
}
