/* Embeddings of an OpenAI-compatible server: POST /embeddings with some texts at a time.
 *
 *   task ─▶ work: ranges of texts that are not embedded yet ─▶ pieces, as many and as large as the server takes (pace.h)
 *              ▲                                                  │ refused: too many texts ─▶ two halves; too long ─▶ half of the text
 *              └──────────────────────────────────────────────────┤ refused: too many calls ─▶ waits until one of them has ended
 *                                                                 └ vectors (embed_reply.c) ─▶ cache ─▶ the work
 *
 * Questions go before passages and are not held back, unless the server says that there are too many calls.
 * A work whose task is given up lets its calls end: what they bring is paid for and goes into the cache;
 * only a question's call is dropped. base64 vectors are asked for (an array of 1536 numbers takes 0.55 ms
 * to parse) and arrays are understood; a parameter that the server refuses by name is left out from then
 * on, for that model. */
#include <math.h>

#include "common/clock.h"
#include "common/text/json.h"
#include "common/log.h"
#include "embedder/openai/embed.h"

#define BATCH_BYTES 262144
#define CAPACITY 256
#define CUTS_MAX 5        /* how often one text is halved */
#define HOLD_FIRST_MS 250 /* before passages are sent again after a refusal that names no time; doubles */
#define HOLD_MOST_MS 4000
#define HOLD_FAILING_MS 60000 /* so long passages of one task wait for a server that says it is unavailable */
#define FRESH_MS 60000        /* so long a fresh reply vouches for the dimensions of cached vectors */

/* Parameters that a model does not take, and one that some models want. */
enum { DROP_FORMAT = 1, DROP_DIMENSIONS = 2, WITH_TYPE = 4 };
static const char *const optional[] = { "encoding_format", "dimensions", "input_type" };

static void pump(struct openai_embed *m);
static void send_piece(struct piece *p);
static void probe(struct openai_embed *m);

static struct manners *
manners_of(struct openai_embed *m, const char *model)
{
    struct manners *k;

    for (size_t i = 0; i < m->n_known; i++)
        if (strcmp(m->known[i].model, model) == 0)
            return &m->known[i];
    k = &m->known[m->n_known < MODELS_MAX ? m->n_known++ : MODELS_MAX - 1];
    *k = (struct manners){ .dims = 0 };
    memcpy(k->model, model, strlen(model) + 1);
    pace_init(&k->pace, (size_t)m->e->opt->embedding_batch, m->e->opt->embedding_timeout * 1000L);
    return k;
}

static void
build_body(const struct embed_task *t, unsigned without, struct buf *out)
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
    if (!(without & DROP_FORMAT))
        buf_key_str(out, "encoding_format", STR("base64"));
    if (t->dims > 0 && !(without & DROP_DIMENSIONS))
        buf_key_int(out, "dimensions", t->dims);
    if (without & WITH_TYPE)
        buf_key_str(out, "input_type", t->documents ? STR("passage") : STR("query"));
    buf_c(out, '}');
}

/* ---- replies */

static void
take_vectors(struct piece *p)
{
    struct work *w = p->w;
    struct embed_task *t = w->t;

    if (t->out_dims != 0 && t->out_dims != p->sub.out_dims) {
        if (!w->again) {
            work_again(p->m, w);
            return;
        }
        p->sub.err = ERR_UPSTREAM_REPLY;
        p->sub.text = "the model server sent vectors of different dimensions";
        work_fail(p->m, w, &p->sub);
        return;
    }
    if (!t->vectors) {
        t->out_dims = p->sub.out_dims;
        t->vectors = mem_new(t->n * t->out_dims * sizeof *t->vectors);
    }
    memcpy(t->vectors + p->first * t->out_dims, p->sub.vectors, p->sub.n * t->out_dims * sizeof *t->vectors);
    t->tokens += p->sub.tokens;
    w->missing -= p->sub.n;
    piece_leave(p);
    if (w->missing == 0)
        work_end(p->m, w);
}

