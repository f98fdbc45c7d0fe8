/* Embeddings of an OpenAI-compatible server: POST /embeddings with a batch of texts. base64 vectors are asked for (an array of
 * 1536 numbers takes 0.55 ms to parse) and arrays are understood. Every reply is checked before anything is kept: as many
 * vectors as texts, index = position, equal dimensions (the asked ones; never suddenly others than before), finite numbers,
 * not all zero; then scaled to length 1. What fails is ERR_UPSTREAM_REPLY. Parameters that the server refuses
 * (encoding_format) are dropped and the call made again, once; nothing else is repeated here. */
#include <math.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "embedder/embed.h"
#include "embedder/upstream.h"

#define BATCH_TEXTS 256
#define BATCH_BYTES 262144
#define IDLE_S 10
#define DIMS_AGREE 3          /* replies in a row with new dimensions until they are believed */

struct openai_embed {
    struct embed_provider p;      /* first: what others see */
    bool no_base64;               /* the server refused encoding_format */
    bool base64;                  /* the last reply had base64 vectors: replies are small */
    size_t dims;                  /* of the default model, learned; 0: not yet */
    size_t other_dims;            /* what replies say instead */
    int other_n;                  /* how many in a row */
};

struct ask {
    struct embed_task *t;
    struct openai_embed *m;
    struct transfer *transfer;
    bool plain;                   /* sent without encoding_format */
    int64_t sent_us;              /* when it went out */
};

static void send_ask(struct ask *a);

static void
build_body(const struct embed_task *t, bool plain, struct buf *out)
{
    buf_c(out, '{');
    buf_key_str(out, "model", str_of(t->model));
    buf_key(out, "input");
    buf_c(out, '[');
    for (size_t i = 0; i < t->n; i++) {
        if (i > 0)
            buf_c(out, ',');
        buf_json(out, t->texts[i]);
    }
    buf_c(out, ']');
    if (!plain)
        buf_key_str(out, "encoding_format", STR("base64"));
    if (t->dims > 0)
        buf_key_int(out, "dimensions", t->dims);
    buf_c(out, '}');
}

/* ---- reading a reply */
static bool
refuse(struct embed_task *t, const char *text)
{
    mem_free(&t->vectors);
    t->err = ERR_UPSTREAM_REPLY;
    t->text = text;
    return false;
}

static size_t
vector_len(const json_t *v)
{
    if (json_is_array(v))
        return json_array_size(v);
    return json_is_string(v) ? json_string_length(v) / 4 * 3 / 4 : 0;
}

static bool
from_base64(const json_t *v, float *out, size_t dims)
{
    struct buf raw = BUF_MAX(EMBED_MAX_DIMS * 4 + 8);
    bool ok = base64_decode((struct str){ json_string_value(v), json_string_length(v) }, &raw) && raw.n == dims * 4;

    for (size_t i = 0; ok && i < dims; i++) {
        uint32_t bits = 0;

        for (size_t k = 0; k < 4; k++)
            bits |= (uint32_t)(unsigned char)raw.p[4 * i + k] << (8 * k);
        memcpy(out + i, &bits, sizeof bits);
    }
    buf_free(&raw);
    return ok;
}

static bool
from_array(const json_t *v, float *out, size_t dims)
{
    for (size_t i = 0; i < dims; i++) {
        const json_t *x = json_array_get(v, i);

        if (!json_is_number(x))
            return false;
        out[i] = (float)json_number_value(x);
    }
    return true;
}

static bool
read_vector(const json_t *row, size_t at, struct embed_task *t)
{
    const json_t *v = json_object_get(row, "embedding");
    float *out = t->vectors + at * t->out_dims;

    if (json_int(row, "index", -1) != (int64_t)at || vector_len(v) != t->out_dims)
        return false;
    t->base64 = !json_is_array(v);
    if (!(json_is_array(v) ? from_array(v, out, t->out_dims) : from_base64(v, out, t->out_dims)))
        return false;
    return vector_unit(out, t->out_dims);
}

static bool
read_rows(const json_t *data, struct embed_task *t)
{
    if (!json_is_array(data) || json_array_size(data) != t->n)
        return refuse(t, "the model server sent another number of vectors");
    t->out_dims = vector_len(json_object_get(json_array_get(data, 0), "embedding"));
    if (t->out_dims == 0 || t->out_dims > EMBED_MAX_DIMS || (t->dims > 0 && t->out_dims != (size_t)t->dims))
        return refuse(t, "the model server sent vectors of wrong dimensions");
    t->vectors = mem_try(t->n * t->out_dims * sizeof *t->vectors);
    if (t->vectors == NULL)
        return refuse(t, "the model server sent too much");
    for (size_t i = 0; i < t->n; i++)
        if (!read_vector(json_array_get(data, i), i, t))
            return refuse(t, "the model server sent an unusable vector");
    return true;
}

bool
embed_reply_parse(struct str body, struct embed_task *t)
{
    enum json_fault fault;
    const char *detail;
    json_t *root = json_read(body, &fault, &detail);
    bool ok;

    if (root == NULL)
        return refuse(t, "the model server sent something unusable");
    ok = read_rows(json_object_get(root, "data"), t);
    if (ok) {
        const json_t *usage = json_object_get(root, "usage");

        t->tokens = json_int(usage, "total_tokens", json_int(usage, "prompt_tokens", 0));
        t->tokens = t->tokens < 0 ? 0 : t->tokens;
    }
    json_decref(root);
    return ok;
}

