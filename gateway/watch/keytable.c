/* Two hash tables: keys by SHA-256, and origins with how many keys are bound to each (keytable.h). A key with all it refers
 * to is one block of memory; max_bytes bounds all blocks together. */
#include "gateway/watch/keytable.h"

#include <stdatomic.h>

#include "common/digest.h"
#include "common/hash.h"
#include "gateway/edge/origin.h"

#define KEY_SLOTS 65536u
#define ORIGIN_SLOTS 4096u

struct entry {          /* one key; its strings follow in the same block */
    struct entry *next; /* in its slot */
    struct api_key key;
    size_t bytes; /* of the block */
    uint64_t age; /* keytable.age when it was put */
    /* the day of its last use, and the one that was told of; 0: none */
    atomic_int used, told;
};

struct origin {
    struct origin *next;
    size_t keys; /* bound to it */
    char *text;
};

struct keytable {
    struct entry *keys[KEY_SLOTS];
    struct origin *origins[ORIGIN_SLOTS];
    size_t n, bytes, max_bytes;
    uint64_t age;
};

struct keytable *
keytable_new(size_t max_bytes)
{
    struct keytable *t = mem_new(sizeof *t);

    t->max_bytes = max_bytes;
    return t;
}

/* ---- origins */

static struct origin **
origin_at(const struct keytable *t, struct str text)
{
    struct origin **o = (struct origin **)&t->origins[hash_str(text) % ORIGIN_SLOTS];

    while (*o != NULL && !str_is(text, (*o)->text))
        o = &(*o)->next;
    return o;
}

static void
origins_add(struct keytable *t, const struct strs *list)
{
    for (size_t i = 0; i < list->n; i++) {
        struct origin **o = origin_at(t, list->v[i]);

        if (!*o) {
            *o = mem_new(sizeof **o);
            (*o)->text = mem_dup_str(list->v[i]);
        }
        (*o)->keys++;
    }
}

static void
origins_drop(struct keytable *t, const struct strs *list)
{
    for (size_t i = 0; i < list->n; i++) {
        struct origin **at = origin_at(t, list->v[i]), *o = *at;

        if (o && --o->keys == 0) {
            *at = o->next;
            mem_free(&o->text);
            mem_free(&o);
        }
    }
}

bool
keytable_has_origin(const struct keytable *t, struct str origin)
{
    return *origin_at(t, origin) != NULL;
}

/* ---- keys */

static struct entry **
entry_at(const struct keytable *t, const uint8_t hash[32])
{
    struct entry **e = (struct entry **)&t->keys[((unsigned)hash[0] << 8 | hash[1]) % KEY_SLOTS];

    while (*e != NULL && !bytes_equal((*e)->key.hash.p, hash, 32))
        e = &(*e)->next;
    return e;
}

static void
entry_drop(struct keytable *t, struct entry **at)
{
    struct entry *e = *at;

    *at = e->next;
    origins_drop(t, &e->key.origins);
    t->bytes -= e->bytes;
    t->n--;
    mem_free(&e);
}

static size_t
strs_bytes(const struct strs *s)
{
    size_t n = s->n * sizeof *s->v;

    for (size_t i = 0; i < s->n; i++)
        n += s->v[i].n;
    return n;
}

/* First the lists, which want to be aligned, then the bytes. */
static struct strs
place_list(char **lists, char **bytes, const struct strs *from)
{
    struct strs to = { (struct str *)(void *)*lists, from->n };

    *lists += from->n * sizeof *from->v;
    for (size_t i = 0; i < from->n; i++)
        to.v[i] = str_put(bytes, from->v[i].p ? from->v[i] : STR(""));
    return to;
}

static struct entry *
entry_new(const struct api_key *k)
{
    size_t lists = (k->scopes.n + k->collections.n + k->origins.n) * sizeof(struct str);
    size_t bytes = sizeof(struct entry) + strs_bytes(&k->scopes) + strs_bytes(&k->collections) +
                   strs_bytes(&k->origins) + k->hash.n + k->limits.n + k->label.n + k->tenant.n;
    struct entry *e = mem_new(bytes);
    char *at = (char *)(e + 1), *rest = at + lists;

    e->bytes = bytes;
    e->key = *k;
    e->key.replaced_by = STR_NONE; /* of nobody's interest here */
    e->key.scopes = place_list(&at, &rest, &k->scopes);
    e->key.collections = place_list(&at, &rest, &k->collections);
    e->key.origins = place_list(&at, &rest, &k->origins);
    e->key.hash = str_put(&rest, k->hash);
    e->key.limits = k->limits.n > 0 ? str_put(&rest, k->limits) : STR_NONE;
    e->key.label = str_put(&rest, k->label);
    e->key.tenant = str_put(&rest, k->tenant);
    return e;
}

