/* Small documents that were claimed together: those of one tenant are ingested as one. Their chunks share
 * windows and calls of the embedder, and they end in one transaction (jobs.done), so that a document of a few
 * hundred bytes costs what its bytes cost.
 *
 *   lot ─ all read ─▶ large ones by themselves
 *                  ─▶ small ones, by tenant, up to 64 documents and a window's chunks: the first leads
 *
 * A step that fails for all of them together is done again by each alone, so that one that cannot be
 * stored fails alone. */
#include "retriever/ingest/job.h"

#include "common/clock.h"
#include "common/log.h"
#include "retriever/fresh.h"

void
lot_put(struct lot *l)
{
    if (--l->refs)
        return;
    l->g->lots--;
    arena_free(&l->arena);
    mem_free(&l);
}

void
lot_release(struct job *leader, void (*fn)(struct job *j))
{
    size_t n = leader->n_members;

    leader->n_members = 0;
    for (size_t i = 1; i < n; i++) {
        struct job *m = leader->member[i];

        m->leader = NULL;
        memcpy(m->error, leader->error, sizeof m->error);
        m->fault = leader->fault;
        if (m->dead)
            job_end(m, JOB_LOST);
        else
            fn(m);
    }
}

/* ---- the end of all */

static int64_t
seq_of(const struct jobs_done_rep *rep, const struct job *j)
{
    for (size_t i = 0; i < rep->items.n; i++)
        if (uuid_eq(&rep->items.v[i].document_id, &j->claim->document_id))
            return rep->items.v[i].seq;
    return 0;
}

static void
one_done(struct job *j, const struct jobs_done_rep *rep)
{
    char id[37];
    bool done = seq_of(rep, j) > 0;

    if (done) {
        LOG(INFO, NULL, M("document ready"), KS("document", uuid_text(&j->claim->document_id, id)),
            KI("chunks", j->pieces.n), KI("embedded", j->embedded), KI("ms", clock_ms() - j->started_ms));
        stat_add(&retriever_stats, RETRIEVER_CHUNKS, j->pieces.n);
        stat_add(&retriever_stats, RETRIEVER_EMBEDDED, j->embedded);
    } else {
        LOG(WARN, NULL, M("lease lost"), KS("document", uuid_text(&j->claim->document_id, id)));
    }
    job_end(j, done ? JOB_DONE : JOB_LOST);
}

static bool
is_outage(enum err e)
{
    return err_retryable(e) || e == ERR_DEADLINE || e == ERR_STORE_FULL;
}

/* The chunks of one member, which stand together in the window; *at: the first of them. */
static void
fill(struct job *leader, const struct job *j, size_t *at, struct chunk *v, struct job_done *d)
{
    size_t from = *at;

    *d = (struct job_done){ .document_id = j->claim->document_id,
                            .generation = j->claim->generation,
                            .text = buf_slice(&j->doc.text) };
    if (j->claim->title.n == 0)
        d->title = j->title;
    for (; *at < leader->n && leader->item[*at].of == j; ++*at) {
        v[*at] = job_chunk(leader, *at);
        d->embedded += leader->item[*at].fresh;
    }
    d->chunks.v = v + from;
    d->chunks.n = *at - from;
}

/* They need not be read back for the index. */
static void
keep_fresh(struct job *leader, const struct jobs_done_rep *rep)
{
    struct retriever *r = leader->g->r;
    struct chunk *v = mem_new(leader->n * sizeof *v + 1);
    struct job_done d;
    size_t at = 0;

    for (size_t i = 0; i < leader->n_members; i++) {
        int64_t seq = seq_of(rep, leader->member[i]);

        fill(leader, leader->member[i], &at, v, &d);
        if (seq > 0)
            fresh_put(r->fresh, &d.document_id, seq, d.chunks.v, d.chunks.n, d.text);
    }
    mem_free(&v);
}

static void
on_done(void *arg, struct reply *r)
{
    struct job *leader = arg;
    struct job *all[JOB_MEMBERS];
    size_t n = leader->n_members;

    if (r->err == ERR_OK) {
        keep_fresh(leader, r->rep);
        memcpy(all, leader->member, n * sizeof(struct job *));
        leader->n_members = 0;
        for (size_t i = 1; i < n; i++)
            all[i]->leader = NULL;
        for (size_t i = n; i-- > 0;) /* the leader last */
            one_done(all[i], r->rep);
    } else if (is_outage(r->err)) {
        (void)job_ok(leader, r);
    } else {
        LOG(WARN, NULL, M("documents could not be stored together: one by one"),
            KS("error", err_name(r->err)), KS("text", r->text));
        lot_release(leader, job_alone);
        job_alone(leader);
    }
}

void
lot_done_step(struct job *leader)
{
    struct chunk *v = mem_new(leader->n * sizeof *v);
    struct job_done *d = mem_new(leader->n_members * sizeof *d);
    struct jobs_done_req q = { .worker = str_of(worker_instance(leader->g->r->worker)),
                               .model = str_of(leader->model),
                               .items = { d, leader->n_members } };
    size_t at = 0;

    q.space = job_space(leader, &q.space_dims);

    for (size_t i = 0; i < leader->n_members; i++) {
        fill(leader, leader->member[i], &at, v, &d[i]);
        leader->member[i]->embedded = (size_t)d[i].embedded;
    }
    job_call(leader, KIND_JOBS_DONE, &q, on_done, leader);
    mem_free(&d);
    mem_free(&v);
}

/* ---- who goes together */

static void
join(struct job *leader, struct job *j)
{
    for (size_t k = 0; k < j->pieces.n; k++) {
        leader->item[leader->n].of = j;
        leader->item[leader->n++].piece = k;
    }
    leader->member[leader->n_members++] = j;
    j->leader = j == leader ? NULL : leader;
    j->waits = false;
}

static struct job *
next_waiting(struct lot *l)
{
    for (struct job *j = l->g->jobs; j; j = j->next)
        if (j->lot == l && j->waits && !j->reading && !j->dead)
            return j;
    return NULL;
}

static void
gather(struct lot *l, struct job *leader)
{
    struct job *next;
    size_t most = window_most(leader);

    leader->n = leader->n_members = 0;
    join(leader, leader);
    for (struct job *j = l->g->jobs; j && leader->n_members < JOB_MEMBERS; j = next) {
        next = j->next;
        if (j->lot == l && j->waits && !j->reading && !j->dead && leader->n + j->pieces.n <= most &&
            strcmp(j->tenant, leader->tenant) == 0 && str_eq(j->claim->space, leader->claim->space) &&
            j->claim->space_dims == leader->claim->space_dims)
            join(leader, j);
    }
    job_step(leader, job_vectors);
}

void
lot_ready(struct lot *l)
{
    struct job *j;

    l->refs++;
    while ((j = next_waiting(l)))
        gather(l, j);
    lot_put(l);
}
