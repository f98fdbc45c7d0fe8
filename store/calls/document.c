/* Documents: put (the upload waits for a retriever, the old text stays searchable until then), read, list, delete.
 *
 *   put ─▶ uploads (generation n+1) ─claim─▶ text, chunks ─finish─▶ documents (generation n+1), feed 'ready'
 *
 * The same content with the same description is recognised by its fingerprint: nothing to do, its job is done at once. */
#include <endian.h>

#include "common/digest.h"
#include "store/calls/calls.h"

/* ---- put */

/* documents.put: all of one collection and one job, in one transaction. document.put is one of them. */
#define PUT_FOUND 4 /* which of the statements says what was found */

struct put {
    const struct document_put_req *item;
    struct uuid document;
    uint8_t sha[32], fingerprint[32];
    struct str external;
    char text[37]; /* external id that we made */
};
struct puts {
    struct str collection;
    struct uuid job;
    bool job_named;
    size_t n;
    struct put *v;
};

static struct str
part_length(struct str s, char be[4])
{
    uint32_t n = htobe32((uint32_t)s.n);

    memcpy(be, &n, 4);
    return (struct str){ be, 4 };
}

/* The version of how pages are read, counted up when their stored text changes with it
 * (retriever/extract/markup.h): the same page is then another one. */
#define READING "2"

/* SHA-256 over the original's digest and every length-prefixed field that came with it. */
static void
fingerprint(struct put *p)
{
    const struct document_put_req *r = p->item;
    const struct str fields[] = { r->title, r->url, r->chapter, r->section, r->metadata, r->mime };
    char lengths[6][4];
    struct str parts[14] = { { (const char *)p->sha, 32 } };

    sha256(&r->body, 1, p->sha);
    for (size_t i = 0; i < 6; i++) {
        parts[1 + 2 * i] = part_length(fields[i], lengths[i]);
        parts[2 + 2 * i] = (struct str){ fields[i].p ? fields[i].p : "", fields[i].n };
    }
    bool page = !str_starts(r->mime, "text/plain");

    parts[13] = STR(READING);
    sha256(parts, page ? 14 : 13, p->fingerprint);
}

static void
name_document(struct str tenant, struct str collection, struct put *p)
{
    if (p->item->external_id.n) {
        p->external = p->item->external_id;
        p->document = uuid_named((const struct str[]){ tenant, collection, p->external }, 3);
    } else {
        p->document = uuid_v7();
        p->external = str_of(uuid_text(&p->document, p->text));
    }
}

enum put_column {
    PUT_EXTERNAL,
    PUT_ID,
    PUT_FINGERPRINT,
    PUT_SHA,
    PUT_TITLE,
    PUT_URL,
    PUT_CHAPTER,
    PUT_SECTION,
    PUT_METADATA,
    PUT_MIME,
    PUT_BODY
};

static struct param
put_cell(const struct put *p, enum put_column col)
{
    const struct document_put_req *r = p->item;

    switch (col) {
    case PUT_EXTERNAL: return p_str(p->external);
    case PUT_ID: return p_id(&p->document);
    case PUT_FINGERPRINT: return p_str((struct str){ (const char *)p->fingerprint, 32 });
    case PUT_SHA: return p_str((struct str){ (const char *)p->sha, 32 });
    case PUT_TITLE: return p_str(r->title);
    case PUT_URL: return p_str(r->url);
    case PUT_CHAPTER: return p_str(r->chapter);
    case PUT_SECTION: return p_str(r->section);
    case PUT_METADATA: return p_str(r->metadata.n ? r->metadata : STR_NONE);
    case PUT_MIME: return p_str(r->mime);
    default: return p_str(r->body.p ? r->body : STR(""));
    }
}

static struct param
put_column(struct tx *t, const struct puts *w, enum put_column col, enum array_type type)
{
    struct buf *b = tx_buf(t);

    array_begin(b, type, w->n);
    for (size_t i = 0; i < w->n; i++)
        array_add(b, put_cell(&w->v[i], col));
    return p_str(buf_slice(b));
}

static void
put_row(const struct tx *t, size_t row, struct document_put_rep *rep)
{
    *rep = (struct document_put_rep){ .document_id = col_id(t, PUT_FOUND, row, 0),
                                      .unchanged = col_flag(t, PUT_FOUND, row, 1),
                                      .job_id = col_id(t, PUT_FOUND, row, 2) };
}

static void
on_put(struct tx *t)
{
    struct document_put_rep rep;

    if (!room_left(t))
        return;
    put_row(t, 0, &rep);
    worker_reply(t->call, &rep);
}

static void
on_puts(struct tx *t)
{
    struct documents_put_rep rep = { 0 };

    if (!room_left(t) || !(rep.items.v = call_alloc(t->call, tx_rows(t, PUT_FOUND) + 1, sizeof *rep.items.v)))
        return;
    for (; rep.items.n < tx_rows(t, PUT_FOUND); rep.items.n++)
        put_row(t, rep.items.n, &rep.items.v[rep.items.n]);
    worker_reply(t->call, &rep);
}

