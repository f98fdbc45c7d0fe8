/* The API keys of all tenants, read from the store every 5 s by a thread of its own. While the store is away the last
 * known keys serve on. Readers copy what they need under the lock; a refresh swaps the whole list. */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "gateway/auth.h"

#define REFRESH_MS 5000
#define KEYS_MAX_BYTES (16u << 20)

struct keyring {
    struct gateway *gw;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, done;    /* the thread; those that wait for a refresh */
    bool stop, again;             /* end; refresh now */
    uint64_t asked, served;       /* refreshes asked for; of these over */
    struct arena *arena;          /* of v */
    struct api_key *v;
    size_t n;
    int64_t read_ms;              /* clock_ms() of the last good refresh; 0: never */
};

static bool
copy_strs(struct arena *a, const struct strs *from, struct strs *to)
{
    *to = (struct strs){ NULL, 0 };
    if (from->n == 0)
        return true;
    to->v = arena_alloc(a, from->n * sizeof *to->v);
    if (to->v == NULL)
        return false;
    for (; to->n < from->n; to->n++) {
        to->v[to->n] = arena_str(a, from->v[to->n]);
        if (from->v[to->n].p != NULL && to->v[to->n].p == NULL)
            return false;
    }
    return true;
}

static bool
copy_key(struct arena *a, const struct api_key *from, struct api_key *to)
{
    *to = *from;
    to->hash = arena_str(a, from->hash);
    to->label = arena_str(a, from->label);
    to->tenant = arena_str(a, from->tenant);
    return to->hash.p != NULL && to->hash.n == 32 && to->tenant.p != NULL && copy_strs(a, &from->scopes, &to->scopes) &&
           copy_strs(a, &from->collections, &to->collections) && copy_strs(a, &from->origins, &to->origins);
}

/* A key without readable limits to it (no tenant, a short hash) must not open anything: it is left out. */
static void
install(struct keyring *k, const struct key_list_rep *rep)
{
    struct arena *a = arena_new(KEYS_MAX_BYTES), *old;
    struct api_key *v = arena_alloc(a, (rep->items.n + 1) * sizeof *v);
    size_t n = 0;

    for (size_t i = 0; v != NULL && i < rep->items.n; i++)
        if (copy_key(a, &rep->items.v[i], &v[n]))
            n++;
        else
            LOG(WARN, NULL, M("a stored key is malformed and left out"), KI("row", i));
    pthread_mutex_lock(&k->lock);
    old = k->arena;
    k->arena = a;
    k->v = v;
    k->n = v ? n : 0;
    k->read_ms = clock_ms();
    pthread_mutex_unlock(&k->lock);
    arena_free(&old);
}

static void
refresh(struct keyring *k)
{
    static struct log_gate gate;
    struct key_list_req req = { .tenant = STR_NONE };
    struct ask *q = NULL;
    struct answer a;

    if (ask_once(k->gw->hub, KIND_KEY_LIST, &req, "", "", clock_ms() + 2000, &q, &a) == ERR_OK && a.msg != NULL)
        install(k, a.msg);
    else if (log_gate(&gate))
        LOG(DEBUG, NULL, M("the keys cannot be read; the last known ones serve on"), KS("error", err_name(a.err)));
    ask_free(&q);
}

static struct timespec
in_ms(int64_t ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* Under the lock: sleep until the next refresh, or until woken. */
static void
nap(struct keyring *k, int64_t ms)
{
    const struct timespec t = in_ms(ms);

    while (!k->stop && !k->again && pthread_cond_timedwait(&k->wake, &k->lock, &t) != ETIMEDOUT)
        ;
    k->again = false;
}

static void *
run(void *arg)
{
    struct keyring *k = arg;
    uint64_t serving;

    pthread_mutex_lock(&k->lock);
    while (!k->stop) {
        serving = k->asked;
        pthread_mutex_unlock(&k->lock);
        refresh(k);
        pthread_mutex_lock(&k->lock);
        k->served = serving;
        pthread_cond_broadcast(&k->done);
        nap(k, k->read_ms ? REFRESH_MS : 250);
    }
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

struct keyring *
keyring_start(struct gateway *gw)
{
    struct keyring *k = mem_new(sizeof *k);
    pthread_condattr_t at;

    k->gw = gw;
    pthread_mutex_init(&k->lock, NULL);
    pthread_condattr_init(&at);
    pthread_condattr_setclock(&at, CLOCK_MONOTONIC);
    pthread_cond_init(&k->wake, &at);
    pthread_cond_init(&k->done, &at);
    pthread_condattr_destroy(&at);
    if (pthread_create(&k->thread, NULL, run, k) == 0)
        return k;
    LOG(ERROR, NULL, M("no thread for the keys"));
    mem_free(&k);
    return NULL;
}

void
keyring_stop(struct keyring **k)
{
    if (*k == NULL)
        return;
    pthread_mutex_lock(&(*k)->lock);
    (*k)->stop = true;
    pthread_cond_signal(&(*k)->wake);
    pthread_mutex_unlock(&(*k)->lock);
    pthread_join((*k)->thread, NULL);
    pthread_cond_destroy(&(*k)->wake);
    pthread_cond_destroy(&(*k)->done);
    pthread_mutex_destroy(&(*k)->lock);
    arena_free(&(*k)->arena);
    mem_free(k);
}

void
keyring_refresh(struct keyring *k)
{
    pthread_mutex_lock(&k->lock);
    k->again = true;
    pthread_cond_signal(&k->wake);
    pthread_mutex_unlock(&k->lock);
}

void
keyring_refresh_wait(struct keyring *k, int64_t ms)
{
    const struct timespec t = in_ms(ms);
    uint64_t mine;

    pthread_mutex_lock(&k->lock);
    mine = ++k->asked;
    k->again = true;
    pthread_cond_signal(&k->wake);
    while (k->served < mine && !k->stop && pthread_cond_timedwait(&k->done, &k->lock, &t) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&k->lock);
}

const struct api_key *
keyring_find(struct keyring *k, const uint8_t hash[32], struct arena *a)
{
    const struct api_key *found = NULL;
    struct api_key *out = arena_alloc(a, sizeof *out);

    pthread_mutex_lock(&k->lock);
    for (size_t i = 0; i < k->n; i++)
        if (bytes_equal(k->v[i].hash.p, hash, 32))
            found = &k->v[i];
    if (found != NULL && (out == NULL || !copy_key(a, found, out)))
        found = NULL;
    pthread_mutex_unlock(&k->lock);
    return found ? out : NULL;
}

bool
keyring_has_origin(struct keyring *k, struct str origin)
{
    bool found = false;

    pthread_mutex_lock(&k->lock);
    for (size_t i = 0; i < k->n && !found; i++)
        for (size_t j = 0; j < k->v[i].origins.n && !found; j++)
            found = str_eq(k->v[i].origins.v[j], origin);
    pthread_mutex_unlock(&k->lock);
    return found;
}

bool
keyring_loaded(struct keyring *k)
{
    return keyring_age_s(k) >= 0;
}

double
keyring_age_s(struct keyring *k)
{
    int64_t at;

    pthread_mutex_lock(&k->lock);
    at = k->read_ms;
    pthread_mutex_unlock(&k->lock);
    return at ? (double)(clock_ms() - at) / 1000 : -1;
}

size_t
keyring_count(struct keyring *k)
{
    size_t n;

    pthread_mutex_lock(&k->lock);
    n = k->n;
    pthread_mutex_unlock(&k->lock);
    return n;
}
