/* The windows of an ingestion job: which vectors are known already, which must be made, and storing the chunks. A text
 * that is known (same hash, tenant and model), or that stands twice in a window, is never embedded again.
 *
 * The embedder is given as much as it makes in a second or two: a job begins with four texts and doubles while answers come fast.
 * 512 texts outstanding at a server that takes a second for each ran out of time and were made twice. */
#include "retriever/ingest/job.h"
#include "retriever/extract/markdown.h"

#include "common/clock.h"

static void known_step(struct job *j);
static void embed_step(struct job *j);
static void store_step(struct job *j);

/* Fill the window's items, which name their pieces: passage, hash, earlier twin. */
static void
describe(struct job *j)
{
    size_t at[JOB_WINDOW + 1];

    buf_reset(&j->passages);
    for (size_t i = 0; i < j->n; i++) {
        const struct job *of = j->item[i].of;
        const struct piece *p = &of->pieces.v[j->item[i].piece];

        at[i] = j->passages.n;
        j->item[i] = (struct window_item){ .of = j->item[i].of, .piece = j->item[i].piece };
        chunk_passage(&j->passages, of->title, p->chapter, p->section,
                      of->format == DOC_MARKDOWN ? md_table_head(buf_slice(&of->text), p->start) : STR_NONE,
                      (struct str){ of->text.p + p->start, p->end - p->start });
    }
    at[j->n] = j->passages.n;
    for (size_t i = 0; i < j->n; i++) {
        j->item[i].passage = (struct str){ j->passages.p + at[i], at[i + 1] - at[i] };
        sha256(&j->item[i].passage, 1, j->item[i].hash);
        for (size_t k = 0; k < i && !j->item[i].same_as; k++)
            if (memcmp(j->item[k].hash, j->item[i].hash, 32) == 0)
                j->item[i].same_as = k + 1;
    }
}

void
job_vectors(struct job *j)
{
    if (j->g->model[0] == '\0') {               /* another job saw the embedder fail */
        j->fault = true;
        job_give_back(j, "the embedding service did not answer");
        return;
    }
    memcpy(j->model, j->g->model, sizeof(j->model));
    j->dims = j->g->dims;
    mem_free(&j->vectors);
    j->vectors = mem_new(j->n * j->dims * sizeof(float));
    describe(j);
    job_step(j, known_step);
}

void
job_window(struct job *j)
{
    if (j->first == j->pieces.n) {
        stat_add(&retriever_stats, RETRIEVER_CHUNKS, j->stored);
        stat_add(&retriever_stats, RETRIEVER_EMBEDDED, j->embedded);
        job_finish(j);
        return;
    }
    j->n = j->pieces.n - j->first < JOB_WINDOW ? j->pieces.n - j->first : JOB_WINDOW;
    for (size_t i = 0; i < j->n; i++) {
        j->item[i].of = j;
        j->item[i].piece = j->first + i;
    }
    job_vectors(j);
}

static void
set_vector(struct job *j, size_t i, const char *p)
{
    j->item[i].vector = j->vectors + i * j->dims;
    memcpy(j->item[i].vector, p, j->dims * sizeof(float));
}

static void
on_known(void *arg, struct reply *r)
{
    struct job *j = arg;
    const struct vectors_known_rep *rep = r->rep;

    if (!job_ok(j, r))
        return;
    for (size_t k = 0; k < rep->items.n; k++) {
        const struct known_vector *v = &rep->items.v[k];

        if (v->hash.n != 32 || v->vector.n != j->dims * sizeof(float))
            continue;
        for (size_t i = 0; i < j->n; i++)
            if (memcmp(j->item[i].hash, v->hash.p, 32) == 0)
                set_vector(j, i, v->vector.p);
    }
    job_step(j, embed_step);
}