/* Vectors of another length than before are believed when a second reply agrees, or when a probe's says so. */
static bool
dims_agree(struct piece *p)
{
    struct manners *k = p->k;

    if (p->sub.dims > 0)
        return true;
    if (k->dims != 0 && k->dims != p->sub.out_dims && !p->doubted && !p->sub.fresh)
        return false;
    if (k->dims != 0 && k->dims != p->sub.out_dims)
        LOG(WARN, p->sub.trace,
            M("the embedding model changed its dimensions: cached vectors of the old ones are left alone"),
            KS("model", k->model), KI("from", k->dims), KI("to", p->sub.out_dims));
    k->dims = p->sub.out_dims;
    k->seen_ms = clock_ms();
    return true;
}

static void
piece_good(struct piece *p)
{
    pace_good(&p->k->pace, p->sub.n, (clock_us() - p->sent_us) / 1000);
    price_count(&upstream_spent, TOKENS_EMBED, 0, str_of(p->sub.model), false, p->sub.tokens);
    if (p->sub.tokens == 0)
        stat_add_at(&embedder_stats, UPSTREAM_UNCOUNTED, ROUTE_EMBED, 0, 1);
    p->k->hold_ms = 0;
    if (p->cut == 0)
        embed_cache_put(&p->sub);
    if (p->w)
        take_vectors(p);
    if (p->w)
        piece_leave(p);
    piece_free(p);
}

static void
piece_bad(struct piece *p, const struct upstream_end *end)
{
    static struct log_gate gate;

    if (p->sub.err == ERR_UPSTREAM_REPLY && log_gate(&gate))
        LOG(WARN, p->sub.trace, M("embedding reply refused"), KS("why", p->sub.text), KI("texts", p->sub.n));
    if (end->err == ERR_UPSTREAM_TIMEOUT)
        pace_late(&p->k->pace, p->sub.n);
    if (p->w)
        work_fail(p->m, p->w, &p->sub);
    if (p->w)
        piece_leave(p);
    piece_free(p);
}

/* ---- refusals */

/* One text that is too long for the model: the half of it must do. */
static bool
cut_text(struct piece *p)
{
    struct str *text = &p->sub.texts[0];
    struct str half = utf8_cut(*text, text->n / 2);

    if (p->cut == CUTS_MAX || half.n == 0)
        return false;
    LOG(INFO, p->sub.trace, M("a text is too long for the embedding model: its beginning must do"),
        KI("bytes", text->n), KI("of_it", half.n));
    p->cut++;
    text->n = half.n;
    return true;
}

/* A parameter that was sent and is not known, or is wanted and was not sent. */
static bool
ask_without(struct piece *p, const struct upstream_end *end)
{
    int i = end->status == 400 || end->status == 422 ? upstream_blames(end->body, optional, 3) : -1;

    if (i < 0 || (p->without & (1u << i)) || (i == 1 && p->sub.dims == 0))
        return false;
    p->k->without |= 1u << i;
    LOG(INFO, p->sub.trace,
        M("the model server does not take a parameter, or wants another one; going on as it wants"),
        KS("model", p->k->model), KS("parameter", optional[i]));
    send_piece(p);
    return true;
}

/* Not now: too many calls at once, or too many in a while. Nothing was done for it, and passages can
 * wait; a question cannot. */
