/* The change feed → the index. Polls CHANGES every 100 ms (faster while there is more), in the feed's order:
 *
 *   ready  → the document is loaded (feed_load.c) → put into the engine
 *   delete → marks loads of the document as gone → deleted there
 *
 * Every change is a row in a list until it is in the index: the list's head tells the seq that was reached, and a search is told
 * the one of the collections that it asks. A document that cannot be loaded is put aside, where nobody waits for it. */
#include "common/log.h"
#include "common/process/threads.h"
#include "retriever/feed.h"
#include "retriever/ingest/ingest.h"

enum { POLL_MS = 100, RESUME_MS = 10, PAGE = 500, PENDING_MAX = 200000, SCAN_MAX = 2000 };

static void poll_changes(void *arg);

static struct row **
bucket_of(struct feed *f, const struct uuid *id)
{
    return &f->buckets[(id->b[15] | (unsigned)id->b[14] << 8) % BUCKETS];
}

static void
rows_add(struct rows *l, struct row *x)
{
    x->in = l;
    x->next = NULL;
    x->prev = l->tail;
    *(l->tail ? &l->tail->next : &l->head) = x;
    l->tail = x;
    l->n++;
}

static void
rows_cut(struct row *x)
{
    *(x->prev ? &x->prev->next : &x->in->head) = x->next;
    *(x->next ? &x->next->prev : &x->in->tail) = x->prev;
    x->in->n--;
}

static struct row *
row_new(struct feed *f, enum row_kind kind, const struct change *c)
{
    struct row *x = mem_new(sizeof *x);

    x->feed = f;
    x->kind = kind;
    x->seq = x->newest = c->seq;
    row_asked(x);
    x->id = c->document_id;
    memcpy(x->tenant, c->tenant.p, c->tenant.n < 64 ? c->tenant.n : 64);
    memcpy(x->collection, c->collection.p, c->collection.n < 128 ? c->collection.n : 128);
    x->first = !f->reached_end;
    x->rows = PAGE_ROWS;
    f->first_left += x->first;
    rows_add(&f->queue, x);
    if (kind == ROW_LOAD) {
        x->chain = *bucket_of(f, &x->id);
        *bucket_of(f, &x->id) = x;
    }
    return x;
}

void
feed_caught(struct feed *f)
{
    /* what could be found before it began can be asked for at once */
    if (f->caught_up || f->stopped || (f->known == 0 && (!f->reached_end || f->first_left)))
        return;
    struct engine_stats s = f->engine->stats(f->engine);

    f->caught_up = true;
    if (!f->spare)
        worker_set_capacity(f->r->worker, SERVICE_RETRIEVE, f->engine->capacity);
    LOG(INFO, NULL, M(f->spare ? "index of words ready: INDEX_FALLBACK" : "index ready"), KI("seq", f->after),
        KI("documents", s.documents), KI("passages", s.passages), KI("aside", f->aside.n));
}

/* Out of the list that everybody waits for. */
void
row_aside(struct row *x)
{
    struct feed *f = x->feed;

    rows_cut(x);
    rows_add(&f->aside, x);
    f->first_left -= x->first;
    x->first = false;
    feed_caught(f);
}

void
row_free(struct row *x)
{
    struct feed *f = x->feed;

    rows_cut(x);
    if (x->kind == ROW_LOAD) {
        struct row **at = bucket_of(f, &x->id);

        while (*at != x)
            at = &(*at)->chain;
        *at = x->chain;
    }
    f->first_left -= x->first;
    f->engine->unload(f->engine, &x->doc);
    arena_free(&x->page.arena);
    fresh_doc_free(&x->fresh);
    mem_free(&x);
    feed_caught(f);
}

/* ---- changes of the index */

enum { HANDED_BITS = 8 };

void
row_asked(struct row *x)
{
    int64_t least = x->newest << HANDED_BITS;

    x->version = x->version < least ? least : x->version;
}

static void
change_done(struct engine_change *c)
{
    struct row *x = c->arg;

    if (x->kind == ROW_LOAD) {
        load_ended(x);
        return;
    }
    if (x->kind == ROW_DELETE && !x->feed->spare)
        stat_inc(&retriever_stats, RETRIEVER_DELETES);
    row_free(x);
}

