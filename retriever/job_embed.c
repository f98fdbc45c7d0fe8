/* The windows of an ingestion job: which vectors are known already, which must be made, and storing the chunks. A text
 * that is known (same hash, tenant and model), or that stands twice in a window, is never embedded again. */
#include "retriever/job.h"

static void known_step(struct job *j);
static void embed_step(struct job *j);
static void store_step(struct job *j);

/* Fill the window's items: passage, hash, earlier twin. */
static void
describe(struct job *j)
{
    struct str text = buf_slice(&j->text);
    size_t at[JOB_WINDOW + 1];

    buf_reset(&j->passages);
    memset(j->item, 0, sizeof(j->item));
    for (size_t i = 0; i < j->n; i++) {
        const struct piece *p = &j->pieces.v[j->first + i];

        at[i] = j->passages.n;
        chunk_passage(&j->passages, j->title, p->chapter, p->section,
                      (struct str){ text.p + p->start, p->end - p->start });
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
job_window(struct job *j)
{
    if (j->first == j->pieces.n) {
        stat_add(&retriever_stats, RETRIEVER_CHUNKS, j->stored);
        stat_add(&retriever_stats, RETRIEVER_EMBEDDED, j->embedded);
        job_finish(j);
        return;
    }
    j->n = j->pieces.n - j->first < JOB_WINDOW ? j->pieces.n - j->first : JOB_WINDOW;
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

/* ---- embedding: up to JOB_EMBEDS batches in flight */

static void send_batches(struct job *j);

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
    j->in_flight++;
    job_call(j, KIND_EMBED, &q, on_embedded, b);
}

static void
send_batches(struct job *j)
{
    size_t i = 0;

    for (size_t k = 0; k < JOB_EMBEDS && j->embed_err == ERR_OK && !j->interrupt; k++) {
        struct batch *b = &j->batch[k];

        if (b->busy)
            continue;
        b->job = j;
        for (b->n = 0; i < j->n && b->n < JOB_BATCH; i++) {
            struct window_item *x = &j->item[i];

            if (x->vector || x->asked || x->same_as)
                continue;
            x->asked = true;
            b->index[b->n++] = i;
        }
        if (b->n)
            send_batch(j, b);
    }
    if (j->in_flight == 0)
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

static void
store_step(struct job *j)
{
    struct chunk *v = mem_new(j->n * sizeof(*v));
    struct job_chunks_req q = { .document_id = j->claim->document_id, .generation = j->claim->generation,
        .worker = str_of(worker_instance(j->g->r->worker)), .model = str_of(j->model), .chunks = { v, j->n } };

    for (size_t i = 0; i < j->n; i++) {
        const struct piece *p = &j->pieces.v[j->first + i];
        const struct window_item *x = &j->item[i];
        const float *vector = x->same_as ? j->item[x->same_as - 1].vector : x->vector;

        v[i] = (struct chunk){ .id = chunk_id(j, j->first + i), .ord = (int64_t)(j->first + i),
            .start = (int64_t)p->start, .end = (int64_t)p->end, .chapter = utf8_cut(p->chapter, 1000),
            .section = p->section, .hash = { (const char *)x->hash, 32 },
            .vector = { (const char *)vector, j->dims * sizeof(float) } };
        q.embedded += x->fresh;
    }
    job_call(j, KIND_JOB_CHUNKS, &q, on_stored, j);
    mem_free(&v);
}
