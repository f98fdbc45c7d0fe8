/* Deletes that the cluster may not show yet: each is known here from the moment at which the feed told it, and its passages are taken
 * out of what a search found. A refresh later nobody finds them there, and a little after that the entry goes. */
#include <pthread.h>

#include "common/clock.h"
#include "common/hash.h"
#include "retriever/index/tomb.h"

enum { LINGER_MS = 20000 }; /* longer than any search */

enum { BUCKETS = 4096 };
struct tomb {
    uint64_t handle;
    uint64_t wall;  /* hash of tenant and collection; 0: any. Documents: not looked at */
    struct uuid id; /* nil: of a collection, or of everything */
    int64_t version;
    int64_t until_ms; /* 0: not done yet */
    struct tomb *next;
};
struct tombs {
    pthread_rwlock_t lock;
    struct tomb *buckets[BUCKETS]; /* of documents by their id; all others in the first */
    size_t n;
    uint64_t last;
};

struct tombs *
tombs_new(void)
{
    struct tombs *t = mem_new(sizeof *t);

    pthread_rwlock_init(&t->lock, NULL);
    return t;
}

/* Of a bucket go those whose time is over; with all: all. */
static void
sweep(struct tombs *t, struct tomb **at, int64_t now, bool all)
{
    while (*at) {
        struct tomb *x = *at;

        if (!all && (x->until_ms == 0 || x->until_ms > now)) {
            at = &x->next;
            continue;
        }
        *at = x->next;
        mem_free(&x);
        t->n--;
    }
}

void
tombs_free(struct tombs **t)
{
    if (!*t)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        sweep(*t, &(*t)->buckets[i], 0, true);
    pthread_rwlock_destroy(&(*t)->lock);
    mem_free(t);
}

static size_t
bucket_of(const struct uuid *id)
{
    return uuid_is_nil(id) ? 0 : 1 + (id->b[15] | (size_t)id->b[14] << 8) % (BUCKETS - 1);
}

/* Each addition sweeps its own bucket and one in turn, so that none lingers where nothing is deleted any more. */
uint64_t
tombs_add(struct tombs *t, struct str tenant, struct str collection, const struct uuid *id, int64_t version)
{
    struct tomb *x = mem_new(sizeof *x);
    size_t b = bucket_of(id);
    int64_t now = clock_ms();
    uint64_t handle;

    pthread_rwlock_wrlock(&t->lock);
    handle = ++t->last;
    sweep(t, &t->buckets[b], now, false);
    sweep(t, &t->buckets[handle % BUCKETS], now, false);
    *x = (struct tomb){ .handle = handle,
                        .wall = tenant.n ? hash_pair(tenant, collection) : 0,
                        .id = *id,
                        .version = version,
                        .next = t->buckets[b] };
    t->buckets[b] = x;
    t->n++;
    pthread_rwlock_unlock(&t->lock);
    return handle;
}

void
tombs_done(struct tombs *t, uint64_t handle, const struct uuid *id)
{
    pthread_rwlock_wrlock(&t->lock);
    for (struct tomb *x = t->buckets[bucket_of(id)]; x; x = x->next)
        if (x->handle == handle)
            x->until_ms = clock_ms() + LINGER_MS;
    pthread_rwlock_unlock(&t->lock);
}

bool
tombs_hide(struct tombs *t, struct str tenant, struct str collection, const struct uuid *id, int64_t version)
{
    uint64_t wall = hash_pair(tenant, collection);
    bool hide = false;

    pthread_rwlock_rdlock(&t->lock);
    for (const struct tomb *x = t->buckets[bucket_of(id)]; x && !hide; x = x->next)
        hide = version < x->version && uuid_eq(&x->id, id);
    for (const struct tomb *x = t->buckets[0]; x && !hide; x = x->next)
        hide = version < x->version && (x->wall == 0 || x->wall == wall);
    pthread_rwlock_unlock(&t->lock);
    return hide;
}
