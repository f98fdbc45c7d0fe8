/* The index as others see it: shards by (tenant, collection), changes in short pieces under the write lock, compaction.
 * See index.h and shard.h. */
#include "retriever/index/shard.h"
#include "common/hash.h"

enum { PIECE = 256, COMPACT_MIN = 1024 };

struct index *
index_new(size_t max_bytes)
{
    struct index *ix = mem_new(sizeof *ix);
    pthread_rwlockattr_t attr;

    pthread_rwlockattr_init(&attr);
    /* Searches come without pause: a change must not wait behind all of them. */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&ix->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    pthread_mutex_init(&ix->change, NULL);
    ix->max_bytes = max_bytes;
    ix->vector_weight = -1;
    ix->dot = dot_i8();
    return ix;
}

void
index_set_weight(struct index *ix, double vector_weight)
{
    ix->vector_weight = vector_weight;
}

static struct shard **
bucket_of(struct index *ix, struct str tenant, struct str collection)
{
    uint64_t h = hash_pair(tenant, collection);

    return &ix->buckets[(h ^ h >> 32) % SHARD_BUCKETS];
}

struct shard *
index_shard(struct index *ix, struct str tenant, struct str collection)
{
    for (struct shard *s = *bucket_of(ix, tenant, collection); s; s = s->next)
        if (str_is(tenant, s->tenant) && str_is(collection, s->collection))
            return s;
    return NULL;
}

static struct shard *
shard_get(struct index *ix, struct str tenant, struct str collection)
{
    struct shard *s = index_shard(ix, tenant, collection), **bucket = bucket_of(ix, tenant, collection);

    if (s)
        return s;
    s = shard_new(tenant, collection);
    pthread_rwlock_wrlock(&ix->lock);
    s->next = *bucket;
    *bucket = s;
    pthread_rwlock_unlock(&ix->lock);
    return s;
}

/* A removed document's words leave the statistics in short pieces; then its memory goes. No search can see it. */
static void
retire(struct index *ix, struct shard *s, struct index_doc *d)
{
    for (size_t i = 0; i < d->n; i += PIECE) {
        pthread_rwlock_wrlock(&ix->lock);
        shard_drop_words(s, d, i, i + PIECE < d->n ? i + PIECE : d->n);
        pthread_rwlock_unlock(&ix->lock);
    }
    atomic_fetch_sub(&ix->documents, 1);
    atomic_fetch_sub(&ix->passages, d->n);
    atomic_fetch_sub(&ix->bytes, d->bytes);
    index_doc_free(&d);
}

static void
shard_swap(struct shard *a, struct shard *b)
{
    struct shard t = *a;

    *a = *b;
    *b = t;
    a->next = t.next;
}

/* Build the shard anew from its live documents (searches go on with the old one), then swap. */
static void
compact(struct index *ix, struct shard *s)
{
    size_t dead = s->n_slots - s->n_live;

    if (dead < COMPACT_MIN || dead < s->n_live / 2)
        return;
    struct shard *fresh = shard_new(str_of(s->tenant), str_of(s->collection));

    for (size_t i = 0; i < s->n_docs; i++) {
        if (!s->docs[i].doc)
            continue;
        size_t at = shard_add_doc(fresh, s->docs[i].doc);

        shard_add_words(fresh, at, 0, s->docs[i].n);
        shard_show(fresh, at);
    }
    pthread_rwlock_wrlock(&ix->lock);
    shard_swap(s, fresh);
    pthread_rwlock_unlock(&ix->lock);
    shard_free(&fresh, false);
}

static bool
remove_doc(struct index *ix, struct shard *s, const struct uuid *id)
{
    size_t at = shard_find_doc(s, id);

    if (at == SIZE_MAX)
        return false;
    struct index_doc *d = s->docs[at].doc;

    pthread_rwlock_wrlock(&ix->lock);
    shard_hide(s, at);
    pthread_rwlock_unlock(&ix->lock);
    retire(ix, s, d);
    return true;
}

