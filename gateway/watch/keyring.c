/* The API keys of all tenants, as the store numbers their changes. The change feed (epochs.c) tells the newest number every
 * 100 ms; when it has moved, a thread of this file reads what changed, in pages, from the first number on at the start.
 *
 *   FOUND   the key is known, and nothing newer can have been missed for more than 250 ms
 *   NONE    there is no such key: all keys are known, and it is not among them, so that a stranger's guesses ask nobody
 *   UNSURE  the store was silent for 10 s, or the keys are not all read yet (or not all fit into memory) and the store
 *           could not be asked about this one: the request gets 503 and may be repeated
 *
 * A revocation takes effect here when its number comes. Therefore a request waits for the feed when that is
 * late by more than 250 ms, at most until it is late by half a second; then the known keys serve on for 10 s,
 * which a restart of the store takes less than. A store that says that its database is away is not silent:
 * what cannot be written cannot revoke. */
#include <pthread.h>

#include "common/clock.h"
#include "common/digest.h"
#include "common/log.h"
#include "common/process/cond.h"
#include "common/process/ticker.h"
#include "gateway/watch/keytable.h"
#include "gateway/gateway.h"
#include "gateway/watch/keyring.h"

#define LATE_MS 250      /* of the feed: then a request waits for it */
#define PATIENCE_MS 500  /* but not when it is late by so much */
#define SILENCE_MS 10000 /* keys are not believed without news any longer */
#define ANEW_MS 3600000  /* after such a silence all are read again */
#define RETRY_MS 100
#define START_MS 1000 /* ready so long after the first page, though there is more to read */
#define SWEEP_MS 600000
#define KEYS_MAX_BYTES (64u << 20)
#define TELL_MS 1000       /* and so long after the ones before */
#define TELL_LATE_MS 30000 /* when they could not be told */
#define ASKED_MAX 8        /* single keys asked for at once */

struct keyring {
    struct gateway *gw;
    struct ticker *ticker;
    pthread_rwlock_t rw; /* of table: written by the thread, and where a key is revoked here */
    struct keytable *table;
    bool overflow;            /* not all fit in (the thread's) */
    int64_t swept;            /* clock_ms() when expired ones went last (the ticker's) */
    pthread_mutex_t lock;     /* of what follows, up to whole */
    pthread_cond_t news;      /* for those that wait for what is read */
    bool stop, due, anew;     /* end; something is to be read; all, from the beginning */
    int64_t seq;              /* read up to there */
    int64_t moved_ms;         /* clock_ms() since when */
    atomic_bool whole;        /* all keys are in table */
    _Atomic int64_t first_ms; /* clock_ms() of the first page; 0: none yet */
    _Atomic int64_t fresh_ms; /* clock_ms() at which nothing newer was there than what is known; 0: never */
    atomic_int asked;         /* single keys that are being asked for */
    struct ticker *teller;    /* a thread of its own: what changes never waits for what was used */
    atomic_bool untold;       /* keys were used for the first time on a day */
    int64_t tell_ms;          /* clock_ms() before which nothing is told (the teller's) */
};

/* ---- the thread */

static void
install(struct keyring *k, const struct key_changes_rep *rep)
{
    static struct log_gate gate;

    pthread_rwlock_wrlock(&k->rw);
    for (size_t i = 0; i < rep->items.n; i++)
        if (!keytable_put(k->table, &rep->items.v[i]))
            k->overflow = true;
    pthread_rwlock_unlock(&k->rw);
    if (k->overflow && log_gate(&gate))
        LOG(WARN, NULL, M("the keys do not fit into memory: the store is asked about the others one by one"),
            KI("max_bytes", KEYS_MAX_BYTES));
}

static void
reached(struct keyring *k, int64_t seq, bool all, int64_t asked)
{
    pthread_mutex_lock(&k->lock);
    k->seq = seq;
    k->moved_ms = clock_ms();
    pthread_mutex_unlock(&k->lock);
    if (atomic_load(&k->first_ms) == 0)
        atomic_store(&k->first_ms, clock_ms());
    if (!all)
        return;
    atomic_store(&k->whole, !k->overflow);
    pthread_mutex_lock(&k->lock);
    atomic_store(&k->fresh_ms, asked);
    pthread_cond_broadcast(&k->news);
    pthread_mutex_unlock(&k->lock);
}

