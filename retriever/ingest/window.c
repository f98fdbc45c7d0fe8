/* The windows of an ingestion job: which vectors are known already, which must be made, and storing the chunks. A text
 * that is known (same hash, tenant and model), or that stands twice in a window, is never embedded again.
 *
 * The embedder is given as much as it makes in a second or two: a job begins with four texts and doubles while answers come fast.
 * 512 texts outstanding at a server that takes a second for each ran out of time and were made twice. */
#include "retriever/ingest/job.h"

#include <stdio.h>

#include "common/clock.h"
#include "common/digest.h"
#include "common/log.h"
#include "retriever/model.h"

static void known_step(struct job *j);
static void embed_step(struct job *j);
static void store_step(struct job *j);

/* How many chunks a window has. Many share the cost of a transaction; what a slow model server makes is stored
 * often, so that little is lost with this process. */
size_t
window_most(struct job *j)
{
    enum { VECTORS_BYTES = 4194304 };
    size_t dims = j->claim->space_dims > (int64_t)j->dims ? (size_t)j->claim->space_dims : j->dims,
           most = dims ? VECTORS_BYTES / (dims * sizeof(float)) : 0;

    if (!j->item)
        j->item = mem_new(JOB_WINDOW_MOST * sizeof *j->item);
    if (j->g->flow.texts < JOB_BATCH || most < JOB_WINDOW)
        return JOB_WINDOW;
    return most < JOB_WINDOW_MOST ? most : JOB_WINDOW_MOST;
}

/* Where the window's texts stand by their hashes: items' numbers from 1, 0: free. */
struct twins {
    uint16_t at[4 * JOB_WINDOW_MOST];
};

/* The first item of the window with that hash, from 1; or 0, and it stands in *place. */
static size_t
twin_of(const struct job *j, const struct twins *t, const void *hash, size_t *place)
{
    uint64_t h;

    memcpy(&h, hash, sizeof h);
    for (size_t i = (size_t)h % (4 * JOB_WINDOW_MOST);; i = (i + 1) % (4 * JOB_WINDOW_MOST))
        if (!t->at[i] || memcmp(j->item[t->at[i] - 1].hash, hash, 32) == 0) {
            *place = i;
            return t->at[i];
        }
}

static struct twins *
twins_new(const struct job *j)
{
    struct twins *t = mem_new(sizeof *t);
    size_t place;

    for (size_t i = 0; i < j->n; i++)
        if (twin_of(j, t, j->item[i].hash, &place) == 0)
            t->at[place] = (uint16_t)(i + 1);
    return t;
}

/* Fill the window's items, which name their pieces: passage, hash, earlier twin. */
static void
describe(struct job *j)
{
    struct twins *t;
    const char *at;
    size_t place;

    buf_reset(&j->passages);
    for (size_t i = 0; i < j->n; i++) {
        const struct job *of = j->item[i].of;
        const struct piece *p = &of->pieces.v[j->item[i].piece];
        size_t before = j->passages.n;

        j->item[i] = (struct window_item){ .of = j->item[i].of, .piece = j->item[i].piece };
        chunk_passage(&j->passages, of->title, p->chapter, p->section, p->lead,
                      (struct str){ of->doc.text.p + p->start, p->end - p->start });
        j->item[i].passage.n = j->passages.n - before;
    }
    at = j->passages.p;
    for (size_t i = 0; i < j->n; at += j->item[i++].passage.n) {
        j->item[i].passage.p = at;
        sha256(&j->item[i].passage, 1, j->item[i].hash);
    }
    t = twins_new(j);
    for (size_t i = 0; i < j->n; i++) {
        size_t first = twin_of(j, t, j->item[i].hash, &place);

        j->item[i].same_as = first == i + 1 ? 0 : first;
    }
    mem_free(&t);
}

/* The one in use in the collection, which may be another one than the embedder's: the new set is made later, of all documents. */
static void
choose_model(struct job *j)
{
    const struct job_claim_rep *c = j->claim;
    const struct ingest *g = j->g;
    const struct model *own = g->r->model;
    bool away = str_is(c->space, g->away) && loop_now(g->r->loop) < g->away_until_ms;

    j->by_name = c->space.n > 0 && c->space.n < sizeof j->model && c->space_dims > 0 &&
                 c->space_dims <= 4096 && !away &&
                 (!str_is(c->space, model_name(own)) || c->space_dims != (int64_t)model_dims(own));
    (void)snprintf(j->model, sizeof j->model, "%s", model_name(own));
    j->dims = model_dims(own);
    if (!j->by_name)
        return;
    memcpy(j->model, c->space.p, c->space.n);
    j->model[c->space.n] = '\0';
    j->dims = (size_t)c->space_dims;
}

struct str
job_space(const struct job *j, int64_t *dims)
{
    bool known = j->claim->space.n > 0;

    *dims = known ? j->claim->space_dims : (int64_t)j->dims;
    return known ? j->claim->space : str_of(j->model);
}

