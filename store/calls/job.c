/* Ingestion jobs. A retriever claims the oldest upload (SKIP LOCKED), holds it by a lease, sends its text and chunks and
 * finishes it; every call names document, generation and worker, and gets ERR_CONFLICT when the work is no longer its.
 * After five attempts an upload fails with a reason. finish swaps text and chunks and moves the feed in one transaction.
 *
 * No tenant waits for another's upload at the feed's row: the job's row, which an upload holds until its
 * commit, is taken before it. */
#include <endian.h>

#include "store/calls/calls.h"

#define LEASE_MAX_MS 600000
#define CLAIMS_MAX 64
#define CLAIM_BYTES 32000000 /* the reply's limit is 64 MB */

static void
on_job(struct tx *t)
{
    const struct job_ref *r = t->call->req;
    struct job_rep rep = { .job_id = r->job_id };

    if (tx_rows(t, 0) == 0) {
        worker_fail(t->call, ERR_NOT_FOUND, 0, NULL);
        return;
    }
    rep.collection = col_str(t, 0, 0, 0);
    rep.files = col_i64(t, 0, 0, 1);
    rep.files_done = col_i64(t, 0, 0, 2);
    rep.files_failed = col_i64(t, 0, 0, 3);
    rep.chunks = col_i64(t, 0, 0, 4);
    rep.embedded = col_i64(t, 0, 0, 5);
    rep.error = col_str(t, 0, 0, 6);
    rep.seq = col_i64(t, 0, 0, 7);
    rep.created_ms = col_ms(t, 0, 0, 8);
    rep.status = rep.files_done + rep.files_failed < rep.files ? STR("running")
                 : rep.files_failed > 0                        ? STR("failed")
                                                               : STR("done");
    worker_reply(t->call, &rep);
}

void
job_get(struct delivery *c)
{
    const struct job_ref *r = c->req;
    struct tx *t = call_tx(c, on_job);

    TX(t, JOB_GET, p_str(tenant_of(c)), p_id(&r->job_id));
    tx_run(t);
}

static bool
lease_ok(struct delivery *c, int64_t ms)
{
    if (ms >= 100 && ms <= LEASE_MAX_MS)
        return true;
    worker_fail(c, ERR_VALIDATION, 0, "a lease is 100 to 600000 ms");
    return false;
}

/* ---- claims: the leases first, then what they are for */

struct claim {
    struct str worker;
    bool one;                    /* job.claim: the answer is one, or not found */
    struct buf ids, generations; /* of what was claimed */
    size_t n;
};

static void
claim_free(struct claim *k)
{
    buf_free(&k->ids);
    buf_free(&k->generations);
}

static void
claim_row(const struct tx *t, size_t row, struct job_claim_rep *rep)
{
    rep->document_id = col_id(t, 0, row, 0);
    rep->job_id = col_id(t, 0, row, 1);
    rep->generation = col_i64(t, 0, row, 2);
    rep->tenant = col_str(t, 0, row, 3);
    rep->collection = col_str(t, 0, row, 4);
    rep->title = col_str(t, 0, row, 5);
    rep->chapter = col_str(t, 0, row, 6);
    rep->section = col_str(t, 0, row, 7);
    rep->url = col_str(t, 0, row, 8);
    rep->mime = col_str(t, 0, row, 9);
    rep->body = col_str(t, 0, row, 10);
    rep->space = col_str(t, 0, row, 11);
    rep->space_dims = col_i64(t, 0, row, 12);
}

static void
claim_reply(struct delivery *c, const struct claim *k, const struct tx *t, size_t n)
{
    struct jobs_claim_rep rep = { 0 };

    if (!(rep.items.v = call_alloc(c, n + 1, sizeof *rep.items.v)))
        return;
    for (; rep.items.n < n; rep.items.n++)
        claim_row(t, rep.items.n, &rep.items.v[rep.items.n]);
    if (!k->one)
        worker_reply(c, &rep);
    else if (n == 0)
        worker_fail(c, ERR_NOT_FOUND, 0, NULL);
    else
        worker_reply(c, &rep.items.v[0]);
}

static void
on_back(struct tx *t)
{
    worker_fail(t->call, ERR_INTERNAL, 0, "a document that waits cannot be read");
}

/* They cannot be read: several are tried one by one, one by itself has had an attempt and says why. */
static void
claim_back(struct delivery *c, const struct claim *k, const struct uuid *id, int64_t generation, enum err why)
{
    struct tx *t = call_tx(c, on_back);
    char *text = arena_printf(c->arena, "the upload cannot be read from the database (%s)", err_name(why));
    struct buf *ids = tx_buf(t), *generations = tx_buf(t);

    buf_str(ids, buf_slice(&k->ids));
    buf_str(generations, buf_slice(&k->generations));
    if (k->n > 1)
        TX(t, CLAIM_BACK, p_str(buf_slice(ids)), p_str(buf_slice(generations)), p_str(k->worker));
    else
        TX(t, FINISH_AGAIN, p_id(id), p_i64(generation), p_str(k->worker),
           p_z(text ? text : "the upload cannot be read"), p_flag(false));
    tx_run(t);
}

