/* Changes of the collections, asked of the store every 100 ms: each collection's epoch (the number of its
 * last change). A cached answer carries the epoch it was made at; an older one is a miss, and so is
 * everything when the feed has been silent for a second. While a long backlog is read nothing is known yet.
 * A collection's settings are asked for when they are needed first, and kept until the feed tells of a
 * change. The absence of a collection is not kept: a made-up name costs a look by key, and no memory. The
 * feed also hears of keys (keyring.c). A store that says that its database is away is not silent: what
 * cannot be written cannot change, so that the last known epochs stay fresh for as long as it says so, and
 * cached answers are still given. Changes made through this gateway are noted at once, also when the
 * database dies right after them: only a change that another gateway made in the last 100 ms before that
 * can be overlooked, until the database is back. Silence, from a store that hangs or is gone, still makes
 * every look-up a miss. */
#include <pthread.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"
#include "gateway/gateway.h"
#include "common/process/ticker.h"
#include "gateway/watch/epochs.h"
#include "gateway/watch/keyring.h"

#define TICK_MS 100
#define FRESH_MS 1000
#define PAGE 1000
#define SLOTS 4096u
#define ENTRIES_MAX 200000u
#define SETTINGS_MAX_BYTES (64u << 20)

struct entry {          /* one collection */
    struct entry *next; /* in its slot */
    char *tenant, *name;
    int64_t epoch;               /* seq of its last change */
    struct collection *settings; /* with its texts in one block; NULL: not asked for, or changed since */
    size_t bytes;                /* of that block */
    uint64_t changes;            /* of the settings: what was asked for before one is not kept */
};

struct epochs {
    struct gateway *gw;
    struct ticker *ticker;
    pthread_rwlock_t lock;
    struct entry *slots[SLOTS];
    size_t n;                 /* entries */
    size_t settings_bytes;    /* of all of them */
    uint64_t era;             /* how often it was begun again */
    int64_t after;            /* last seq read */
    _Atomic int64_t seq;      /* the same, for gauges */
    _Atomic int64_t fresh_ms; /* when the last complete answer was asked for; 0: never */
};

/* The texts of a collection that are kept. The others nobody here asks for. */
static const size_t texts[] = { offsetof(struct collection, name),       offsetof(struct collection, prompt),
                                offsetof(struct collection, refusal),    offsetof(struct collection, model),
                                offsetof(struct collection, language),   offsetof(struct collection, space),
                                offsetof(struct collection, cache_scope) };
#define TEXTS (sizeof texts / sizeof *texts)

static struct str *
text_of(struct collection *c, size_t i)
{
    return (void *)((char *)c + texts[i]);
}

static struct str
text_get(const struct collection *c, size_t i)
{
    return *(const struct str *)(const void *)((const char *)c + texts[i]);
}

static size_t
slot_for(struct str tenant, struct str name)
{
    return hash_pair(tenant, name) % SLOTS;
}

static struct entry *
entry_find(struct epochs *f, struct str tenant, struct str name)
{
    struct entry *e = f->slots[slot_for(tenant, name)];

    while (e && !(str_is(tenant, e->tenant) && str_is(name, e->name)))
        e = e->next;
    return e;
}

