/* The trace of a question (ask.h): the time of each stage and what was spent or saved, for the metrics; and
 * the same with what was found, as JSON that is stored with the answer and shown by GET
 * /messages/{id}/explain.
 *
 * The JSON holds no text of documents or questions but titles, and is bounded: passages that do not fit are left out.
 * A cached answer has none of its own: its message names the one that it was copied from. */
#include "common/clock.h"
#include "common/process/proc.h"
#include "gateway/ask/share.h"
#include "gateway/request/render.h"
#include "proto/price.h"
#include "text/language.h"

#define TRACE_MAX 16384    /* turn_finish_req.trace */
#define PASSAGES_MAX 12288 /* of it */
#define TITLE_BYTES 80
#define MARKS_SHOWN 40
#define LANGUAGE_BYTES 256 /* of a text that its language is told from */

enum { SAVED_PROMPT, SAVED_COMPLETION };                  /* saved_kinds */
enum { SPENT_EMBEDDING, SPENT_PROMPT, SPENT_COMPLETION }; /* spent_kinds */
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
static const char *const stream_labels[] = {
#define STREAM_EVENT(id, name) name,
    STREAM_EVENTS
#undef STREAM_EVENT
        NULL
};
static const char *const share_labels[] = {
#define SHARE_EVENT(id, name) name,
    SHARE_EVENTS
#undef SHARE_EVENT
        NULL
};
static const char *const semantic_labels[] = {
#define SEMANTIC_EVENT(id, name) name,
    SEMANTIC_EVENTS
#undef SEMANTIC_EVENT
        NULL
};
static const char *const alike_labels[] = {
#define ALIKE_FATE(id, name) name,
    ALIKE_FATES
#undef ALIKE_FATE
        NULL
};
static const char *const check_labels[] = { "agree", "differ", NULL };
static const char *const flight_labels[] = {
#define FLIGHT_EVENT(id, name) name,
    FLIGHT_EVENTS
#undef FLIGHT_EVENT
        NULL
};
static const char *const scope_labels[] = { CACHE_SCOPE_SESSION, CACHE_SCOPE_COLLECTION, CACHE_SCOPE_SEMANTIC,
                                            NULL };
static const char *const cached_labels[] = { "none", "query", NULL };
static const char *const rerank_labels[] = { "ok", "failed", NULL };
static const char *const saving_caches[] = { "query", NULL };
static const char *const saved_kinds[] = { "prompt", "completion", NULL };
static const char *const spent_kinds[] = { "embedding", "prompt", "completion", NULL };
static const struct stat_def rows[] = {
#include "common/process/stat_rows.h"
};
static struct stat_set stats;
static const struct price_rows saved = { &stats, ASK_SAVED_TOKENS, ASK_SAVED_DOLLARS, ASK_SAVED_UNPRICED };
static const struct price_rows spent = { &stats, ASK_TOKENS, ASK_DOLLARS, ASK_UNPRICED };

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
    stat_observe_traced(&stats, ASK_STAGE, s, 0, (double)us / 1e6, span_trace_id(q->r->span));
}

void
ask_reranked(bool ok)
{
    stat_add_at(&stats, ASK_RERANKS, ok ? 0 : 1, 0, 1);
}

void
ask_stream_event(enum stream_event e)
{
    stat_add_at(&stats, ASK_STREAMS, e, 0, 1);
}

void
ask_model_away(void)
{
    stat_inc(&stats, ASK_AWAY);
}

void
ask_share_event(enum share_event e)
{
    stat_add_at(&stats, ASK_SHARED, e, 0, 1);
}

void
ask_semantic_event(enum semantic_event e)
{
    stat_add_at(&stats, ASK_SEMANTIC, e, 0, 1);
}

void
ask_semantic_refused(enum alike why)
{
    stat_add_at(&stats, ASK_SEMANTIC_GATE, why, 0, 1);
}

void
ask_semantic_checked(bool differs)
{
    stat_add_at(&stats, ASK_SEMANTIC_CHECKS, differs, 0, 1);
}

void
ask_flight_event(enum flight_event e)
{
    stat_add_at(&stats, ASK_FLIGHTS, e, 0, 1);
}

void
ask_first_token(struct question *q)
{
    if (q->trace.first_us)
        return;
    q->trace.first_us = clock_us() - q->r->start_us;
    stat_observe_traced(&stats, ASK_FIRST_TOKEN, 0, 0, (double)q->trace.first_us / 1e6,
                        span_trace_id(q->r->span));
}

void
ask_cited(const struct cite_counts *n)
{
    stat_add(&stats, ASK_MARKS, n->marks);
    stat_add(&stats, ASK_MARKS_ADDED, n->added);
    stat_add(&stats, ASK_MARKS_DROPPED, n->dropped);
    stat_add(&stats, ASK_MARKS_OWN, n->own);
    stat_add(&stats, ASK_MARKS_UNSUPPORTED, n->unsupported);
    stat_add(&stats, ASK_VERBATIM, n->verbatim);
}

void
ask_removed(const size_t n[REMOVED_KINDS])
{
    for (size_t i = 0; i < REMOVED_KINDS; i++)
        if (n[i] > 0)
            stat_add_at(&stats, ASK_REMOVED, i, 0, n[i]);
}

