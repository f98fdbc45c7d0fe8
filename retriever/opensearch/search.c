/* One search, on a thread that may wait:
 *
 *   sample of the collections (corpus.c) ─▶ words of the question, each with how many passages have it (one _msearch)
 *     ─▶ best by words and best by vector (one _msearch) ─▶ order and scores (index/fuse.h), as the index in memory has them
 *
 * The cluster only chooses candidates. Filters and the wall between tenants hold before it scores anything. */
#include <math.h>
#include <stdlib.h>

#include "common/text/json.h"
#include "retriever/index/dot.h"
#include "retriever/index/rank.h"
#include "retriever/opensearch/corpus.h"
#include "retriever/opensearch/msearch.h"

enum { CANDIDATES_MIN = 64, ANSWERS_MAX = 4, COUNT_MAX = 1000, BODY_MAX = 8 << 20 };

struct caller { /* whose search it is, which may be several */
    struct cluster_engine *e;
    struct cluster_conn *conn;
    struct engine_search *s;
};
struct searcher {
    struct cluster_engine *e;
    struct cluster_conn *conn;
    struct engine_search *s;
    const struct engine_query *q;
    char index[96];
    struct space_id space;
    bool vectors; /* the index has some of that model, and the question has one */
    struct sample *sample;
    struct word_counts counts;
    enum err err; /* of a call in the middle of something */
    json_t *answer;
    struct index_doc **docs;
    struct ranking r;
};

/* ---- how many passages have a word */

static double
passages_with(void *arg, uint64_t h)
{
    const struct searcher *x = arg;

    return counts_of(&x->counts, h);
}

static void
ask_counts(const struct searcher *x, const uint64_t *h, size_t n, struct buf *b)
{
    char text[HASH_TEXT + 1];

    msearch_head(b, x->index);
    buf_z(b, "{\"size\":0,\"query\":{\"bool\":{\"filter\":[");
    corpus_query(x->q, b);
    buf_z(b, "]}},\"aggs\":{\"w\":{\"filters\":{\"filters\":{");
    for (size_t i = 0; i < n; i++) {
        hash_text(h[i], text);
        buf_printf(b, "%s\"%s\":{\"term\":{\"w\":\"%s\"}}", i ? "," : "", text, text);
    }
    buf_z(b, "}}}}}\n");
}

static void
read_counts(struct searcher *x, const json_t *v, size_t n)
{
    const char *key;
    json_t *one;
    uint64_t h;

    for (size_t i = 0; i < n; i++) {
        const json_t *answer = json_array_get(json_object_get(v, "responses"), i);

        json_object_foreach (json_object_get(json_object_get(json_object_get(answer, "aggregations"), "w"),
                                             "buckets"),
                             key, one)
            if (hash_read(str_of(key), &h) && json_int(one, "doc_count", 0) > 0)
                counts_add(&x->counts, h, (double)json_int(one, "doc_count", 0));
    }
    counts_sort(&x->counts);
}

static int
by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Each once: the names of an object must differ. */
static size_t
once_each(uint64_t *h, size_t n)
{
    size_t kept = 0;

    if (n > 0)
        qsort(h, n, sizeof *h, by_number);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || h[i] != h[kept - 1])
            h[kept++] = h[i];
    return kept;
}

/* So many at once that no query is too long for the cluster. */
static void
look_up(void *arg, const uint64_t *asked, size_t n)
{
    struct searcher *x = arg;
    struct buf b = BUF_MAX(BODY_MAX);
    uint64_t *h = mem_new((n + 1) * sizeof *h);
    json_t *v = NULL;
    size_t parts = 0;

    if (n > 0)
        memcpy(h, asked, n * sizeof *h);
    n = once_each(h, n);

    for (size_t at = 0; at < n; at += COUNT_MAX, parts++)
        ask_counts(x, h + at, n - at < COUNT_MAX ? n - at : COUNT_MAX, &b);
    if (parts > 0 && x->err == ERR_OK) {
        x->err = msearch(x->conn, x->s, &b, parts, &v);
        read_counts(x, v, parts);
    }
    mem_free(&h);
    json_decref(v);
    buf_free(&b);
}

static enum err
read_question(struct searcher *x, struct words *w)
{
    struct corpus c = {
        .passages = x->sample->passages, .with = passages_with, .look_up = look_up, .arg = x
    };

    memcpy(c.languages, x->sample->languages, sizeof c.languages);
    query_read(&x->r.words, w, x->q, &c);
    return x->err;
}

/* ---- candidates */

