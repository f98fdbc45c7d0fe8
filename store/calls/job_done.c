/* jobs.done: several small documents as a whole, in one transaction: chunks, swap, feed. One whose lease is another's by now is
 * left out and is missing in the answer; one that was done by an earlier attempt, whose reply was lost, is in it. */
#include "store/calls/calls.h"

static struct param
ids_of(struct tx *t, const struct jobs_done_req *r)
{
    struct buf *b = tx_buf(t);

    array_begin(b, ARRAY_UUID, r->items.n);
    for (size_t i = 0; i < r->items.n; i++)
        array_add(b, p_id(&r->items.v[i].document_id));
    return p_str(buf_slice(b));
}

enum done_column { DONE_GENERATION, DONE_TEXT, DONE_TITLE, DONE_EMBEDDED, DONE_COUNT };

static struct param
column(struct tx *t, const struct jobs_done_req *r, enum done_column col, enum array_type type)
{
    struct buf *b = tx_buf(t);

    array_begin(b, type, r->items.n);
    for (size_t i = 0; i < r->items.n; i++) {
        const struct job_done *d = &r->items.v[i];

        array_add(b, col == DONE_GENERATION ? p_i64(d->generation)
                     : col == DONE_TEXT     ? p_str(d->text.p ? d->text : STR(""))
                     : col == DONE_TITLE    ? p_str(d->title)
                                         : p_i64(col == DONE_EMBEDDED ? d->embedded : (int64_t)d->chunks.n));
    }
    return p_str(buf_slice(b));
}

static struct param
chunk_column(struct tx *t, const struct jobs_done_req *r, enum chunk_column col, enum array_type type)
{
    struct buf *b = tx_buf(t);
    size_t n = 0;

    for (size_t i = 0; i < r->items.n; i++)
        n += r->items.v[i].chunks.n;
    array_begin(b, type, n);
    for (size_t i = 0; i < r->items.n; i++)
        for (size_t k = 0; k < r->items.v[i].chunks.n; k++)
            array_add(b, col == CHUNK_OWNER ? p_i64((int64_t)i + 1)
                                            : chunk_cell(&r->items.v[i].chunks.v[k], col));
    return p_str(buf_slice(b));
}

static void
outcomes(struct jobs_done_rep *rep, const struct tx *t, int statement)
{
    for (size_t row = 0; row < tx_rows(t, statement) && rep->items.n < 64; row++) {
        rep->items.v[rep->items.n].document_id = col_id(t, statement, row, 0);
        rep->items.v[rep->items.n++].seq = col_i64(t, statement, row, 1);
    }
}

static void
on_before(struct tx *t)
{
    struct jobs_done_rep *rep = t->arg;

    outcomes(rep, t, 0);
    worker_reply(t->call, rep);
}

static void
on_done(struct tx *t)
{
    struct delivery *c = t->call;
    const struct jobs_done_req *r = c->req;
    struct jobs_done_rep *rep = call_alloc(c, 1, sizeof *rep);
    struct tx *again;

    if (!rep || !(rep->items.v = call_alloc(c, 64, sizeof *rep->items.v)))
        return;
    rep->items.n = 0;
    outcomes(rep, t, t->n - 1);
    if (rep->items.n == r->items.n) {
        worker_reply(c, rep);
        return;
    }
    again = call_tx(c, on_before);
    again->arg = rep;
    rep->items.n = 0; /* those of now are found, too */
    TX(again, DONE_BEFORE, ids_of(again, r), column(again, r, DONE_GENERATION, ARRAY_INT8));
    tx_run(again);
}

static bool
done_ok(struct delivery *c, const struct jobs_done_req *r)
{
    bool ok = r->items.n > 0;

    for (size_t i = 0; i < r->items.n && ok; i++) {
        for (size_t k = 0; k < i && ok; k++)
            ok = !uuid_eq(&r->items.v[i].document_id, &r->items.v[k].document_id);
        for (size_t k = 0; k < r->items.v[i].chunks.n && ok; k++)
            ok = chunk_ok(&r->items.v[i].chunks.v[k]);
    }
    if (!ok)
        worker_fail(c, ERR_VALIDATION, 0,
                    "each document once; a chunk has a SHA-256, float32s and offsets in order");
    return ok;
}

/* Of the first vector; all are of one model. */
static int64_t
dims_of(const struct jobs_done_req *r)
{
    return r->items.v[0].chunks.n ? (int64_t)(r->items.v[0].chunks.v[0].vector.n / sizeof(float)) : 0;
}

void
jobs_done(struct delivery *c)
{
    const struct jobs_done_req *r = c->req;
    struct tx *t;

    if (!done_ok(c, r))
        return;
    t = call_tx(c, on_done);
    const struct param ids = ids_of(t, r), gens = column(t, r, DONE_GENERATION, ARRAY_INT8),
                       me = p_str(r->worker), model = p_str(r->model);
    const struct param who[3] = { ids, gens, me };

    tx_add(t, SQL_DONE_LOCK, &ids, 1);
    tx_add(t, SQL_DONE_DROP, who, 3);
    TX(t, DONE_CHUNKS, ids, gens, me, model, chunk_column(t, r, CHUNK_OWNER, ARRAY_INT8),
       chunk_column(t, r, CHUNK_ID, ARRAY_UUID), chunk_column(t, r, CHUNK_ORD, ARRAY_INT8),
       chunk_column(t, r, CHUNK_START, ARRAY_INT8), chunk_column(t, r, CHUNK_END, ARRAY_INT8),
       chunk_column(t, r, CHUNK_CHAPTER, ARRAY_TEXT), chunk_column(t, r, CHUNK_SECTION, ARRAY_TEXT),
       chunk_column(t, r, CHUNK_HASH, ARRAY_BYTEA), chunk_column(t, r, CHUNK_VECTOR, ARRAY_BYTEA),
       chunk_column(t, r, CHUNK_ANCHOR, ARRAY_TEXT), chunk_column(t, r, CHUNK_PAGE, ARRAY_INT8),
       chunk_column(t, r, CHUNK_LEAD, ARRAY_TEXT));
    TX(t, DONE_SWAP, ids, gens, me, model, column(t, r, DONE_TEXT, ARRAY_BYTEA),
       column(t, r, DONE_TITLE, ARRAY_TEXT), column(t, r, DONE_COUNT, ARRAY_INT8));
    TX(t, DONE_MODEL, ids, gens, me, model, p_i64(dims_of(r)), p_str(r->space), p_i64(r->space_dims));
    tx_add(t, SQL_DONE_JOBS, who, 3);
    TX(t, DONE_FEED, ids, gens, me, column(t, r, DONE_EMBEDDED, ARRAY_INT8));
    tx_run(t);
}