/* One page after `after`. -1: it could not be read; else whether there is more. */
static int
read_page(struct keyring *k, int64_t after)
{
    static struct log_gate gate;
    struct key_changes_req req = { .after = after };
    const struct key_changes_rep *rep;
    struct call *q = NULL;
    struct outcome a;
    int64_t asked = clock_ms();
    int more = -1;

    if (call_once(k->gw->hub, KIND_KEY_CHANGES, &req, "", "", asked + 2000, &q, &a) == ERR_OK &&
        a.msg != NULL) {
        rep = a.msg;
        install(k, rep);
        more = rep->has_more && rep->seq > after;
        reached(k, rep->seq > after ? rep->seq : after, !more, asked);
    } else if (log_gate(&gate)) {
        LOG(DEBUG, NULL, M("the keys cannot be read; the last known ones serve on"),
            KS("error", err_name(a.err)));
    }
    call_free(&q);
    return more;
}

static bool
read_changes(struct keyring *k, bool anew)
{
    int more = 1;

    if (anew) {
        pthread_rwlock_wrlock(&k->rw);
        keytable_age(k->table);
        k->overflow = false;
        pthread_rwlock_unlock(&k->rw);
    }
    for (bool first = true; more == 1; first = false) {
        int64_t after;

        pthread_mutex_lock(&k->lock);
        after = anew && first ? 0 : k->seq;
        more = k->stop ? 0 : more;
        pthread_mutex_unlock(&k->lock);
        if (more == 1)
            more = read_page(k, after);
    }
    if (more == 0 && anew) {
        pthread_rwlock_wrlock(&k->rw);
        keytable_sweep(k->table, true, 0);
        pthread_rwlock_unlock(&k->rw);
    }
    return more == 0;
}

/* Keys that could not be read stay due. */
static int64_t
look(void *arg)
{
    struct keyring *k = arg;
    bool due, anew;

    pthread_mutex_lock(&k->lock);
    due = k->due;
    anew = k->anew;
    k->due = k->anew = false;
    pthread_mutex_unlock(&k->lock);
    if (due)
        due = !read_changes(k, anew);
    if (clock_ms() - k->swept > SWEEP_MS) {
        pthread_rwlock_wrlock(&k->rw);
        keytable_sweep(k->table, false, clock_wall_ms() - SWEEP_MS);
        pthread_rwlock_unlock(&k->rw);
        k->swept = clock_ms();
    }
    if (!due)
        return SWEEP_MS;
    pthread_mutex_lock(&k->lock);
    k->due = true;
    k->anew = k->anew || anew;
    pthread_mutex_unlock(&k->lock);
    return RETRY_MS;
}

/* ---- uses */

static bool
tell_day(struct keyring *k, uint8_t (*hash)[32], size_t n, int day)
{
    struct key_ref *refs = mem_new(n * sizeof *refs);
    const struct key_used_req req = { .keys = { refs, n }, .day_ms = (int64_t)day * CLOCK_DAY_MS };
    struct call *q = NULL;
    struct outcome a;
    bool told;

    for (size_t i = 0; i < n; i++)
        refs[i].hash = (struct str){ (const char *)hash[i], 32 };
    told = call_once(k->gw->hub, KIND_KEY_USED, &req, "", "", clock_ms() + 1000, &q, &a) == ERR_OK;
    pthread_rwlock_rdlock(&k->rw);
    for (size_t i = 0; told && i < n; i++)
        keytable_told(k->table, hash[i], day);
    pthread_rwlock_unlock(&k->rw);
    call_free(&q);
    mem_free(&refs);
    return told;
}

static int64_t
tell(void *arg)
{
    struct keyring *k = arg;
    uint8_t(*hash)[32];
    int64_t now = clock_ms();
    size_t n = KEYS_USED;
    bool told = true;
    int day;

    if (!atomic_load(&k->untold))
        return TICKER_WOKEN;
    if (now < k->tell_ms)
        return k->tell_ms - now;
    hash = mem_new(KEYS_USED * sizeof *hash);
    atomic_store(&k->untold, false);
    pthread_rwlock_rdlock(&k->rw);
    day = keytable_untold(k->table, hash, &n);
    pthread_rwlock_unlock(&k->rw);
    if (n > 0)
        told = tell_day(k, hash, n, day);
    mem_free(&hash);
    if (n == 0)
        return TICKER_WOKEN;
    atomic_store(&k->untold, true); /* there may be more, of another day, too */
    k->tell_ms = clock_ms() + (told ? TELL_MS : TELL_LATE_MS);
    return told ? TELL_MS : TELL_LATE_MS;
}

