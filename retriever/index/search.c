/* One search: question → words and int8 query → candidates of each shard (best by words, best by vector) → exact scores of
 * all candidates → fused order (fuse.h) → hits copied out. All under one read lock; nothing of the index leaves it. */
#include <math.h>

#include "retriever/index/fuse.h"
#include "retriever/index/rank.h"

enum { SHARDS_MAX = 64, CANDIDATES_MIN = 64 };

struct search {
    struct index *ix;
    struct ranking r;
    struct shard *shards[SHARDS_MAX];
    size_t n_shards;
    int8_t *query; /* quantised vector, or NULL */
    float query_scale;
    struct space_result by_vector, by_words; /* of the shard at hand; sums run over all */
};

static void
find_shards(struct search *s)
{
    double words = 0;

    for (size_t i = 0; i < s->r.q->collections->n && s->n_shards < SHARDS_MAX; i++) {
        struct shard *sh = index_shard(s->ix, s->r.q->tenant, s->r.q->collections->v[i]);

        for (size_t k = 0; sh && k < s->n_shards; k++)
            if (s->shards[k] == sh)
                sh = NULL;
        if (!sh || sh->n_live == 0)
            continue;
        s->shards[s->n_shards++] = sh;
        s->r.passages += (double)sh->n_live;
        words += (double)sh->total_len;
    }
    s->r.mean_len = s->r.passages > 0 ? words / s->r.passages + 1e-9 : 1;
}

static bool
quantise_query(struct search *s)
{
    if (!s->r.q->vector)
        return true;
    s->query = arena_alloc(s->r.arena, s->r.q->dims);
    if (s->query)
        s->query_scale = dot_quantise(s->r.q->vector, s->r.q->dims, s->query);
    return s->query != NULL;
}

/* The slots that may be found: the live ones, or those of them that pass the filter (from the heap then). */
static uint8_t *
allowed(const struct search *s, const struct shard *sh)
{
    const struct filter *f = s->r.q->filter;
    uint8_t *allow = mem_try(sh->n_slots);
    bool chunks = filter_has_chunk(f);

    for (size_t i = 0; allow && i < sh->n_docs; i++) {
        const struct index_doc *d = sh->docs[i].doc;
        struct filter_view v = { 0 };

        if (!d)
            continue;
        v = (struct filter_view){ d->metadata, str_of(d->id_text), d->external_id, d->title,
                                  d->url,      STR_NONE,           STR_NONE };
        if (!filter_document(f, &v))
            continue;
        for (size_t k = 0; k < sh->docs[i].n; k++) {
            uint32_t slot = sh->docs[i].first + (uint32_t)k;

            v.chapter = d->v[k].chapter;
            v.section = d->v[k].section;
            allow[slot] = sh->live[slot] && (!chunks || filter_chunk(f, &v));
        }
    }
    return allow;
}

static void
score_postings(const struct search *s, const struct shard *sh, const uint8_t *allow, double idf,
               const struct term *t, float *acc)
{
    for (uint32_t k = 0; t && k < t->n; k++) {
        uint32_t slot = t->v[k].slot;

        if (!allow[slot])
            continue;
        const struct doc_slot *d = &sh->docs[sh->doc_of[slot]];
        double len = d->doc->v[slot - d->first].len;

        acc[slot] += (float)fuse_bm25(&s->r, idf, t->v[k].tf, len);
    }
}

/* Add up BM25 over the postings of the question's words. */
static void
score_words(const struct search *s, const struct shard *sh, const uint8_t *allow, float *acc)
{
    for (size_t i = 0; i < s->r.words.n; i++)
        for (size_t f = 0; f < s->r.words.v[i].n_forms; f++)
            score_postings(s, sh, allow, s->r.words.v[i].idf, shard_term(sh, s->r.words.v[i].h[f]), acc);
}

static void
add_candidate(struct search *s, const struct shard *sh, uint32_t slot, const float *acc)
{
    const struct index_doc *d;
    const struct passage *p = shard_passage(sh, slot, &d);

    for (size_t i = s->r.n_cands; i-- > 0;)
        if (s->r.cands[i].passage == p)
            return;
    if (s->r.n_cands == s->r.cands_cap)
        return;
    const float *v = s->query ? doc_vector(d, (size_t)(p - d->v), s->r.q->model, s->r.q->dims) : NULL;
    struct candidate *c = &s->r.cands[s->r.n_cands++];

    *c = (struct candidate){ .doc = d, .passage = p, .order = slot, .bm25 = acc[slot], .vector = v != NULL };
    if (v)
        c->cosine = dot_f32(s->r.q->vector, v, s->r.q->dims);
}

