/* One search, on a thread that may wait:
 *
 *   numbers of the collections (corpus.c) ─▶ words of the question, each with how many passages have it (index.count)
 *     ─▶ best by words and best by vector (index.find) ─▶ order and scores (index/fuse.h), as the index in memory has them
 *
 * Postgres only chooses candidates. Filters and the wall between tenants hold before it scores anything. */
#include <endian.h>
#include <math.h>
#include <stdlib.h>

#include "common/hash.h"
#include "common/text/json.h"
#include "common/text/text.h"
#include "retriever/index/rank.h"
#include "retriever/pgvector/pgvector.h"

enum { CANDIDATES_MIN = 64, ASKED_MAX = 8000, LED_MOST = 10000, PATH_MAX_BYTES = 131072 };

/* While words stand in for another engine, a search has the rest of an attempt's second, on a database that has other work: fewer
 * passages are counted and led to, and only the spelling of one short word is mended, which is one of few. */
enum { SPARE_COUNTED = 2000, SPARE_LED = 4000, SPARE_ASKED = 256 };

struct searcher {
    struct pgvector *e;
    struct engine_search *s;
    const struct engine_query *q;
    char space[SPACE_TEXT]; /* "": there is none */
    struct str walls;       /* of the collections */
    struct pg_corpus corpus;
    struct word_counts counts;
    enum err err; /* of a call in the middle of something */
    struct index_doc **docs;
    json_t **shown; /* of each document */
    struct ranking r;
};
struct caller { /* whose search it is, which may be several */
    struct pgvector *e;
    struct engine_search *s;
};

/* ---- how many passages have a word */

static double
passages_with(void *arg, uint64_t h)
{
    const struct searcher *x = arg;

    return counts_of(&x->counts, h);
}

static uint64_t
number_of(struct str s, size_t i)
{
    uint64_t v;

    memcpy(&v, s.p + 8 * i, sizeof v);
    return le64toh(v);
}

static void
look_up(void *arg, const uint64_t *asked, size_t n)
{
    struct searcher *x = arg;
    struct buf b = BUF_MAX(8 * ASKED_MAX);
    struct index_count_req q = { .collections = *x->q->collections, .walls = x->walls };
    const void *answer;
    struct arena *held = NULL;

    if (x->e->words) {
        q.most = SPARE_COUNTED;
        n = n > SPARE_ASKED ? 0 : n;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t h = htole64(asked[i]);

        buf_add(&b, &h, sizeof h);
    }
    q.words = buf_slice(&b);
    if (n > 0 && x->err == ERR_OK)
        x->err = store_ask(x->e->asks, KIND_INDEX_COUNT, &q, x->q->tenant, x->s->deadline_ms, &answer, &held);
    buf_free(&b);
    if (!held)
        return;
    const struct index_count_rep *rep = answer;

    for (size_t i = 0; i < rep->words.n / 8 && i < rep->counts.n / 8; i++)
        counts_add(&x->counts, number_of(rep->words, i), (double)number_of(rep->counts, i));
    counts_sort(&x->counts);
    arena_free(&held);
}

static enum err
read_question(struct searcher *x, struct words *w)
{
    struct corpus c = { .passages = x->corpus.passages, .with = passages_with, .look_up = look_up, .arg = x };

    memcpy(c.languages, x->corpus.languages, sizeof c.languages);
    query_read(&x->r.words, w, x->q, &c);
    return x->err;
}

/* ---- candidates */

struct asked_word {
    uint64_t h;
    double weight, df;
};

static int
rarest_first(const void *a, const void *b)
{
    const struct asked_word *x = a, *y = b;

    return (x->df > y->df) - (x->df < y->df);
}

/* The rare words find passages; common ones, which half of them have, only count where these did. */
static int64_t
ask_words(const struct searcher *x, struct buf *words, struct buf *weights)
{
    struct asked_word *v = mem_new(QUERY_TERMS * QUERY_FORMS * sizeof *v);
    size_t n = 0;
    int64_t leads = 0;
    double led = 0, most = x->e->words ? SPARE_LED : LED_MOST;

    for (size_t i = 0; i < x->r.words.n; i++)
        for (size_t f = 0; f < x->r.words.v[i].n_forms; f++) {
            double df = passages_with((void *)(uintptr_t)x, x->r.words.v[i].h[f]);

            if (df > 0)
                v[n++] = (struct asked_word){ x->r.words.v[i].h[f], x->r.words.v[i].idf, df };
        }
    if (n > 0)
        qsort(v, n, sizeof *v, rarest_first);
    for (size_t i = 0; i < n; i++) {
        uint64_t h = htole64(v[i].h), bits;

        memcpy(&bits, &v[i].weight, sizeof bits);
        bits = htole64(bits);
        buf_add(words, &h, sizeof h);
        buf_add(weights, &bits, sizeof bits);
        led += v[i].df;
        leads += i == 0 || led <= most;
    }
    mem_free(&v);
    return leads;
}