static bool
ask_later(struct piece *p, const struct upstream_end *end)
{
    bool limited = end->err == ERR_UPSTREAM_LIMITED, away = end->status == 503 || end->status == 529,
         blocked = end->status == 0 && end->err == ERR_UPSTREAM && end->retry_after_ms > 0;
    struct manners *k = p->k;
    int64_t wait;

    if (!p->w || !(limited || blocked || away) || (limited && upstream_asks_less(end->body)))
        return false;
    if (p->m->flying > 0 && !blocked && (limited || p->sub.documents)) {
        pace_too_many_calls(&k->pace, p->m->flying + 1);
        piece_give_back(p, false);
        return true;
    }
    k->hold_ms = k->hold_ms == 0                 ? HOLD_FIRST_MS
                 : k->hold_ms * 2 < HOLD_MOST_MS ? k->hold_ms * 2
                                                 : HOLD_MOST_MS;
    wait = end->retry_after_ms > 0 ? end->retry_after_ms : k->hold_ms;
    if (!p->sub.documents || clock_ms() + wait >= p->w->t->deadline_ms ||
        (!limited && p->w->held_ms + wait > HOLD_FAILING_MS))
        return false;
    p->w->held_ms += wait;
    k->hold_until_ms = clock_ms() + wait;
    piece_give_back(p, false);
    return true;
}

/* The server refused, and there is something to do about it. False: there is not. The piece is gone or sent again after true. */
static bool
ask_again(struct piece *p, const struct upstream_end *end)
{
    bool large = upstream_too_large(end->body);

    if (ask_without(p, end) || ask_later(p, end))
        return true;
    if (end->status != 400 && end->status != 422 && end->status != 413 &&
        !(end->status == 500 && end->err == ERR_UPSTREAM_REFUSED) &&
        !(end->status == 429 && upstream_asks_less(end->body)))
        return false;
    if (p->sub.n > 1) {
        if (!large || upstream_too_many(end->body) || !upstream_speaks_of_tokens(end->body))
            pace_too_many_texts(&p->k->pace, p->sub.n);
        piece_give_back(p, true);
        return true;
    }
    /* the parameter that it was sent with was refused for this one */
    if (p->k->pace.size_cap == 1 || end->status == 413 || large)
        pace_not_the_number(&p->k->pace);
    if (end->status != 413 && !large)
        return false;
    p->sub.text = "a text is too long for the embedding model";
    if (!cut_text(p))
        return false;
    send_piece(p);
    return true;
}

/* Some servers embed only the first text, or all as one: they get one at a time. The vector that came is nobody's. Where one of
 * two is missing it may have been lost: that is an error, this time. */
static bool
ask_one_by_one(struct piece *p, const struct upstream_end *end)
{
    if (p->sub.n == 1 || !p->w || embed_reply_rows(end->body) != 1)
        return false;
    LOG(INFO, p->sub.trace,
        M("the model server gives one vector for several texts; going on with one text a call"),
        KS("model", p->k->model), KI("texts", p->sub.n));
    pace_too_many_texts(&p->k->pace, 2);
    if (p->sub.n == 2)
        return false;
    piece_give_back(p, true);
    return true;
}

static void
on_end(void *arg, const struct upstream_end *said)
{
    struct piece *p = arg;
    struct openai_embed *m = p->m;
    int64_t us = clock_us() - p->sent_us;
    struct upstream_end inside = *said, *end = &inside;

    if (end->err == ERR_OK && embed_reply_error(end->body, &end->status)) {
        struct upstream_fault f = upstream_map(end->status, end->body);

        end->err = f.err;
        end->text = f.err == ERR_UPSTREAM_REFUSED ? "the model server sent an error instead of vectors"
                                                  : f.text;
    }

    p->transfer = NULL;
    m->flying--;
    if (p->w && us > p->w->t->upstream_us)
        p->w->t->upstream_us = us;
    p->sub.err = end->err;
    p->sub.text = end->text;
    p->sub.retry_after_ms = end->retry_after_ms;
    if (end->err != ERR_OK && ask_again(p, end)) {
        pump(m);
        return;
    }
    if (end->err == ERR_OK && !embed_reply_parse(end->body, &p->sub) && ask_one_by_one(p, end)) {
        pump(m);
        return;
    }
    if (p->sub.err == ERR_OK && !dims_agree(p)) {
        p->doubted = true;
        mem_free(&p->sub.vectors);
        send_piece(p);
        return;
    }
    if (p->sub.err == ERR_OK)
        piece_good(p);
    else
        piece_bad(p, end);
    pump(m);
}

