/* Exemplars of histograms:
 *
 *   at (an address, or 0) ─> slots, one a bucket: [busy] [trace, seconds, when]
 *
 * A slot is read and written by who has set its busy; who finds it set goes on without it. Nothing waits, and the slots of a
 * histogram are some 1,300 bytes, however many observations there are. */
#include "common/process/exemplar.h"

#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

#define TRIES 100 /* of a scrape: a writer is done in some ten nanoseconds */

struct slot {
    atomic_bool busy;
    struct exemplar v;
};

static struct slot *
slots(const _Atomic uint64_t *at)
{
    return (struct slot *)(uintptr_t)atomic_load_explicit(at, memory_order_acquire);
}

static struct slot *
make_slots(_Atomic uint64_t *at, size_t n)
{
    struct slot *fresh = mem_new(n * sizeof *fresh);
    uint64_t there = 0;

    if (atomic_compare_exchange_strong_explicit(at, &there, (uint64_t)(uintptr_t)fresh, memory_order_acq_rel,
                                                memory_order_acquire))
        return fresh;
    mem_free(&fresh);
    return (struct slot *)(uintptr_t)there;
}

static bool
take(struct slot *s)
{
    return !atomic_exchange_explicit(&s->busy, true, memory_order_acquire);
}

static void
give(struct slot *s)
{
    atomic_store_explicit(&s->busy, false, memory_order_release);
}

void
exemplar_put(_Atomic uint64_t *at, size_t n, size_t b, const char *trace, double seconds)
{
    struct slot *s = slots(at);

    if (!s)
        s = make_slots(at, n);
    s += b;
    if (!take(s))
        return;
    memcpy(s->v.trace, trace, sizeof s->v.trace - 1);
    s->v.seconds = seconds;
    s->v.when_ms = clock_wall_ms();
    give(s);
}

bool
exemplar_get(const _Atomic uint64_t *at, size_t b, struct exemplar *out)
{
    struct slot *s = slots(at);

    if (!s)
        return false;
    s += b;
    for (int i = 0; i < TRIES; i++)
        if (take(s)) {
            *out = s->v;
            give(s);
            return out->when_ms != 0;
        }
    return false;
}

void
exemplar_free(_Atomic uint64_t *at)
{
    struct slot *s = slots(at);

    atomic_store_explicit(at, 0, memory_order_release);
    mem_free(&s);
}