void
row_change(struct row *x)
{
    struct engine *e = x->feed->engine;

    x->state = ROW_CHANGING;
    x->change = (struct engine_change){ .op = x->kind == ROW_CLEAR  ? ENGINE_CLEAR
                                              : x->kind == ROW_DROP ? ENGINE_DROP
                                              : x->doc              ? ENGINE_PUT
                                                                    : ENGINE_DELETE,
                                        .tenant = str_of(x->tenant),
                                        .collection = str_of(x->collection),
                                        .id = x->id,
                                        .version = x->version,
                                        .doc = x->doc,
                                        .done = change_done,
                                        .arg = x };
    x->doc = NULL;
    /* what is handed over again is another change; 255 times are enough for a day */
    x->version += (x->version & ((1 << HANDED_BITS) - 1)) < (1 << HANDED_BITS) - 1;
    e->change(e, &x->change);
}

/* ---- reading the feed */

/* Chunks that this process has just stored go into its own index. */
static struct fresh_doc *
take_fresh(struct feed *f, const struct change *c)
{
    return f->spare ? NULL : fresh_take(f->r->fresh, &c->document_id, c->seq);
}

static void
on_ready(struct feed *f, const struct change *c)
{
    for (struct row *x = *bucket_of(f, &c->document_id), *next; x; x = next) {
        next = x->chain;
        if (x->gone || !uuid_eq(&x->id, &c->document_id))
            continue;
        if (x->in == &f->aside) { /* another version, which may be loaded */
            load_gone(x);
            continue;
        }
        x->newest = c->seq;
        if (x->state == ROW_QUEUED) {
            load_restart(x);
            x->fresh = take_fresh(f, c);
        } else {
            x->again = true;
        }
        return;
    }
    row_new(f, ROW_LOAD, c)->fresh = take_fresh(f, c);
}

static void
on_delete(struct feed *f, const struct change *c)
{
    for (struct row *x = *bucket_of(f, &c->document_id), *next; x; x = next) {
        next = x->chain;
        if (uuid_eq(&x->id, &c->document_id))
            load_gone(x);
    }
    row_change(row_new(f, ROW_DELETE, c));
}

static void
drop_loads(struct rows *l, const struct change *c, enum row_kind kind)
{
    for (struct row *x = l->head, *next; x; x = next) {
        next = x->next;
        if (x->kind == ROW_LOAD &&
            (kind == ROW_CLEAR || (str_is(c->tenant, x->tenant) && str_is(c->collection, x->collection))))
            load_gone(x);
    }
}

static void
on_drop(struct feed *f, const struct change *c, enum row_kind kind)
{
    drop_loads(&f->queue, c, kind);
    drop_loads(&f->aside, c, kind);
    row_change(row_new(f, kind, c));
}

static void
on_change(struct feed *f, const struct change *c)
{
    bool whole = uuid_is_nil(&c->document_id);

    if (str_is(c->op, "ready") && !whole)
        on_ready(f, c);
    else if (str_is(c->op, "delete") && !whole)
        on_delete(f, c);
    else if (str_is(c->op, "delete"))
        on_drop(f, c, ROW_DROP);
}

/* The database has less than we saw (it was restored): begin again. */
static void
begin_again(struct feed *f)
{
    struct change none = { .tenant = STR(""), .collection = STR("") }; /* its version is below all others */

    LOG(WARN, NULL, M("the change feed went back: loading everything again"), KI("seq", f->after));
    on_drop(f, &none, ROW_CLEAR);
    fresh_clear(f->r->fresh);
    f->after = f->known = 0;
}

static void
heard(struct feed *f, const struct changes_rep *rep)
{
    f->heard_ms = loop_now(f->r->loop);
    f->waiting = rep->jobs_pending;
}

static void
on_changes(void *arg, struct reply *r)
{
    struct feed *f = arg;
    const struct changes_rep *rep = r->rep;
    int64_t wait = POLL_MS;

    f->polling = false;
    f->call = 0;
    if (r->err != ERR_OK) {
        stat_inc(&retriever_stats, RETRIEVER_FEED_FAULTS);
    } else if (rep->seq < f->after) {
        heard(f, rep);
        begin_again(f);
        wait = 0;
    } else {
        heard(f, rep);
        for (size_t i = 0; i < rep->items.n; i++) {
            on_change(f, &rep->items.v[i]);
            f->after = rep->items.v[i].seq > f->after ? rep->items.v[i].seq : f->after;
        }
        if (!f->spare)
            fresh_reached(f->r->fresh, f->after);
        if (rep->items.n < PAGE) {
            f->reached_end = true;
            feed_caught(f);
        } else
            wait = 0;
        if (rep->jobs_pending > 0 && (!f->spare || !f->r->feed->resumed)) /* one of them does */
            ingest_poke(f->r->ingest);
    }
    load_more(f);
    if (!f->stopped)
        f->timer = loop_after(f->r->loop, wait, poll_changes, f);
}

