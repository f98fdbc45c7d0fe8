/* One search: question → words and int8 query → candidates of each shard (best by words, best by vector) → exact scores of
 * all candidates → fused order → hits copied out. All under one read lock; nothing of the index leaves it.
 *
 *   fused = (1 − w) × bm25 / best bm25 + w × (cosine − mean) / (best cosine − mean)
 *   score = relevance of the best passage × fused / best fused */
#include <math.h>
#include <stdlib.h>

#include "retriever/index/query.h"
#include "retriever/index/rank.h"
#include "retriever/index/shard.h"

enum { SHARDS_MAX = 64, CANDIDATES_MIN = 64, RELEVANT_OF = 16, Z_SEEN = 30 };

struct candidate {
    const struct shard *shard;
    uint32_t slot;
    float bm25, cosine;
    double fused;
    bool vector;        /* it has one of the question's model */
    struct index_signals sig;
};
struct search {
    struct index *ix;
    const struct index_query *q;
    struct arena *arena;
    struct shard *shards[SHARDS_MAX];
    size_t n_shards;
    double passages, mean_len;          /* over all shards */
    struct query words;                 /* of the question and its context */
    int8_t *query;                      /* quantised vector, or NULL */
    float query_scale;
    struct space_result by_vector, by_words; /* of the shard at hand; sums run over all */
    struct candidate *cands;
    size_t n_cands, cands_cap;
    double mean, deviation;             /* of the cosines */
};

static void
find_shards(struct search *s)
{
    double words = 0;

    for (size_t i = 0; i < s->q->collections->n && s->n_shards < SHARDS_MAX; i++) {
        struct shard *sh = index_shard(s->ix, s->q->tenant, s->q->collections->v[i]);

        for (size_t k = 0; sh && k < s->n_shards; k++)
            if (s->shards[k] == sh)
                sh = NULL;
        if (!sh || sh->n_live == 0)
            continue;
        s->shards[s->n_shards++] = sh;
        s->passages += (double)sh->n_live;
        words += (double)sh->total_len;
    }
    s->mean_len = s->passages > 0 ? words / s->passages + 1e-9 : 1;
}

static bool
quantise_query(struct search *s)
{
    if (!s->q->vector)
        return true;
    s->query = arena_alloc(s->arena, s->q->dims);
    if (s->query)
        s->query_scale = dot_quantise(s->q->vector, s->q->dims, s->query);
    return s->query != NULL;
}