static void
send_piece(struct piece *p)
{
    struct embed_task *t = &p->sub;
    struct buf body = { 0 };
    size_t dims = t->dims > 0 ? (size_t)t->dims : p->k->dims > 0 ? p->k->dims : EMBED_MAX_DIMS;
    int64_t limit = clock_ms() + p->k->pace.limit_ms;
    struct upstream_req req = {
        .route = ROUTE_EMBED,
        .path = "/embeddings",
        .body = &body,
        .deadline_ms = limit,
        .limited = true,
        .idle_s = p->m->e->opt->embedding_timeout,
        .trace = t->trace,
        .on_end = on_end,
        .arg = p,
    };

    if (!t->documents && p->w && p->w->t->deadline_ms < limit) {
        req.deadline_ms = p->w->t->deadline_ms;
        req.limited = false;
    }
    p->without = p->k->without;
    build_body(t, p->without, &body);
    /* base64 takes 5.4 bytes a number, text up to 24; some servers send text although base64 was asked for, or a blank line for each */
    req.max_body = t->n * dims * (dims == EMBED_MAX_DIMS ? 24 : 96) + 65536;
    p->sent_us = clock_us();
    p->m->flying++;
    p->transfer = upstream_start(p->m->upstream, &req);
}

static void
on_held(void *arg)
{
    struct openai_embed *m = arg;

    m->timer = 0;
    pump(m);
}

/* The server said that passages must wait. */
static bool
held(struct openai_embed *m, const struct work *w)
{
    int64_t left = w->k->hold_until_ms - clock_ms();

    if (!w->t->documents || left <= 0)
        return false;
    if (m->timer == 0)
        m->timer = loop_after(m->e->loop, left, on_held, m);
    return true;
}

/* Send what the server takes now: questions first. */
static void
pump(struct openai_embed *m)
{
    for (;;) {
        struct work *w = m->questions != NULL ? m->questions : m->documents;

        if (!w)
            return;
        if (!w->ranges) {
            work_unlist(m, w);
            continue;
        }
        if (held(m, w) || (m->flying >= w->k->pace.calls && (w->t->documents || w->k->pace.tight)))
            return;
        send_piece(piece_new(m, w));
    }
}

/* ---- the provider */

static void
run(struct embed_task *t)
{
    struct openai_embed *m = t->p->impl;
    struct work *w = mem_new(sizeof *w);

    *w = (struct work){ .t = t, .k = manners_of(m, t->model), .missing = t->n };
    t->impl = w;
    t->err = ERR_OK;
    work_add(w, 0, t->n, 0);
    work_enlist(m, w);
    pump(m);
}

static void
cancel(struct embed_task *t)
{
    struct openai_embed *m = t->p->impl;

    t->err = ERR_CANCELLED;
    t->text = "nobody waits for it";
    work_end(m, t->impl);
    pump(m);
}

static size_t
dims_now(struct embed_provider *p, const char *model)
{
    return manners_of(p->impl, model)->dims;
}

/* Does the model still give such vectors as are cached? No reply of the last minute said so. */
static bool
doubts(struct embed_provider *p, const char *model)
{
    int64_t seen = manners_of(p->impl, model)->seen_ms;

    return strcmp(model, p->model) == 0 && p->dims == 0 && (seen == 0 || clock_ms() - seen > FRESH_MS);
}

/* A cached vector was used: the model is asked in passing. */
static void
check_dims(struct embed_provider *p, const char *model)
{
    if (doubts(p, model))
        probe(p->impl);
}

static void
close_openai(struct embed_provider *p)
{
    struct openai_embed *m = p->impl;

    loop_cancel(m->e->loop, &m->timer);
    server_leave(m->e, &m->upstream);
    while (m->all) /* their transfers go with the upstream */
        piece_free(m->all);
    mem_free(&m);
}