/* A document's vectors are of one model: windows that are stored with another one are made anew, too. */
static bool
is_mixed(const struct job *j, const char *before, size_t dims)
{
    return j->stored > 0 && (strcmp(before, j->model) != 0 || dims != j->dims);
}

void
job_vectors(struct job *j)
{
    char before[sizeof j->model];
    size_t dims = j->dims;

    if (!model_known(j->g->r->model)) { /* another job saw the embedder fail */
        j->fault = true;
        job_give_back(j, "the embedding service did not answer");
        return;
    }
    memcpy(before, j->model, sizeof before);
    choose_model(j);
    if (is_mixed(j, before, dims)) {
        j->first = j->stored = 0;
        job_step(j, job_window);
        return;
    }
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
        job_report(j);
        return;
    }
    size_t most = window_most(j);

    j->n = j->pieces.n - j->first < most ? j->pieces.n - j->first : most;
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
    struct twins *t;
    size_t place, first;

    if (!job_ok(j, r))
        return;
    t = twins_new(j);
    for (size_t k = 0; k < rep->items.n; k++) {
        const struct known_vector *v = &rep->items.v[k];

        if (v->hash.n == 32 && v->vector.n == j->dims * sizeof(float) &&
            (first = twin_of(j, t, v->hash.p, &place)))
            set_vector(j, first - 1, v->vector.p);
    }
    mem_free(&t);
    job_step(j, embed_step);
}

static void
known_step(struct job *j)
{
    struct chunk_hash *hash = mem_new(j->n * sizeof *hash);
    struct vectors_known_req q = { .tenant = j->claim->tenant,
                                   .model = str_of(j->model),
                                   .dims = (int64_t)j->dims };

    q.hashes.v = hash;
    for (size_t i = 0; i < j->n; i++)
        if (!j->item[i].same_as)
            hash[q.hashes.n++].hash = (struct str){ (const char *)j->item[i].hash, 32 };
    job_call(j, KIND_VECTORS_KNOWN, &q, on_known, j);
    mem_free(&hash);
}

/* ---- embedding: what all jobs together have at the embedder is what it makes in a second or two. It begins
 * with little and doubles while answers come fast; a server that takes a second for a text is given few, so
 * that no call of ours runs out of time and is made twice. */

enum { AWAY_MS = 60000, FLOW_FAST_MS = 1000, FLOW_SLOW_MS = 4000, FLOW_TEXTS = 4, FLOW_CALLS = 2 };

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

/* The model in use cannot be asked any more: better found by words until the switch than not at all. */
static void
model_away(struct job *j)
{
    LOG(WARN, NULL,
        M("the model of a collection's vectors cannot be asked: new documents get the embedder's"),
        KS("model", model_name(j->g->r->model)), KS("collection_model", j->model));
    memcpy(j->g->away, j->model, sizeof j->g->away);
    j->g->away_until_ms = loop_now(j->g->r->loop) + AWAY_MS;
    job_step(j, job_vectors);
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
    if (j->by_name && (failed.err == ERR_CONFLICT || !err_retryable(failed.err))) {
        model_away(j);
        return;
    }
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
    j->tries = 0; /* it goes on, however slowly */
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
    if (j->by_name) {
        q.model = str_of(j->model);
        q.dims = (int64_t)j->dims;
    }
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

    for (size_t k = 0;
         k < JOB_EMBEDS && i < j->n && j->embed_err == ERR_OK && !j->interrupt && flow_open(&j->g->flow);
         k++) {
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
    const struct str parts[] = { { (const char *)j->claim->document_id.b, 16 },
                                 { (const char *)where, sizeof where } };

    return uuid_named(parts, 2);
}

struct chunk
job_chunk(const struct job *j, size_t i)
{
    const struct window_item *x = &j->item[i];
    const struct piece *p = &x->of->pieces.v[x->piece];
    const float *vector = x->same_as ? j->item[x->same_as - 1].vector : x->vector;

    return (struct chunk){ .id = chunk_id(x->of, x->piece),
                           .ord = (int64_t)x->piece,
                           .start = (int64_t)p->start,
                           .end = (int64_t)p->end,
                           .chapter = utf8_cut(p->chapter, 1000),
                           .section = p->section,
                           .anchor = p->anchor,
                           .page = p->page,
                           .lead = p->lead,
                           .hash = { (const char *)x->hash, 32 },
                           .vector = { (const char *)vector, j->dims * sizeof(float) } };
}

static void
store_step(struct job *j)
{
    if (j->n_members) {
        lot_done_step(j);
        return;
    }
    struct chunk *v = mem_new(j->n * sizeof *v);
    struct job_chunks_req q = { .document_id = j->claim->document_id,
                                .generation = j->claim->generation,
                                .worker = str_of(worker_instance(j->g->r->worker)),
                                .model = str_of(j->model),
                                .chunks = { v, j->n } };

    for (size_t i = 0; i < j->n; i++) {
        v[i] = job_chunk(j, i);
        q.embedded += j->item[i].fresh;
    }
    job_call(j, KIND_JOB_CHUNKS, &q, on_stored, j);
    mem_free(&v);
}