static void
known_step(struct job *j)
{
    struct chunk_hash *hash = mem_new(JOB_WINDOW * sizeof(*hash));
    struct vectors_known_req q = { .tenant = j->claim->tenant, .model = str_of(j->model),
                                 .dims = (int64_t)j->dims };

    q.hashes.v = hash;
    for (size_t i = 0; i < j->n; i++)
        if (!j->item[i].same_as)
            hash[q.hashes.n++].hash = (struct str){ (const char *)j->item[i].hash, 32 };
    job_call(j, KIND_VECTORS_KNOWN, &q, on_known, j);
    mem_free(&hash);
}

/* ---- embedding: what all jobs together have at the embedder is what it makes in a second or two. It begins with little and doubles
 * while answers come fast; a server that takes a second for a text is given few, so that no call of ours runs out of time and is
 * made twice. */

enum { FLOW_FAST_MS = 1000, FLOW_SLOW_MS = 4000, FLOW_TEXTS = 4, FLOW_CALLS = 2 };

static void send_batches(struct job *j);

static void
flow_took(struct flow *w, const struct batch *b, bool good)
{
    int64_t ms = clock_ms() - b->sent_ms;

    if (!good || ms > FLOW_SLOW_MS) {
        w->texts = b->n > 1 ? b->n / 2 : 1;
        w->calls = w->calls > FLOW_CALLS ? w->calls - 1 : FLOW_CALLS;
    } else if (ms < FLOW_FAST_MS) {
        w->texts = b->n < w->texts ? w->texts : 2 * w->texts < JOB_BATCH ? 2 * w->texts : JOB_BATCH;
        w->calls = w->calls < JOB_EMBEDS ? w->calls + 1 : JOB_EMBEDS;
    }
}

static bool
flow_open(struct flow *w)
{
    w->texts = w->texts ? w->texts : FLOW_TEXTS;
    w->calls = w->calls ? w->calls : FLOW_CALLS;
    return w->in_flight < w->calls;
}

static struct job *
first_starved(struct ingest *g)
{
    struct job *j = g->jobs;

    while (j && (!j->starved || j->dead))
        j = j->next;
    return j;
}

static void
flow_poke(void *arg)
{
    struct ingest *g = arg;
    struct job *j;

    g->flow.poking = false;
    while (flow_open(&g->flow) && (j = first_starved(g))) {
        j->starved = false;
        send_batches(j);
    }
}

/* A call of somebody's ended: the others may have waited for it. */
static void
flow_leave(struct ingest *g, size_t n)
{
    g->flow.in_flight -= n;
    if (n && !g->flow.poking) {
        g->flow.poking = true;
        (void)loop_after(g->r->loop, 0, flow_poke, g);
    }
}

void
flow_forget(struct job *j)
{
    flow_leave(j->g, j->in_flight);
    j->starved = false;
}

/* Nothing in flight any more: everything is there, or the step is done again for what is missing, or the job goes back. */
static void
embed_ended(struct job *j)
{
    struct reply failed = { .err = j->embed_err, .text = "" };

    if (j->embed_err == ERR_OK) {
        job_step(j, store_step);
        return;
    }
    j->embed_err = ERR_OK;
    for (size_t i = 0; i < j->n; i++)
        j->item[i].asked = j->item[i].vector != NULL;
    if (failed.err == ERR_CONFLICT) {
        j->fault = true;
        job_give_back(j, "the embedding model changed in between");
        return;
    }
    if (failed.err == ERR_NOT_FOUND)
        failed.err = ERR_UPSTREAM;
    j->fault = true;
    if (j->tries + 1 == JOB_TRIES)
        job_give_back(j, "the embedding service did not answer");
    else
        (void)job_ok(j, &failed);
}

static enum err
take_vectors(struct job *j, const struct batch *b, const struct embed_rep *rep)
{
    if (!str_is(rep->model, j->model) || rep->dims != (int64_t)j->dims)
        return ERR_CONFLICT;
    if (rep->vectors.n != b->n * j->dims * sizeof(float))
        return ERR_UPSTREAM_REPLY;
    for (size_t k = 0; k < b->n; k++) {
        set_vector(j, b->index[k], rep->vectors.p + k * j->dims * sizeof(float));
        j->item[b->index[k]].fresh = true;
    }
    j->tries = 0;                               /* it goes on, however slowly */
    return ERR_OK;
}