void
keyring_used(struct keyring *k, const uint8_t hash[32])
{
    bool first;

    pthread_rwlock_rdlock(&k->rw);
    first = keytable_use(k->table, hash, (int)(clock_wall_ms() / CLOCK_DAY_MS));
    pthread_rwlock_unlock(&k->rw);
    if (first && !atomic_exchange(&k->untold, true))
        ticker_wake(k->teller);
}

static void
keyring_free(struct keyring **k)
{
    pthread_cond_destroy(&(*k)->news);
    pthread_mutex_destroy(&(*k)->lock);
    pthread_rwlock_destroy(&(*k)->rw);
    keytable_free(&(*k)->table);
    mem_free(k);
}

struct keyring *
keyring_start(struct gateway *gw)
{
    struct keyring *k = mem_new(sizeof *k);

    k->gw = gw;
    k->table = keytable_new(KEYS_MAX_BYTES);
    k->swept = clock_ms();
    k->due = k->anew = true;
    pthread_rwlock_init(&k->rw, NULL);
    pthread_mutex_init(&k->lock, NULL);
    cond_init(&k->news);
    k->ticker = ticker_start("the keys", look, k);
    k->teller = k->ticker ? ticker_start("the days on which keys are used", tell, k) : NULL;
    if (!k->teller) {
        ticker_stop(&k->ticker);
        keyring_free(&k);
    }
    return k;
}

void
keyring_stop(struct keyring **k)
{
    if (!*k)
        return;
    pthread_mutex_lock(&(*k)->lock);
    (*k)->stop = true;
    pthread_mutex_unlock(&(*k)->lock);
    ticker_stop(&(*k)->teller);
    ticker_stop(&(*k)->ticker);
    keyring_free(k);
}

/* ---- what the feed tells */

/* Under the lock. */
static void
wake(struct keyring *k, bool anew)
{
    k->due = true;
    k->anew = k->anew || anew;
    ticker_wake(k->ticker);
}

void
keyring_heard(struct keyring *k, int64_t seq, int64_t asked)
{
    int64_t at = atomic_load(&k->fresh_ms);

    if (at == 0)
        return; /* the thread reads the first time by itself */
    pthread_mutex_lock(&k->lock);
    if ((seq < k->seq && asked > k->moved_ms) || asked - at > ANEW_MS)
        wake(k,
             true); /* another database, or one restored from a backup; or too long ago to know what went */
    else if (seq > k->seq)
        wake(k, false);
    else if (seq == k->seq && asked > at) {
        atomic_store(&k->fresh_ms, asked);
        pthread_cond_broadcast(&k->news);
    }
    pthread_mutex_unlock(&k->lock);
}

void
keyring_away(struct keyring *k, int64_t asked)
{
    int64_t at = atomic_load(&k->fresh_ms);

    if (at == 0 || asked <= at || asked - at >= SILENCE_MS)
        return;
    pthread_mutex_lock(&k->lock);
    atomic_store(&k->fresh_ms, asked);
    pthread_cond_broadcast(&k->news);
    pthread_mutex_unlock(&k->lock);
}

void
keyring_refresh(struct keyring *k)
{
    pthread_mutex_lock(&k->lock);
    wake(k, true);
    pthread_mutex_unlock(&k->lock);
}

void
keyring_reach(struct keyring *k, int64_t seq, int64_t ms)
{
    int64_t until = clock_ms() + ms;

    pthread_mutex_lock(&k->lock);
    if (k->seq < seq)
        wake(k, false);
    while (k->seq < seq && !k->stop && cond_wait(&k->news, &k->lock, until))
        ;
    pthread_mutex_unlock(&k->lock);
}

void
keyring_revoked(struct keyring *k, const uint8_t hash[32], int64_t seq)
{
    pthread_rwlock_wrlock(&k->rw);
    keytable_drop(k->table, hash);
    pthread_rwlock_unlock(&k->rw);
    keyring_reach(k, seq, PATIENCE_MS); /* a page that was read before it was revoked is behind us then */
}