/* Under the write lock. NULL: there are too many. */
static struct entry *
entry_get(struct epochs *f, struct str tenant, struct str name)
{
    struct entry *e = entry_find(f, tenant, name);
    size_t slot = slot_for(tenant, name);

    if (e || f->n >= ENTRIES_MAX)
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
settings_drop(struct epochs *f, struct entry *e)
{
    f->settings_bytes -= e->settings ? e->bytes : 0;
    mem_free(&e->settings);
    e->changes++;
}

static void
entries_free(struct epochs *f)
{
    for (size_t i = 0; i < SLOTS; i++)
        while (f->slots[i]) {
            struct entry *e = f->slots[i];

            f->slots[i] = e->next;
            settings_drop(f, e);
            mem_free(&e->tenant);
            mem_free(&e->name);
            mem_free(&e);
        }
    f->n = 0;
}

/* Under the write lock. When all settings together are too much, all are asked for anew. */
static void
settings_keep(struct epochs *f, struct entry *e, const struct collection *c)
{
    struct collection *copy;
    size_t bytes = sizeof *c;
    char *at;

    for (size_t i = 0; i < TEXTS; i++)
        bytes += text_get(c, i).n;
    if (f->settings_bytes + bytes > SETTINGS_MAX_BYTES)
        for (size_t i = 0; i < SLOTS; i++)
            for (struct entry *x = f->slots[i]; x != NULL; x = x->next)
                settings_drop(f, x);
    settings_drop(f, e);
    copy = mem_new(bytes);
    at = (char *)(copy + 1);
    *copy = *c;
    for (size_t i = 0; i < TEXTS; i++)
        *text_of(copy, i) = str_put(&at, text_get(c, i));
    copy->space_state = copy->other = copy->space_error = STR_NONE;
    e->settings = copy;
    e->bytes = bytes;
    f->settings_bytes += bytes;
    if (c->epoch > e->epoch)
        e->epoch = c->epoch;
}

static bool
settings_copy(struct arena *a, const struct collection *from, struct collection *to)
{
    bool whole = true;

    *to = *from;
    to->space_state = to->other = to->space_error = STR_NONE;
    for (size_t i = 0; i < TEXTS; i++) {
        *text_of(to, i) = arena_str(a, text_get(from, i));
        whole &= !text_get(from, i).p || text_of(to, i)->p != NULL;
    }
    return whole;
}

static void
changes_install(struct epochs *f, const struct changes_rep *rep)
{
    pthread_rwlock_wrlock(&f->lock);
    for (size_t i = 0; i < rep->items.n; i++) {
        const struct change *c = &rep->items.v[i];
        struct entry *e = entry_get(f, c->tenant, c->collection);

        /* of a change that brought nothing but vectors the one before it counts */
        if (e && (c->content ? c->content : c->seq) > e->epoch)
            e->epoch = c->content ? c->content : c->seq;
        if (e && (uuid_is_nil(&c->document_id) || (e->settings && e->settings->space.n == 0)))
            settings_drop(
                f, e); /* changed, or asked for before there was a first document, whose model counts */
        if (c->seq > f->after)
            f->after = c->seq;
    }
    pthread_rwlock_unlock(&f->lock);
    atomic_store(&f->seq, f->after);
}

/* The store's newest change is older than ours: another database, or one restored from a backup. */
static void
begin_again(struct epochs *f)
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
still_fresh(struct epochs *f, int64_t asked)
{
    int64_t at = atomic_load(&f->fresh_ms);

    if (at != 0 && clock_ms() - at < FRESH_MS)
        atomic_store(&f->fresh_ms, asked);
}

/* One page; true: there is more at once. */
static bool
poll_changes(struct epochs *f)
{
    struct changes_req req = { .after = f->after, .limit = PAGE };
    const struct changes_rep *rep;
    struct call *q = NULL;
    struct outcome a;
    int64_t asked = clock_ms();
    bool more = false;
    enum err e = call_once(f->gw->hub, KIND_CHANGES, &req, "", "", asked + 2000, &q, &a);

    if (e == ERR_STORE_DOWN) {
        still_fresh(f, asked);
        keyring_away(f->gw->keys, asked);
    } else if (e == ERR_OK && a.msg) {
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
    call_free(&q);
    return more;
}

static int64_t
look(void *arg)
{
    return poll_changes(arg) ? 0 : TICK_MS;
}

static void
epochs_free(struct epochs **f)
{
    entries_free(*f);
    pthread_rwlock_destroy(&(*f)->lock);
    mem_free(f);
}

struct epochs *
epochs_start(struct gateway *gw)
{
    struct epochs *f = mem_new(sizeof *f);

    f->gw = gw;
    pthread_rwlock_init(&f->lock, NULL);
    f->ticker = ticker_start("the change feed", look, f);
    if (!f->ticker)
        epochs_free(&f);
    return f;
}

void
epochs_stop(struct epochs **f)
{
    if (!*f)
        return;
    ticker_stop(&(*f)->ticker);
    epochs_free(f);
}

int64_t
epochs_heard_ms(struct gateway *gw)
{
    return atomic_load(&gw->epochs->fresh_ms);
}

double
epochs_age_s(struct epochs *f)
{
    int64_t at = atomic_load(&f->fresh_ms);

    return at ? (double)(clock_ms() - at) / 1000 : -1;
}

int64_t
epochs_seq(struct epochs *f)
{
    return atomic_load(&f->seq);
}

bool
epoch_of(struct gateway *gw, const char *tenant, struct str collection, int64_t *epoch)
{
    struct epochs *f = gw->epochs;
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
epochs_moved(struct gateway *gw, const char *tenant, struct str collection, int64_t seq)
{
    struct epochs *f = gw->epochs;
    struct entry *e;

    pthread_rwlock_wrlock(&f->lock);
    e = entry_get(f, str_of(tenant), collection);
    if (e && seq > e->epoch)
        e->epoch = seq;
    pthread_rwlock_unlock(&f->lock);
}

void
epochs_settings_changed(struct gateway *gw, const char *tenant, struct str collection)
{
    struct epochs *f = gw->epochs;
    struct entry *e;

    pthread_rwlock_wrlock(&f->lock);
    e = entry_find(f, str_of(tenant), collection);
    if (e)
        settings_drop(f, e);
    pthread_rwlock_unlock(&f->lock);
}

/* The last change of the settings before they were asked for: a later one makes the answer old. */
struct since {
    uint64_t era, changes;
};

/* True: they are known. */
static bool
settings_known(struct request *r, struct str name, struct collection *out, struct since *since)
{
    struct epochs *f = r->gw->epochs;
    const struct entry *e;
    bool known;

    pthread_rwlock_rdlock(&f->lock);
    e = entry_find(f, str_of(r->who.tenant), name);
    known = e && e->settings && settings_copy(r->arena, e->settings, out);
    *since = (struct since){ f->era, e ? e->changes : 0 };
    pthread_rwlock_unlock(&f->lock);
    return known;
}

static void
settings_heard(struct epochs *f, const char *tenant, const struct collection *c, const struct since *since)
{
    struct entry *e;

    pthread_rwlock_wrlock(&f->lock);
    e = entry_get(f, str_of(tenant), c->name);
    if (e && f->era == since->era && e->changes == since->changes)
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
collection_within(struct request *r, struct str name, int64_t deadline_ms, const struct collection **out)
{
    const struct collection_ref req = { .name = name };
    struct collection *mine = arena_alloc(r->arena, sizeof *mine);
    struct since since;
    struct call *q = NULL;
    struct outcome a;
    enum err e = ERR_OK;

    *out = NULL;
    if (!mine)
        return ERR_BUSY;
    if (!settings_known(r, name, mine, &since)) {
        e = call_once(r->gw->hub, KIND_COLLECTION_GET, &req, r->who.tenant, r->id, deadline_ms, &q, &a);
        if (e == ERR_OK && a.msg) {
            settings_heard(r->gw->epochs, r->who.tenant, a.msg, &since);
            e = settings_copy(r->arena, a.msg, mine) ? ERR_OK : ERR_BUSY;
        }
        call_free(&q);
    }
    if (e == ERR_OK)
        *out = mine;
    return e;
}

enum err
collection_of(struct request *r, struct str name, const struct collection **out)
{
    return collection_within(r, name, r->deadline_ms, out);
}