static void
put_run(struct delivery *c, const struct puts *w, tx_fn done)
{
    struct tx *t = call_tx(c, done);
    struct str tenant = tenant_of(c);
    const struct param external = put_column(t, w, PUT_EXTERNAL, ARRAY_TEXT),
                       title = put_column(t, w, PUT_TITLE, ARRAY_TEXT),
                       url = put_column(t, w, PUT_URL, ARRAY_TEXT),
                       chapter = put_column(t, w, PUT_CHAPTER, ARRAY_TEXT),
                       section = put_column(t, w, PUT_SECTION, ARRAY_TEXT),
                       meta = put_column(t, w, PUT_METADATA, ARRAY_TEXT),
                       mime = put_column(t, w, PUT_MIME, ARRAY_TEXT);
    const struct param state[4] = { p_str(tenant), put_column(t, w, PUT_FINGERPRINT, ARRAY_BYTEA),
                                    p_id(&w->job), p_flag(w->job_named) };

    t->want_errors = true;
    room_collection(t, tenant, w->collection);
    TX(t, COLLECTION_MAKE, p_str(tenant), p_str(w->collection));
    TX(t, DOCUMENT_MAKE, p_str(tenant), p_str(w->collection), external, put_column(t, w, PUT_ID, ARRAY_UUID),
       title, url, chapter, section, meta, mime);
    tx_add(t, SQL_PUT_FIND, state, 4);
    tx_add(t, SQL_PUT_SUPERSEDE, state, 4);
    tx_add(t, SQL_PUT_DROP, state, 4);
    TX(t, PUT_UPLOAD, state[0], state[1], state[2], state[3], put_column(t, w, PUT_SHA, ARRAY_BYTEA), title,
       url, chapter, section, meta, mime, put_column(t, w, PUT_BODY, ARRAY_BYTEA));
    TX(t, PUT_JOB, p_id(&w->job), p_str(tenant), p_str(w->collection));
    tx_add(t, SQL_SETTLE, NULL, 0);
    TX(t, DOCUMENT_ROOM, p_str(tenant), p_str(w->collection), external,
       p_i64(store_of(c)->opt->max_documents), p_i64(store_of(c)->opt->max_bytes));
    tx_run(t);
}

static void
put_all(struct delivery *c, struct str collection, const struct uuid *job,
        const struct document_put_req *items, size_t n, tx_fn done)
{
    struct puts w = { .collection = collection,
                      .job = uuid_is_nil(job) ? uuid_v7() : *job,
                      .job_named = !uuid_is_nil(job),
                      .n = n };

    if (!collection_ok(c, collection) || !(w.v = call_alloc(c, n, sizeof *w.v)))
        return;
    for (size_t i = 0; i < n; i++) {
        if (!metadata_ok(c, items[i].metadata))
            return;
        w.v[i].item = &items[i];
        fingerprint(&w.v[i]);
        name_document(tenant_of(c), collection, &w.v[i]);
    }
    put_run(c, &w, done);
}

void
document_put(struct delivery *c)
{
    const struct document_put_req *r = c->req;

    put_all(c, r->collection, &r->job_id, r, 1, on_put);
}

void
documents_put(struct delivery *c)
{
    const struct documents_put_req *r = c->req;
    bool once = r->items.n > 0;

    for (size_t i = 0; i < r->items.n && once; i++)
        for (size_t k = 0; k < i && once; k++)
            once = !r->items.v[i].external_id.n ||
                   !str_eq(r->items.v[i].external_id, r->items.v[k].external_id);
    if (once)
        put_all(c, r->collection, &r->job_id, r->items.v, r->items.n, on_puts);
    else
        worker_fail(c, ERR_VALIDATION, 0, "documents.put takes one or more documents, each id once");
}

/* ---- read */

void
document_row(const struct tx *t, int i, size_t row, struct document *d)
{
    d->id = col_id(t, i, row, 0);
    d->external_id = col_str(t, i, row, 1);
    d->collection = col_str(t, i, row, 2);
    d->title = col_str(t, i, row, 3);
    d->url = col_str(t, i, row, 4);
    d->chapter = col_str(t, i, row, 5);
    d->section = col_str(t, i, row, 6);
    d->metadata = col_str(t, i, row, 7);
    d->mime = col_str(t, i, row, 8);
    d->status = col_str(t, i, row, 9);
    d->error = col_str(t, i, row, 10);
    d->bytes = col_i64(t, i, row, 11);
    d->chunks = col_i64(t, i, row, 12);
    d->sha256 = col_str(t, i, row, 13);
    d->created_ms = col_ms(t, i, row, 14);
    d->updated_ms = col_ms(t, i, row, 15);
    d->seq = col_i64(t, i, row, 16);
}

