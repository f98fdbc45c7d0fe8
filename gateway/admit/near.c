/* The near cache: answers of busy callers in this process, in front of Redis. It knows nothing that Redis does not, and gives nothing
 * that Redis would no longer give for longer than 250 ms:
 *
 *   ended by                  heard by                                             an answer is given only while
 *   another epoch             the change feed, every 100 ms (epochs.c)             the feed's last answer was asked for ≤ 200 ms ago
 *   an erasure                the list of them in Redis, every 100 ms (erased.c)   so was the list's
 *   its age                   its time of making, and QUERY_CACHE_TTL
 *   a key, its access         nothing: they are looked at before the cache is
 *
 * Silence of either is not trusted: the look-up goes to Redis then. When Redis does not answer, or its data are others (they have a
 * name: FRAMES_LIFE), all answers go: what was erased meanwhile may never be told. An answer is read, then its session is erased, then it is
 * put here: the erasures of the last seconds are remembered, and when they do not go back far enough it is not kept.
 *
 * Bounded to the byte: tables and answers together, the least lately used go. All of it is given back after a minute without a question, and
 * nobody listens for erasures then. */
#include "gateway/admit/near.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/hash.h"

#define SLOTS 4096u
#define REMEMBERED 1024u
#define FRESH_MS 200
#define LISTED_MS 5000 /* the list goes back for longer (erased.c) */
#define UNUSED_MS 60000

struct entry {                   /* its value follows */
    struct entry *next;          /* in its slot */
    struct entry *kin, **kin_at; /* others of its session's slot, and what points here */
    struct entry *newer, *older; /* by their last use */
    uint64_t mark;
    int64_t epoch, since_ms, until_ms;
    uint8_t sha256[32];
    size_t n; /* bytes of the value */
};

struct erasure {
    uint64_t mark;
    int64_t at_ms; /* Redis's time */
    int64_t heard_ms;
};

struct tables {
    struct entry *by_question[SLOTS], *by_session[SLOTS];
    struct erasure erased[REMEMBERED]; /* the latest ones, in a ring */
    size_t n_erased;
};

struct near {
    pthread_mutex_t lock;
    size_t max, bytes, n;
    struct tables *t; /* NULL: nothing is kept */
    struct entry *newest, *oldest;
    int64_t refused_ms; /* what was read by then is not kept: an erasure since may be forgotten */
    int64_t used_ms;
    char life[40];            /* of Redis's data; "": not known yet */
    _Atomic int64_t heard_ms; /* up to when all erasures are known; 0: not at all */
};

static void
count(enum near_outcome how)
{
    stat_add_at(&gateway_stats, GW_NEAR, how, 0, 1);
}

/* ---- entries, under the lock */

static struct entry **
place(const struct near *n, const uint8_t sha256[32])
{
    uint32_t slot;
    struct entry **at;

    memcpy(&slot, sha256, sizeof slot);
    at = &n->t->by_question[slot % SLOTS];
    while (*at && memcmp((*at)->sha256, sha256, 32) != 0)
        at = &(*at)->next;
    return at;
}

static void
unlink_use(struct near *n, struct entry *e)
{
    *(e->newer ? &e->newer->older : &n->newest) = e->older;
    *(e->older ? &e->older->newer : &n->oldest) = e->newer;
}

static void
link_use(struct near *n, struct entry *e)
{
    e->newer = NULL;
    e->older = n->newest;
    *(n->newest ? &n->newest->newer : &n->oldest) = e;
    n->newest = e;
}

static void
drop(struct near *n, struct entry *e, enum near_outcome how)
{
    *place(n, e->sha256) = e->next;
    *e->kin_at = e->kin;
    if (e->kin)
        e->kin->kin_at = e->kin_at;
    unlink_use(n, e);
    n->bytes -= sizeof *e + e->n;
    n->n--;
    mem_free(&e);
    count(how);
}

static void
drop_all(struct near *n, enum near_outcome how)
{
    while (n->oldest)
        drop(n, n->oldest, how);
    mem_free(&n->t);
    n->bytes = 0;
    n->refused_ms = clock_ms();
    atomic_store(&n->heard_ms, 0);
}