/* ---- a text of our own, past the cache: are there embeddings, and of which dimensions? */

static void
on_probed(void *arg, const struct upstream_end *end)
{
    struct piece *p = arg;
    struct openai_embed *m = p->m;

    p->transfer = NULL;
    m->flying--;
    if (end->status == 404 || end->status == 501)
        LOG(ERROR, NULL,
            M("the model server offers no embeddings: set EMBEDDING_PROVIDER=builtin, or give it an embedding model"),
            KI("status", end->status));
    else if (end->err != ERR_OK)
        LOG(WARN, NULL, M("the model server did not embed a first text"), KS("error", err_name(end->err)),
            KI("status", end->status));
    else if (embed_reply_parse(end->body, &p->sub) && p->k->dims == 0)
        LOG(INFO, NULL, M("the model server embeds"), KI("dims", p->sub.out_dims));
    m->probing = false;
    if (p->sub.vectors && !dims_agree(p)) {
        p->k->seen_ms = 0;
        p->doubted = true;
        mem_free(&p->sub.vectors);
        send_piece(p); /* as any piece that nobody waits for */
        return;
    }
    piece_free(p);
}

static void
probe(struct openai_embed *m)
{
    struct piece *p;
    struct buf body = { 0 };
    struct upstream_req req = { .route = ROUTE_EMBED,
                                .path = "/embeddings",
                                .body = &body,
                                .max_body = 262144,
                                .limited = true,
                                .deadline_ms = clock_ms() + m->e->opt->embedding_timeout * 1000L,
                                .idle_s = m->e->opt->embedding_timeout,
                                .trace = "",
                                .on_end = on_probed };

    if (m->probing)
        return;
    m->probing = true;
    p = mem_new(sizeof *p);
    piece_join(p, m);
    p->k = manners_of(m, m->p.model);
    p->k->seen_ms = clock_ms(); /* asked, at least: not again for a while */
    p->without = p->k->without;
    p->sub = (struct embed_task){ .e = m->e, .p = &m->p, .n = 1, .dims = m->p.dims, .documents = true };
    memcpy(p->sub.model, p->k->model, sizeof p->sub.model);
    p->sub.texts = mem_new(sizeof *p->sub.texts);
    p->sub.texts[0] = (struct str){ mem_dup("hello"), 5 };
    build_body(&p->sub, p->without, &body);
    req.arg = p;
    m->flying++;
    p->sent_us = clock_us();
    p->transfer = upstream_start(m->upstream, &req);
}

/* ---- its beginning */

static void
sample(struct embed_provider *p)
{
    upstream_sample(((struct openai_embed *)p->impl)->upstream, ROUTE_EMBED);
}

struct embed_provider *
embed_openai_new(struct embedder *e, bool besides)
{
    const struct embedder_opt *o = e->opt;
    struct upstream *u = server_take(e, ROUTE_EMBED);
    struct openai_embed *m;

    (void)besides;
    if (!u)
        return NULL;
    m = mem_new(sizeof *m);
    m->e = e;
    m->upstream = u;
    m->p = (struct embed_provider){ .model = o->embedding_model,
                                    .dims = o->embedding_dims,
                                    .paid = true,
                                    .caches = true,
                                    .prefixes = true,
                                    .any_model = true,
                                    .capacity = CAPACITY,
                                    .max_texts = 256,
                                    .max_bytes = BATCH_BYTES,
                                    .run = run,
                                    .cancel = cancel,
                                    .dims_now = dims_now,
                                    .check_dims = check_dims,
                                    .doubts = doubts,
                                    .sample = sample,
                                    .close = close_openai,
                                    .impl = m };
    /* A server that nobody named for embeddings, and that is not OpenAI's own: it may have none. */
    if (o->base_url[0] != 0 && o->api_key[0] == 0 && strcmp(o->embedding_provider, "auto") == 0)
        probe(m);
    return &m->p;
}
