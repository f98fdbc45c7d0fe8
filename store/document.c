/* Documents: put (the upload waits for a retriever, the old text stays searchable until then), read, list, delete.
 *
 *   put ─▶ uploads (generation n+1) ─claim─▶ text, chunks ─finish─▶ documents (generation n+1), feed 'ready'
 *
 * The same content with the same description is recognised by its fingerprint: nothing to do, its job is done at once. */
#include <endian.h>

#include "store/store.h"

#define REPLY_BYTES 900000   /* the reply's limit is 1 MB */

/* ---- put */

struct put {
    struct uuid document, job;
    uint8_t sha[32], fingerprint[32];
    struct str external;
    char text[37];           /* external id that we made */
};

static struct str
part_length(struct str s, char be[4])
{
    uint32_t n = htobe32((uint32_t)s.n);

    memcpy(be, &n, 4);
    return (struct str){ be, 4 };
}

/* SHA-256 over the original's digest and every length-prefixed field that came with it. */
static void
fingerprint(const struct document_put_req *r, struct put *p)
{
    const struct str fields[] = { r->title, r->url, r->chapter, r->section, r->metadata, r->mime };
    char lengths[6][4];
    struct str parts[13] = { { (const char *)p->sha, 32 } };

    sha256(&r->body, 1, p->sha);
    for (size_t i = 0; i < 6; i++) {
        parts[1 + 2 * i] = part_length(fields[i], lengths[i]);
        parts[2 + 2 * i] = (struct str){ fields[i].p ? fields[i].p : "", fields[i].n };
    }
    sha256(parts, 13, p->fingerprint);
}

static void
name_document(struct str tenant, const struct document_put_req *r, struct put *p)
{
    if (r->external_id.n) {
        p->external = r->external_id;
        p->document = uuid_named((const struct str[]){ tenant, r->collection, r->external_id }, 3);
    } else {
        p->document = uuid_v7();
        p->external = str_of(uuid_text(&p->document, p->text));
    }
}

static void
on_put(struct tx *t)
{
    struct document_put_rep rep = { .document_id = col_id(t, 2, 0, 0), .unchanged = col_flag(t, 2, 0, 1),
                                    .job_id = col_id(t, 2, 0, 2) };

    worker_reply(t->call, &rep);
}

static void
add_put(struct tx *t, const struct document_put_req *r, const struct put *p, struct str tenant)
{
    const struct param state[6] = { p_str(tenant), p_str(r->collection), p_str(p->external),
                                    p_str((struct str){ (const char *)p->fingerprint, 32 }), p_id(&p->job),
                                    p_flag(!uuid_is_nil(&r->job_id)) };
    struct str meta = r->metadata.n ? r->metadata : STR_NONE;

    TX(t, COLLECTION_MAKE, p_str(tenant), p_str(r->collection));
    TX(t, DOCUMENT_MAKE, p_str(tenant), p_str(r->collection), p_str(p->external), p_id(&p->document), p_str(r->title),
       p_str(r->url), p_str(r->chapter), p_str(r->section), p_str(meta), p_str(r->mime));
    tx_add(t, SQL_PUT_FIND, state, 6);
    tx_add(t, SQL_PUT_SUPERSEDE, state, 6);
    tx_add(t, SQL_PUT_JOB, state, 6);
    tx_add(t, SQL_PUT_DROP, state, 6);
    TX(t, PUT_UPLOAD, state[0], state[1], state[2], state[3], state[4], state[5],
       p_str((struct str){ (const char *)p->sha, 32 }), p_str(r->title), p_str(r->url), p_str(r->chapter),
       p_str(r->section), p_str(meta), p_str(r->mime), p_str(r->body.p ? r->body : STR("")));
}

void
document_put(struct call *c)
{
    const struct document_put_req *r = c->req;
    struct put *p;
    struct tx *t;

    if (!collection_ok(c, r->collection) || !metadata_ok(c, r->metadata))
        return;
    if (!(p = arena_alloc(c->arena, sizeof *p))) {
        worker_fail(c, ERR_BUSY, 1000, NULL);
        return;
    }
    fingerprint(r, p);
    name_document(tenant_of(c), r, p);
    p->job = uuid_is_nil(&r->job_id) ? uuid_v7() : r->job_id;
    t = call_tx(c, on_put);
    add_put(t, r, p, tenant_of(c));
    tx_run(t);
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
document_get(struct call *c)
{
    const struct document_ref *r = c->req;
    struct tx *t = call_tx(c, on_get);

    TX(t, DOCUMENT_GET, p_str(tenant_of(c)), p_id(&r->document_id), p_str(r->collection), p_str(r->external_id));
    tx_run(t);
}

static void
on_list(struct tx *t)
{
    struct call *c = t->call;
    const struct document_list_req *r = c->req;
    size_t rows = tx_rows(t, 0), bytes = 0;
    struct document_rep rep = { 0 };
    char cursor[PAGE_CURSOR];

    if (!(rep.items.v = call_alloc(c, rows + 1, sizeof *rep.items.v)))
        return;
    while (rep.items.n < rows && (int64_t)rep.items.n < r->limit) {
        struct document *d = &rep.items.v[rep.items.n];

        document_row(t, 0, rep.items.n, d);
        bytes += d->metadata.n + d->title.n + d->url.n + d->chapter.n + d->section.n + d->error.n + 1024;
        if (bytes > REPLY_BYTES && rep.items.n > 0)
            break;
        rep.items.n++;
    }
    rep.has_more = rep.items.n < rows;
    if (rep.has_more) {
        page_cursor(col_raw_time(t, 0, rep.items.n - 1, 14), &rep.items.v[rep.items.n - 1].id, cursor);
        rep.next_cursor = str_of(cursor);
    }
    worker_reply(c, &rep);
}

void
document_list(struct call *c)
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
    struct document_text_rep rep = { .text = col_str(t, 0, 0, 0), .bytes = col_i64(t, 0, 0, 1),
                                     .collection = col_str(t, 0, 0, 2) };

    if (tx_rows(t, 0) == 0)
        worker_fail(t->call, ERR_NOT_FOUND, 0, NULL);
    else
        worker_reply(t->call, &rep);
}

void
document_text(struct call *c)
{
    const struct document_text_req *r = c->req;
    struct tx *t;

    if (r->start < 0 || r->end < 0 || (r->end > 0 && r->end < r->start)) {
        worker_fail(c, ERR_VALIDATION, 0, "start and end are byte offsets, start first");
        return;
    }
    t = call_tx(c, on_text);
    TX(t, DOCUMENT_TEXT, p_str(tenant_of(c)), p_id(&r->document_id), p_str(r->collection), p_str(r->external_id),
       p_i64(r->start), p_i64(r->end));
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
document_delete(struct call *c)
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
