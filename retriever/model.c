/* One word's EMBED, whose reply names the model. See model.h. */
#include "retriever/model.h"

#include <assert.h>

#include "common/log.h"

enum { PROBE_MS = 10000, WAITERS = 2 /* ingestion, the second sets */ };

struct model {
    struct retriever *r;
    char name[129];
    size_t dims;
    int64_t told_ms;  /* loop's time; 0: never, or doubted since */
    size_t n_waiters; /* more than none: a call is out */
    struct waiter {
        reply_fn fn;
        void *arg;
    } waiter[WAITERS];
};

static bool
take(struct model *m, const struct embed_rep *rep)
{
    if (rep->model.n == 0 || rep->model.n >= sizeof m->name || rep->dims < 1 || rep->dims > 4096)
        return false;
    if (!str_is(rep->model, m->name) || m->dims != (size_t)rep->dims)
        LOG(INFO, NULL, M("embedding model"), KN("model", rep->model), KI("dims", rep->dims));
    memcpy(m->name, rep->model.p, rep->model.n);
    m->name[rep->model.n] = '\0';
    m->dims = (size_t)rep->dims;
    m->told_ms = loop_now(m->r->loop);
    return true;
}

static void
on_reply(void *arg, struct reply *r)
{
    struct model *m = arg;
    struct waiter w[WAITERS];
    size_t n = m->n_waiters;

    memcpy(w, m->waiter, sizeof w);
    m->n_waiters = 0;
    if (r->err == ERR_OK && !take(m, r->rep))
        r->err = ERR_UPSTREAM_REPLY;
    for (size_t i = 0; i < n; i++)
        w[i].fn(w[i].arg, r);
}

void
model_ask(struct model *m, reply_fn fn, void *arg)
{
    struct str text = STR("footnote");
    struct embed_req q = { .texts = { &text, 1 }, .documents = true, .fresh = true };

    assert(m->n_waiters < WAITERS);
    m->waiter[m->n_waiters++] = (struct waiter){ fn, arg };
    if (m->n_waiters == 1)
        (void)worker_call(m->r->worker, NULL, KIND_EMBED, &q, "", "", PROBE_MS, on_reply, m);
}

const char *
model_name(const struct model *m)
{
    return m->name;
}

size_t
model_dims(const struct model *m)
{
    return m->dims;
}

bool
model_known(const struct model *m)
{
    return m->told_ms != 0;
}

int64_t
model_age_ms(const struct model *m)
{
    return m->told_ms ? loop_now(m->r->loop) - m->told_ms : INT64_MAX;
}

void
model_doubt(struct model *m)
{
    m->told_ms = 0;
}

struct model *
model_new(struct retriever *r)
{
    struct model *m = mem_new(sizeof *m);

    m->r = r;
    return m;
}

void
model_free(struct model **m)
{
    mem_free(m);
}
