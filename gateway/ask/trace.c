/* What a question leaves behind about itself (ask.h): the time of each stage and what was spent or saved, for the metrics;
 * and the same with what was found, as JSON that is stored with the answer and shown by GET /messages/{id}/explain.
 *
 * The JSON holds no text of documents or questions but titles, and is bounded: passages that do not fit are left out.
 * A cached answer has none of its own: its message names the one that it was copied from. */
#include "common/clock.h"
#include "common/process/proc.h"
#include "gateway/ask/ask.h"
#include "gateway/request/render.h"
#include "proto/price.h"

#define TRACE_MAX 16384       /* turn_finish_req.trace */
#define PASSAGES_MAX 12288    /* of it */
#define TITLE_BYTES 80

enum { SAVED_PROMPT, SAVED_COMPLETION }; /* saved_kinds */
#define STAT_TBL "gateway/ask/stat.tbl"
enum {
#include "common/process/stat_enum.h"
    ASK_STATS
};

static const char *const stage_labels[] = {
#define STAGE(id, name) name,
    STAGES
#undef STAGE
    NULL
};
static const char *const cached_labels[] = { "none", "query", NULL };
static const char *const saving_caches[] = { "query", NULL };
static const char *const saved_kinds[] = { "prompt", "completion", NULL };
static const struct stat_def rows[] = {
#include "common/process/stat_rows.h"
};
static struct stat_set stats;
static const struct price_rows saved = { &stats, ASK_SAVED_TOKENS, ASK_SAVED_DOLLARS, ASK_SAVED_UNPRICED };

void
ask_stats_register(void)
{
    stat_register(&stats, rows, ASK_STATS);
}

void
ask_stage(struct question *q, enum stage s, int64_t since_us)
{
    int64_t us = clock_us() - since_us;

    q->trace.us[s] += us > 0 ? us : 1;
    stat_observe_at(&stats, ASK_STAGE, s, 0, (double)us / 1e6);
}

void
ask_first_token(struct question *q)
{
    if (q->trace.first_us)
        return;
    q->trace.first_us = clock_us() - q->r->start_us;
    stat_observe(&stats, ASK_FIRST_TOKEN, (double)q->trace.first_us / 1e6);
}

void
ask_cited(const struct cite_counts *n)
{
    stat_add(&stats, ASK_MARKS, n->marks);
    stat_add(&stats, ASK_MARKS_ADDED, n->added);
    stat_add(&stats, ASK_MARKS_DROPPED, n->dropped);
    stat_add(&stats, ASK_MARKS_OWN, n->own);
    stat_add(&stats, ASK_VERBATIM, n->verbatim);
}

void
ask_removed(const size_t n[REMOVED_KINDS])
{
    for (size_t i = 0; i < REMOVED_KINDS; i++)
        if (n[i] > 0)
            stat_add_at(&stats, ASK_REMOVED, i, 0, n[i]);
}

void
ask_answered(struct question *q)
{
    int64_t us = clock_us() - q->r->start_us - q->trace.upstream_us;

    stat_observe_at(&stats, ASK_ADDED, q->from_cache, 0, (double)us / 1e6);
    if (!q->from_cache)
        return;
    price_count(&saved, 0, SAVED_PROMPT, q->model, false, q->prompt_tokens);
    price_count(&saved, 0, SAVED_COMPLETION, q->model, true, q->completion_tokens);
}

/* ---- as JSON */

static void
key_ms(struct buf *b, const char *key, int64_t us)
{
    buf_key_num(b, key, (double)us / 1000);
}

/* Four digits are enough to compare scores by. */
static void
key_score(struct buf *b, const char *key, double v)
{
    buf_key_num(b, key, (double)(int64_t)(v * 10000 + (v < 0 ? -0.5 : 0.5)) / 10000);
}

static void
key_z(struct buf *b, const char *key, const char *z)
{
    buf_key_str(b, key, str_of(z));
}

static void
key_object(struct buf *b, const char *key)
{
    buf_key(b, key);
    buf_c(b, '{');
}

static void
add_times(const struct question *q, struct buf *b)
{
    const struct ask_trace *t = &q->trace;

    key_object(b, "stages_ms");
    for (size_t i = 0; i < STAGE_COUNT; i++)
        if (t->us[i] > 0)
            key_ms(b, stage_labels[i], t->us[i]);
    buf_c(b, '}');
    if (t->first_us)
        key_ms(b, "first_token_ms", t->first_us);
    key_ms(b, "upstream_ms", t->upstream_us);
    key_ms(b, "total_ms", clock_us() - q->r->start_us);
}

static bool
is_cited(const struct question *q, int64_t n)
{
    for (size_t i = 0; i < q->n_citations; i++)
        if (q->citations[i].n == n)
            return true;
    return false;
}