static enum err
search_shard(struct search *s, const struct shard *sh)
{
    uint8_t *allow = allowed(s, sh);
    float *acc = mem_try(sh->n_slots * sizeof *acc);
    enum err err = allow && acc ? ERR_OK : ERR_INTERNAL;

    if (err == ERR_OK) {
        s->by_words.n = s->by_vector.n = 0;
        score_words(s, sh, allow, acc);
        for (size_t i = 0; i < sh->n_slots; i++)
            if (acc[i] > 0)
                top_push(&s->by_words, acc[i], (uint32_t)i);
        if (s->query)
            space_scan(sh, s->ix->dot, s->r.q, s->query, s->query_scale, allow, &s->by_vector);
        for (size_t i = 0; i < s->by_words.n; i++)
            add_candidate(s, sh, s->by_words.top[i].slot, acc);
        for (size_t i = 0; i < s->by_vector.n; i++)
            add_candidate(s, sh, s->by_vector.top[i].slot, acc);
    }
    mem_free(&allow);
    mem_free(&acc);
    return err;
}

/* ---- what the shards know of words */

static double
passages_with(void *arg, uint64_t h)
{
    const struct search *s = arg;
    double df = 0;

    for (size_t k = 0; k < s->n_shards; k++) {
        const struct term *t = shard_term(s->shards[k], h);

        df += t ? t->df : 0;
    }
    return df;
}

static void
read_question(struct search *s, struct words *w)
{
    struct corpus c = { .passages = s->r.passages, .with = passages_with, .arg = s };

    for (int l = 0; l < LANGUAGES; l++)
        for (size_t k = 0; k < s->n_shards; k++)
            c.languages[l] += s->shards[k]->languages[l];
    query_read(&s->r.words, w, s->r.q, &c);
}

static enum err
run(struct search *s, struct words *w, struct search_rep *rep, struct index_signals *signals)
{
    size_t n = s->r.q->top_k + CANDIDATES_MIN;
    enum err err = ERR_OK;

    find_shards(s);
    s->r.cands_cap = 2 * n * s->n_shards;
    s->by_words = (struct space_result){ .cap = n,
                                         .top = arena_alloc(s->r.arena, n * sizeof(struct space_top)) };
    s->by_vector = (struct space_result){ .cap = n,
                                          .top = arena_alloc(s->r.arena, n * sizeof(struct space_top)) };
    s->r.cands = arena_alloc(s->r.arena, (s->r.cands_cap + 1) * sizeof *s->r.cands);
    if (!s->by_words.top || !s->by_vector.top || !s->r.cands || !quantise_query(s))
        return ERR_INTERNAL;
    read_question(s, w);
    for (size_t i = 0; i < s->n_shards && err == ERR_OK; i++)
        err = search_shard(s, s->shards[i]);
    if (err != ERR_OK)
        return err;
    s->r.sum = s->by_vector.sum;
    s->r.sum2 = s->by_vector.sum2;
    s->r.seen = s->by_vector.seen;
    fuse_order(&s->r, w);
    return fuse_hits(&s->r, rep, signals);
}

enum err
index_search_explained(struct index *ix, struct words *w, const struct engine_query *q, struct arena *a,
                       struct search_rep *rep, struct index_signals *signals)
{
    struct search *s = arena_alloc(a, sizeof *s);
    struct index_signals unused;

    *rep = (struct search_rep){ 0 };
    if (!s)
        return ERR_INTERNAL;
    s->ix = ix;
    s->r.q = q;
    s->r.arena = a;
    s->r.vector_weight = ix->vector_weight;
    pthread_rwlock_rdlock(&ix->lock);
    enum err err = run(s, w, rep, signals ? signals : &unused);

    pthread_rwlock_unlock(&ix->lock);
    return err;
}

enum err
index_search(struct index *ix, struct words *w, const struct engine_query *q, struct arena *a,
             struct search_rep *rep)
{
    return index_search_explained(ix, w, q, a, rep, NULL);
}
