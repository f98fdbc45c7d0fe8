/* Reads of the index: the change feed, the chunks of one document, vectors that are known already.
 * The head is read before the rows, so that it never promises a change that the rows lack. */
#include "store/calls/calls.h"

#define CHUNKS_ROWS 512 /* of one reply at most */
#define LOAD_ROWS 64    /* of each document of chunks.load */
#define LOAD_DOCUMENTS 64
#define CHUNKS_BYTES 60000000  /* the reply's limit is 64 MB */
#define VECTORS_BYTES 32000000 /* the reply's limit is 32 MB */

static void
on_changes(struct tx *t)
{
    struct delivery *c = t->call;
    size_t n = tx_rows(t, 1);
    struct changes_rep rep = { .seq = col_i64(t, 0, 0, 0),
                               .jobs_pending = col_i64(t, 0, 0, 1),
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
        k->content = col_i64(t, 1, row, 5);
        if (k->seq > rep.seq)
            rep.seq = k->seq;
    }
    worker_reply(c, &rep);
}

void
changes(struct delivery *c)
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
    k->page = col_i64(t, 1, row, col + 10);
    k->anchor = col_str(t, 1, row, col + 9);
    k->second = col_str(t, 1, row, col + 11);
    k->lead = col_str(t, 1, row, col + 12);
}

static void
set_text(struct chunk *k, struct str text)
{
    k->text = utf8_cut(text, 65536);
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
    struct delivery *c = t->call;
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
    rep.second_model = col_str(t, 0, 0, 20);
    rep.space = col_str(t, 0, 0, 21);
    while (rep.chunks.n < n && (int64_t)rep.chunks.n < chunks_rows(c->req) && bytes < CHUNKS_BYTES) {
        struct chunk *k = &rep.chunks.v[rep.chunks.n];

        read_chunk(t, rep.chunks.n, 0, k);
        set_text(k, col_str(t, 1, rep.chunks.n, 8));
        bytes += k->vector.n + k->second.n + k->text.n + k->chapter.n + k->section.n + k->anchor.n +
                 k->lead.n + 256;
        rep.chunks.n++;
    }
    rep.has_more = rep.chunks.n < n;
    worker_reply(c, &rep);
}

void
chunks_get(struct delivery *c)
{
    const struct chunks_get_req *r = c->req;
    struct tx *t = call_tx(c, on_chunks);

    TX(t, CHUNKS_DOCUMENT, p_id(&r->document_id));
    TX(t, CHUNKS_GET, p_id(&r->document_id), p_i64(r->from_ord), p_i64(chunks_rows(r) + 1));
    tx_run(t);
}

/* ---- the beginnings of several documents */

/* The first row from `row` on that is this document's, or stands behind them: both statements are ordered by id, and a
 * document may have come between them. */
static size_t
rows_from(const struct tx *t, size_t row, const struct uuid *id)
{
    for (; row < tx_rows(t, 1); row++) {
        struct uuid at = col_id(t, 1, row, 0);

        if (memcmp(at.b, id->b, sizeof at.b) >= 0)
            break;
    }
    return row;
}

static size_t
rows_end(const struct tx *t, size_t row, const struct uuid *id)
{
    for (; row < tx_rows(t, 1); row++) {
        struct uuid at = col_id(t, 1, row, 0);

        if (!uuid_eq(&at, id))
            break;
    }
    return row;
}

/* The part of a text that begins at its first byte; what lies outside is none. */
static struct str
part_of(struct str text, int64_t start, int64_t end)
{
    int64_t n = text.p ? (int64_t)text.n : 0;

    if (start < 0 || start >= n || end <= start)
        return STR_NONE;
    return (struct str){ text.p + start, (size_t)((end < n ? end : n) - start) };
}

/* The chunks of a document in the rows [from, end) of statement 1; of more than LOAD_ROWS the rest is left to chunks.get. */
static bool
load_rows(struct tx *t, size_t from, size_t end, struct chunks_get_rep *rep)
{
    struct str text = from < end ? col_str(t, 1, from, 9) : STR_NONE;

    if (!(rep->chunks.v = call_alloc(t->call, end - from + 1, sizeof *rep->chunks.v)))
        return false;
    for (; from + rep->chunks.n < end && rep->chunks.n < LOAD_ROWS; rep->chunks.n++) {
        struct chunk *k = &rep->chunks.v[rep->chunks.n];

        read_chunk(t, from + rep->chunks.n, 1, k);
        set_text(k, part_of(text, k->start, k->end));
    }
    rep->has_more = end - from > LOAD_ROWS;
    return true;
}

