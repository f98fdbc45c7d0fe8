/* Numbers of some collections, asked of the cluster and kept for a moment: how many passages there are, how long, in which
 * languages, and some of their vectors, which tell how near any two texts are anyhow. */
#include "retriever/opensearch/corpus.h"

#include <math.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/text/json.h"
#include "common/text/text.h"
#include "retriever/index/dot.h"
#include "retriever/opensearch/msearch.h"

enum {
    KEPT = 16,
    SAMPLE = 512,
    SMALL = 20000, /* passages: of fewer, each change counts */
    SMALL_MS = 2000,
    LARGE_MS = 15000,
    ROWS_MS = 60000
};

struct corpus_cache {
    pthread_mutex_t lock;
    struct sample *v[KEPT]; /* the newest first */
};

struct corpus_cache *
corpus_cache_new(void)
{
    struct corpus_cache *c = mem_new(sizeof *c);

    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void
corpus_release(struct sample **sp)
{
    struct sample *s = *sp;

    *sp = NULL;
    if (!s || atomic_fetch_sub(&s->users, 1) > 1)
        return;
    mem_free(&s->v);
    mem_free(&s->scale);
    mem_free(&s);
}

void
corpus_cache_free(struct corpus_cache **c)
{
    if (!*c)
        return;
    for (size_t i = 0; i < KEPT; i++)
        corpus_release(&(*c)->v[i]);
    pthread_mutex_destroy(&(*c)->lock);
    mem_free(c);
}

void
corpus_query(const struct engine_query *q, struct buf *out)
{
    buf_z(out, "{\"term\":{\"t\":");
    buf_json(out, q->tenant);
    buf_z(out, "}},{\"terms\":{\"c\":[");
    for (size_t i = 0; i < q->collections->n; i++) {
        if (i > 0)
            buf_c(out, ',');
        buf_json(out, q->collections->v[i]);
    }
    buf_z(out, "]}}");
}

/* ---- the cache */

static struct sample *
find(struct corpus_cache *c, uint64_t key)
{
    struct sample *found = NULL;

    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < KEPT && !found; i++)
        if (c->v[i] && c->v[i]->key == key) {
            found = c->v[i];
            memmove(c->v + 1, c->v, i * sizeof *c->v);
            c->v[0] = found;
            atomic_fetch_add(&found->users, 1);
        }
    pthread_mutex_unlock(&c->lock);
    return found;
}

static void
keep(struct corpus_cache *c, struct sample *s)
{
    struct sample *out;
    size_t i = 0;

    atomic_fetch_add(&s->users, 1);
    pthread_mutex_lock(&c->lock);
    while (i < KEPT - 1 && c->v[i] && c->v[i]->key != s->key)
        i++;
    out = c->v[i];
    memmove(c->v + 1, c->v, i * sizeof *c->v);
    c->v[0] = s;
    pthread_mutex_unlock(&c->lock);
    corpus_release(&out);
}

static bool
is_fresh(const struct sample *s, uint64_t writes)
{
    int64_t age = clock_ms() - s->at_ms;

    return s->passages < SMALL ? s->writes == writes && age < SMALL_MS : age < LARGE_MS;
}

/* ---- asking */

static void
ask_numbers(const struct engine_query *q, const char *index, const struct space_id *space, struct buf *b)
{
    msearch_head(b, index);
    buf_z(b, "{\"size\":0,\"track_total_hits\":true,\"query\":{\"bool\":{\"filter\":[");
    corpus_query(q, b);
    buf_z(b,
          "]}},\"aggs\":{\"n\":{\"sum\":{\"field\":\"n\"}},\"l\":{\"terms\":{\"field\":\"l\",\"size\":64}}");
    if (space)
        buf_printf(b, ",\"v\":{\"filter\":{\"term\":{\"p\":\"%s\"}}}", space->name);
    buf_z(b, "}}\n");
}

static void
ask_rows(const struct engine_query *q, const char *index, const struct space_id *space, struct buf *b)
{
    msearch_head(b, index);
    buf_printf(
        b,
        "{\"size\":%d,\"_source\":[\"b_%s\"],\"query\":{\"function_score\":{\"query\":{\"bool\":{\"filter\":[",
        SAMPLE, space->name);
    corpus_query(q, b);
    buf_printf(b, ",{\"term\":{\"p\":\"%s\"}}]}},\"random_score\":{\"seed\":1,\"field\":\"_seq_no\"}}}}\n",
               space->name);
}