/* Which slots may be found: the live ones, or those of them that pass the filter (from the heap then). */
static uint8_t *
allowed(const struct search *s, const struct shard *sh)
{
    const struct filter *f = s->q->filter;
    uint8_t *allow = mem_try(sh->n_slots);
    bool chunks = filter_has_chunk(f);

    for (size_t i = 0; allow && i < sh->n_docs; i++) {
        const struct index_doc *d = sh->docs[i].doc;
        struct filter_view v = { 0 };

        if (!d)
            continue;
        v = (struct filter_view){ d->metadata, str_of(d->id_text), d->external_id, d->title, d->url, STR_NONE, STR_NONE };
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
score_postings(const struct search *s, const struct shard *sh, const uint8_t *allow, double idf, const struct term *t, float *acc)
{
    for (uint32_t k = 0; t && k < t->n; k++) {
        uint32_t slot = t->v[k].slot;

        if (!allow[slot])
            continue;
        const struct doc_slot *d = &sh->docs[sh->doc_of[slot]];
        double len = d->doc->v[slot - d->first].len, tf = t->v[k].tf;

        acc[slot] += (float)(idf * tf * (RANK_K1 + 1) / (tf + RANK_K1 * (1 - RANK_B + RANK_B * len / s->mean_len)));
    }
}

/* Add up BM25 over the postings of the question's words. */
static void
score_words(const struct search *s, const struct shard *sh, const uint8_t *allow, float *acc)
{
    for (size_t i = 0; i < s->words.n; i++)
        for (size_t f = 0; f < s->words.v[i].n_forms; f++)
            score_postings(s, sh, allow, s->words.v[i].idf, shard_term(sh, s->words.v[i].h[f]), acc);
}

/* How often the passage has the word, its headings included. */
static double
word_count(const struct index_doc *d, const struct passage *p, uint64_t h)
{
    size_t lo = p->first, hi = p->first + p->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (d->hash[mid] < h)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < p->first + p->n && d->hash[lo] == h ? d->tf[lo] : 0;
}

struct heads {              /* which words of the question stand in headings */
    const struct search *s;
    bool has[QUERY_TERMS];
    size_t content, asked;  /* words of the own heading; those that the question has */
};

static bool
is_form(const struct query_term *t, uint64_t h)
{
    bool is = false;

    for (size_t f = 0; f < t->n_forms; f++)
        is = is || t->h[f] == h;
    return is;
}

static void
head_word(void *arg, const struct word *w)
{
    struct heads *x = arg;

    for (size_t i = 0; i < x->s->words.n; i++)
        x->has[i] = x->has[i] || is_form(&x->s->words.v[i], w->h);
}

static void
own_word(void *arg, const struct word *w)
{
    struct heads *x = arg;
    bool has = false;

    if (w->cls == WORD_STOP)
        return;
    for (size_t i = 0; i < x->s->words.n && !has; i++)
        has = !x->s->words.v[i].context && is_form(&x->s->words.v[i], w->h);
    x->content++;
    x->asked += has;
}

/* The heading that the passage stands under: the last part of "A > B > C". */
static struct str
own_heading(const struct passage *p)
{
    struct str s = p->section.n ? p->section : p->chapter;

    for (size_t i = s.n; i > 2; i--)
        if (memcmp(s.p + i - 3, " > ", 3) == 0)
            return (struct str){ s.p + i, s.n - i };
    return s;
}

/* How much of the question one passage has; with its context when that says more ("and how long does it take?"). */
static void
cover(const struct search *s, struct words *w, struct candidate *c)
{
    const struct index_doc *d;
    const struct passage *p = shard_passage(c->shard, c->slot, &d);
    double have[2] = { 0 }, all[2] = { 1e-9, 1e-9 };
    struct heads x = { .s = s };

    words_language(w, d->language);
    words_each(w, d->title, head_word, &x);
    words_each(w, p->chapter, head_word, &x);
    words_each(w, p->section, head_word, &x);
    words_each(w, p->lead, head_word, &x);
    words_each(w, own_heading(p), own_word, &x);
    if (x.content >= 2 && x.asked == x.content)
        c->sig.named = x.content == 2 ? 0.75 : 1;
    for (size_t i = 0; i < s->words.n; i++) {
        const struct query_term *t = &s->words.v[i];
        double tf = 0;

        for (size_t f = 0; f < t->n_forms; f++)
            tf += word_count(d, p, t->h[f]);

        all[t->context] += t->weight;
        if (tf <= 0)
            continue;
        have[t->context] += t->weight;
        if (t->context)
            continue;
        c->sig.depth += t->weight * (tf / (1 + tf));
        c->sig.head += x.has[i] ? t->weight : 0;
        c->sig.matched += !t->weak && t->weight > 0;
    }
    c->sig.depth /= all[0];
    c->sig.head /= all[0];
    c->sig.mass = have[0];
    c->sig.coverage = fmax(have[0] / all[0], (have[0] + have[1]) / (all[0] + all[1]));
}

static void
add_candidate(struct search *s, const struct shard *sh, uint32_t slot, const float *acc)
{
    for (size_t i = s->n_cands; i-- > 0 && s->cands[i].shard == sh;)
        if (s->cands[i].slot == slot)
            return;
    if (s->n_cands == s->cands_cap)
        return;
    struct candidate *c = &s->cands[s->n_cands++];
    const struct index_doc *d;
    const struct passage *p = shard_passage(sh, slot, &d);

    *c = (struct candidate){ .shard = sh, .slot = slot, .bm25 = acc[slot] };
    c->vector = s->query && p->vector && d->dims == s->q->dims && str_eq(d->model, s->q->model);
    if (c->vector)
        c->cosine = dot_f32(s->q->vector, d->vectors + (p->vector - 1) * d->dims, d->dims);
}

static enum err
search_shard(struct search *s, const struct shard *sh)
{
    uint8_t *allow = allowed(s, sh);
    float *acc = mem_try(sh->n_slots * sizeof(*acc));
    enum err err = allow && acc ? ERR_OK : ERR_INTERNAL;

    if (err == ERR_OK) {
        s->by_words.n = s->by_vector.n = 0;
        score_words(s, sh, allow, acc);
        for (size_t i = 0; i < sh->n_slots; i++)
            if (acc[i] > 0)
                top_push(&s->by_words, acc[i], (uint32_t)i);
        if (s->query)
            space_scan(sh, s->ix->dot, s->q, s->query, s->query_scale, allow, &s->by_vector);
        for (size_t i = 0; i < s->by_words.n; i++)
            add_candidate(s, sh, s->by_words.top[i].slot, acc);
        for (size_t i = 0; i < s->by_vector.n; i++)
            add_candidate(s, sh, s->by_vector.top[i].slot, acc);
    }
    mem_free(&allow);
    mem_free(&acc);
    return err;
}

static int
by_fused(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if (x->fused < y->fused || x->fused > y->fused)
        return x->fused < y->fused ? 1 : -1;
    return (x->slot > y->slot) - (x->slot < y->slot);
}

static void
fuse(struct search *s)
{
    double best_words = 1e-9, best_cosine = 0, w = 0;
    double seen = s->by_vector.seen ? (double)s->by_vector.seen : 1;

    if (s->query && s->by_vector.seen)
        w = rank_vector_weight(s->ix->vector_weight, s->q->model);
    s->mean = s->by_vector.sum / seen;
    s->deviation = sqrt(fmax(s->by_vector.sum2 / seen - s->mean * s->mean, 0));
    for (size_t i = 0; i < s->n_cands; i++) {
        best_words = fmax(best_words, s->cands[i].bm25);
        best_cosine = fmax(best_cosine, s->cands[i].cosine);
    }
    double base = s->by_vector.seen > Z_SEEN ? s->mean : 0, span = fmax(best_cosine - base, 1e-6);

    for (size_t i = 0; i < s->n_cands; i++) {
        struct candidate *c = &s->cands[i];

        double by_words = c->bm25 / best_words; /* in full where there is no vector to compare (after a change of model) */

        c->fused = c->vector ? (1 - w) * by_words + w * fmin(fmax((c->cosine - base) / span, 0), 1) : by_words;
    }
    qsort(s->cands, s->n_cands, sizeof(*s->cands), by_fused);
}

/* The first ones once more, now that their evidence is looked at. */
static void
refine(struct search *s, struct words *w)
{
    size_t n = s->n_cands < RELEVANT_OF ? s->n_cands : RELEVANT_OF;

    for (size_t i = 0; i < n; i++) {
        struct candidate *c = &s->cands[i];

        cover(s, w, c);
        c->fused += RANK_HEAD * c->sig.head + RANK_COVER * c->sig.coverage;
    }
    qsort(s->cands, n, sizeof(*s->cands), by_fused);
}

/* The surest of the first passages speaks for the question. */
static double
relevance(const struct search *s, struct index_signals *best)
{
    double top = 0, words = s->words.content;

    *best = (struct index_signals){ 0 };
    if (words < 1 && s->q->context.n)
        words = 1;
    for (size_t i = 0; i < s->n_cands && i < RELEVANT_OF; i++) {
        const struct candidate *c = &s->cands[i];
        struct index_signals sig;

        sig = c->sig;
        sig.cosine = c->cosine;
        sig.words = words;
        sig.semantic = c->vector && rank_semantic(s->q->model);
        sig.lift = rank_lift(s->q->model, c->cosine, s->mean, s->by_vector.seen > Z_SEEN);
        sig.passages = s->passages;
        sig.z = 0;

        if (s->by_vector.seen > Z_SEEN && c->vector)
            sig.z = (c->cosine - s->mean) / fmax(s->deviation, 1e-6);
        double r = rank_relevance(&sig);

        if (i == 0 || r > top) {
            top = r;
            *best = sig;
        }
    }
    return top;
}

static bool
copy_hit(const struct search *s, const struct candidate *c, double score, struct hit *h)
{
    const struct index_doc *d;
    const struct passage *p = shard_passage(c->shard, c->slot, &d);
    const struct str from[] = { d->external_id, d->collection, d->title, p->chapter, p->section, d->url, p->text, p->lead };
    struct str to[8] = { { 0 } };

    for (size_t i = 0; i < 8; i++)
        if (from[i].n) {
            to[i] = arena_str(s->arena, from[i]);
            if (!to[i].p)
                return false;
        }
    *h = (struct hit){ .chunk_id = p->id, .document_id = d->id, .external_id = to[0], .collection = to[1],
        .title = to[2], .chapter = to[3], .section = to[4], .url = to[5], .text = to[6], .lead = to[7], .start = p->start,
        .end = p->end, .language = d->language_set ? str_of(language_code(d->language)) : STR_NONE, .vector = c->cosine, .lexical = c->bm25, .score = score };
    return true;
}

static enum err
write_hits(const struct search *s, struct search_rep *rep, struct index_signals *signals)
{
    double top = relevance(s, signals), best = s->n_cands ? fmax(s->cands[0].fused, 1e-9) : 1;
    double least = s->q->all ? 0 : s->q->threshold > 0 ? s->q->threshold : RANK_THRESHOLD;

    rep->hits.v = arena_alloc(s->arena, s->q->top_k * sizeof(*rep->hits.v));
    if (!rep->hits.v)
        return ERR_INTERNAL;
    for (size_t i = 0; i < s->n_cands && rep->hits.n < s->q->top_k; i++) {
        double score = top * s->cands[i].fused / best;

        if (score < least || s->cands[i].fused <= 0)
            break;
        if (!copy_hit(s, &s->cands[i], score, &rep->hits.v[rep->hits.n]))
            return ERR_INTERNAL;
        rep->hits.n++;
    }
    return ERR_OK;
}

static enum err
run(struct search *s, struct words *w, struct search_rep *rep, struct index_signals *signals)
{
    size_t n = s->q->top_k + CANDIDATES_MIN;
    enum err err = ERR_OK;

    find_shards(s);
    s->cands_cap = 2 * n * s->n_shards;
    s->by_words = (struct space_result){ .cap = n, .top = arena_alloc(s->arena, n * sizeof(struct space_top)) };
    s->by_vector = (struct space_result){ .cap = n, .top = arena_alloc(s->arena, n * sizeof(struct space_top)) };
    s->cands = arena_alloc(s->arena, (s->cands_cap + 1) * sizeof(*s->cands));
    if (!s->by_words.top || !s->by_vector.top || !s->cands || !quantise_query(s))
        return ERR_INTERNAL;
    query_read(&s->words, w, s->q, s->shards, s->n_shards, s->passages);
    for (size_t i = 0; i < s->n_shards && err == ERR_OK; i++)
        err = search_shard(s, s->shards[i]);
    if (err != ERR_OK)
        return err;
    fuse(s);
    refine(s, w);
    return write_hits(s, rep, signals);
}

enum err
index_search_explained(struct index *ix, struct words *w, const struct index_query *q, struct arena *a,
                       struct search_rep *rep, struct index_signals *signals)
{
    struct search *s = arena_alloc(a, sizeof(*s));
    struct index_signals unused;

    *rep = (struct search_rep){ 0 };
    if (!s)
        return ERR_INTERNAL;
    s->ix = ix;
    s->q = q;
    s->arena = a;
    pthread_rwlock_rdlock(&ix->lock);
    enum err err = run(s, w, rep, signals ? signals : &unused);

    pthread_rwlock_unlock(&ix->lock);
    return err;
}

enum err
index_search(struct index *ix, struct words *w, const struct index_query *q, struct arena *a, struct search_rep *rep)
{
    return index_search_explained(ix, w, q, a, rep, NULL);
}