static void
count_spent(const struct question *q)
{
    const struct embed_rep *e = q->trace.embedded;

    if (e)
        price_count(&spent, SPENT_EMBEDDING, 0, e->model, false, e->tokens);
    price_count(&spent, SPENT_PROMPT, 0, q->model, false, q->prompt_tokens);
    price_count(&spent, SPENT_COMPLETION, 0, q->model, true, q->completion_tokens);
}

void
ask_answered(struct question *q)
{
    int64_t us = clock_us() - q->r->start_us;
    const char *trace = span_trace_id(q->r->span);

    stat_observe_traced(&stats, ASK_TOOK, q->from_cache, 0, (double)us / 1e6, trace);
    stat_observe_traced(&stats, ASK_ADDED, q->from_cache, 0, (double)(us - q->trace.upstream_us) / 1e6,
                        trace);
    if (!q->from_cache) {
        count_spent(q);
        return;
    }
    if (q->trace.embedded) /* before another one's answer was found */
        price_count(&spent, SPENT_EMBEDDING, 0, q->trace.embedded->model, false, q->trace.embedded->tokens);
    stat_add_at(&stats, ASK_HITS,
                q->semantic.origin.key[0]        ? 2
                : q->copied || q->flying.follows ? 1
                                                 : 0,
                0, 1);
    price_count(&saved, 0, SAVED_PROMPT, q->model, false, q->prompt_tokens);
    price_count(&saved, 0, SAVED_COMPLETION, q->model, true, q->completion_tokens);
}

void
ask_sums(struct ask_sums *out)
{
    *out = (struct ask_sums){ 0 };
    for (size_t i = 0; cached_labels[i]; i++) {
        stat_buckets(&stats, ASK_TOOK, i, 0, out->took);
        stat_buckets(&stats, ASK_ADDED, i, 0, out->added);
        out->answered += (int64_t)stat_value(&stats, ASK_TOOK, i, 0);
    }
    out->cached = (int64_t)stat_value(&stats, ASK_TOOK, 1, 0);
    for (size_t i = 0; spent_kinds[i]; i++)
        out->spent_dollars += stat_value(&stats, ASK_DOLLARS, i, 0);
    for (size_t i = 0; saved_kinds[i]; i++)
        out->saved_dollars += stat_value(&stats, ASK_SAVED_DOLLARS, 0, i);
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

enum language
ask_language(struct str code, struct str text)
{
    return language_given(code, utf8_cut(text, LANGUAGE_BYTES), LANG_ENGLISH);
}

static void
key_language(struct buf *b, struct str code, struct str text)
{
    buf_key_str(b, "language", str_of(language_code(ask_language(code, text))));
}

static void
add_passage(const struct question *q, size_t i, struct buf *b)
{
    const struct hit *h = &q->found->hits.v[i];
    bool cited = is_cited(q, (int64_t)i + 1);

    buf_c(b, '{');
    buf_key_int(b, "n", (int64_t)i + 1);
    buf_key_bool(b, "cited", cited);
    key_score(b, "score", h->score);
    key_score(b, "vector_score", h->vector);
    key_score(b, "lexical_score", h->lexical);
    if (h->rerank > 0)
        key_score(b, "rerank_score", h->rerank);
    buf_key_str(b, "title", utf8_cut(h->title, TITLE_BYTES));
    if (i == 0 || cited)
        key_language(b, h->language, h->text);
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
    key_language(b, STR_NONE, q->text);
    buf_key_bool(b, "by_words_only",
                 q->flying.follows ? q->degraded : !q->trace.embedded || (q->found && q->found->degraded));
    if (q->found) {
        buf_key_int(b, "index_epoch", q->found->seq);
        buf_key_int(b, "found", (int64_t)q->found->hits.n);
        add_passages(q, b);
    }
    buf_c(b, '}');
}

/* How far each mark's passage says what stands before the mark. */
static void
add_marks(const struct question *q, struct buf *b)
{
    const struct cite_counts *c = &q->trace.cited;

    if (!q->trace.said)
        return;
    key_object(b, "marks");
    buf_key_int(b, "unsupported", (int64_t)c->unsupported);
    buf_key_int(b, "nowhere", (int64_t)c->dropped);
    buf_key_int(b, "added", (int64_t)c->added);
    buf_key(b, "support");
    buf_c(b, '[');
    for (size_t i = 0; i < c->n_support && i < MARKS_SHOWN; i++) {
        buf_z(b, i > 0 ? ",{" : "{");
        buf_key_int(b, "n", c->support[i].n);
        key_score(b, "share", c->support[i].share);
        buf_c(b, '}');
    }
    buf_z(b, "]}");
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
    buf_key_int(b, "earlier_messages", (int64_t)q->earlier.n);
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
ask_trace_json(const struct question *q, bool named)
{
    struct buf b = BUF_MAX(TRACE_MAX);
    struct str s = STR_NONE;

    buf_c(&b, '{');
    if (named)
        key_z(&b, "request_id", q->r->id);
    key_z(&b, "route", q->route);
    add_times(q, &b);
    key_object(&b, "caches");
    key_z(&b, "query", q->trace.cache ? q->trace.cache : "bypass");
    key_z(&b, "embedding", !q->trace.embedded ? "none" : q->embedding_cached ? "hit" : "miss");
    buf_c(&b, '}');
    add_retrieval(q, &b);
    add_marks(q, &b);
    add_prompt(q, &b);
    add_cost(q, &b);
    add_versions(q, &b);
    buf_c(&b, '}');
    if (!b.failed)
        s = arena_str(q->r->arena, buf_slice(&b));
    buf_free(&b);
    return s;
}