bool
keytable_put(struct keytable *t, const struct api_key *k)
{
    struct entry **at, *e;
    int used = 0, told = 0;

    if (k->hash.n != 32)
        return true; /* opens nothing */
    at = entry_at(t, (const uint8_t *)k->hash.p);
    if (*at != NULL && (*at)->key.seq > k->seq && (*at)->age == t->age)
        return true;
    if (*at != NULL) {
        used = atomic_load(&(*at)->used);
        told = atomic_load(&(*at)->told);
        entry_drop(t, at);
    }
    if (k->gone || k->tenant.n == 0)
        return true;
    e = entry_new(k);
    if (t->bytes + e->bytes > t->max_bytes) {
        mem_free(&e);
        return false;
    }
    at = entry_at(t, (const uint8_t *)k->hash.p);
    e->age = t->age;
    atomic_store(&e->used, used);
    atomic_store(&e->told, told);
    e->next = *at;
    *at = e;
    t->bytes += e->bytes;
    t->n++;
    origins_add(t, &e->key.origins);
    return true;
}

void
keytable_drop(struct keytable *t, const uint8_t hash[32])
{
    struct entry **at = entry_at(t, hash);

    if (*at != NULL)
        entry_drop(t, at);
}

void
keytable_age(struct keytable *t)
{
    t->age++;
}

void
keytable_sweep(struct keytable *t, bool old, int64_t expired_ms)
{
    for (size_t i = 0; i < KEY_SLOTS; i++)
        for (struct entry **at = &t->keys[i]; *at != NULL;) {
            const struct entry *e = *at;

            if ((old && e->age != t->age) || (e->key.expires_ms != 0 && e->key.expires_ms < expired_ms))
                entry_drop(t, at);
            else
                at = &(*at)->next;
        }
}

const struct api_key *
keytable_find(const struct keytable *t, const uint8_t hash[32])
{
    const struct entry *e = *entry_at(t, hash);

    return e ? &e->key : NULL;
}

/* ---- uses */

bool
keytable_use(const struct keytable *t, const uint8_t hash[32], int day)
{
    struct entry *e = *entry_at(t, hash);

    return e && atomic_load_explicit(&e->used, memory_order_relaxed) != day &&
           atomic_exchange(&e->used, day) != day;
}

int
keytable_untold(const struct keytable *t, uint8_t (*out)[32], size_t *n)
{
    size_t most = *n;
    int day = 0;

    *n = 0;
    for (size_t i = 0; i < KEY_SLOTS; i++)
        for (struct entry *e = t->keys[i]; e != NULL && *n < most; e = e->next) {
            int used = atomic_load(&e->used);

            if (used == 0 || used == atomic_load(&e->told) || (day != 0 && used != day))
                continue;
            day = used;
            memcpy(out[(*n)++], e->key.hash.p, 32);
        }
    return day;
}

void
keytable_told(const struct keytable *t, const uint8_t hash[32], int day)
{
    struct entry *e = *entry_at(t, hash);

    if (e)
        atomic_store(&e->told, day);
}

size_t
keytable_count(const struct keytable *t)
{
    return t->n;
}

void
keytable_free(struct keytable **t)
{
    if (!*t)
        return;
    for (size_t i = 0; i < KEY_SLOTS; i++)
        while ((*t)->keys[i] != NULL)
            entry_drop(*t, &(*t)->keys[i]);
    mem_free(t);
}

/* ---- copies */

static bool
copy_strs(struct arena *a, const struct strs *from, struct strs *to)
{
    *to = (struct strs){ NULL, 0 };
    if (from->n == 0)
        return true;
    to->v = arena_alloc(a, from->n * sizeof *to->v);
    if (!to->v)
        return false;
    for (; to->n < from->n; to->n++) {
        to->v[to->n] = arena_str(a, from->v[to->n]);
        if (from->v[to->n].p != NULL && !to->v[to->n].p)
            return false;
    }
    return true;
}

bool
key_copy(struct arena *a, const struct api_key *from, struct api_key *to)
{
    *to = *from;
    to->replaced_by = STR_NONE;
    to->hash = arena_str(a, from->hash);
    to->limits = from->limits.n > 0 ? arena_str(a, from->limits) : STR_NONE;
    to->label = arena_str(a, from->label);
    to->tenant = arena_str(a, from->tenant);
    return to->hash.p && to->hash.n == 32 && to->tenant.p && to->tenant.n > 0 && !from->gone &&
           copy_strs(a, &from->scopes, &to->scopes) && copy_strs(a, &from->collections, &to->collections) &&
           copy_strs(a, &from->origins, &to->origins);
}