static bool
read_words(struct index_doc *d, const struct index_hit *h)
{
    uint16_t n;

    d->n_words = h->words.n / 8;
    d->hash = mem_new((d->n_words + 1) * sizeof *d->hash);
    d->tf = mem_new((d->n_words + 1) * sizeof *d->tf);
    for (size_t i = 0; i < d->n_words && h->counts.n == 2 * d->n_words; i++) {
        memcpy(&n, h->counts.p + 2 * i, sizeof n);
        d->hash[i] = number_of(h->words, i);
        d->tf[i] = le16toh(n);
        if (i > 0 && d->hash[i] <= d->hash[i - 1])
            return false;
    }
    return h->counts.n == 2 * d->n_words;
}

/* As a document of one passage. NULL: it is none of ours. */
static struct index_doc *
read_hit(const struct searcher *x, const struct index_hit *h, const json_t *shown)
{
    struct index_doc *d = mem_new(sizeof *d);

    d->tenant = x->q->tenant;
    d->collection = h->collection;
    d->id = h->document_id;
    uuid_text(&d->id, d->id_text);
    if (language_parse(h->language, &d->language) && read_words(d, h) && shown_read(shown, h->len, d))
        return d;
    index_doc_free(&d);
    return NULL;
}

/* Its filter once more, in full, and what was deleted a moment ago; its collection, too. */
static bool
may_be_found(const struct searcher *x, const struct index_doc *d, int64_t version)
{
    const struct passage *p = &d->v[0];
    struct filter_view v = { d->metadata, str_of(d->id_text), d->external_id, d->title,
                             d->url,      p->chapter,         p->section };
    bool asked = false;

    for (size_t i = 0; i < x->q->collections->n; i++)
        asked = asked || str_eq(x->q->collections->v[i], d->collection);
    return asked && !tombs_hide(x->e->tombs, d->tenant, d->collection, &d->id, version) &&
           filter_document(x->q->filter, &v) && filter_chunk(x->q->filter, &v);
}

static void
add_candidate(struct searcher *x, const struct index_hit *h)
{
    struct ranking *r = &x->r;
    struct candidate *c = &r->cands[r->n_cands];
    json_t *shown = json_loadb(h->shown.p ? h->shown.p : "", h->shown.n, 0, NULL);
    struct index_doc *d = shown ? read_hit(x, h, shown) : NULL;

    if (!d || !may_be_found(x, d, h->version)) {
        index_doc_free(&d);
        json_decref(shown);
        return;
    }
    x->docs[r->n_cands] = d;
    x->shown[r->n_cands++] = shown;
    *c = (struct candidate){ .doc = d, .passage = &d->v[0], .order = r->n_cands, .vector = h->vector };
    c->bm25 = (float)fuse_words(r, d, c->passage);
    c->cosine = h->vector ? (float)h->cosine : 0;
}

/* All cosines that count for the mean: those that came, when fewer came than were asked for; else those of the sample, whatever the
 * filter. */
static void
see_cosines(struct searcher *x, const struct index_find_rep *rep, size_t asked)
{
    size_t near = 0;

    for (size_t i = 0; i < rep->hits.n; i++) {
        const struct index_hit *h = &rep->hits.v[i];

        if (!h->near)
            continue;
        near++;
        x->r.sum += h->cosine;
        x->r.sum2 += h->cosine * h->cosine;
    }
    x->r.seen = near;
    if (near < asked)
        return;
    x->r.seen = x->corpus.vectors;
    x->r.sum = rep->mean * (double)x->corpus.vectors;
    x->r.sum2 = rep->square * (double)x->corpus.vectors;
}

static enum err
take_candidates(struct searcher *x, const struct index_find_rep *rep)
{
    struct ranking *r = &x->r;

    r->cands_cap = rep->hits.n;
    r->cands = arena_alloc(r->arena, (rep->hits.n + 1) * sizeof *r->cands);
    x->docs = arena_alloc(r->arena, (rep->hits.n + 1) * sizeof(struct index_doc *));
    x->shown = arena_alloc(r->arena, (rep->hits.n + 1) * sizeof(json_t *));
    if (!r->cands || !x->docs || !x->shown)
        return ERR_INTERNAL;
    for (size_t i = 0; i < rep->hits.n; i++)
        add_candidate(x, &rep->hits.v[i]);
    return ERR_OK;
}