static void
ask_shown(const struct searcher *x, bool vector, struct buf *b)
{
    buf_z(b, "\"_source\":{\"includes\":[\"t\",\"c\",\"d\",\"n\",\"w\",\"l\",\"ver\",\"s\"");
    if (vector)
        buf_printf(b, ",\"b_%s\"", x->space.name);
    buf_printf(b, "],\"excludes\":[%s]}", filter_any(x->q->filter) ? "" : "\"s.me\"");
}

static void
ask_filter(const struct searcher *x, struct buf *b)
{
    buf_z(b, "\"filter\":[");
    corpus_query(x->q, b);
    filter_query(x->q->filter, b);
    buf_c(b, ']');
}

/* Each word counts as the ranking counts it: its place and, by the cluster's own reckoning, how rare it is. */
static void
ask_words(const struct searcher *x, size_t n, struct buf *b)
{
    const char *comma = "";
    char text[HASH_TEXT + 1];

    msearch_head(b, x->index);
    buf_printf(b, "{\"size\":%zu,", n);
    ask_shown(x, x->vectors, b);
    buf_z(b, ",\"query\":{\"bool\":{");
    ask_filter(x, b);
    buf_z(b, ",\"minimum_should_match\":1,\"should\":[");
    for (size_t i = 0; i < x->r.words.n; i++)
        for (size_t f = 0; f < x->r.words.v[i].n_forms; f++) {
            double df = passages_with((void *)(uintptr_t)x, x->r.words.v[i].h[f]);

            if (df <= 0)
                continue;
            hash_text(x->r.words.v[i].h[f], text);
            buf_printf(b, "%s{\"term\":{\"w\":{\"value\":\"%s\",\"boost\":%.4g}}}", comma, text,
                       fmax(x->r.words.v[i].idf / rank_idf(x->sample->passages, df), 1e-3));
            comma = ",";
        }
    buf_z(b, "]}}}\n");
}

static void
ask_vector(const struct searcher *x, size_t n, struct buf *b)
{
    msearch_head(b, x->index);
    buf_printf(b, "{\"size\":%zu,", n);
    ask_shown(x, false, b);
    buf_printf(b, ",\"query\":{\"knn\":{\"v_%s\":{\"vector\":[", x->space.name);
    for (size_t i = 0; i < x->q->dims; i++)
        buf_printf(b, "%s%.7g", i ? "," : "", (double)x->q->vector[i]);
    buf_printf(b, "],\"k\":%zu,\"filter\":{\"bool\":{", n);
    ask_filter(x, b);
    buf_z(b, "}}}}}}\n");
}

/* Its filter once more, in full, and what was deleted a moment ago; none twice. */
static bool
may_be_found(const struct searcher *x, const struct found *f)
{
    const struct passage *p = &f->doc->v[0];
    struct filter_view v = { f->doc->metadata,    str_of(f->doc->id_text),
                             f->doc->external_id, f->doc->title,
                             f->doc->url,         p->chapter,
                             p->section };

    if (tombs_hide(x->e->tombs, f->doc->tenant, f->doc->collection, &f->doc->id, f->version) ||
        !str_eq(f->doc->tenant, x->q->tenant))
        return false;
    for (size_t i = 0; i < x->r.n_cands; i++)
        if (uuid_eq(&x->r.cands[i].passage->id, &p->id))
            return false;
    return filter_document(x->q->filter, &v) && filter_chunk(x->q->filter, &v);
}

static void
add_candidate(struct searcher *x, const json_t *hit, bool by_vector)
{
    struct ranking *r = &x->r;
    struct candidate *c = &r->cands[r->n_cands];
    struct found f;

    if (r->n_cands == r->cands_cap || !hit_read(hit, &f))
        return;
    if (!may_be_found(x, &f)) {
        hit_free(&f.doc);
        return;
    }
    x->docs[r->n_cands++] = f.doc;
    *c = (struct candidate){
        .doc = f.doc, .passage = &f.doc->v[0], .order = r->n_cands, .vector = by_vector
    };
    c->bm25 = (float)fuse_words(r, f.doc, c->passage);
    if (by_vector) {
        c->cosine = (float)(2 * json_num(hit, "_score", 0.5) - 1); /* Lucene's is (1 + cosine) / 2 */
        return;
    }
    float *v = x->vectors ? mem_new(x->space.dims * sizeof *v) : NULL;

    if (v && hit_vector(hit, &x->space, v)) {
        c->vector = true;
        c->cosine = dot_f32(x->q->vector, v, x->space.dims);
    }
    mem_free(&v);
}

static void
add_candidates(struct searcher *x, const json_t *answer, bool by_vector)
{
    const json_t *hits = json_object_get(json_object_get(answer, "hits"), "hits");

    for (size_t i = 0; i < json_array_size(hits); i++)
        add_candidate(x, json_array_get(hits, i), by_vector);
}

/* All cosines that count for the mean: those that came, when fewer came than were asked for; else those of the sample, whatever the
 * filter. */
