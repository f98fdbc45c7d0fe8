/* What changed in the collections, asked of the store every 100 ms: each collection's epoch (the number of its last
 * change). A cached answer carries the epoch it was made at; an older one is a miss, and so is
 * everything when the feed has been silent for a second. While a long backlog is read nothing is known yet.
 * A collection's settings are asked for when they are needed first, and kept until the feed tells of a change. That one is
 * not there is not kept: then a made-up name costs a look by key, and no memory. The feed also hears of keys (keyring.c). A store that
 * says that its database is away is not silent: what cannot be written cannot change, so that the last known epochs stay
 * fresh for as long as it says so, and cached answers are still given. Changes made through this gateway are noted at
 * once, also when the database dies right after them: only a change that another gateway made in the last 100 ms before that
 * can be overlooked, until the database is back. Silence, from a store that hangs or is gone, still makes every look-up a miss. */
#include <pthread.h>

#include "common/clock.h"
#include "common/log.h"
#include "gateway/gateway.h"
#include "common/nap.h"
#include "gateway/watch/epochs.h"
#include "gateway/watch/keyring.h"

#define TICK_MS 100
#define FRESH_MS 1000
#define PAGE 1000
#define SLOTS 4096u
#define ENTRIES_MAX 200000u
#define SETTINGS_MAX_BYTES (64u << 20)

struct entry {                    /* one collection */
    struct entry *next;           /* in its slot */
    char *tenant, *name;
    int64_t epoch;                /* seq of its last change */
    struct collection *settings;  /* with its texts in one block; NULL: not asked for, or changed since */
    size_t bytes;                 /* of that block */
    uint64_t changes;             /* of the settings: what was asked for before one is not kept */
};

struct feed {
    struct gateway *gw;
    pthread_t thread;
    struct nap nap;               /* of the thread */
    atomic_bool stop;
    pthread_rwlock_t lock;
    struct entry *slots[SLOTS];
    size_t n;                     /* entries */
    size_t settings_bytes;        /* of all of them */
    uint64_t era;                 /* how often it was begun again */
    int64_t after;                /* last seq read */
    _Atomic int64_t seq;          /* the same, for gauges */
    _Atomic int64_t fresh_ms;     /* when the last complete answer was asked for; 0: never */
};

static size_t
slot_for(struct str tenant, struct str name)
{
    size_t h = 1469598103934665603u;

    for (size_t i = 0; i < tenant.n; i++)
        h = (h ^ (unsigned char)tenant.p[i]) * 1099511628211u;
    h = (h ^ 0xff) * 1099511628211u;
    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (unsigned char)name.p[i]) * 1099511628211u;
    return h % SLOTS;
}

static struct entry *
entry_find(struct feed *f, struct str tenant, struct str name)
{
    struct entry *e = f->slots[slot_for(tenant, name)];

    while (e != NULL && !(str_is(tenant, e->tenant) && str_is(name, e->name)))
        e = e->next;
    return e;
}

/* Under the write lock. NULL: there are too many. */
static struct entry *
entry_get(struct feed *f, struct str tenant, struct str name)
{
    struct entry *e = entry_find(f, tenant, name);
    size_t slot = slot_for(tenant, name);

    if (e != NULL || f->n >= ENTRIES_MAX)
        return e;
    e = mem_new(sizeof *e);
    e->tenant = mem_dup_str(tenant);
    e->name = mem_dup_str(name);
    e->next = f->slots[slot];
    f->slots[slot] = e;
    f->n++;
    return e;
}

static void
settings_drop(struct feed *f, struct entry *e)
{
    f->settings_bytes -= e->settings ? e->bytes : 0;
    mem_free(&e->settings);
    e->changes++;
}

static void
entries_free(struct feed *f)
{
    for (size_t i = 0; i < SLOTS; i++)
        while (f->slots[i] != NULL) {
            struct entry *e = f->slots[i];

            f->slots[i] = e->next;
            settings_drop(f, e);
            mem_free(&e->tenant);
            mem_free(&e->name);
            mem_free(&e);
        }
    f->n = 0;
}

static struct str
place(char **at, struct str s)
{
    struct str out = { *at, s.n };

    if (s.p == NULL)
        return s;
    memcpy(*at, s.p, s.n);
    *at += s.n;
    return out;
}

