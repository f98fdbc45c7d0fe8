/* One round: up to 256 passages of the documents that were claimed.
 *
 *   CHUNKS_GET, document by document ─▶ what was embedded, written anew ─▶ VECTORS_KNOWN ─▶ EMBED, at REEMBED_RATE ─▶ MODEL_PUT
 *
 * A document that changed since it was claimed is left out: it is claimed again. When a call fails the round
 * is given up; what the embedder made of it is in its cache. */
#include "retriever/reembed/parts.h"

#include <stdio.h>

#include "retriever/extract/chunk.h"
#include "retriever/model.h"

enum { CALL_MS = 10000, EMBED_MS = 60000, TEXTS_BYTES = 1 << 24 };

static void load(struct reembed *b);
static void send(struct reembed *b);

void
round_free(struct round **x)
{
    if (!*x)
        return;
    buf_free(&(*x)->texts);
    mem_free(&(*x)->vectors);
    mem_free(x);
}

/* ---- texts */

static void
add_text(struct round *x, struct piece_of *p, const struct document *d, const struct chunk *k)
{
    struct text *t = &x->text[x->n];

    *t = (struct text){ .at = x->texts.n };
    chunk_passage(&x->texts, d->title, k->chapter, k->section, k->lead, k->text);
    if (x->texts.n == t->at)
        buf_c(&x->texts, ' ');
    t->n = x->texts.n - t->at;
    if (k->hash.n == sizeof t->hash)
        memcpy(t->hash, k->hash.p, sizeof t->hash);
    p->n++;
    x->n++;
}

/* From the page's chunks. */
static void
add_page(struct round *x, struct piece_of *p, const struct chunks_get_rep *rep)
{
    int64_t next = p->from_ord + (int64_t)p->n;

    for (size_t i = 0; i < rep->chunks.n && x->n < ROUND_TEXTS; i++) {
        const struct chunk *k = &rep->chunks.v[i];

        p->gone = p->gone || k->ord != next;
        next++;
        add_text(x, p, rep->document.v, k);
    }
    p->last = !rep->has_more && next == p->of->chunks;
}

static void
on_page(void *arg, struct reply *r)
{
    struct reembed *b = arg;
    struct round *x = b->round;
    struct piece_of *p = &x->piece[x->next];
    const struct chunks_get_rep *rep = r->rep;
    size_t had = x->n;

    if (r->err != ERR_OK && r->err != ERR_NOT_FOUND) {
        reembed_fault(b, r->err, r->text);
        return;
    }
    if (r->err == ERR_OK && rep->document.n == 1)
        add_page(x, p, rep);
    if (!p->last && x->n > had && x->n < ROUND_TEXTS && !p->gone) {
        load(b); /* its next page */
        return;
    }
    if (p->n == 0 || p->gone) { /* it went */
        x->n = p->first;
        p->n = 0;
    }
    x->next++;
    load(b);
}

/* ---- the end: what was made is stored */

static void
on_put(void *arg, struct reply *r)
{
    struct reembed *b = arg;
    struct round *x = b->round;

    if (r->err == ERR_CONFLICT) {
        b->after[0] = '\0';
        reembed_next(b, CALL_MS / 10);
        return;
    }
    if (r->err != ERR_OK) {
        reembed_fault(b, r->err, r->text);
        return;
    }
    stat_add(&retriever_stats, RETRIEVER_REEMBEDDED, x->n);
    for (size_t i = 0; i < x->n_pieces && (x->piece[i].last || x->piece[i].n == 0); i++)
        (void)snprintf(b->after, sizeof b->after, STR_FMT, STR_ARG(x->piece[i].of->external_id));
    reembed_next(b, 0);
}

static void
put(struct reembed *b)
{
    struct round *x = b->round;
    struct model_part part[MODEL_DOCUMENTS];
    struct model_put_req q = { .worker = str_of(worker_instance(b->r->worker)),
                               .tenant = str_of(b->tenant),
                               .collection = str_of(b->collection),
                               .model = b->work->model,
                               .dims = b->work->dims,
                               .parts = { part, 0 } };
    size_t one = (size_t)b->work->dims * sizeof(float);

    for (size_t i = 0; i < x->n_pieces; i++) {
        const struct piece_of *p = &x->piece[i];

        if (p->n == 0)
            continue;
        part[q.parts.n++] = (struct model_part){ .document_id = p->of->document_id,
                                                 .generation = p->of->generation,
                                                 .from_ord = p->from_ord,
                                                 .vectors = { (const char *)x->vectors + p->first * one,
                                                              p->n * one },
                                                 .last = p->last };
    }
    reembed_call(b, KIND_MODEL_PUT, &q, CALL_MS, on_put, b);
}

/* ---- vectors */

static void
set_vector(struct reembed *b, struct text *t, const char *p)
{
    struct round *x = b->round;
    size_t dims = (size_t)b->work->dims;

    memcpy(x->vectors + (size_t)(t - x->text) * dims, p, dims * sizeof(float));
    t->have = true;
}

static const char *
take(struct reembed *b, const struct batch *w, const struct embed_rep *rep)
{
    size_t one = (size_t)b->work->dims * sizeof(float);

    if (!str_eq(rep->model, b->work->model) || rep->dims != b->work->dims) {
        if (!b->by_name) /* else the embedder's own one may be what it was */
            model_doubt(b->r->model);
        return "the embedder has another model now";
    }
    if (rep->vectors.n != w->n * one)
        return "another number of vectors than of texts";
    for (size_t k = 0; k < w->n; k++)
        set_vector(b, &b->round->text[w->index[k]], rep->vectors.p + k * one);
    return NULL;
}