static void
add_doc(struct index *ix, struct shard *s, struct index_doc *d)
{
    size_t old = shard_find_doc(s, &d->id), at;
    struct index_doc *before = NULL;

    pthread_rwlock_wrlock(&ix->lock);
    at = shard_add_doc(s, d);
    pthread_rwlock_unlock(&ix->lock);
    for (size_t i = 0; i < d->n; i += PIECE) {
        pthread_rwlock_wrlock(&ix->lock);
        shard_add_words(s, at, i, i + PIECE < d->n ? i + PIECE : d->n);
        pthread_rwlock_unlock(&ix->lock);
    }
    pthread_rwlock_wrlock(&ix->lock);
    if (old != SIZE_MAX) {
        before = s->docs[old].doc;
        shard_hide(s, old);
    }
    shard_show(s, at);
    pthread_rwlock_unlock(&ix->lock);
    atomic_fetch_add(&ix->documents, 1);
    atomic_fetch_add(&ix->passages, d->n);
    atomic_fetch_add(&ix->bytes, d->bytes);
    if (before)
        retire(ix, s, before);
}

bool
index_has_room(struct index *ix, size_t bytes)
{
    return atomic_load(&ix->bytes) + bytes <= ix->max_bytes;
}

enum err
index_put(struct index *ix, struct index_doc **dp)
{
    struct index_doc *d = *dp;
    enum err err = ERR_OK;

    *dp = NULL;
    pthread_mutex_lock(&ix->change);
    struct shard *s = shard_get(ix, d->tenant, d->collection);
    size_t old = shard_find_doc(s, &d->id), freed = old == SIZE_MAX ? 0 : s->docs[old].doc->bytes;

    /* what is in use is found, whatever becomes of the set that is built */
    if (atomic_load(&ix->bytes) - freed + d->bytes > ix->max_bytes)
        doc_strip(d);
    if (atomic_load(&ix->bytes) - freed + d->bytes > ix->max_bytes || s->n_slots + d->n > UINT32_MAX / 2) {
        (void)remove_doc(ix, s, &d->id);
        index_doc_free(&d);
        err = ERR_INDEX_FULL;
    } else if (d->n == 0) {
        (void)remove_doc(ix, s, &d->id);
        index_doc_free(&d);
    } else
        add_doc(ix, s, d);
    compact(ix, s);
    pthread_mutex_unlock(&ix->change);
    return err;
}

bool
index_delete(struct index *ix, struct str tenant, struct str collection, const struct uuid *id)
{
    bool was = false;

    pthread_mutex_lock(&ix->change);
    struct shard *s = index_shard(ix, tenant, collection);

    if (s) {
        was = remove_doc(ix, s, id);
        compact(ix, s);
    }
    pthread_mutex_unlock(&ix->change);
    return was;
}

static void
drop_shard(struct index *ix, struct shard **at)
{
    struct shard *s = *at;

    pthread_rwlock_wrlock(&ix->lock);
    *at = s->next;
    pthread_rwlock_unlock(&ix->lock);
    for (size_t i = 0; i < s->n_docs; i++) {
        if (!s->docs[i].doc)
            continue;
        atomic_fetch_sub(&ix->documents, 1);
        atomic_fetch_sub(&ix->passages, s->docs[i].doc->n);
        atomic_fetch_sub(&ix->bytes, s->docs[i].doc->bytes);
    }
    shard_free(&s, true);
}

void
index_drop(struct index *ix, struct str tenant, struct str collection)
{
    pthread_mutex_lock(&ix->change);
    struct shard *s = index_shard(ix, tenant, collection), **at = bucket_of(ix, tenant, collection);

    while (s && *at != s)
        at = &(*at)->next;
    if (s)
        drop_shard(ix, at);
    pthread_mutex_unlock(&ix->change);
}

void
index_clear(struct index *ix)
{
    pthread_mutex_lock(&ix->change);
    for (size_t i = 0; i < SHARD_BUCKETS; i++)
        while (ix->buckets[i])
            drop_shard(ix, &ix->buckets[i]);
    pthread_mutex_unlock(&ix->change);
}

void
index_free(struct index **ix)
{
    if (!*ix)
        return;
    index_clear(*ix);
    pthread_rwlock_destroy(&(*ix)->lock);
    pthread_mutex_destroy(&(*ix)->change);
    mem_free(ix);
}

struct engine_stats
index_stats(struct index *ix)
{
    return (struct engine_stats){ atomic_load(&ix->documents), atomic_load(&ix->passages),
                                  atomic_load(&ix->bytes) };
}
