/* Changes, in their order, one call of the store at a time:
 *
 *   change ─▶ waiting ─▶ batch: documents (index.put) | one collection, or all (index.drop, until nothing is left) ─▶ done
 *
 * A large document goes alone, in parts. A call that the store cannot do now is repeated: a change names its version, so that it does
 * nothing twice. A document that the database refuses is tried alone, and then fails, and is deleted. */
#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/text/text.h"
#include "retriever/pgvector/pgvector.h"

enum {
    BATCH = 64,
    BATCH_CHANGES = 1024,
    BATCH_BYTES = 4 << 20,
    PART_PASSAGES = 2000,
    BUSY_BYTES = 16 << 20,
    CALL_MS = 30000,
    PAUSE_MIN_MS = 100,
    PAUSE_MAX_MS = 5000
};

struct pg_writer {
    struct pgvector *e;
    struct engine_change *first, **last; /* waiting; those of the batch are the first ones */
    size_t n, bytes;
    size_t batch; /* changes in the call that is out; 0: none is */
    size_t from;  /* passages of a large document that are there */
    bool alone;   /* the next change is tried by itself */
    int64_t pause_ms;
    uint64_t timer;
    struct index_document said[BATCH]; /* of the call that is made just now */
};

static void write_next(struct pg_writer *w);

static uint64_t
handle_of(const struct engine_change *c)
{
    return (uint64_t)(uintptr_t)c->impl;
}

static size_t
change_bytes(const struct engine_change *c)
{
    return c->doc ? ((const struct pg_doc *)c->doc)->bytes.n : 0;
}

static void
drop_doc(struct pg_writer *w, struct engine_change *c)
{
    struct pg_doc *d = c->doc;

    w->bytes -= change_bytes(c);
    c->doc = NULL;
    pg_doc_free(&d);
}

/* The first change is done; its error stands where it failed. */
static void
one_done(struct pg_writer *w)
{
    struct engine_change *c = w->first;

    drop_doc(w, c);
    w->n--;
    w->first = c->next;
    w->from = 0;
    if (c->impl)
        tombs_done(w->e->tombs, handle_of(c), &c->id);
    c->done(c);
}

static void
on_pause(void *arg)
{
    struct pg_writer *w = arg;

    w->timer = 0;
    write_next(w);
}

static void
again_later(struct pg_writer *w)
{
    w->pause_ms = w->pause_ms == 0                 ? PAUSE_MIN_MS
                  : 2 * w->pause_ms < PAUSE_MAX_MS ? 2 * w->pause_ms
                                                   : PAUSE_MAX_MS;
    w->timer = loop_after(w->e->loop, w->pause_ms, on_pause, w);
}

/* Refused for what it is, and not for the state of things. */
static bool
is_refusal(enum err e)
{
    return e == ERR_VALIDATION || e == ERR_INTERNAL || e == ERR_CONFLICT || e == ERR_TOO_LARGE ||
           e == ERR_BAD_FRAME;
}

static void
write_failed(struct pg_writer *w, size_t n, const struct reply *r)
{
    static struct log_gate gate;

    if (log_gate(&gate))
        LOG(WARN, NULL, M("the search index did not take a change"), KS("error", err_name(r->err)),
            KS("text", r->text));
    if (is_refusal(r->err) && n > 1) {
        w->alone = true;
        write_next(w);
    } else if (is_refusal(r->err) &&
               w->first->doc) { /* its older version goes: it is gone from the store, too */
        w->first->err = ERR_INTERNAL;
        w->from = 0;
        drop_doc(w, w->first);
        write_next(w);
    } else {
        again_later(w);
    }
}

/* ---- documents */

static struct str
part(const struct pg_doc *d, struct pg_part p)
{
    return (struct str){ p.n ? d->bytes.p + p.at : NULL, p.n };
}

/* The passages of a document from w->from on, as many as a call has room for. */
static void
say_document(const struct pg_writer *w, const struct engine_change *c, struct index_document *out)
{
    const struct pg_doc *d = c->doc;
    size_t bytes = 0, i = w->from;

    *out = (struct index_document){ .document_id = c->id,
                                    .tenant = c->tenant,
                                    .collection = c->collection,
                                    .wall = (int64_t)hash_pair(c->tenant, c->collection),
                                    .version = c->version,
                                    .from = (int64_t)w->from,
                                    .last = true };
    if (!d || d->n == 0)
        return;
    out->language = str_of(language_code(d->language.is));
    out->space = str_of(d->space[0]);
    out->second_space = str_of(d->space[1]);
    out->passages = (int64_t)d->n;
    out->words = d->words;
    out->items.v = mem_new((d->n - w->from) * sizeof *out->items.v);
    for (; i < d->n && out->items.n < PART_PASSAGES && bytes < BATCH_BYTES; i++) {
        const struct pg_passage *p = &d->v[i];

        bytes += p->bytes;
        out->items.v[out->items.n++] = (struct index_passage){ .len = p->len,
                                                               .words = part(d, p->words),
                                                               .counts = part(d, p->counts),
                                                               .shown = part(d, p->shown),
                                                               .facts = part(d, p->facts),
                                                               .vector = part(d, p->vector[0]),
                                                               .second = part(d, p->vector[1]) };
    }
    out->last = i == d->n;
}