static void
on_embedded(void *arg, struct reply *r)
{
    struct batch *w = arg;
    struct reembed *b = w->b;
    struct round *x = b->round;
    const char *why = r->err == ERR_OK ? take(b, w, r->rep) : r->text;

    w->busy = false;
    x->in_flight--;
    if ((r->err != ERR_OK || why) && x->err == ERR_OK) {
        x->err = r->err ? r->err : ERR_UPSTREAM_REPLY;
        (void)snprintf(x->why, sizeof x->why, "%s", why);
    }
    send(b);
}

static bool
is_left(const struct text *t)
{
    return !t->have && !t->asked;
}

static bool
any_left(const struct round *x)
{
    for (size_t i = 0; i < x->n; i++)
        if (is_left(&x->text[i]))
            return true;
    return false;
}

static void
send_batch(struct reembed *b)
{
    struct round *x = b->round;
    struct batch *w = x->batch;
    struct str text[ROUND_BATCH];
    struct embed_req q = { .texts = { text, 0 }, .documents = true };

    while (w->busy)
        w++;
    *w = (struct batch){ .b = b, .busy = true };
    for (size_t i = 0; i < x->n && w->n < ROUND_BATCH; i++)
        if (is_left(&x->text[i])) {
            x->text[i].asked = true;
            text[w->n] = (struct str){ x->texts.p + x->text[i].at, x->text[i].n };
            w->index[w->n++] = i;
        }
    q.texts.n = w->n;
    if (b->by_name) {
        q.model = b->work->model;
        q.dims = b->work->dims;
    }
    x->in_flight++;
    x->send_ms += (int64_t)(1000 * w->n) / b->r->opt->reembed_rate;
    reembed_call(b, KIND_EMBED, &q, EMBED_MS, on_embedded, w);
}

static void
send_later(void *arg)
{
    struct reembed *b = arg;

    b->round->timer = 0;
    send(b);
}

/* No call is out. */
static void
ended(struct reembed *b)
{
    struct round *x = b->round;
    char why[sizeof x->why];

    if (b->lost) {
        b->after[0] = '\0';
        reembed_next(b, 0);
    } else if (x->err != ERR_OK) {
        (void)snprintf(why, sizeof why, "%s", x->why);
        reembed_fault(b, x->err, why);
    } else {
        put(b);
    }
}

/* As many as the rate allows; the next ones when it does, or when a call ends. Each call has its time
 * before the round ends. */
static void
send(struct reembed *b)
{
    struct round *x = b->round;
    int64_t now = loop_now(b->r->loop);
    bool on = x->err == ERR_OK && !b->lost;

    if (b->stopped)
        return;
    while (on && x->in_flight < ROUND_CALLS && now >= x->send_ms && any_left(x))
        send_batch(b);
    if (on && !x->timer && now < x->send_ms && (x->in_flight == 0 || any_left(x)))
        x->timer = loop_after(b->r->loop, x->send_ms - now, send_later, b);
    if (x->in_flight == 0 && !(on && x->timer)) {
        loop_cancel(b->r->loop, &x->timer);
        ended(b);
    }
}

static void
on_known(void *arg, struct reply *r)
{
    struct reembed *b = arg;
    struct round *x = b->round;
    const struct vectors_known_rep *rep = r->rep;
    size_t one = (size_t)b->work->dims * sizeof(float);

    if (r->err != ERR_OK) {
        reembed_fault(b, r->err, r->text);
        return;
    }
    for (size_t k = 0; k < rep->items.n; k++)
        for (size_t i = 0; i < x->n; i++)
            if (rep->items.v[k].hash.n == 32 && rep->items.v[k].vector.n == one && !x->text[i].have &&
                memcmp(rep->items.v[k].hash.p, x->text[i].hash, 32) == 0)
                set_vector(b, &x->text[i], rep->items.v[k].vector.p);
    x->send_ms = loop_now(b->r->loop);
    send(b);
}

static void
known(struct reembed *b)
{
    struct round *x = b->round;
    struct chunk_hash *hash = mem_new(ROUND_TEXTS * sizeof *hash);
    struct vectors_known_req q = {
        .tenant = str_of(b->tenant), .model = b->work->model, .dims = b->work->dims, .hashes = { hash, x->n }
    };

    x->vectors = mem_new(x->n * (size_t)b->work->dims * sizeof(float));
    for (size_t i = 0; i < x->n; i++)
        hash[i].hash = (struct str){ (const char *)x->text[i].hash, 32 };
    reembed_call(b, KIND_VECTORS_KNOWN, &q, CALL_MS, on_known, b);
    mem_free(&hash);
}

/* ---- the line */

static void
load(struct reembed *b)
{
    struct round *x = b->round;
    struct piece_of *p = &x->piece[x->next];
    struct chunks_get_req q;

    if (b->stopped)
        return;
    if (x->next == b->work->items.n || x->n == ROUND_TEXTS) {
        x->n_pieces = x->next;
        if (x->n > 0)
            known(b);
        else
            reembed_next(b, CALL_MS / 10); /* all of them changed meanwhile */
        return;
    }
    if (!p->of)
        *p = (struct piece_of){ .of = &b->work->items.v[x->next],
                                .from_ord = b->work->items.v[x->next].from_ord,
                                .first = x->n };
    q = (struct chunks_get_req){ .document_id = p->of->document_id, .from_ord = p->from_ord + (int64_t)p->n };
    q.limit = (int64_t)(ROUND_TEXTS - x->n);
    reembed_call(b, KIND_CHUNKS_GET, &q, CALL_MS, on_page, b);
}

void
round_begin(struct reembed *b)
{
    b->round = mem_new(sizeof *b->round);
    b->round->texts = BUF_MAX(TEXTS_BYTES);
    load(b);
}