/* Under the write lock. When all settings together are too much, all are asked for anew. */
static void
settings_keep(struct feed *f, struct entry *e, const struct collection *c)
{
    size_t bytes = sizeof *c + c->name.n + c->prompt.n + c->refusal.n + c->model.n + c->language.n;
    struct collection *copy;
    char *at;

    if (f->settings_bytes + bytes > SETTINGS_MAX_BYTES)
        for (size_t i = 0; i < SLOTS; i++)
            for (struct entry *x = f->slots[i]; x != NULL; x = x->next)
                settings_drop(f, x);
    settings_drop(f, e);
    copy = mem_new(bytes);
    at = (char *)(copy + 1);
    *copy = *c;
    copy->name = place(&at, c->name);
    copy->prompt = place(&at, c->prompt);
    copy->refusal = place(&at, c->refusal);
    copy->model = place(&at, c->model);
    copy->language = place(&at, c->language);
    e->settings = copy;
    e->bytes = bytes;
    f->settings_bytes += bytes;
    if (c->epoch > e->epoch)
        e->epoch = c->epoch;
}

static bool
settings_copy(struct arena *a, const struct collection *from, struct collection *to)
{
    *to = *from;
    to->name = arena_str(a, from->name);
    to->prompt = arena_str(a, from->prompt);
    to->refusal = arena_str(a, from->refusal);
    to->model = arena_str(a, from->model);
    to->language = arena_str(a, from->language);
    return to->name.p != NULL && (from->prompt.p == NULL || to->prompt.p != NULL) &&
           (from->refusal.p == NULL || to->refusal.p != NULL) && (from->model.p == NULL || to->model.p != NULL) &&
           (from->language.p == NULL || to->language.p != NULL);
}

static void
changes_install(struct feed *f, const struct changes_rep *rep)
{
    pthread_rwlock_wrlock(&f->lock);
    for (size_t i = 0; i < rep->items.n; i++) {
        const struct change *c = &rep->items.v[i];
        struct entry *e = entry_get(f, c->tenant, c->collection);

        if (e != NULL && c->seq > e->epoch)
            e->epoch = c->seq;
        if (e != NULL && uuid_is_nil(&c->document_id))
            settings_drop(f, e);
        if (c->seq > f->after)
            f->after = c->seq;
    }
    pthread_rwlock_unlock(&f->lock);
    atomic_store(&f->seq, f->after);
}

/* The store's newest change is older than ours: another database, or one restored from a backup. */
static void
begin_again(struct feed *f)
{
    LOG(WARN, NULL, M("the change feed went back: reading it from the beginning"), KI("had", f->after));
    atomic_store(&f->fresh_ms, 0);
    pthread_rwlock_wrlock(&f->lock);
    entries_free(f);
    f->after = 0;
    f->era++;
    pthread_rwlock_unlock(&f->lock);
}

/* The database is away since the last answer. After a gap others may have written before it went. */
static void
still_fresh(struct feed *f, int64_t asked)
{
    int64_t at = atomic_load(&f->fresh_ms);

    if (at != 0 && clock_ms() - at < FRESH_MS)
        atomic_store(&f->fresh_ms, asked);
}

/* One page; true: there is more at once. */
static bool
poll_changes(struct feed *f)
{
    struct changes_req req = { .after = f->after, .limit = PAGE };
    const struct changes_rep *rep;
    struct ask *q = NULL;
    struct answer a;
    int64_t asked = clock_ms();
    bool more = false;
    enum err e = ask_once(f->gw->hub, KIND_CHANGES, &req, "", "", asked + 2000, &q, &a);

    if (e == ERR_STORE_DOWN) {
        still_fresh(f, asked);
        keyring_away(f->gw->keys, asked);
    } else if (e == ERR_OK && a.msg != NULL) {
        rep = a.msg;
        keyring_heard(f->gw->keys, rep->keys_seq, asked);
        if (rep->seq < f->after) {
            begin_again(f);
        } else {
            changes_install(f, rep);
            more = rep->items.n >= PAGE;
            if (!more)
                atomic_store(&f->fresh_ms, asked);
        }
    }
    ask_free(&q);
    return more;
}

static void *
run(void *arg)
{
    struct feed *f = arg;

    bool on = true;

    while (on) {
        bool more = poll_changes(f);

        on = nap_for(&f->nap, more ? 0 : TICK_MS);
    }
    return NULL;
}

struct feed *
feed_start(struct gateway *gw)
{
    struct feed *f = mem_new(sizeof *f);

    f->gw = gw;
    pthread_rwlock_init(&f->lock, NULL);
    nap_init(&f->nap);
    if (pthread_create(&f->thread, NULL, run, f) == 0)
        return f;
    LOG(ERROR, NULL, M("no thread for the change feed"));
    mem_free(&f);
    return NULL;
}

