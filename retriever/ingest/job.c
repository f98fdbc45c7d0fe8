/* The steps of one ingestion job: reading, JOB_TEXT, JOB_FINISH, the lease. Windows are in window.c. A step is a
 * function that sends one call; its reply either begins the next step, or repeats the step after a passing fault. */
#include "retriever/ingest/job.h"

#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/process/threads.h"
#include "retriever/model.h"

enum {
    RENEW_MS = 10000,
    CALL_MS = 20000,
    EMBED_MS = 590000,
    RETRY_MS = 400,
    READ_AGAIN_MS = 10,
    AWAY_MS = 15000,
    TEXT_MAX = 67108864
};

static void renew(void *arg);
static void finish_step(struct job *j);

struct job *
job_new(struct lot *l, const struct job_claim_rep *claim)
{
    struct job *j = mem_new(sizeof *j);
    struct ingest *g = l->g;

    j->g = g;
    j->lot = l;
    l->refs++;
    j->claim = claim;
    j->arena = arena_new((size_t)1 << 28);
    j->started_ms = clock_ms();
    memcpy(j->tenant, j->claim->tenant.p, j->claim->tenant.n < 64 ? j->claim->tenant.n : 64);
    j->next = g->jobs;
    if (g->jobs)
        g->jobs->prev = j;
    g->jobs = j;
    g->active++;
    j->renew = loop_after(g->r->loop, RENEW_MS, renew, j);
    return j;
}

void
job_free(struct job *j)
{
    *(j->prev ? &j->prev->next : &j->g->jobs) = j->next;
    if (j->next)
        j->next->prev = j->prev;
    loop_cancel(j->g->r->loop, &j->renew);
    loop_cancel(j->g->r->loop, &j->retry);
    lot_put(j->lot);
    arena_free(&j->arena);
    extract_fini(&j->doc);
    buf_free(&j->passages);
    mem_free(&j->vectors);
    mem_free(&j->item);
    mem_free(&j);
}

void
job_end(struct job *j, enum job_result how)
{
    struct ingest *g = j->g;
    bool fault = j->fault || (j->again && !j->unspent && !j->off);

    if (!j->dead) {
        stat_add_at(&retriever_stats, RETRIEVER_JOBS, how, 0, 1);
        stat_observe_at(&retriever_stats, RETRIEVER_JOB, how, 0, (double)(clock_ms() - j->started_ms) / 1000);
        j->dead = true;
        flow_forget(j);
        if (j->n_members) /* in every case: the others are not lost */
            lot_release(j, job_alone);
    }
    loop_cancel(g->r->loop, &j->renew);
    loop_cancel(g->r->loop, &j->retry);
    if (j->calls || j->reading || j->leader)
        return;
    job_free(j);
    ingest_ended(g, fault);
}

/* ---- calls */

struct pending {
    struct job *job;
    reply_fn fn;
    void *arg;
};

static void
on_reply(void *arg, struct reply *r)
{
    struct pending p = *(struct pending *)arg;

    mem_free(&arg);
    p.job->calls--;
    if (p.job->dead)
        job_end(p.job, JOB_LOST);
    else
        p.fn(p.arg, r);
}

void
job_call(struct job *j, enum kind kind, const void *req, reply_fn fn, void *arg)
{
    struct pending *p = mem_new(sizeof *p);

    *p = (struct pending){ j, fn, arg };
    j->calls++;
    /* how long a model server may take is the embedder's to say */
    (void)worker_call(j->g->r->worker, NULL, kind, req, j->tenant, "",
                      kind == KIND_EMBED ? EMBED_MS : CALL_MS, on_reply, p);
}

void
job_step(struct job *j, void (*step)(struct job *j))
{
    j->step = step;
    j->tries = 0;
    if (j->interrupt && step != finish_step)
        job_give_back(j, j->interrupt);
    else
        step(j);
}