static void
see_cosines(struct searcher *x, const json_t *answer, size_t asked)
{
    const json_t *hits = json_object_get(json_object_get(answer, "hits"), "hits");

    x->r.seen = json_array_size(hits);
    for (size_t i = 0; i < x->r.seen; i++) {
        double c = 2 * json_num(json_array_get(hits, i), "_score", 0.5) - 1;

        x->r.sum += c;
        x->r.sum2 += c * c;
    }
    if (x->r.seen < asked)
        return;
    x->r.seen = x->sample->with_vector;
    corpus_cosines(x->sample, x->q, x->r.arena, &x->r.sum, &x->r.sum2);
}

static enum err
find_candidates(struct searcher *x)
{
    size_t n = x->q->top_k + CANDIDATES_MIN;
    struct buf b = BUF_MAX(BODY_MAX);
    bool words = false;

    for (size_t i = 0; i < x->r.words.n; i++)
        for (size_t f = 0; f < x->r.words.v[i].n_forms; f++)
            words = words || passages_with(x, x->r.words.v[i].h[f]) > 0;
    x->r.cands_cap = 2 * n;
    x->r.cands = arena_alloc(x->r.arena, (x->r.cands_cap + 1) * sizeof *x->r.cands);
    x->docs = arena_alloc(x->r.arena, (x->r.cands_cap + 1) * sizeof(struct index_doc *));
    if (!x->r.cands || !x->docs)
        return ERR_INTERNAL;
    if (words)
        ask_words(x, n, &b);
    if (x->vectors)
        ask_vector(x, n, &b);
    enum err err = words + x->vectors > 0 ? msearch(x->conn, x->s, &b, (size_t)words + x->vectors, &x->answer)
                                          : ERR_OK;

    buf_free(&b);
    if (err != ERR_OK)
        return err;
    const json_t *v = json_object_get(x->answer, "responses");

    if (x->vectors) {
        see_cosines(x, json_array_get(v, (size_t)words), n);
        add_candidates(x, json_array_get(v, (size_t)words), true);
    }
    if (words)
        add_candidates(x, json_array_get(v, 0), false);
    return ERR_OK;
}

/* ---- the whole */

static bool
know_space(struct searcher *x)
{
    struct cluster_engine *e = x->e;
    bool known = false;

    x->space = space_id_of(x->q->model, x->q->dims);
    pthread_mutex_lock(&e->lock);
    memcpy(x->index, e->live.name, sizeof x->index);
    for (size_t i = 0; x->q->vector && i < e->live.n_spaces; i++)
        known = known || strcmp(e->live.space[i].name, x->space.name) == 0;
    pthread_mutex_unlock(&e->lock);
    return known;
}

static enum err
find(struct searcher *x, struct words *w, struct search_rep *rep)
{
    struct index_signals unused;
    enum err err;

    x->vectors = know_space(x);
    x->sample = corpus_take(x->e, x->conn, x->s, x->index, x->vectors ? &x->space : NULL, &err);
    if (err != ERR_OK)
        return err;
    x->r.passages = x->sample->passages;
    x->r.mean_len = x->r.passages > 0 ? x->sample->total_len / x->r.passages + 1e-9 : 1;
    x->vectors = x->vectors && x->sample->with_vector > 0;
    if (x->r.passages <= 0)
        return ERR_OK;
    if ((err = read_question(x, w)) != ERR_OK || (err = find_candidates(x)) != ERR_OK)
        return err;
    fuse_order(&x->r, w);
    return fuse_hits(&x->r, rep, &unused);
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
    *x = (struct searcher){ .e = with->e, .conn = with->conn, .s = with->s, .q = q };
    x->r = (struct ranking){ .q = q, .arena = a, .vector_weight = x->e->opt->vector_weight };
    err = find(x, w, rep);
    for (size_t i = 0; i < x->r.n_cands; i++)
        hit_free(&x->docs[i]);
    json_decref(x->answer);
    counts_free(&x->counts);
    corpus_release(&x->sample);
    return err;
}

void
search_run(struct cluster_engine *e, struct cluster_conn *conn, struct engine_search *s)
{
    struct caller with = { .e = e, .conn = conn, .s = s };
    struct words *w = words_new();

    s->err = one_search(&with, w, &s->query, s->arena, &s->found);
    if (s->err == ERR_OK && s->selected.text.n > 0)
        s->err = near_add(one_search, &with, w, &s->query, &s->selected, s->arena, &s->found);
    if (s->err == ERR_INTERNAL)
        s->text = "the search needs more memory than it may have";
    else if (s->err == ERR_NO_WORKER)
        s->text = "the search cluster does not answer";
    words_free(&w);
}