/* Do the chunks in these rows lie in their document's text, which its first one brings? */
static bool
rows_fit(const struct tx *t, size_t from, size_t end)
{
    struct str text = col_str(t, 1, from, 9);
    size_t last = end - from > LOAD_ROWS ? from + LOAD_ROWS : end;

    if (col_i64(t, 1, from, 2) != 0 || !text.p)
        return false;
    for (size_t row = from; row < last; row++)
        if (col_i64(t, 1, row, 3) < 0 || col_i64(t, 1, row, 4) < col_i64(t, 1, row, 3) ||
            col_i64(t, 1, row, 4) > (int64_t)text.n)
            return false;
    return true;
}

/* One more document; one whose rows do not fit is left out, and so to chunks.get, which says what is wrong with it. */
static bool
load_one(struct tx *t, size_t doc, size_t *row, struct chunks_load_rep *all)
{
    struct chunks_get_rep *rep = &all->items.v[all->items.n];
    struct document *d = call_alloc(t->call, 1, sizeof *d);
    size_t from;

    if (!d)
        return false;
    *d = (struct document){ 0 };
    document_row(t, 0, doc, d);
    *rep = (struct chunks_get_rep){ .document = { d, 1 },
                                    .tenant = col_str(t, 0, doc, 17),
                                    .model = col_str(t, 0, doc, 18),
                                    .language = col_str(t, 0, doc, 19),
                                    .second_model = col_str(t, 0, doc, 20),
                                    .space = col_str(t, 0, doc, 21) };
    from = rows_from(t, *row, &d->id);
    *row = rows_end(t, from, &d->id);
    if (from < *row && !rows_fit(t, from, *row))
        return true;
    all->items.n++;
    return load_rows(t, from, *row, rep);
}

static void
on_load(struct tx *t)
{
    struct delivery *c = t->call;
    struct chunks_load_rep rep = { 0 };
    size_t n = tx_rows(t, 0), row = 0;

    if (!(rep.items.v = call_alloc(c, n + 1, sizeof *rep.items.v)))
        return;
    for (size_t doc = 0; doc < n && doc < LOAD_DOCUMENTS; doc++)
        if (!load_one(t, doc, &row, &rep))
            return;
    worker_reply(c, &rep);
}

/* The documents that are asked for; not bare: those alone whose chunks are. */
static struct param
load_ids(struct tx *t, const struct chunks_load_req *r, bool bare)
{
    struct buf *ids = tx_buf(t);
    size_t n = 0;

    for (size_t i = 0; i < r->items.n; i++)
        n += bare || !r->items.v[i].bare;
    array_begin(ids, ARRAY_UUID, n);
    for (size_t i = 0; i < r->items.n; i++)
        if (bare || !r->items.v[i].bare)
            array_add(ids, p_id(&r->items.v[i].document_id));
    return p_str(buf_slice(ids));
}

void
chunks_load(struct delivery *c)
{
    struct tx *t = call_tx(c, on_load);

    TX(t, LOAD_DOCUMENTS, load_ids(t, c->req, true));
    TX(t, LOAD_CHUNKS, load_ids(t, c->req, false), p_i64(LOAD_ROWS + 1));
    tx_run(t);
}

/* A retriever cannot load a document, or can again. */
void
document_aside(struct delivery *c)
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
job_wait(struct delivery *c)
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
    struct delivery *c = t->call;
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
vectors_known(struct delivery *c)
{
    const struct vectors_known_req *r = c->req;
    struct tx *t = call_tx(c, on_vectors);
    struct buf *b = tx_buf(t);

    array_begin(b, ARRAY_BYTEA, r->hashes.n);
    for (size_t i = 0; i < r->hashes.n; i++)
        array_add(b, p_str(r->hashes.v[i].hash));
    TX(t, VECTORS_KNOWN, p_str(r->tenant), p_str(r->model), p_str(buf_slice(b)),
       p_i64(r->dims > 0 ? r->dims : 0));
    tx_run(t);
}
