/* Calls of a rerank server (rerank.h). One ranking a call of the bus, one HTTP call a ranking; a second one
 * when the server speaks the other shape, which is remembered. Loop thread only. */
#include "common/clock.h"
#include "embedder/openai/upstream.h"
#include "embedder/openai/rerank.h"

#define REPLY_MAX (1 << 20)
#define BODY_MAX (8 << 20)

struct ranking {
    struct rerank *k;
    struct delivery *call;
    struct transfer *transfer;
    enum rerank_shape shape; /* of the call that is out */
    bool again;              /* the other shape was tried before */
    int64_t begun_us;
    struct ranking *next, **prev;
};

struct rerank {
    struct embedder *e;
    struct upstream *upstream;
    enum rerank_shape shape; /* that the server took last */
    struct ranking *jobs;
};

static void
ranking_free(struct ranking *j)
{
    *j->prev = j->next;
    if (j->next)
        j->next->prev = j->prev;
    mem_free(&j);
}

/* A server of the other shape says which member it misses. */
static bool
other_shape(const struct ranking *j, const struct upstream_end *end)
{
    const char *missed = j->shape == RERANK_DOCUMENTS ? "texts" : "documents";

    return !j->again && (end->status == 400 || end->status == 422) && end->body.n > 0 &&
           str_has(end->body, missed);
}

static void send_call(struct ranking *j);

static void
succeed(struct ranking *j, struct str body)
{
    const struct rerank_req *req = j->call->req;
    float scores[200];
    struct rerank_rep rep = { .scores = { (const char *)scores, req->texts.n * sizeof scores[0] },
                              .upstream_us = clock_us() - j->begun_us };

    if (!rerank_parse(body, req->texts.n, scores, &rep.tokens)) {
        worker_fail(j->call, ERR_UPSTREAM_REPLY, 0, "the rerank server sent something unusable");
        return;
    }
    j->k->shape = j->shape;
    worker_reply(j->call, &rep);
}

static void
on_end(void *arg, const struct upstream_end *end)
{
    struct ranking *j = arg;

    j->transfer = NULL;
    if (end->err != ERR_OK && other_shape(j, end)) {
        j->again = true;
        j->shape = j->shape == RERANK_TEXTS ? RERANK_DOCUMENTS : RERANK_TEXTS;
        send_call(j);
        return;
    }
    if (end->err == ERR_OK)
        succeed(j, end->body);
    else
        worker_fail(j->call, end->err, end->retry_after_ms, end->text);
    ranking_free(j);
}

static void
send_call(struct ranking *j)
{
    const struct embedder_opt *o = j->k->e->opt;
    struct buf body = BUF_MAX(BODY_MAX);
    int64_t until = j->begun_us / 1000 + o->rerank_timeout;

    rerank_body(j->shape, o->rerank_model, j->call->req, &body);
    j->transfer = upstream_start(j->k->upstream,
                                 &(struct upstream_req){ .route = ROUTE_RERANK,
                                                         .path = "/rerank",
                                                         .body = &body,
                                                         .deadline_ms = until < j->call->deadline_ms
                                                                            ? until
                                                                            : j->call->deadline_ms,
                                                         .max_body = REPLY_MAX,
                                                         .idle_s = 10,
                                                         .limited = until < j->call->deadline_ms,
                                                         .trace = j->call->trace,
                                                         .on_end = on_end,
                                                         .arg = j });
}

static void
on_cancel(struct delivery *c)
{
    struct ranking *j = c->user;

    upstream_cancel(&j->transfer);
    worker_fail(c, ERR_CANCELLED, 0, NULL);
    ranking_free(j);
}

void
rerank_on_call(struct delivery *c)
{
    struct embedder *e = worker_ctx(c);
    const struct rerank_req *req = c->req;
    struct ranking *j;

    if (req->texts.n == 0 || req->texts.n > 200) {
        worker_fail(c, ERR_VALIDATION, 0, "texts: 1 to 200 passages");
        return;
    }
    j = mem_new(sizeof *j);
    *j = (struct ranking){ .k = e->rerank, .call = c, .shape = e->rerank->shape, .begun_us = clock_us() };
    j->next = j->k->jobs;
    j->prev = &j->k->jobs;
    if (j->next)
        j->next->prev = &j->next;
    j->k->jobs = j;
    c->user = j;
    c->on_cancel = on_cancel;
    send_call(j);
}

void
rerank_quote_on_call(struct delivery *c)
{
    const struct embedder *e = worker_ctx(c);
    struct quote_rep rep = { .model = str_of(e->opt->rerank_model), .tokens_in = rerank_most(c->req) };

    if (rep.model.n == 0)
        rep.model = STR("the rerank server's own");
    worker_reply(c, &rep);
}

struct rerank *
rerank_new(struct embedder *e)
{
    struct rerank *k = mem_new(sizeof *k);

    k->e = e;
    k->upstream = upstream_new(e->loop, e->opt->rerank_url, e->opt->rerank_key, "");
    if (!k->upstream)
        mem_free(&k);
    return k;
}

void
rerank_free(struct rerank **kp)
{
    struct rerank *k = *kp;

    *kp = NULL;
    if (!k)
        return;
    while (k->jobs) {
        struct ranking *j = k->jobs;

        upstream_cancel(&j->transfer);
        ranking_free(j);
    }
    upstream_free(&k->upstream);
    mem_free(&k);
}

void
rerank_sample(struct rerank *k)
{
    upstream_sample(k->upstream, ROUTE_RERANK);
}