static void
insert(struct near *n, const struct cache_probe *probe, const struct near_origin *from, struct str value)
{
    struct entry *e = mem_new(sizeof *e + value.n), **at = place(n, probe->sha256),
                 **kin = &n->t->by_session[from->mark % SLOTS];

    *e = (struct entry){ .mark = from->mark,
                         .epoch = probe->epoch,
                         .since_ms = from->since_ms,
                         .until_ms = from->until_ms,
                         .kin = *kin,
                         .kin_at = kin,
                         .n = value.n };
    memcpy(e->sha256, probe->sha256, sizeof e->sha256);
    memcpy(e + 1, value.p, value.n);
    if (*kin)
        (*kin)->kin_at = &e->kin;
    *kin = e;
    *at = e;
    link_use(n, e);
    n->bytes += sizeof *e + e->n;
    n->n++;
}

/* ---- erasures, under the lock */

static bool
known(const struct near *n, uint64_t mark, int64_t at_ms)
{
    const struct erasure *v = n->t->erased;
    size_t have = n->t->n_erased < REMEMBERED ? n->t->n_erased : REMEMBERED;

    for (size_t i = 0; at_ms != 0 && i < have; i++)
        if (v[i].mark == mark && v[i].at_ms == at_ms)
            return true;
    return false;
}

static bool
erased_since(const struct near *n, uint64_t mark, int64_t since_ms)
{
    const struct erasure *v = n->t->erased;
    size_t have = n->t->n_erased < REMEMBERED ? n->t->n_erased : REMEMBERED;

    for (size_t i = 0; i < have; i++)
        if (v[i].mark == mark && v[i].heard_ms >= since_ms)
            return true;
    return false;
}

static void
remember(struct near *n, uint64_t mark, int64_t at_ms)
{
    struct erasure *x = &n->t->erased[n->t->n_erased++ % REMEMBERED];

    if (x->heard_ms > n->refused_ms)
        n->refused_ms = x->heard_ms;
    *x = (struct erasure){ mark, at_ms, clock_ms() };
}

/* ---- looking and keeping */

static bool
fresh(struct near *n, const struct cache_probe *probe, int64_t now_ms)
{
    int64_t heard = atomic_load(&n->heard_ms);

    return heard != 0 && now_ms - heard < FRESH_MS && now_ms - probe->feed_ms < FRESH_MS;
}

static enum near_outcome
look(struct near *n, const struct cache_probe *probe, int64_t now_ms, struct arena *a, struct str *value)
{
    struct entry *e = n->t ? *place(n, probe->sha256) : NULL;

    if (e && (e->until_ms <= now_ms || e->epoch != probe->epoch)) { /* a lower one, too: another database */
        drop(n, e, e->until_ms <= now_ms ? NEAR_EXPIRED : NEAR_STALE);
        return NEAR_MISS;
    }
    if (!e)
        return NEAR_MISS;
    *value = arena_str(a, (struct str){ (const char *)(e + 1), e->n });
    unlink_use(n, e);
    link_use(n, e);
    return value->p ? NEAR_HIT : NEAR_MISS;
}

bool
near_get(struct near *n, const struct cache_probe *probe, int64_t now_ms, struct arena *a, struct str *value)
{
    enum near_outcome how = NEAR_LATE;

    *value = STR_NONE;
    if (!n)
        return false;
    if (fresh(n, probe, now_ms)) { /* looked at before the answers are: whoever told it has erased before */
        pthread_mutex_lock(&n->lock);
        n->used_ms = now_ms;
        how = look(n, probe, now_ms, a, value);
        pthread_mutex_unlock(&n->lock);
    }
    count(how);
    return how == NEAR_HIT;
}

static bool
may_keep(const struct near *n, const struct near_origin *from, size_t bytes)
{
    size_t room = n->max - (n->max < sizeof *n->t ? n->max : sizeof *n->t);

    return bytes <= room && from->since_ms > n->refused_ms &&
           !(n->t && erased_since(n, from->mark, from->since_ms));
}