static void
on_get(struct tx *t)
{
    struct document d = { 0 };
    struct document_rep rep = { .items = { &d, 1 } };

    if (tx_rows(t, 0) == 0) {
        worker_fail(t->call, ERR_NOT_FOUND, 0, NULL);
        return;
    }
    document_row(t, 0, 0, &d);
    worker_reply(t->call, &rep);
}

void
document_get(struct delivery *c)
{
    const struct document_ref *r = c->req;
    struct tx *t = call_tx(c, on_get);

    TX(t, DOCUMENT_GET, p_str(tenant_of(c)), p_id(&r->document_id), p_str(r->collection),
       p_str(r->external_id));
    tx_run(t);
}

static size_t
read_row(struct tx *t, int i, size_t row, void *item)
{
    struct document *d = item;

    document_row(t, i, row, d);
    return d->metadata.n + d->title.n + d->url.n + d->chapter.n + d->section.n + d->error.n + 1024;
}

static void
on_list(struct tx *t)
{
    const struct document_list_req *r = t->call->req;
    struct document_rep rep = { 0 };
    char cursor[PAGE_CURSOR];

    rep.items.v = page_items(t, 0, (size_t)r->limit, sizeof *rep.items.v, read_row, &rep.items.n,
                             &rep.has_more);
    if (!rep.items.v)
        return;
    if (rep.has_more)
        rep.next_cursor = page_cursor(t, rep.items.n - 1, 14, cursor);
    worker_reply(t->call, &rep);
}

void
document_list(struct delivery *c)
{
    const struct document_list_req *r = c->req;
    struct page_from from;
    struct tx *t;

    if (!page_ok(c, r->page, r->limit, r->cursor, &from))
        return;
    t = call_tx(c, on_list);
    TX(t, DOCUMENT_LIST, p_str(tenant_of(c)), p_strs(tx_buf(t), &r->collections), p_raw_time(from.time),
       p_id(&from.id), p_i64(r->limit + 1), p_i64(from.skip));
    tx_run(t);
}

static void
on_text(struct tx *t)
{
    struct document_text_rep rep = { .text = col_str(t, 0, 0, 0),
                                     .bytes = col_i64(t, 0, 0, 1),
                                     .collection = col_str(t, 0, 0, 2) };

    if (tx_rows(t, 0) == 0)
        worker_fail(t->call, ERR_NOT_FOUND, 0, NULL);
    else
        worker_reply(t->call, &rep);
}

void
document_text(struct delivery *c)
{
    const struct document_text_req *r = c->req;
    struct tx *t;

    if (r->start < 0 || r->end < 0 || (r->end > 0 && r->end < r->start)) {
        worker_fail(c, ERR_VALIDATION, 0, "start and end are byte offsets, start first");
        return;
    }
    t = call_tx(c, on_text);
    TX(t, DOCUMENT_TEXT, p_str(tenant_of(c)), p_id(&r->document_id), p_str(r->collection),
       p_str(r->external_id), p_i64(r->start), p_i64(r->end));
    tx_run(t);
}

/* ---- delete */

static void
on_deleted(struct tx *t)
{
    struct ack rep = { .count = 1, .seq = col_i64(t, 3, 0, 0) };

    worker_reply(t->call, &rep);
}

void
document_delete(struct delivery *c)
{
    const struct document_ref *r = c->req;
    const struct param ref[4] = { p_str(tenant_of(c)), p_id(&r->document_id), p_str(r->collection),
                                  p_str(r->external_id) };
    struct tx *t = call_tx(c, on_deleted);

    tx_add(t, SQL_DOCUMENT_LOCK, ref, 4);
    tx_add(t, SQL_DOCUMENT_DROP_JOB, ref, 4);
    tx_add(t, SQL_DOCUMENT_DROP_CHUNKS, ref, 4);
    tx_add(t, SQL_DOCUMENT_FEED, ref, 4);
    tx_add(t, SQL_DOCUMENT_DELETE, ref, 4);
    tx_run(t);
}

/* ---- again */

static void
on_reindex(struct tx *t)
{
    struct document_put_rep rep = { .document_id = col_id(t, 4, 0, 0), .job_id = col_id(t, 4, 0, 1) };

    worker_reply(t->call, &rep);
}

void
document_reindex(struct delivery *c)
{
    const struct document_ref *r = c->req;
    struct uuid job = uuid_v7();
    const struct param ref[5] = { p_str(tenant_of(c)), p_id(&r->document_id), p_str(r->collection),
                                  p_str(r->external_id), p_id(&job) };
    struct tx *t = call_tx(c, on_reindex);

    tx_add(t, SQL_DOCUMENT_LOCK, ref, 4);
    tx_add(t, SQL_REINDEX_UPLOAD, ref, 5);
    tx_add(t, SQL_REINDEX_NOW, ref, 4);
    tx_add(t, SQL_REINDEX_JOB, ref, 5);
    tx_add(t, SQL_REINDEX_FOUND, ref, 4);
    tx_run(t);
}