static void
read_numbers(struct sample *s, const json_t *answer)
{
    const json_t *aggs = json_object_get(answer, "aggregations"), *hits = json_object_get(answer, "hits");
    const json_t *l = json_object_get(json_object_get(aggs, "l"), "buckets");
    enum language language;

    s->passages = json_num(json_object_get(hits, "total"), "value", 0);
    s->total_len = json_num(json_object_get(aggs, "n"), "value", 0);
    s->with_vector = (size_t)json_int(json_object_get(aggs, "v"), "doc_count", 0);
    for (size_t i = 0; i < json_array_size(l); i++)
        if (language_parse(json_str(json_array_get(l, i), "key"), &language))
            s->languages[language] = (uint64_t)json_int(json_array_get(l, i), "doc_count", 0);
}

static void
read_rows(struct sample *s, const json_t *answer, const struct space_id *space)
{
    const json_t *hits = json_object_get(json_object_get(answer, "hits"), "hits");
    size_t n = json_array_size(hits);
    float *v = mem_new(space->dims * sizeof *v);

    s->dims = space->dims;
    s->v = mem_new(n * s->dims + 1);
    s->scale = mem_new((n + 1) * sizeof *s->scale);
    for (size_t i = 0; i < n; i++)
        if (hit_vector(json_array_get(hits, i), space, v)) {
            s->scale[s->rows] = dot_quantise(v, s->dims, s->v + s->rows * s->dims);
            s->rows++;
        }
    s->rows_ms = clock_ms();
    s->rows_of = s->passages;
    mem_free(&v);
}

static void
copy_rows(struct sample *s, const struct sample *old)
{
    s->dims = old->dims;
    s->rows = old->rows;
    s->rows_ms = old->rows_ms;
    s->rows_of = old->rows_of;
    s->v = mem_new(s->rows * s->dims + 1);
    s->scale = mem_new((s->rows + 1) * sizeof *s->scale);
    memcpy(s->v, old->v, s->rows * s->dims);
    memcpy(s->scale, old->scale, s->rows * sizeof *s->scale);
}

/* A sample of a large collection serves on while that hardly changes. */
static bool
rows_serve(const struct sample *old)
{
    return old && old->rows > 0 && old->passages >= SMALL && clock_ms() - old->rows_ms < ROWS_MS &&
           fabs(old->passages - old->rows_of) < old->rows_of / 10;
}

static struct sample *
ask(struct cluster_conn *x, const struct engine_search *s, const char *index, const struct space_id *space,
    const struct sample *old, enum err *err)
{
    struct buf b = BUF_MAX(1 << 20);
    bool rows = space && !rows_serve(old);
    struct sample *out = NULL;
    json_t *v = NULL;

    ask_numbers(&s->query, index, space, &b);
    if (rows)
        ask_rows(&s->query, index, space, &b);
    *err = msearch(x, s, &b, 1 + rows, &v);
    if (*err == ERR_OK) {
        const json_t *answers = json_object_get(v, "responses");

        out = mem_new(sizeof *out);
        atomic_store(&out->users, 1);
        read_numbers(out, json_array_get(answers, 0));
        if (rows)
            read_rows(out, json_array_get(answers, 1), space);
        else if (space)
            copy_rows(out, old);
    }
    json_decref(v);
    buf_free(&b);
    return out;
}

static uint64_t
key_of(const struct engine_query *q, const char *index, const struct space_id *space)
{
    uint64_t h = hash_pair(str_of(index), q->tenant);

    for (size_t i = 0; i < q->collections->n; i++)
        h = hash_more(hash_more(h, STR("\xff")), q->collections->v[i]);
    return hash_more(h, str_of(space ? space->name : ""));
}

struct sample *
corpus_take(struct cluster_engine *e, struct cluster_conn *x, const struct engine_search *s,
            const char *index, const struct space_id *space, enum err *err)
{
    uint64_t key = key_of(&s->query, index, space), writes = atomic_load(&e->writes);
    struct sample *old = find(e->corpora, key), *now;

    *err = ERR_OK;
    if (old && is_fresh(old, writes))
        return old;
    now = ask(x, s, index, space, old, err);
    corpus_release(&old);
    if (!now)
        return NULL;
    now->key = key;
    now->writes = writes;
    now->at_ms = clock_ms();
    keep(e->corpora, now);
    return now;
}

void
corpus_cosines(const struct sample *s, const struct engine_query *q, struct arena *a, double *sum,
               double *sum2)
{
    int8_t *query = arena_alloc(a, q->dims);
    dot_i8_fn dot = dot_i8();
    double share = s->rows ? (double)s->with_vector / (double)s->rows : 0;

    *sum = *sum2 = 0;
    if (!query || s->dims != q->dims)
        return;
    float scale = dot_quantise(q->vector, q->dims, query);

    for (size_t i = 0; i < s->rows; i++) {
        double c = (double)((float)dot(query, s->v + i * s->dims, s->dims) * scale * s->scale[i]);

        *sum += c * share;
        *sum2 += c * c * share;
    }
}