static void
step_again(void *arg)
{
    struct job *j = arg;

    j->retry = 0;
    if (j->interrupt && j->step != finish_step)
        job_give_back(j, j->interrupt);
    else
        j->step(j);
}

bool
job_ok(struct job *j, struct reply *r)
{
    char id[37];

    if (r->err == ERR_OK)
        return true;
    LOG(WARN, NULL, M("ingestion step failed"), KS("document", uuid_text(&j->claim->document_id, id)),
        KS("error", err_name(r->err)), KS("text", r->text), KI("tries", j->tries + 1));
    if (r->err == ERR_CONFLICT || r->err == ERR_NOT_FOUND)
        job_end(j, JOB_LOST);
    else if (++j->tries < JOB_TRIES)
        j->retry = loop_after(j->g->r->loop, (int64_t)RETRY_MS << j->tries, step_again, j);
    else if (j->step == finish_step)
        job_end(j, JOB_LOST); /* the lease lapses; another takes it over */
    else
        job_give_back(j, "the store did not answer");
    return false;
}

/* ---- the lease */

static void
on_renewed(void *arg, struct reply *r)
{
    struct job *j = arg;
    char id[37];

    if (r->err == ERR_CONFLICT || r->err == ERR_NOT_FOUND) {
        LOG(WARN, NULL, M("lease lost"), KS("document", uuid_text(&j->claim->document_id, id)));
        job_end(j, JOB_LOST);
    }
}

static void
renew(void *arg)
{
    struct job *j = arg;
    struct job_renew_req q = { .document_id = j->claim->document_id,
                               .generation = j->claim->generation,
                               .worker = str_of(worker_instance(j->g->r->worker)),
                               .lease_ms = JOB_LEASE_MS };

    j->renew = loop_after(j->g->r->loop, RENEW_MS, renew, j);
    job_call(j, KIND_JOB_RENEW, &q, on_renewed, j);
}

/* ---- the end */

static void
on_finished(void *arg, struct reply *r)
{
    struct job *j = arg;
    char id[37];

    if (!job_ok(j, r))
        return;
    LOG(INFO, NULL,
        M(j->error[0] == '\0' ? "document ready"
          : j->again          ? "document put back"
                              : "document failed"),
        KS("document", uuid_text(&j->claim->document_id, id)), KS("reason", j->error),
        KI("chunks", j->stored), KI("embedded", j->embedded), KI("ms", clock_ms() - j->started_ms));
    job_end(j, j->error[0] == '\0' ? JOB_DONE : j->again ? JOB_AGAIN : JOB_FAILED);
}

static void
finish_step(struct job *j)
{
    struct job_finish_req q = { .document_id = j->claim->document_id,
                                .generation = j->claim->generation,
                                .worker = str_of(worker_instance(j->g->r->worker)),
                                .again = j->again,
                                .unspent = j->unspent,
                                .wait_ms = j->wait_ms };

    q.space = job_space(j, &q.space_dims);
    if (j->error[0])
        q.error = str_of(j->error);
    job_call(j, KIND_JOB_FINISH, &q, on_finished, j);
}

void
job_report(struct job *j)
{
    job_step(j, finish_step);
}

void
job_fail(struct job *j, const char *why)
{
    if (j->n_members)
        lot_release(j, job_alone);
    (void)snprintf(j->error, sizeof j->error, "%s", why);
    j->again = false;
    job_report(j);
}

/* Its reader, which is another server, did not read it: later, and when the server was away, that was no attempt. */
static void
convert_later(struct job *j, const char *why)
{
    (void)snprintf(j->error, sizeof j->error, "%s", why);
    j->again = j->off = true;
    j->wait_ms = j->doc.passes == PASSES_SURELY ? AWAY_MS : 0;
    job_report(j);
}

static void
give_back_too(struct job *j)
{
    j->again = true;
    job_report(j);
}

void
job_give_back(struct job *j, const char *why)
{
    (void)snprintf(j->error, sizeof j->error, "%s", why);
    if (j->n_members)
        lot_release(j, give_back_too);
    j->again = true;
    job_report(j);
}