/* *held: what the candidates point into. */
static enum err
find_candidates(struct searcher *x, struct arena **held)
{
    size_t n = x->q->top_k + CANDIDATES_MIN;
    struct buf path = BUF_MAX(PATH_MAX_BYTES), words = BUF_MAX(8192), weights = BUF_MAX(8192);
    struct index_find_req q = { .collections = *x->q->collections,
                                .walls = x->walls,
                                .mean = x->r.mean_len,
                                .k1 = RANK_K1,
                                .b = RANK_B,
                                .limit = (int64_t)n,
                                .exact = x->e->opt->pgvector_exact };
    const void *answer;
    enum err err;

    q.leads = ask_words(x, &words, &weights);
    q.words = buf_slice(&words);
    q.weights = buf_slice(&weights);
    filter_path(x->q->filter, &path);
    if (filter_any(x->q->filter) && !path.failed)
        q.filter = buf_slice(&path);
    if (x->space[0]) {
        q.space = str_of(x->space);
        q.vector = (struct str){ (const char *)x->q->vector, x->q->dims * sizeof *x->q->vector };
    }
    err = store_ask(x->e->asks, KIND_INDEX_FIND, &q, x->q->tenant, x->s->deadline_ms, &answer, held);
    buf_free(&path);
    buf_free(&words);
    buf_free(&weights);
    if (err != ERR_OK)
        return err;
    if (x->space[0])
        see_cosines(x, answer, n);
    return take_candidates(x, answer);
}

/* ---- the whole */

static enum err
know_collections(struct searcher *x)
{
    const struct strs *names = x->q->collections;
    char *walls = arena_alloc(x->r.arena, 8 * names->n + 1);
    struct space_id id;
    enum err err;

    if (!walls)
        return ERR_INTERNAL;
    for (size_t i = 0; i < names->n; i++) {
        uint64_t wall = htole64(hash_pair(x->q->tenant, names->v[i]));

        memcpy(walls + 8 * i, &wall, sizeof wall);
    }
    x->walls = (struct str){ walls, 8 * names->n };
    if (x->q->vector) {
        id = space_id_of(x->q->model, x->q->dims);
        space_text(&id, x->space);
    }
    err = names->n ? pg_corpus(x->e, x->s, x->walls, x->space, &x->corpus) : ERR_OK;
    if (x->corpus.vectors == 0)
        x->space[0] = '\0';
    return err;
}

static enum err
search_in(struct searcher *x, struct words *w, struct search_rep *rep)
{
    struct index_signals unused;
    struct arena *held = NULL;
    enum err err = know_collections(x);

    if (err != ERR_OK || x->corpus.passages <= 0)
        return err;
    x->r.passages = x->corpus.passages;
    x->r.mean_len = x->corpus.words / x->r.passages + 1e-9;
    err = read_question(x, w);
    if (err == ERR_OK)
        err = find_candidates(x, &held);
    if (err == ERR_OK) {
        fuse_order(&x->r, w);
        err = fuse_hits(&x->r, rep, &unused);
    }
    for (size_t i = 0; i < x->r.n_cands; i++) {
        index_doc_free(&x->docs[i]);
        json_decref(x->shown[i]);
    }
    arena_free(&held);
    return err;
}

static enum err
one_search(void *arg, struct words *w, const struct engine_query *q, struct arena *a, struct search_rep *rep)
{
    const struct caller *with = arg;
    struct searcher *x = arena_alloc(a, sizeof *x);
    enum err err;

    *rep = (struct search_rep){ .strong = 0 };
    if (!x)
        return ERR_INTERNAL;
    *x = (struct searcher){ .e = with->e, .s = with->s, .q = q };
    x->r = (struct ranking){ .q = q, .arena = a, .vector_weight = x->e->opt->vector_weight };
    err = search_in(x, w, rep);
    counts_free(&x->counts);
    return err;
}

void
pg_search(struct pgvector *e, struct engine_search *s)
{
    struct caller with = { .e = e, .s = s };
    struct words *w = words_new();

    s->err = one_search(&with, w, &s->query, s->arena, &s->found);
    if (s->err == ERR_OK && s->selected.text.n > 0)
        s->err = near_add(one_search, &with, w, &s->query, &s->selected, s->arena, &s->found);
    if (s->err == ERR_INTERNAL)
        s->text = "the search needs more memory than it may have";
    words_free(&w);
}
