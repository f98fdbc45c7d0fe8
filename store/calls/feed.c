/* What the index reads: the change feed, the chunks of one document, vectors that are known already.
 * The head is read before the rows, so that it never promises a change that the rows lack. */
#include "store/store.h"

#define CHUNKS_ROWS 512         /* of one reply at most */
#define LOAD_ROWS 64            /* of each document of chunks.load */
#define LOAD_DOCUMENTS 64
#define CHUNKS_BYTES 60000000   /* the reply's limit is 64 MB */
#define VECTORS_BYTES 32000000  /* the reply's limit is 32 MB */

static void
on_changes(struct tx *t)
{
    struct call *c = t->call;
    size_t n = tx_rows(t, 1);
    struct changes_rep rep = { .seq = col_i64(t, 0, 0, 0), .jobs_pending = col_i64(t, 0, 0, 1),
                               .keys_seq = col_i64(t, 0, 0, 2) };

    if (!(rep.items.v = call_alloc(c, n + 1, sizeof *rep.items.v)))
        return;
    for (size_t row = 0; row < n; row++) {
        struct change *k = &rep.items.v[rep.items.n++];

        k->seq = col_i64(t, 1, row, 0);
        k->tenant = col_str(t, 1, row, 1);
        k->collection = col_str(t, 1, row, 2);
        k->document_id = col_id(t, 1, row, 3);
        k->op = col_str(t, 1, row, 4);
        if (k->seq > rep.seq)
            rep.seq = k->seq;
    }
    worker_reply(c, &rep);
}

void
changes(struct call *c)
{
    const struct changes_req *r = c->req;
    struct tx *t = call_tx(c, on_changes);

    /* "the database is away" is news for the gateways: what cannot be written has not changed (gateway/watch/epochs.c) */
    t->impatient = true;
    tx_add(t, SQL_FEED_HEAD, NULL, 0);
    TX(t, FEED, p_i64(r->after), p_i64(r->limit < 1 ? 1 : r->limit));
    tx_run(t);
}

static void
read_chunk(struct tx *t, size_t row, int col, struct chunk *k)
{
    k->id = col_id(t, 1, row, col);
    k->ord = col_i64(t, 1, row, col + 1);
    k->start = col_i64(t, 1, row, col + 2);
    k->end = col_i64(t, 1, row, col + 3);
    k->chapter = col_str(t, 1, row, col + 4);
    k->section = col_str(t, 1, row, col + 5);
    k->hash = col_str(t, 1, row, col + 6);
    k->vector = col_str(t, 1, row, col + 7);
    k->text = utf8_cut(col_str(t, 1, row, col + 8), 65536);
    if (!utf8_valid(k->text)) /* offsets that cut a character: the peer's decoder would refuse all of them */
        k->text = STR_NONE;
}

static int64_t
chunks_rows(const struct chunks_get_req *r)
{
    return r->limit > 0 && r->limit < CHUNKS_ROWS ? r->limit : CHUNKS_ROWS;
}

static void
on_chunks(struct tx *t)
{
    struct call *c = t->call;
    size_t n = tx_rows(t, 1), bytes = 0;
    struct document d = { 0 };
    struct chunks_get_rep rep = { .document = { &d, 1 } };

    if (tx_rows(t, 0) == 0) {
        worker_fail(c, ERR_NOT_FOUND, 0, NULL);
        return;
    }
    if (!(rep.chunks.v = call_alloc(c, n + 1, sizeof *rep.chunks.v)))
        return;
    document_row(t, 0, 0, &d);
    rep.tenant = col_str(t, 0, 0, 17);
    rep.model = col_str(t, 0, 0, 18);
    rep.language = col_str(t, 0, 0, 19);
    while (rep.chunks.n < n && (int64_t)rep.chunks.n < chunks_rows(c->req) && bytes < CHUNKS_BYTES) {
        struct chunk *k = &rep.chunks.v[rep.chunks.n];

        read_chunk(t, rep.chunks.n, 0, k);
        bytes += k->vector.n + k->text.n + k->chapter.n + k->section.n + 256;
        rep.chunks.n++;
    }
    rep.has_more = rep.chunks.n < n;
    worker_reply(c, &rep);
}

void
chunks_get(struct call *c)
{
    const struct chunks_get_req *r = c->req;
    struct tx *t = call_tx(c, on_chunks);

    TX(t, CHUNKS_DOCUMENT, p_id(&r->document_id));
    TX(t, CHUNKS_GET, p_id(&r->document_id), p_i64(r->from_ord), p_i64(chunks_rows(r) + 1));
    tx_run(t);
}