/* The host had no process, descriptor or memory for it: no fault of the document's, which waits and is read again. */
static void
put_off(struct job *j)
{
    stat_inc(&retriever_stats, RETRIEVER_READS_PUT_OFF);
    ingest_pause(j->g);
    j->unspent = true;
    job_give_back(j, j->why);
}

void
job_interrupt(struct job *j, const char *why)
{
    j->interrupt = why;
    if (j->leader || j->waits)
        return; /* with the leader, or when the lot is read */
    if (j->retry && j->step != finish_step) {
        loop_cancel(j->g->r->loop, &j->retry);
        step_again(j);
    }
}

/* ---- reading */

static void
job_read(void *arg)
{
    struct job *j = arg;
    const struct job_claim_rep *c = j->claim;
    struct engine *e = j->g->r->engine;
    struct chunk_rules rules = { .target = (size_t)j->g->r->opt->chunk_bytes,
                                 .overlap = (size_t)j->g->r->opt->chunk_overlap,
                                 .chapter = c->chapter,
                                 .section = c->section,
                                 .url = c->url };

    j->why = extract(c->mime, c->body, j->arena, TEXT_MAX, &j->doc);
    if (j->why)
        return;
    j->title = c->title.n ? c->title : j->doc.title;
    if (!chunk_text(&j->doc, &rules, j->arena, &j->pieces))
        j->why = "the document has too many parts";
    else if (j->pieces.n == 0)
        j->why = "the document contains no text";
    else if (!engine_room(e, e->cost(e, j->doc.text.n, j->pieces.n, j->dims)))
        j->why = e->full;
}

static void
on_text(void *arg, struct reply *r)
{
    if (job_ok(arg, r))
        job_step(arg, job_window);
}

static void
text_step(struct job *j)
{
    struct job_text_req q = { .document_id = j->claim->document_id,
                              .generation = j->claim->generation,
                              .worker = str_of(worker_instance(j->g->r->worker)),
                              .text = buf_slice(&j->doc.text) };

    if (j->claim->title.n == 0)
        q.title = j->title;
    job_call(j, KIND_JOB_TEXT, &q, on_text, j);
}

void
job_alone(struct job *j)
{
    j->error[0] = '\0';
    j->fault = false;
    job_step(j, text_step);
}

static void
read_done(void *arg)
{
    struct job *j = arg;
    struct lot *l = j->lot;
    bool last = --l->reading == 0;

    l->refs++; /* held in every case, also when j ends */
    j->reading = false;
    j->waits = !j->dead && !j->why && j->pieces.n <= SMALL_CHUNKS && j->doc.text.n <= SMALL_BYTES;
    if (j->doc.converted != CONVERTED_NOT)
        stat_add_at(&retriever_stats, RETRIEVER_CONVERTED, j->doc.converted, 0, 1);
    if (j->dead)
        job_end(j, JOB_LOST);
    else if (j->why && j->doc.later)
        put_off(j);
    else if (j->why && j->doc.passes != PASSES_NOT)
        convert_later(j, j->why);
    else if (j->why)
        job_fail(j, j->why);
    else if (!j->waits)
        job_alone(j);
    if (last)
        lot_ready(l);
    lot_put(l);
}

static void read_again(void *arg);

/* The makers' queue may be full: then a moment later. Until it is read the job is not freed. */
static void
read_step(struct job *j)
{
    struct retriever *r = j->g->r;

    if (threads_run(extract_waits(j->claim->mime) ? r->readers : r->makers, job_read, read_done, j) != 0)
        (void)loop_after(j->g->r->loop, READ_AGAIN_MS, read_again, j);
}

static void
read_again(void *arg)
{
    read_step(arg);
}

void
job_start(struct job *j)
{
    j->lot->reading++;
    j->reading = j->waits = true;
    j->dims = model_dims(j->g->r->model); /* the model is the loop's: a thread may not look at it */
    read_step(j);
}