/* The last 16 and 8 bytes of an array of one. */
static void
claim_only(const struct claim *k, struct uuid *id, int64_t *generation)
{
    uint64_t be;

    memcpy(id->b, k->ids.p + k->ids.n - sizeof id->b, sizeof id->b);
    memcpy(&be, k->generations.p + k->generations.n - sizeof be, sizeof be);
    *generation = (int64_t)be64toh(be);
}

static void
on_bodies(struct tx *t)
{
    struct claim k = *(struct claim *)t->arg; /* which is gone with the call that is answered here */
    struct uuid id;
    int64_t generation;

    if (!t->err) {
        claim_reply(t->call, &k, t, tx_rows(t, 0));
    } else if (t->err == ERR_STORE_DOWN || t->err == ERR_STORE_IN_DOUBT || t->err == ERR_CANCELLED) {
        tx_fail(t);
    } else {
        claim_only(&k, &id, &generation);
        claim_back(t->call, &k, &id, generation, t->err);
    }
    claim_free(&k);
}

static void
on_claimed(struct tx *t)
{
    struct claim *k = t->arg;
    struct tx *next;

    k->n = tx_rows(t, 1);
    if (k->n == 0) {
        claim_reply(t->call, k, t, 0);
        return;
    }
    array_begin(&k->ids, ARRAY_UUID, k->n);
    array_begin(&k->generations, ARRAY_INT8, k->n);
    for (size_t i = 0; i < k->n; i++) {
        struct uuid id = col_id(t, 1, i, 0);

        array_add(&k->ids, p_id(&id));
        array_add(&k->generations, p_i64(col_i64(t, 1, i, 1)));
    }
    next = call_tx(t->call, on_bodies);
    next->arg = k;
    next->want_errors = true;
    TX(next, CLAIMED, p_str(buf_slice(&k->ids)), p_str(buf_slice(&k->generations)), p_str(k->worker));
    tx_run(next);
}

static void
claim(struct delivery *c, struct str worker, int64_t lease_ms, int64_t limit, int64_t bytes, bool one)
{
    struct claim *k;
    struct tx *t;

    if (!lease_ok(c, lease_ms) || !(k = call_alloc(c, 1, sizeof *k)))
        return;
    *k = (struct claim){ .worker = worker, .one = one };
    t = call_tx(c, on_claimed);
    t->arg = k;
    tx_add(t, SQL_CLAIM_GIVE_UP, NULL, 0);
    TX(t, CLAIM, p_str(worker), p_i64(lease_ms), p_i64(limit), p_i64(bytes));
    tx_run(t);
}

void
job_claim(struct delivery *c)
{
    const struct job_claim_req *r = c->req;

    claim(c, r->worker, r->lease_ms, 1, 0, true);
}

void
jobs_claim(struct delivery *c)
{
    const struct jobs_claim_req *r = c->req;

    claim(c, r->worker, r->lease_ms,
          r->limit < 1            ? 1
          : r->limit > CLAIMS_MAX ? CLAIMS_MAX
                                  : r->limit,
          r->bytes < CLAIM_BYTES ? r->bytes : CLAIM_BYTES, false);
}

void
job_renew(struct delivery *c)
{
    const struct job_renew_req *r = c->req;
    struct tx *t;

    if (!lease_ok(c, r->lease_ms))
        return;
    t = call_tx(c, ack_ok);
    TX(t, RENEW, p_id(&r->document_id), p_i64(r->generation), p_str(r->worker), p_i64(r->lease_ms));
    tx_run(t);
}

void
job_text(struct delivery *c)
{
    const struct job_text_req *r = c->req;
    struct tx *t = call_tx(c, ack_ok);

    TX(t, JOB_TEXT, p_id(&r->document_id), p_i64(r->generation), p_str(r->worker),
       p_str(r->text.p ? r->text : STR("")), p_str(r->title));
    tx_run(t);
}

/* ---- chunks */

struct param
chunk_cell(const struct chunk *k, enum chunk_column col)
{
    switch (col) {
    case CHUNK_ID: return p_id(&k->id);
    case CHUNK_ORD: return p_i64(k->ord);
    case CHUNK_START: return p_i64(k->start);
    case CHUNK_END: return p_i64(k->end);
    case CHUNK_CHAPTER: return p_str(k->chapter);
    case CHUNK_SECTION: return p_str(k->section);
    case CHUNK_HASH: return p_str(k->hash);
    case CHUNK_ANCHOR: return p_str(k->anchor);
    case CHUNK_LEAD: return p_str(k->lead);
    case CHUNK_PAGE: return k->page > 0 ? p_i64(k->page) : p_str(STR_NONE);
    default: return p_str(k->vector);
    }
}