static void
on_put(void *arg, struct reply *r)
{
    struct pg_writer *w = arg;
    size_t n = w->batch;
    const struct pg_doc *d = w->first->doc;
    struct index_document said = { .last = true };

    if (r->err != ERR_OK) {
        w->batch = 0;
        write_failed(w, n, r);
        return;
    }
    w->pause_ms = 0;
    w->alone = false;
    atomic_fetch_add(&w->e->writes, 1);
    if (n == 1 && d && w->from < d->n) { /* how far the call went */
        say_document(w, w->first, &said);
        mem_free(&said.items.v);
        w->from += said.items.n;
    }
    while (said.last && n-- > 0) /* w->batch stands: who is told may bring a change */
        one_done(w);
    w->batch = 0;
    write_next(w);
}

/* The place of that document among those of the call; n: it has none. */
static size_t
place_of(const struct index_document *v, size_t n, const struct uuid *id)
{
    size_t i = 0;

    while (i < n && !uuid_eq(&v[i].document_id, id))
        i++;
    return i;
}

/* Of several changes of a document the one with the highest version goes. */
static void
write_documents(struct pg_writer *w)
{
    struct index_document *v = w->said;
    struct index_put_req q = { .items = { v, 0 } };
    size_t bytes = 0, passages = 0, most = w->alone || w->from ? 1 : BATCH_CHANGES;

    for (const struct engine_change *c = w->first; c && w->batch < most; c = c->next) {
        const struct pg_doc *d = c->doc;
        size_t at = place_of(v, q.items.n, &c->id);

        bytes += change_bytes(c);
        passages += d ? d->n : 0;
        if (c->op == ENGINE_DROP || c->op == ENGINE_CLEAR || at == BATCH ||
            (w->batch > 0 && (bytes > BATCH_BYTES || passages > PART_PASSAGES)))
            break;
        w->batch++;
        if (at < q.items.n && v[at].version > c->version)
            continue;
        if (at < q.items.n)
            mem_free(&v[at].items.v);
        else
            q.items.n++;
        say_document(w, c, &v[at]);
        if (!v[at].last)
            break;
    }
    (void)worker_call(*w->e->worker, NULL, KIND_INDEX_PUT, &q, "", "", CALL_MS, on_put, w);
    for (size_t i = 0; i < q.items.n; i++)
        mem_free(&v[i].items.v);
}

/* ---- whole collections */

static void
on_drop(void *arg, struct reply *r)
{
    struct pg_writer *w = arg;
    const struct ack *rep = r->rep;

    if (r->err != ERR_OK) {
        w->batch = 0;
        write_failed(w, 1, r);
        return;
    }
    w->pause_ms = 0;
    atomic_fetch_add(&w->e->writes, 1);
    if (rep->count == 0)
        one_done(w);
    w->batch = 0;
    write_next(w);
}

static void
write_drop(struct pg_writer *w)
{
    const struct engine_change *c = w->first;
    struct index_drop_req q = { .version = c->version };

    if (c->op == ENGINE_DROP) {
        q.tenant = c->tenant;
        q.collection = c->collection;
    }
    w->batch = 1;
    (void)worker_call(*w->e->worker, NULL, KIND_INDEX_DROP, &q, "", "", CALL_MS, on_drop, w);
}

static void
write_next(struct pg_writer *w)
{
    if (!w->first || w->batch > 0 || w->timer || w->e->stopped || !atomic_load(&w->e->opened))
        return;
    if (w->first->op == ENGINE_DROP || w->first->op == ENGINE_CLEAR)
        write_drop(w);
    else
        write_documents(w);
}

/* ---- what others see */

void
pg_writer_go(struct pg_writer *w)
{
    write_next(w);
}

void
pg_writer_add(struct pg_writer *w, struct engine_change *c)
{
    c->next = NULL;
    if (!w->first)
        w->last = &w->first;
    *w->last = c;
    w->last = &c->next;
    w->n++;
    w->bytes += change_bytes(c);
    write_next(w);
}

size_t
pg_writer_waiting(const struct pg_writer *w)
{
    return w->n;
}

bool
pg_writer_busy(const struct pg_writer *w)
{
    return w->bytes > BUSY_BYTES;
}

struct pg_writer *
pg_writer_new(struct pgvector *e)
{
    struct pg_writer *w = mem_new(sizeof *w);

    w->e = e;
    return w;
}

void
pg_writer_free(struct pg_writer **wp)
{
    if (!*wp)
        return;
    loop_cancel((*wp)->e->loop, &(*wp)->timer);
    for (struct engine_change *c = (*wp)->first; c; c = c->next) {
        struct pg_doc *d = c->doc;

        c->doc = NULL;
        pg_doc_free(&d);
    }
    mem_free(wp);
}
