/* Numbers of some collections, asked of the store and kept for a moment: how many passages there are, how long, in which languages. */
#include "retriever/pgvector/pgvector.h"

#include "common/clock.h"
#include "common/hash.h"

enum {
    KEPT = 16,
    SMALL = 20000 /* passages: of fewer, each change counts */,
    SMALL_MS = 2000,
    LARGE_MS = 15000
};

struct kept {
    uint64_t key, writes; /* key 0: free */
    int64_t at_ms;
    struct pg_corpus c;
};
struct pg_corpora {
    pthread_mutex_t lock;
    struct kept v[KEPT]; /* the newest first */
};

struct pg_corpora *
pg_corpora_new(void)
{
    struct pg_corpora *c = mem_new(sizeof *c);

    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void
pg_corpora_free(struct pg_corpora **c)
{
    if (*c)
        pthread_mutex_destroy(&(*c)->lock);
    mem_free(c);
}

static uint64_t
key_of(const struct engine_query *q, const char *space)
{
    uint64_t h = hash_pair(q->tenant, str_of(space));

    for (size_t i = 0; i < q->collections->n; i++)
        h = hash_more(hash_more(h, STR("\xff")), q->collections->v[i]);
    return h | 1;
}

static bool
known(struct pg_corpora *all, uint64_t key, uint64_t writes, struct pg_corpus *out)
{
    bool fresh = false;

    pthread_mutex_lock(&all->lock);
    for (size_t i = 0; i < KEPT && !fresh; i++) {
        const struct kept *k = &all->v[i];
        int64_t age = clock_ms() - k->at_ms;

        if (k->key != key)
            continue;
        fresh = k->c.passages < SMALL ? k->writes == writes && age < SMALL_MS : age < LARGE_MS;
        *out = k->c;
    }
    pthread_mutex_unlock(&all->lock);
    return fresh;
}

static void
keep(struct pg_corpora *all, const struct kept *new)
{
    size_t i = 0;

    pthread_mutex_lock(&all->lock);
    while (i < KEPT - 1 && all->v[i].key && all->v[i].key != new->key)
        i++;
    memmove(all->v + 1, all->v, i * sizeof *all->v);
    all->v[0] = *new;
    pthread_mutex_unlock(&all->lock);
}

enum err
pg_corpus(struct pgvector *e, const struct engine_search *s, struct str walls, const char *space,
          struct pg_corpus *out)
{
    struct kept now = { .key = key_of(&s->query, space),
                        .writes = atomic_load(&e->writes),
                        .at_ms = clock_ms() };
    struct index_count_req q = {
        .collections = *s->query.collections, .walls = walls, .corpus = true, .space = str_of(space)
    };
    struct arena *held = NULL;
    const void *answer;
    enum language language;
    enum err err;

    if (known(e->corpora, now.key, now.writes, out))
        return ERR_OK;
    err = store_ask(e->asks, KIND_INDEX_COUNT, &q, s->query.tenant, s->deadline_ms, &answer, &held);
    if (err != ERR_OK)
        return err;
    const struct index_count_rep *rep = answer;

    for (size_t i = 0; i < rep->corpus.n; i++) {
        const struct index_language *l = &rep->corpus.v[i];

        now.c.passages += (double)l->passages;
        now.c.words += (double)l->words;
        now.c.vectors += (size_t)l->vectors;
        if (language_parse(l->language, &language))
            now.c.languages[language] += (uint64_t)l->passages;
    }
    arena_free(&held);
    keep(e->corpora, &now);
    *out = now.c;
    return ERR_OK;
}
