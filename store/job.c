/* Ingestion jobs. A retriever claims the oldest upload (SKIP LOCKED), holds it by a lease, sends its text and chunks and
 * finishes it; every call names document, generation and worker, and gets ERR_CONFLICT when the work is no longer its.
 * After five attempts an upload fails with a reason. finish swaps text and chunks and moves the feed in one transaction. */
#include "store/store.h"

#define LEASE_MAX_MS 600000

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
                 : rep.files_failed > 0                         ? STR("failed")
                                                                : STR("done");
    worker_reply(t->call, &rep);
}

void
job_get(struct call *c)
{
    const struct job_ref *r = c->req;
    struct tx *t = call_tx(c, on_job);

    TX(t, JOB_GET, p_str(tenant_of(c)), p_id(&r->job_id));
    tx_run(t);
}

static bool
lease_ok(struct call *c, int64_t ms)
{
    if (ms >= 100 && ms <= LEASE_MAX_MS)
        return true;
    worker_fail(c, ERR_VALIDATION, 0, "a lease is 100 to 600000 ms");
    return false;
}

static void
on_claimed(struct tx *t)
{
    struct job_claim_rep rep = { 0 };

    if (tx_rows(t, 1) == 0) {
        worker_fail(t->call, ERR_NOT_FOUND, 0, NULL);
        return;
    }
    rep.document_id = col_id(t, 1, 0, 0);
    rep.job_id = col_id(t, 1, 0, 1);
    rep.generation = col_i64(t, 1, 0, 2);
    rep.attempts = col_i64(t, 1, 0, 3);
    rep.tenant = col_str(t, 1, 0, 4);
    rep.collection = col_str(t, 1, 0, 5);
    rep.title = col_str(t, 1, 0, 6);
    rep.chapter = col_str(t, 1, 0, 7);
    rep.section = col_str(t, 1, 0, 8);
    rep.url = col_str(t, 1, 0, 9);
    rep.mime = col_str(t, 1, 0, 10);
    rep.body = col_str(t, 1, 0, 11);
    worker_reply(t->call, &rep);
}

void
job_claim(struct call *c)
{
    const struct job_claim_req *r = c->req;
    struct tx *t;

    if (!lease_ok(c, r->lease_ms))
        return;
    t = call_tx(c, on_claimed);
    tx_add(t, SQL_CLAIM_GIVE_UP, NULL, 0);
    TX(t, CLAIM, p_str(r->worker), p_i64(r->lease_ms));
    tx_run(t);
}

void
job_renew(struct call *c)
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
job_text(struct call *c)
{
    const struct job_text_req *r = c->req;
    struct tx *t = call_tx(c, ack_ok);

    TX(t, JOB_TEXT, p_id(&r->document_id), p_i64(r->generation), p_str(r->worker),
       p_str(r->text.p ? r->text : STR("")), p_str(r->title));
    tx_run(t);
}

/* ---- chunks */

enum column { COL_ID, COL_ORD, COL_START, COL_END, COL_CHAPTER, COL_SECTION, COL_HASH, COL_VECTOR };

static struct param
cell(const struct chunk *k, enum column col)
{
    switch (col) {
    case COL_ID: return p_id(&k->id);
    case COL_ORD: return p_i64(k->ord);
    case COL_START: return p_i64(k->start);
    case COL_END: return p_i64(k->end);
    case COL_CHAPTER: return p_str(k->chapter);
    case COL_SECTION: return p_str(k->section);
    case COL_HASH: return p_str(k->hash);
    default: return p_str(k->vector);
    }
}

static struct param
column(struct tx *t, const struct job_chunks_req *r, enum column col, enum array_type type)
{
    struct buf *b = tx_buf(t);

    array_begin(b, type, r->chunks.n);
    for (size_t i = 0; i < r->chunks.n; i++)
        array_add(b, cell(&r->chunks.v[i], col));
    return p_str(buf_slice(b));
}

static void
on_chunks(struct tx *t)
{
    struct ack rep = { .count = col_i64(t, 1, 0, 0) };

    worker_reply(t->call, &rep);
}

static bool
chunks_ok(struct call *c, const struct job_chunks_req *r)
{
    bool ok = true;

    for (size_t i = 0; ok && i < r->chunks.n; i++) {
        const struct chunk *k = &r->chunks.v[i];

        ok = k->hash.n == 32 && k->vector.n % 4 == 0 && k->start >= 0 && k->start <= k->end && k->end <= INT32_MAX &&
             k->ord >= 0;
    }
    if (!ok)
        worker_fail(c, ERR_VALIDATION, 0, "a chunk has a SHA-256, float32s and offsets in order");
    return ok;
}

void
job_chunks(struct call *c)
{
    const struct job_chunks_req *r = c->req;
    struct tx *t;

    if (!chunks_ok(c, r))
        return;
    t = call_tx(c, on_chunks);
    TX(t, CHUNKS_CHECK, p_id(&r->document_id), p_i64(r->generation), p_str(r->worker), p_str(r->model));
    TX(t, CHUNKS_ADD, p_id(&r->document_id), p_i64(r->generation), p_str(r->worker), p_str(r->model),
       p_i64(r->embedded), column(t, r, COL_ID, ARRAY_UUID), column(t, r, COL_ORD, ARRAY_INT8),
       column(t, r, COL_START, ARRAY_INT8), column(t, r, COL_END, ARRAY_INT8), column(t, r, COL_CHAPTER, ARRAY_TEXT),
       column(t, r, COL_SECTION, ARRAY_TEXT), column(t, r, COL_HASH, ARRAY_BYTEA),
       column(t, r, COL_VECTOR, ARRAY_BYTEA));
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
job_finish(struct call *c)
{
    const struct job_finish_req *r = c->req;
    const struct param mine[4] = { p_id(&r->document_id), p_i64(r->generation), p_str(r->worker), p_str(r->error) };
    struct tx *t = call_tx(c, on_finished);

    t->want_errors = true;
    tx_add(t, SQL_FINISH_LOCK, mine, 3);
    if (r->error.p && r->again) {
        tx_add(t, SQL_FINISH_AGAIN, mine, 4);
    } else if (r->error.p) {
        tx_add(t, SQL_FINISH_FAIL, mine, 4);
    } else {
        tx_add(t, SQL_FINISH_SWAP, mine, 3);
        tx_add(t, SQL_FINISH_DROP, mine, 2);
        tx_add(t, SQL_FINISH_FEED, mine, 3);
    }
    tx_run(t);
}