/* Vectors of another length than before are refused, until three replies in a row agree on it, or a probe's says so. */
static bool
dims_agree(struct openai_embed *m, const struct embed_task *t)
{
    if (t->dims > 0 || strcmp(t->model, m->p.model) != 0)
        return true;
    if (m->dims == 0 || m->dims == t->out_dims) {
        m->dims = t->out_dims;
        m->other_n = 0;
        return true;
    }
    if (m->other_dims != t->out_dims)
        m->other_n = 0;
    m->other_dims = t->out_dims;
    if (++m->other_n < DIMS_AGREE && !t->fresh)
        return false;
    LOG(WARN, t->trace, M("the embedding model changed its dimensions"), KI("from", m->dims), KI("to", t->out_dims));
    m->dims = t->out_dims;
    m->other_n = 0;
    return true;
}

/* ---- calls */
static void
end_ask(struct ask *a)
{
    struct embed_task *t = a->t;

    if (t->err == ERR_UPSTREAM_REPLY) {
        static struct log_gate gate;

        if (log_gate(&gate))
            LOG(WARN, t->trace, M("embedding reply refused"), KS("why", t->text), KI("texts", t->n));
    }
    t->impl = NULL;
    mem_free(&a);
    t->done(t);
}

static void
on_end(void *arg, const struct upstream_end *end)
{
    struct ask *a = arg;
    struct embed_task *t = a->t;

    a->transfer = NULL;
    t->upstream_us += clock_us() - a->sent_us;
    t->err = end->err;
    t->text = end->text;
    t->retry_after_ms = end->retry_after_ms;
    if (end->status == 400 && !a->plain && upstream_blames(end->body, "encoding_format")) {
        a->m->no_base64 = true;
        t->err = ERR_OK;
        send_ask(a);
        return;
    }
    if (end->err == ERR_OK && embed_reply_parse(end->body, t) && !dims_agree(a->m, t))
        refuse(t, "the model server sent vectors of other dimensions than before");
    a->m->base64 = end->err == ERR_OK && t->err == ERR_OK && t->base64;
    if (t->err == ERR_OK)
        price_count(&upstream_spent, TOKENS_EMBED, 0, str_of(t->model), false, t->tokens);
    if (t->err == ERR_OK && t->tokens == 0)
        stat_add_at(&embedder_stats, UPSTREAM_UNCOUNTED, ROUTE_EMBED, 0, 1);
    end_ask(a);
}

static void
send_ask(struct ask *a)
{
    struct embed_task *t = a->t;
    struct buf body = { 0 };
    size_t dims = t->dims > 0 ? (size_t)t->dims : a->m->dims > 0 ? a->m->dims : EMBED_MAX_DIMS;
    struct upstream_req req = {
        .route = ROUTE_EMBED, .path = "/embeddings", .body = &body, .deadline_ms = t->deadline_ms,
        .idle_s = IDLE_S, .trace = t->trace, .on_end = on_end, .arg = a,
    };

    a->plain = a->m->no_base64;
    build_body(t, a->plain, &body);
    /* base64 takes 5.4 bytes a number, text up to 24; some servers send text although base64 was asked for */
    req.max_body = t->n * dims * (a->m->base64 && !a->plain ? 6 : 24) + 65536;
    a->sent_us = clock_us();
    a->transfer = upstream_start(t->e->embed_upstream, &req);
}

static void
run(struct embed_task *t)
{
    struct ask *a = mem_new(sizeof *a);

    a->t = t;
    a->m = t->p->impl;
    t->impl = a;
    send_ask(a);
}

static void
cancel(struct embed_task *t)
{
    struct ask *a = t->impl;

    upstream_cancel(&a->transfer);
    t->err = ERR_CANCELLED;
    t->text = "nobody waits for it";
    end_ask(a);
}

static void
close_openai(struct embed_provider *p)
{
    struct openai_embed *m = p->impl;

    mem_free(&m);
}

struct embed_provider *
embed_openai_new(struct embedder *e)
{
    struct openai_embed *m = mem_new(sizeof *m);

    m->p = (struct embed_provider){ .model = e->opt->embedding_model, .dims = e->opt->embedding_dims, .paid = true,
                                    .any_model = true, .max_texts = BATCH_TEXTS, .max_bytes = BATCH_BYTES, .run = run,
                                    .cancel = cancel, .close = close_openai, .impl = m };
    return &m->p;
}

/* ---- start */
static void
on_probed(void *arg, const struct upstream_end *end)
{
    (void)arg;
    if (end->status == 404 || end->status == 501)
        LOG(ERROR, NULL, M("the model server offers no embeddings: set EMBEDDING_PROVIDER=builtin, or give it an embedding model"),
            KI("status", end->status));
    else if (end->err != ERR_OK)
        LOG(WARN, NULL, M("the model server did not embed a first text"), KS("error", err_name(end->err)),
            KI("status", end->status));
    else
        LOG(INFO, NULL, M("the model server embeds"));
}

void
embed_openai_probe(struct embedder *e, struct embed_provider *p)
{
    struct str text = STR("hello");
    struct embed_task t = { .e = e, .p = p, .texts = &text, .n = 1, .dims = p->dims };
    struct buf body = { 0 };
    struct upstream_req req = {
        .route = ROUTE_EMBED, .path = "/embeddings", .body = &body, .deadline_ms = clock_ms() + 5000,
        .max_body = 262144, .idle_s = IDLE_S, .trace = "", .on_end = on_probed,
    };

    memcpy(t.model, p->model, strlen(p->model) < sizeof t.model ? strlen(p->model) : sizeof t.model - 1);
    build_body(&t, false, &body);
    (void)upstream_start(e->embed_upstream, &req);
}