static struct param
column(struct tx *t, const struct job_chunks_req *r, enum chunk_column col, enum array_type type)
{
    struct buf *b = tx_buf(t);

    array_begin(b, type, r->chunks.n);
    for (size_t i = 0; i < r->chunks.n; i++)
        array_add(b, chunk_cell(&r->chunks.v[i], col));
    return p_str(buf_slice(b));
}

static void
on_chunks(struct tx *t)
{
    struct ack rep = { .count = col_i64(t, 1, 0, 0) };

    worker_reply(t->call, &rep);
}

bool
chunk_ok(const struct chunk *k)
{
    return k->hash.n == 32 && k->vector.n % 4 == 0 && k->start >= 0 && k->start <= k->end &&
           k->end <= INT32_MAX && k->ord >= 0;
}

static bool
chunks_ok(struct delivery *c, const struct job_chunks_req *r)
{
    bool ok = true;

    for (size_t i = 0; ok && i < r->chunks.n; i++)
        ok = chunk_ok(&r->chunks.v[i]);
    if (!ok)
        worker_fail(c, ERR_VALIDATION, 0, "a chunk has a SHA-256, float32s and offsets in order");
    return ok;
}

void
job_chunks(struct delivery *c)
{
    const struct job_chunks_req *r = c->req;
    struct tx *t;

    if (!chunks_ok(c, r))
        return;
    t = call_tx(c, on_chunks);
    TX(t, CHUNKS_CHECK, p_id(&r->document_id), p_i64(r->generation), p_str(r->worker), p_str(r->model));
    TX(t, CHUNKS_ADD, p_id(&r->document_id), p_i64(r->generation), p_str(r->worker), p_str(r->model),
       p_i64(r->embedded), column(t, r, CHUNK_ID, ARRAY_UUID), column(t, r, CHUNK_ORD, ARRAY_INT8),
       column(t, r, CHUNK_START, ARRAY_INT8), column(t, r, CHUNK_END, ARRAY_INT8),
       column(t, r, CHUNK_CHAPTER, ARRAY_TEXT), column(t, r, CHUNK_SECTION, ARRAY_TEXT),
       column(t, r, CHUNK_HASH, ARRAY_BYTEA), column(t, r, CHUNK_VECTOR, ARRAY_BYTEA),
       column(t, r, CHUNK_ANCHOR, ARRAY_TEXT), column(t, r, CHUNK_PAGE, ARRAY_INT8),
       column(t, r, CHUNK_LEAD, ARRAY_TEXT));
    tx_run(t);
}

/* ---- finish */

static void
on_seq(struct tx *t)
{
    struct ack rep = { .count = 1, .seq = col_i64(t, 0, 0, 0) };

    worker_reply(t->call, &rep);
}

static void
on_finished(struct tx *t)
{
    const struct job_finish_req *r = t->call->req;
    struct ack rep = { .count = 1 };
    struct tx *again;

    if (t->err && t->refused != 0) {
        tx_fail(t);
    } else if (t->err) {
        /* done before: the first reply was lost */
        again = call_tx(t->call, on_seq);
        TX(again, FINISH_SEQ, p_id(&r->document_id));
        tx_run(again);
    } else {
        rep.seq = r->error.p ? 0 : col_i64(t, t->n - 1, 0, 0);
        worker_reply(t->call, &rep);
    }
}

void
job_finish(struct delivery *c)
{
    const struct job_finish_req *r = c->req;
    const struct param mine[5] = { p_id(&r->document_id), p_i64(r->generation), p_str(r->worker),
                                   p_str(r->error), p_flag(r->unspent) };
    struct tx *t = call_tx(c, on_finished);

    t->want_errors = true;
    tx_add(t, SQL_FINISH_LOCK, mine, 3);
    if (r->error.p && r->again && r->wait_ms > 0) {
        TX(t, FINISH_LATER, mine[0], mine[1], mine[2], mine[3], p_i64(r->wait_ms));
    } else if (r->error.p && r->again) {
        tx_add(t, SQL_FINISH_AGAIN, mine, 5);
    } else if (r->error.p) {
        tx_add(t, SQL_FINISH_FAIL, mine, 4);
    } else {
        tx_add(t, SQL_FINISH_SWAP, mine, 3);
        TX(t, FINISH_MODEL, p_id(&r->document_id), p_i64(r->generation), p_str(r->space),
           p_i64(r->space_dims));
        tx_add(t, SQL_FINISH_DROP, mine, 2);
        tx_add(t, SQL_FINISH_JOB, mine, 3);
        tx_add(t, SQL_FINISH_FEED, mine, 3);
    }
    tx_run(t);
}