void
feed_stop(struct feed **f)
{
    if (*f == NULL)
        return;
    atomic_store(&(*f)->stop, true);
    nap_end(&(*f)->nap);
    pthread_join((*f)->thread, NULL);
    nap_fini(&(*f)->nap);
    entries_free(*f);
    pthread_rwlock_destroy(&(*f)->lock);
    mem_free(f);
}

double
feed_age_s(struct feed *f)
{
    int64_t at = atomic_load(&f->fresh_ms);

    return at ? (double)(clock_ms() - at) / 1000 : -1;
}

int64_t
feed_seq(struct feed *f)
{
    return atomic_load(&f->seq);
}

bool
epoch_of(struct gateway *gw, const char *tenant, struct str collection, int64_t *epoch)
{
    struct feed *f = gw->feed;
    int64_t at = atomic_load(&f->fresh_ms);
    struct entry *e;
    bool full;

    pthread_rwlock_rdlock(&f->lock);
    e = entry_find(f, str_of(tenant), collection);
    *epoch = e ? e->epoch : 0;
    full = !e && f->n >= ENTRIES_MAX; /* then it may have an epoch that we have no room for */
    pthread_rwlock_unlock(&f->lock);
    return !full && at != 0 && clock_ms() - at < FRESH_MS;
}

void
feed_moved(struct gateway *gw, const char *tenant, struct str collection, int64_t seq)
{
    struct feed *f = gw->feed;
    struct entry *e;

    pthread_rwlock_wrlock(&f->lock);
    e = entry_get(f, str_of(tenant), collection);
    if (e != NULL && seq > e->epoch)
        e->epoch = seq;
    pthread_rwlock_unlock(&f->lock);
}

void
feed_settings_changed(struct gateway *gw, const char *tenant, struct str collection)
{
    struct feed *f = gw->feed;
    struct entry *e;

    pthread_rwlock_wrlock(&f->lock);
    e = entry_find(f, str_of(tenant), collection);
    if (e != NULL)
        settings_drop(f, e);
    pthread_rwlock_unlock(&f->lock);
}

/* Which change of the settings an answer that is asked for now is older than. */
struct since { uint64_t era, changes; };

/* True: they are known. */
static bool
settings_known(struct request *r, struct str name, struct collection *out, struct since *since)
{
    struct feed *f = r->gw->feed;
    const struct entry *e;
    bool known;

    pthread_rwlock_rdlock(&f->lock);
    e = entry_find(f, str_of(r->who.tenant), name);
    known = e != NULL && e->settings != NULL && settings_copy(r->arena, e->settings, out);
    *since = (struct since){ f->era, e ? e->changes : 0 };
    pthread_rwlock_unlock(&f->lock);
    return known;
}

static void
settings_heard(struct feed *f, const char *tenant, const struct collection *c, const struct since *since)
{
    struct entry *e;

    pthread_rwlock_wrlock(&f->lock);
    e = entry_get(f, str_of(tenant), c->name);
    if (e != NULL && f->era == since->era && e->changes == since->changes)
        settings_keep(f, e, c);
    pthread_rwlock_unlock(&f->lock);
}

bool
collection_known(struct request *r, struct str name, const struct collection **out)
{
    struct collection *mine = arena_alloc(r->arena, sizeof *mine);
    struct since since;

    *out = mine && settings_known(r, name, mine, &since) ? mine : NULL;
    return *out != NULL;
}

enum err
collection_of(struct request *r, struct str name, const struct collection **out)
{
    const struct collection_ref req = { .name = name };
    struct collection *mine = arena_alloc(r->arena, sizeof *mine);
    struct since since;
    struct ask *q = NULL;
    struct answer a;
    enum err e = ERR_OK;

    *out = NULL;
    if (mine == NULL)
        return ERR_BUSY;
    if (!settings_known(r, name, mine, &since)) {
        e = ask_once(r->gw->hub, KIND_COLLECTION_GET, &req, r->who.tenant, r->id, r->deadline_ms, &q, &a);
        if (e == ERR_OK && a.msg != NULL) {
            settings_heard(r->gw->feed, r->who.tenant, a.msg, &since);
            e = settings_copy(r->arena, a.msg, mine) ? ERR_OK : ERR_BUSY;
        }
        ask_free(&q);
    }
    if (e == ERR_OK)
        *out = mine;
    return e;
}