static void
add_passage(const struct question *q, size_t i, struct buf *b)
{
    const struct hit *h = &q->found->hits.v[i];

    buf_c(b, '{');
    buf_key_int(b, "n", (int64_t)i + 1);
    buf_key_bool(b, "cited", is_cited(q, (int64_t)i + 1));
    key_score(b, "score", h->score);
    key_score(b, "vector_score", h->vector);
    key_score(b, "lexical_score", h->lexical);
    buf_key_str(b, "title", utf8_cut(h->title, TITLE_BYTES));
    render_ids(b, &h->document_id, &h->chunk_id);
    render_place(b, &h->document_id, h->start, h->end);
    buf_c(b, '}');
}

static void
add_passages(const struct question *q, struct buf *b)
{
    struct buf one = BUF_MAX(2048);

    buf_key(b, "passages");
    buf_c(b, '[');
    for (size_t i = 0; i < q->found->hits.n; i++) {
        one.n = 0;
        add_passage(q, i, &one);
        if (one.failed || b->n + one.n > PASSAGES_MAX)
            break;
        if (i > 0)
            buf_c(b, ',');
        buf_str(b, buf_slice(&one));
    }
    buf_c(b, ']');
    buf_free(&one);
}

static void
add_retrieval(const struct question *q, struct buf *b)
{
    key_object(b, "retrieval");
    buf_key_str(b, "collection", q->collection);
    if (q->trace.top_k > 0)
        buf_key_int(b, "top_k", q->trace.top_k);
    if (q->settings && q->settings->threshold > 0)
        buf_key_num(b, "threshold", q->settings->threshold);
    buf_key_bool(b, "by_words_only", q->trace.embedded == NULL);
    if (q->found) {
        buf_key_int(b, "index_epoch", q->found->seq);
        buf_key_int(b, "found", (int64_t)q->found->hits.n);
        add_passages(q, b);
    }
    buf_c(b, '}');
}

static void
add_prompt(const struct question *q, struct buf *b)
{
    const struct chat_rep *said = q->trace.said;

    if (!said || said->prompt_bytes <= 0)
        return;
    key_object(b, "prompt");
    buf_key_int(b, "bytes", said->prompt_bytes);
    buf_key_int(b, "passages", said->passages);
    buf_key_int(b, "earlier_messages", (int64_t)q->begun->history.n);
    buf_key_str(b, "version", said->prompt_version);
    buf_c(b, '}');
}

/* A member in dollars; null when the model's price is not known. False then. */
static bool
key_dollars(struct buf *b, const char *key, struct str model, bool output, int64_t tokens, double *sum)
{
    struct price p = { 0 };
    bool known = tokens == 0 || price_find(model, &p);
    double dollars = (double)price_cost(output ? p.output : p.input, tokens) / 1e9;

    buf_key(b, key);
    if (known)
        buf_json_num(b, dollars);
    else
        buf_z(b, "null");
    *sum += dollars;
    return known;
}

static void
add_cost(const struct question *q, struct buf *b)
{
    const struct embed_rep *e = q->trace.embedded;
    struct str none = STR_NONE;
    double sum = 0;
    bool known;

    key_object(b, "tokens");
    buf_key_int(b, "embedding", e ? e->tokens : 0);
    buf_key_int(b, "prompt", q->prompt_tokens);
    buf_key_int(b, "completion", q->completion_tokens);
    buf_z(b, "}");
    key_object(b, "cost_dollars");
    known = key_dollars(b, "embedding", e ? e->model : none, false, e ? e->tokens : 0, &sum);
    known &= key_dollars(b, "prompt", q->model, false, q->prompt_tokens, &sum);
    known &= key_dollars(b, "completion", q->model, true, q->completion_tokens, &sum);
    buf_key(b, "total");
    if (known)
        buf_json_num(b, sum);
    else
        buf_z(b, "null");
    buf_c(b, '}');
}

static void
add_versions(const struct question *q, struct buf *b)
{
    key_object(b, "models");
    buf_key_str(b, "embedding", q->trace.embedded ? q->trace.embedded->model : STR_NONE);
    buf_key_str(b, "chat", q->model);
    buf_key_bool(b, "degraded", q->degraded);
    buf_c(b, '}');
    key_object(b, "versions");
    key_z(b, "footnote", footnote_version);
    key_z(b, "build", footnote_build);
    key_z(b, "questions", PROMPT_VERSION);
    buf_c(b, '}');
}

struct str
ask_trace_json(const struct question *q)
{
    struct buf b = BUF_MAX(TRACE_MAX);
    struct str s = STR_NONE;

    buf_c(&b, '{');
    key_z(&b, "request_id", q->r->id);
    key_z(&b, "route", q->route);
    add_times(q, &b);
    key_object(&b, "caches");
    key_z(&b, "query", q->trace.cache ? q->trace.cache : "bypass");
    key_z(&b, "embedding", !q->trace.embedded ? "none" : q->embedding_cached ? "hit" : "miss");
    buf_c(&b, '}');
    add_retrieval(q, &b);
    add_prompt(q, &b);
    add_cost(q, &b);
    add_versions(q, &b);
    buf_c(&b, '}');
    if (!b.failed)
        s = arena_str(q->r->arena, buf_slice(&b));
    buf_free(&b);
    return s;
}