/* ---- the beginnings of several documents */

static bool
row_is(const struct tx *t, size_t row, const struct uuid *id)
{
    struct uuid at = col_id(t, 1, row, 0);

    return uuid_eq(&at, id);
}

/* The rows of statement 1 that are this document's, from *row on; of more than LOAD_ROWS the rest is left to chunks.get. */
static bool
load_one(struct tx *t, size_t doc, size_t *row, struct chunks_get_rep *rep)
{
    size_t rows = tx_rows(t, 1), from = *row;
    struct document *d = call_alloc(t->call, 1, sizeof *d);

    if (!d)
        return false;
    *d = (struct document){ 0 };
    document_row(t, 0, doc, d);
    *rep = (struct chunks_get_rep){ .document = { d, 1 }, .tenant = col_str(t, 0, doc, 17), .model = col_str(t, 0, doc, 18),
                                    .language = col_str(t, 0, doc, 19) };
    while (*row < rows && row_is(t, *row, &d->id))
        ++*row;
    if (!(rep->chunks.v = call_alloc(t->call, *row - from + 1, sizeof *rep->chunks.v)))
        return false;
    for (size_t i = from; i < *row && rep->chunks.n < LOAD_ROWS; i++)
        read_chunk(t, i, 1, &rep->chunks.v[rep->chunks.n++]);
    rep->has_more = *row - from > LOAD_ROWS;
    return true;
}

static void
on_load(struct tx *t)
{
    struct call *c = t->call;
    struct chunks_load_rep rep = { 0 };
    size_t n = tx_rows(t, 0), row = 0;

    if (!(rep.items.v = call_alloc(c, n + 1, sizeof *rep.items.v)))
        return;
    for (; rep.items.n < n && rep.items.n < LOAD_DOCUMENTS; rep.items.n++)
        if (!load_one(t, rep.items.n, &row, &rep.items.v[rep.items.n]))
            return;
    worker_reply(c, &rep);
}

void
chunks_load(struct call *c)
{
    const struct chunks_load_req *r = c->req;
    struct tx *t = call_tx(c, on_load);
    struct buf *ids = tx_buf(t);

    array_begin(ids, ARRAY_UUID, r->items.n);
    for (size_t i = 0; i < r->items.n; i++)
        array_add(ids, p_id(&r->items.v[i].document_id));
    TX(t, LOAD_DOCUMENTS, p_str(buf_slice(ids)));
    TX(t, LOAD_CHUNKS, p_str(buf_slice(ids)), p_i64(LOAD_ROWS + 1));
    tx_run(t);
}

/* A retriever cannot load a document, or can again. */
void
document_aside(struct call *c)
{
    const struct document_aside_req *r = c->req;
    struct tx *t = call_tx(c, ack_ok);

    if (r->error.n)
        TX(t, ASIDE_SET, p_id(&r->document_id), p_str(r->error));
    else
        TX(t, ASIDE_END, p_id(&r->document_id));
    tx_run(t);
}

/* A retriever takes no documents for now, or takes them again. */
void
job_wait(struct call *c)
{
    const struct job_wait_req *r = c->req;
    struct tx *t = call_tx(c, ack_ok);

    if (r->reason.n)
        TX(t, WAIT_SET, p_str(r->worker), p_str(r->reason));
    else
        TX(t, WAIT_END, p_str(r->worker));
    tx_run(t);
}

static void
on_vectors(struct tx *t)
{
    struct call *c = t->call;
    size_t n = tx_rows(t, 0), bytes = 0;
    struct vectors_known_rep rep = { 0 };

    if (!(rep.items.v = call_alloc(c, n + 1, sizeof *rep.items.v)))
        return;
    for (size_t row = 0; row < n && bytes < VECTORS_BYTES; row++) {
        struct known_vector *k = &rep.items.v[rep.items.n++];

        k->hash = col_str(t, 0, row, 0);
        k->vector = col_str(t, 0, row, 1);
        bytes += k->vector.n + 128;
    }
    worker_reply(c, &rep);
}

void
vectors_known(struct call *c)
{
    const struct vectors_known_req *r = c->req;
    struct tx *t = call_tx(c, on_vectors);
    struct buf *b = tx_buf(t);

    array_begin(b, ARRAY_BYTEA, r->hashes.n);
    for (size_t i = 0; i < r->hashes.n; i++)
        array_add(b, p_str(r->hashes.v[i].hash));
    TX(t, VECTORS_KNOWN, p_str(r->tenant), p_str(r->model), p_str(buf_slice(b)), p_i64(r->dims > 0 ? r->dims : 0));
    tx_run(t);
}