static void
on_embedded(void *arg, struct reply *r)
{
    struct batch *b = arg;
    struct job *j = b->job;
    enum err err = r->err == ERR_OK ? take_vectors(j, b, r->rep) : r->err;

    b->busy = false;
    j->in_flight--;
    flow_took(&j->g->flow, b, err == ERR_OK);
    flow_leave(j->g, 1);
    if (err != ERR_OK && j->embed_err == ERR_OK)
        j->embed_err = err;
    send_batches(j);
}

static void
send_batch(struct job *j, struct batch *b)
{
    struct str text[JOB_BATCH];
    struct embed_req q = { .texts = { text, b->n }, .documents = true };

    for (size_t k = 0; k < b->n; k++)
        text[k] = j->item[b->index[k]].passage;
    b->busy = true;
    b->sent_ms = clock_ms();
    j->in_flight++;
    j->g->flow.in_flight++;
    job_call(j, KIND_EMBED, &q, on_embedded, b);
}

static size_t
next_text(const struct job *j, size_t i)
{
    while (i < j->n && (j->item[i].vector || j->item[i].asked || j->item[i].same_as))
        i++;
    return i;
}

static void
send_batches(struct job *j)
{
    size_t i = next_text(j, 0);

    for (size_t k = 0; k < JOB_EMBEDS && i < j->n && j->embed_err == ERR_OK && !j->interrupt && flow_open(&j->g->flow); k++) {
        struct batch *b = &j->batch[k];

        if (b->busy)
            continue;
        b->job = j;
        for (b->n = 0; i < j->n && b->n < j->g->flow.texts; i = next_text(j, i)) {
            j->item[i].asked = true;
            b->index[b->n++] = i;
        }
        send_batch(j, b);
    }
    j->starved = i < j->n && j->embed_err == ERR_OK && !j->interrupt;
    if (j->in_flight == 0 && !j->starved)
        embed_ended(j);
}

static void
embed_step(struct job *j)
{
    send_batches(j);
}

/* ---- storing */

static void
on_stored(void *arg, struct reply *r)
{
    struct job *j = arg;

    if (!job_ok(j, r))
        return;
    j->fault = false;
    for (size_t i = 0; i < j->n; i++)
        j->embedded += j->item[i].fresh;
    j->stored += j->n;
    j->first += j->n;
    job_step(j, job_window);
}

/* The same document, generation and place give the same id: a second writer writes the same row. */
static struct uuid
chunk_id(const struct job *j, size_t ord)
{
    const uint64_t where[2] = { (uint64_t)j->claim->generation, ord };
    const struct str parts[] = { { (const char *)j->claim->document_id.b, 16 }, { (const char *)where, sizeof(where) } };

    return uuid_named(parts, 2);
}

struct chunk
job_chunk(const struct job *j, size_t i)
{
    const struct window_item *x = &j->item[i];
    const struct piece *p = &x->of->pieces.v[x->piece];
    const float *vector = x->same_as ? j->item[x->same_as - 1].vector : x->vector;

    return (struct chunk){ .id = chunk_id(x->of, x->piece), .ord = (int64_t)x->piece, .start = (int64_t)p->start, .end = (int64_t)p->end,
        .chapter = utf8_cut(p->chapter, 1000), .section = p->section, .hash = { (const char *)x->hash, 32 },
        .vector = { (const char *)vector, j->dims * sizeof(float) } };
}

static void
store_step(struct job *j)
{
    if (j->n_members) {
        lot_done_step(j);
        return;
    }
    struct chunk *v = mem_new(j->n * sizeof(*v));
    struct job_chunks_req q = { .document_id = j->claim->document_id, .generation = j->claim->generation,
        .worker = str_of(worker_instance(j->g->r->worker)), .model = str_of(j->model), .chunks = { v, j->n } };

    for (size_t i = 0; i < j->n; i++) {
        v[i] = job_chunk(j, i);
        q.embedded += j->item[i].fresh;
    }
    job_call(j, KIND_JOB_CHUNKS, &q, on_stored, j);
    mem_free(&v);
}
