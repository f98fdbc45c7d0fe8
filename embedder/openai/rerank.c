/* Calls of a rerank server (rerank.h). One ranking a call of the bus, one HTTP call a ranking, or several where the server takes
 * only so many passages; one more when it speaks the other shape or does not take a member. Its wishes are remembered. Loop
 * thread only. */
#include "common/clock.h"
#include "embedder/openai/upstream.h"
#include "embedder/openai/rerank.h"

#define REPLY_MAX (1 << 20)
#define BODY_MAX (8 << 20)
#define PASSAGES_MAX 200

static const char *const optional[] = { "top_n", "return_documents", "truncate" }; /* RERANK_NO_ bits */

struct ranking {
    struct rerank *k;
    struct delivery *call;
    struct transfer *transfer;
    struct rerank_form form; /* of the call that is out */
    bool again;              /* the other shape was tried before */
    float scores[PASSAGES_MAX];
    int64_t tokens; /* of all calls */
    int64_t begun_us;
    struct ranking *next, **prev;
};

struct rerank {
    struct embedder *e;
    struct upstream *upstream;
    enum rerank_shape shape; /* that the server took last */
    unsigned without;        /* members that it did not take */
    size_t most;             /* passages that it takes in a call, as far as known */
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
other_shape(struct ranking *j, const struct upstream_end *end)
{
    const char *missed = j->form.shape == RERANK_DOCUMENTS ? "texts" : "documents";

    if (j->again || !str_has(end->body, missed))
        return false;
    j->again = true;
    j->form.shape = j->form.shape == RERANK_TEXTS ? RERANK_DOCUMENTS : RERANK_TEXTS;
    return true;
}

/* A member that it does not know. Its name in the list of those that it does know is none. */
static bool
without(struct ranking *j, const struct upstream_end *end)
{
    int i = upstream_blames(end->body, optional, sizeof optional / sizeof *optional);

    if (i < 0 || (j->form.without & (1u << i)))
        return false;
    j->k->without |= 1u << i;
    return true;
}

/* Fewer passages a call. */
static bool
fewer(struct ranking *j, const struct upstream_end *end)
{
    size_t n = 1;

    if (end->status != 413 && !upstream_too_many(end->body))
        return false;
    if (j->form.n == 1) { /* it is not the number */
        j->k->most = PASSAGES_MAX;
        return false;
    }
    while (2 * n < j->form.n)
        n *= 2;
    if (j->k->most > n)
        j->k->most = n;
    return true;
}

static bool
ask_again(struct ranking *j, const struct upstream_end *end)
{
    if (end->status != 400 && end->status != 413 && end->status != 422)
        return false;
    return fewer(j, end) || other_shape(j, end) || without(j, end);
}

static void send_call(struct ranking *j);

/* Scores of some passages; the reply when they are all there. True: it is over. */
static bool
succeed(struct ranking *j, struct str body)
{
    const struct rerank_req *req = j->call->req;
    struct rerank_rep rep = { .scores = { (const char *)j->scores, req->texts.n * sizeof j->scores[0] } };
    int64_t tokens;

    if (!rerank_parse(body, j->form.n, j->scores + j->form.first, &tokens)) {
        worker_fail(j->call, ERR_UPSTREAM_REPLY, 0, "the rerank server sent something unusable");
        return true;
    }
    j->k->shape = j->form.shape;
    j->tokens += tokens;
    j->form.first += j->form.n;
    if (j->form.first < req->texts.n)
        return false;
    rerank_shares(j->scores, req->texts.n);
    rep.upstream_us = clock_us() - j->begun_us;
    rep.tokens = j->tokens;
    worker_reply(j->call, &rep);
    return true;
}

static void
on_end(void *arg, const struct upstream_end *end)
{
    struct ranking *j = arg;
    bool over = true;

    j->transfer = NULL;
    if (end->err == ERR_OK)
        over = succeed(j, end->body);
    else if (ask_again(j, end))
        over = false;
    else
        worker_fail(j->call, end->err, end->retry_after_ms, end->text);
    if (over)
        ranking_free(j);
    else
        send_call(j);
}

static void
send_call(struct ranking *j)
{
    const struct embedder_opt *o = j->k->e->opt;
    const struct rerank_req *req = j->call->req;
    struct buf body = BUF_MAX(BODY_MAX);
    int64_t until = j->begun_us / 1000 + o->rerank_timeout;

    j->form.without = j->k->without;
    j->form.n = req->texts.n - j->form.first < j->k->most ? req->texts.n - j->form.first : j->k->most;
    rerank_body(&j->form, o->rerank_model, req, &body);
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

    if (req->texts.n == 0 || req->texts.n > PASSAGES_MAX) {
        worker_fail(c, ERR_VALIDATION, 0, "texts: 1 to 200 passages");
        return;
    }
    j = mem_new(sizeof *j);
    *j = (struct ranking){
        .k = e->rerank, .call = c, .form = { .shape = e->rerank->shape }, .begun_us = clock_us()
    };
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
    k->most = PASSAGES_MAX;
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
