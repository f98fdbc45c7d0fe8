/* Ingestion: documents that wait in the store become chunks with vectors.
 *
 *   which model? (model.h) → JOBS_CLAIM → [thread] extract, chunk →
 *   small ones, together: VECTORS_KNOWN → EMBED what is new → JOBS_DONE                                       (lot.c)
 *   large ones, each: JOB_TEXT → for each window of up to 1,024 chunks: VECTORS_KNOWN → EMBED → JOB_CHUNKS → JOB_FINISH
 *
 * A lease of 30 s is renewed every 10 s; when it is lost the work is dropped. A document that cannot be ingested fails
 * with a reason for its owner. A passing fault (embedder, store or hub away) is tried three times, then the document is
 * put back, or its lease lapses; the model is asked for before the next claim, so that an outage uses up no attempts.
 * A host that cannot read a file now (child.c) uses up none either: the document waits, and the next claim a moment.
 * Chunk ids derive from document, generation and place: a worker that takes a job over writes
 * the same rows. */
#include "retriever/ingest/ingest.h"

#include "retriever/ingest/job.h"

#include <stdio.h>

#include "common/log.h"
#include "retriever/model.h"

enum { PAUSE_FIRST_MS = 500, PAUSE_MAX_MS = 15000, CLAIMS_MAX = 64, CLAIM_BYTES = 1000000 };

static void claim(struct ingest *g);

static void
pause_claims(struct ingest *g)
{
    g->pause_ms = g->pause_ms ? 2 * g->pause_ms : PAUSE_FIRST_MS;
    if (g->pause_ms > PAUSE_MAX_MS)
        g->pause_ms = PAUSE_MAX_MS;
    g->not_before_ms = loop_now(g->r->loop) + g->pause_ms;
}

static void
check_drained(struct ingest *g)
{
    void (*done)(void *) = g->drained;

    if (!done || g->active || g->asking)
        return;
    g->drained = NULL;
    done(g->drained_arg);
}

/* ---- the model */

static void
on_told(void *arg, struct reply *r)
{
    (void)arg;
    (void)r; /* said again with the next answer */
}

/* Documents that wait say what for, as long as it is said again; r NULL: they do not wait any more. */
static void
tell_wait(struct ingest *g, const struct reply *r)
{
    struct job_wait_req q = { .worker = str_of(worker_instance(g->r->worker)) };
    char why[256];

    if (r) {
        (void)snprintf(why, sizeof why, "waits for embeddings, which cannot be made now (%s%s%.150s)",
                       err_name(r->err), r->text && r->text[0] ? ": " : "", r->text ? r->text : "");
        q.reason = str_of(why);
    }
    g->waits = r != NULL;
    (void)worker_call(g->r->worker, NULL, KIND_JOB_WAIT, &q, "", "", 5000, on_told, NULL);
}

static void
on_model(void *arg, struct reply *r)
{
    struct ingest *g = arg;
    static struct log_gate gate;

    g->asking = false;
    if (r->err == ERR_OK) {
        g->pause_ms = 0;
        claim(g);
    } else {
        pause_claims(g);
        tell_wait(g, r);
        if (log_gate(&gate))
            LOG(WARN, NULL, M("no embeddings: documents wait"), KS("error", err_name(r->err)),
                KS("text", r->text));
    }
    check_drained(g);
}

/* ---- claiming */

/* Our own lease lapsed (the store was away) and we got the same version again: the job at hand goes on. */
static bool
at_hand(const struct ingest *g, const struct job_claim_rep *c)
{
    for (const struct job *j = g->jobs; j; j = j->next)
        if (!j->dead && j->claim->generation == c->generation &&
            uuid_eq(&j->claim->document_id, &c->document_id))
            return true;
    return false;
}

static void
take(struct lot *l, const struct job_claim_rep *c)
{
    struct ingest *g = l->g;

    if (at_hand(g, c))
        return;
    struct job *j = job_new(l, c);

    if (g->draining)
        job_give_back(j, "the retriever is stopping");
    else
        job_start(j);
}

/* Some document of those that wait cannot be read: one at a time, until the store has put it aside. */
static void
claim_failed(struct ingest *g, enum err e)
{
    if (e == ERR_INTERNAL && g->claim_most > 1) {
        g->claim_most = 1;
        return;
    }
    pause_claims(g);
}

static void
on_claims(void *arg, struct reply *r)
{
    struct ingest *g = arg;
    const struct jobs_claim_rep *rep = r->rep;

    g->asking = false;
    if (r->err != ERR_OK) {
        claim_failed(g, r->err);
    } else if (rep->items.n > 0) {
        struct lot *l = mem_new(sizeof *l);

        *l = (struct lot){ .g = g, .arena = r->arena, .refs = 1 };
        r->arena = NULL;
        g->lots++;
        g->pause_ms = 0;
        g->claim_most = 2 * g->claim_most < CLAIMS_MAX ? 2 * g->claim_most : CLAIMS_MAX;
        for (size_t i = 0; i < rep->items.n; i++)
            take(l, &rep->items.v[i]);
        lot_put(l);
        claim(g);
    }
    check_drained(g);
}

static void
claim(struct ingest *g)
{
    struct jobs_claim_req q = { .worker = str_of(worker_instance(g->r->worker)),
                                .lease_ms = JOB_LEASE_MS,
                                .limit = g->claim_most,
                                .bytes = CLAIM_BYTES };

    if (g->draining || g->asking || g->lots >= (size_t)g->r->opt->ingest_jobs ||
        loop_now(g->r->loop) < g->not_before_ms)
        return;
    g->asking = true;
    if (!model_known(g->r->model)) {
        model_ask(g->r->model, on_model, g);
        return;
    }
    if (g->waits) /* whoever asked for the model */
        tell_wait(g, NULL);
    (void)worker_call(g->r->worker, NULL, KIND_JOBS_CLAIM, &q, "", "", 5000, on_claims, g);
}

void
ingest_poke(struct ingest *g)
{
    claim(g);
}

void
ingest_pause(struct ingest *g)
{
    if (loop_now(g->r->loop) >= g->not_before_ms) /* of several together the first */
        pause_claims(g);
}

/* A job ended; fault: what makes vectors did not answer. */
void
ingest_ended(struct ingest *g, bool fault)
{
    g->active--;
    if (fault && model_known(g->r->model)) { /* of several that ended together the first */
        model_doubt(g->r->model);
        pause_claims(g);
    }
    claim(g);
    check_drained(g);
}

struct ingest *
ingest_new(struct retriever *r)
{
    struct ingest *g = mem_new(sizeof *g);

    g->r = r;
    g->claim_most = CLAIMS_MAX;
    return g;
}

void
ingest_free(struct ingest **gp)
{
    if (!*gp)
        return;
    while ((*gp)->jobs)
        job_free((*gp)->jobs);
    mem_free(gp);
}

void
ingest_drain(struct ingest *g, void (*done)(void *arg), void *arg)
{
    g->draining = true;
    g->drained = done;
    g->drained_arg = arg;
    for (struct job *j = g->jobs, *next; j; j = next) {
        next = j->next;
        job_interrupt(j, "the retriever is stopping");
    }
    check_drained(g);
}

size_t
ingest_active(const struct ingest *g)
{
    return g->active;
}