bool
near_put(struct near *n, const struct cache_probe *probe, const struct near_origin *from, struct str value)
{
    size_t bytes = sizeof(struct entry) + value.n;
    struct entry *old;
    bool first = false, keeps;

    if (!n)
        return false;
    pthread_mutex_lock(&n->lock);
    keeps = may_keep(n, from, bytes) && from->until_ms > clock_ms();
    if (keeps) {
        first = n->n == 0;
        if (!n->t) {
            n->t = mem_new(sizeof *n->t);
            n->bytes = sizeof *n->t;
        }
        if ((old = *place(n, probe->sha256)) != NULL)
            drop(n, old, NEAR_REPLACED);
        while (n->bytes + bytes > n->max)
            drop(n, n->oldest, NEAR_EVICTED);
        insert(n, probe, from, value);
        n->used_ms = clock_ms();
    }
    pthread_mutex_unlock(&n->lock);
    count(keeps ? NEAR_STORED : NEAR_REFUSED);
    return first;
}

/* ---- what is heard */

uint64_t
near_mark(struct str erased)
{
    return hash_str(erased);
}

bool
near_listens(struct near *n, int64_t now_ms)
{
    bool listens;

    if (!n)
        return false;
    pthread_mutex_lock(&n->lock);
    if (n->t && now_ms - n->used_ms > UNUSED_MS)
        drop_all(n, NEAR_EXPIRED);
    listens = n->t != NULL;
    pthread_mutex_unlock(&n->lock);
    return listens;
}

void
near_erase(struct near *n, uint64_t mark, int64_t at_ms)
{
    struct entry *e, *next;

    if (!n)
        return;
    pthread_mutex_lock(&n->lock);
    if (!n->t && at_ms == 0)
        n->refused_ms = clock_ms(); /* the list tells the others' again when there is an answer */
    if (n->t && !known(n, mark, at_ms)) {
        remember(n, mark, at_ms);
        for (e = n->t->by_session[mark % SLOTS]; e != NULL; e = next) {
            next = e->kin;
            if (e->mark == mark)
                drop(n, e, NEAR_ERASED);
        }
    }
    pthread_mutex_unlock(&n->lock);
}

/* Erasures of before the list may have been forgotten there: answers that are older than that. */
static void
drop_older(struct near *n, int64_t ms)
{
    struct entry *e, *newer;

    for (e = n->oldest; e != NULL; e = newer) {
        newer = e->newer;
        if (e->since_ms < ms)
            drop(n, e, NEAR_DEAF);
    }
}

void
near_heard(struct near *n, struct str life, int64_t asked_ms)
{
    if (!n)
        return;
    pthread_mutex_lock(&n->lock);
    if (n->life[0] && !str_is(life, n->life))
        drop_all(n, NEAR_DEAF);
    if (asked_ms - atomic_load(&n->heard_ms) > LISTED_MS)
        drop_older(n, asked_ms - LISTED_MS);
    snprintf(n->life, sizeof n->life, STR_FMT, STR_ARG(life));
    atomic_store(&n->heard_ms, n->t ? asked_ms : 0); /* erasures that are not remembered are not known */
    pthread_mutex_unlock(&n->lock);
}

void
near_deaf(struct near *n)
{
    if (!n)
        return;
    pthread_mutex_lock(&n->lock);
    drop_all(n, NEAR_DEAF);
    pthread_mutex_unlock(&n->lock);
}

/* ---- life */

struct near *
near_new(size_t max_bytes)
{
    struct near *n = max_bytes > 0 ? mem_new(sizeof *n) : NULL;

    if (!n)
        return NULL;
    n->max = max_bytes;
    pthread_mutex_init(&n->lock, NULL);
    return n;
}

void
near_free(struct near **n)
{
    if (!*n)
        return;
    drop_all(*n, NEAR_EXPIRED);
    pthread_mutex_destroy(&(*n)->lock);
    mem_free(n);
}

size_t
near_bytes(struct near *n)
{
    size_t bytes = 0;

    if (!n)
        return 0;
    pthread_mutex_lock(&n->lock);
    bytes = n->bytes;
    pthread_mutex_unlock(&n->lock);
    return bytes;
}

size_t
near_count(struct near *n)
{
    size_t count_now = 0;

    if (!n)
        return 0;
    pthread_mutex_lock(&n->lock);
    count_now = n->n;
    pthread_mutex_unlock(&n->lock);
    return count_now;
}
