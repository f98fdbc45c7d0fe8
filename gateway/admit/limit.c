/* Rate limits inside this process: the generic cell rate algorithm over a fixed table of buckets.
 * Redis holds the limits that count over all gateways (admit.c); this one takes over while Redis is away, runs beside it
 * as a floor at twice the limit, counts failed keys by address, and bounds what one key has running at once.
 *
 *   GCRA: a bucket is one number, the time at which the requests so far would have arrived if they had come evenly
 *   (TAT). A request is allowed while TAT + T - tau <= now, with T = period / count and tau = T * count.
 *
 * The table never grows: 4 buckets share a set, the one that is full again soonest makes room. Sets share 64 locks. */
#include <pthread.h>

#include "common/clock.h"
#include "common/random.h"
#include "gateway/gateway.h"
#include "gateway/admit/limit.h"

#define SETS 16384u
#define WAYS 4u
#define LOCKS 64u

struct bucket {
    uint64_t id;    /* 0: free */
    int64_t tat_us; /* clock_us() scale */
};

struct limiter {
    uint64_t seed[2];    /* nobody outside can aim at a set */
    struct bucket *sets; /* SETS × WAYS */
    pthread_mutex_t lock[LOCKS];
    pthread_mutex_t key_lock;
    uint64_t *running; /* key ids of running requests; 0: free */
    size_t n_running;
};

int64_t
gcra_step(const struct policy *p, long scale, int64_t *tau_us)
{
    int64_t count = (int64_t)p->q * scale;
    int64_t period = (int64_t)p->w * 1000000;
    int64_t step = period / count > 0 ? period / count : 1;

    *tau_us = step * count;
    return step;
}

bool
gcra(int64_t *tat_us, int64_t now_us, long scale, bool charge, struct policy *p)
{
    int64_t tau, step = gcra_step(p, scale, &tau);
    int64_t tat = *tat_us < now_us ? now_us : *tat_us;
    int64_t next;

    if (tat > now_us + tau)
        tat = now_us + tau;
    next = tat + step;
    p->limited = next - tau > now_us;
    if (p->limited || !charge) {
        p->remaining = (long)((now_us + tau - tat) / step);
        p->retry_ms = p->limited ? (next - tau - now_us + 999) / 1000 : 0;
        p->reset_ms = (tat - now_us + 999) / 1000;
        return !p->limited;
    }
    *tat_us = next;
    p->remaining = (long)((now_us + tau - next) / step);
    p->retry_ms = 0;
    p->reset_ms = (next - now_us + 999) / 1000;
    return true;
}

struct limiter *
limiter_new(size_t max_active)
{
    struct limiter *l = mem_new(sizeof *l);

    random_bytes(l->seed, sizeof l->seed);
    l->sets = mem_new(SETS * WAYS * sizeof *l->sets);
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_init(&l->lock[i], NULL);
    pthread_mutex_init(&l->key_lock, NULL);
    l->n_running = max_active;
    l->running = mem_new(max_active * sizeof *l->running);
    return l;
}

void
limiter_free(struct limiter **l)
{
    if (!*l)
        return;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&(*l)->lock[i]);
    pthread_mutex_destroy(&(*l)->key_lock);
    mem_free(&(*l)->sets);
    mem_free(&(*l)->running);
    mem_free(l);
}

static uint64_t
mix(uint64_t h, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        h = (h ^ (unsigned char)s.p[i]) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return h;
}

uint64_t
limiter_id(const struct limiter *l, struct str who, const char *policy)
{
    uint64_t h = mix(mix(l->seed[0], who), str_of(policy)) ^ l->seed[1];

    h = (h ^ (h >> 32)) * 0xd6e8feb86659fd93u;
    return h ? h : 1;
}

/* The bucket of id within its set, or the one that gives way to it. */
static struct bucket *
bucket_of(struct bucket *set, uint64_t id)
{
    struct bucket *oldest = set;

    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].id == id)
            return &set[i];
        if (set[i].tat_us < oldest->tat_us)
            oldest = &set[i];
    }
    *oldest = (struct bucket){ id, 0 };
    return oldest;
}

bool
limiter_take(struct limiter *l, uint64_t id, struct policy *p, long scale, bool charge)
{
    size_t set = id % SETS;
    pthread_mutex_t *m = &l->lock[set % LOCKS];
    bool allowed;

    pthread_mutex_lock(m);
    allowed = gcra(&bucket_of(l->sets + set * WAYS, id)->tat_us, clock_us(), scale, charge, p);
    pthread_mutex_unlock(m);
    return allowed;
}

static uint64_t
key_id(const struct limiter *l, const uint8_t hash[32])
{
    return limiter_id(l, (struct str){ (const char *)hash, 32 }, "running");
}

bool
limiter_key_enter(struct limiter *l, const uint8_t hash[32], long max)
{
    uint64_t id = key_id(l, hash), *slot = NULL;
    long n = 0;

    pthread_mutex_lock(&l->key_lock);
    for (size_t i = 0; i < l->n_running; i++) {
        n += l->running[i] == id;
        if (l->running[i] == 0 && !slot)
            slot = &l->running[i];
    }
    if (n < max && slot)
        *slot = id;
    pthread_mutex_unlock(&l->key_lock);
    return n < max && slot != NULL;
}

void
limiter_key_leave(struct limiter *l, const uint8_t hash[32])
{
    uint64_t id = key_id(l, hash);

    pthread_mutex_lock(&l->key_lock);
    for (size_t i = 0; i < l->n_running; i++)
        if (l->running[i] == id) {
            l->running[i] = 0;
            break;
        }
    pthread_mutex_unlock(&l->key_lock);
}