/* ---- looking */

/* A late feed may have a revocation to tell: wait for it, unless it is silent. */
static void
wait_fresh(struct keyring *k)
{
    int64_t at = atomic_load(&k->fresh_ms);

    if (at == 0 || clock_ms() - at < LATE_MS || clock_ms() - at >= PATIENCE_MS)
        return;
    pthread_mutex_lock(&k->lock);
    while (atomic_load(&k->fresh_ms) == at && !k->stop && cond_wait(&k->news, &k->lock, at + PATIENCE_MS))
        ;
    pthread_mutex_unlock(&k->lock);
}

/* Ask the store about one key, found or not; ERR_BUSY: too many are being asked for, or the store never answered. */
static enum err
ask_one(struct keyring *k, const struct key_get_req *req, struct arena *a, struct api_key *out, bool *found)
{
    const struct key_list_rep *rep;
    struct call *q = NULL;
    struct outcome answer;
    enum err e = ERR_BUSY;

    *found = false;
    if (atomic_load(&k->first_ms) == 0)
        return e;
    if (atomic_fetch_add(&k->asked, 1) < ASKED_MAX)
        e = call_once(k->gw->hub, KIND_KEY_GET, req, "", "", clock_ms() + 1000, &q, &answer);
    atomic_fetch_sub(&k->asked, 1);
    if (e == ERR_OK && (rep = answer.msg) != NULL && rep->items.n == 1) {
        *found = true;
        if (!key_copy(a, &rep->items.v[0], out) ||
            (req->hash.p && !bytes_equal(out->hash.p, req->hash.p, 32)))
            e = ERR_BAD_FRAME;
    }
    call_free(&q);
    return e;
}

static bool
believed(const struct keyring *k)
{
    int64_t at = atomic_load(&k->fresh_ms);

    return at != 0 && clock_ms() - at < SILENCE_MS;
}

enum key_known
keyring_find(struct keyring *k, const uint8_t hash[32], struct arena *a, const struct api_key **out)
{
    const struct key_get_req req = { .hash = { (const char *)hash, 32 } };
    struct api_key *mine = arena_alloc(a, sizeof *mine);
    const struct api_key *found;
    bool have, there;
    enum err e;

    *out = mine;
    if (!mine)
        return KEY_UNSURE;
    wait_fresh(k);
    pthread_rwlock_rdlock(&k->rw);
    found = keytable_find(k->table, hash);
    have = found && key_copy(a, found, mine);
    pthread_rwlock_unlock(&k->rw);
    if (have && believed(k))
        return KEY_FOUND;
    if (!found && believed(k) && atomic_load(&k->whole))
        return KEY_NONE;
    e = ask_one(k, &req, a, mine, &there);
    if (e == ERR_STORE_DOWN && have)
        return KEY_FOUND; /* the last known ones, while the database is away */
    return e != ERR_OK ? KEY_UNSURE : there ? KEY_FOUND : KEY_NONE;
}

bool
keyring_has_origin(struct keyring *k, struct str origin)
{
    const struct key_get_req req = { .origin = origin };
    struct arena *a;
    struct api_key key;
    bool found;

    pthread_rwlock_rdlock(&k->rw);
    found = keytable_has_origin(k->table, origin);
    pthread_rwlock_unlock(&k->rw);
    if (found || atomic_load(&k->whole) || origin.n > 256)
        return found;
    a = arena_new(1u << 20);
    ask_one(k, &req, a, &key, &found);
    arena_free(&a);
    return found;
}

bool
keyring_ready(struct keyring *k)
{
    int64_t first = atomic_load(&k->first_ms);

    return atomic_load(&k->fresh_ms) != 0 || (first != 0 && clock_ms() - first > START_MS);
}

double
keyring_age_s(struct keyring *k)
{
    int64_t at = atomic_load(&k->fresh_ms);

    return at ? (double)(clock_ms() - at) / 1000 : -1;
}

size_t
keyring_count(struct keyring *k)
{
    size_t n;

    pthread_rwlock_rdlock(&k->rw);
    n = keytable_count(k->table);
    pthread_rwlock_unlock(&k->rw);
    return n;
}