/* Where an engine that outlives this process wants to go on. False: it does not know yet. */
static bool
resumed(struct feed *f)
{
    struct engine *e = f->engine;

    if (!f->resumed && e->resume) {
        f->resumed = e->resume(e, &f->after, &f->known);
        return f->resumed;
    }
    return true;
}

/* Those aside are loaded again by whoever goes on from there. */
static void
tell_reached(struct feed *f)
{
    int64_t seq = feed_seq(f);

    for (const struct row *x = f->aside.head; x; x = x->next)
        seq = x->seq - 1 < seq ? x->seq - 1 : seq;
    if (f->engine->reached && f->resumed)
        f->engine->reached(f->engine, seq, f->reached_end && !f->queue.head);
}

static void
poll_changes(void *arg)
{
    struct feed *f = arg;
    struct changes_req q = { .limit = PAGE };

    f->timer = 0;
    if (f->stopped || f->polling)
        return;
    if (!resumed(f)) {
        f->timer = loop_after(f->r->loop, RESUME_MS, poll_changes, f);
        return;
    }
    tell_reached(f);
    q.after = f->after;
    if (f->queue.n > PENDING_MAX || !worker_registered(f->r->worker)) {
        load_more(f);
        f->timer = loop_after(f->r->loop, POLL_MS, poll_changes, f);
        return;
    }
    f->polling = true;
    f->call = worker_call(f->r->worker, NULL, KIND_CHANGES, &q, "", "", 2000, on_changes, f);
}

struct feed *
feed_new(struct retriever *r, struct engine *e)
{
    struct feed *f = mem_new(sizeof *f);

    f->r = r;
    f->engine = e;
    f->spare = e != r->engine;
    f->heard_ms = loop_now(r->loop);
    f->timer = loop_after(r->loop, 10, poll_changes, f);
    return f;
}

void
feed_stop(struct feed *f)
{
    f->stopped = true;
    loop_cancel(f->r->loop, &f->timer);
}

/* After the loop and the threads ended. */
void
feed_free(struct feed **fp)
{
    if (!*fp)
        return;
    (*fp)->stopped = true; /* what goes now makes nobody ready: the worker is gone */
    while ((*fp)->queue.head)
        row_free((*fp)->queue.head);
    while ((*fp)->aside.head)
        row_free((*fp)->aside.head);
    mem_free(fp);
}

bool
feed_caught_up(const struct feed *f)
{
    return f->caught_up;
}

int64_t
feed_seq(const struct feed *f)
{
    return f->queue.head ? f->queue.head->seq - 1 : f->after;
}

static int64_t
or_known(const struct feed *f, int64_t seq)
{
    return seq > f->known ? seq : f->known;
}

static bool
concerns(const struct row *x, const char *tenant, const struct strs *collections)
{
    if (x->kind == ROW_CLEAR)
        return true;
    if (strcmp(x->tenant, tenant) != 0)
        return false;
    for (size_t i = 0; i < collections->n; i++)
        if (str_is(collections->v[i], x->collection))
            return true;
    return collections->n == 0;
}

/* Of a long list only the beginning is looked at: then less is promised than may be there. */
int64_t
feed_seq_of(const struct feed *f, const char *tenant, const struct strs *collections)
{
    size_t n = 0;

    for (const struct row *x = f->queue.head; x; x = x->next)
        if (++n > SCAN_MAX || concerns(x, tenant, collections))
            return or_known(f, x->seq - 1);
    return or_known(f, f->after);
}

double
feed_age_s(const struct feed *f)
{
    return (double)(loop_now(f->r->loop) - f->heard_ms) / 1000;
}

int64_t
feed_waiting(const struct feed *f)
{
    return f->waiting;
}

size_t
feed_pending(const struct feed *f)
{
    return f->queue.n;
}

size_t
feed_aside(const struct feed *f)
{
    return f->aside.n;
}
