/* The change feed → the index. Polls CHANGES every 100 ms (faster while there is more), in the feed's order:
 *
 *   ready  → the document is loaded (feed_load.c) → index_put on the changer thread
 *   delete → marks loads of the document as gone → index_delete on the changer thread
 *
 * Every change is a row in a list until it is in the index: the list's head tells the seq that was reached, and a search is told
 * the one of the collections that it asks. A document that cannot be loaded is put aside, where nobody waits for it. */
#include "common/log.h"
#include "retriever/feed.h"

enum { POLL_MS = 100, PAGE = 500, PENDING_MAX = 200000, SCAN_MAX = 2000 };

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
    struct row *x = mem_new(sizeof(*x));

    x->feed = f;
    x->kind = kind;
    x->seq = c->seq;
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
    if (f->caught_up || !f->reached_end || f->first_left)
        return;
    struct index_stats s = index_stats(f->r->index);

    f->caught_up = true;
    worker_set_capacity(f->r->worker, SERVICE_RETRIEVE, f->r->capacity);
    LOG(INFO, NULL, M("index ready"), KI("seq", f->after), KI("documents", s.documents), KI("passages", s.passages), KI("aside", f->aside.n));
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
    index_doc_free(&x->doc);
    arena_free(&x->page.arena);
    mem_free(&x);
    feed_caught(f);
}

/* ---- changes of the index, on the changer's thread */

static void
change_work(void *arg)
{
    struct row *x = arg;
    struct index *ix = x->feed->r->index;

    if (x->kind == ROW_CLEAR)
        index_clear(ix);
    else if (x->kind == ROW_DROP)
        index_drop(ix, str_of(x->tenant), str_of(x->collection));
    else if (x->kind == ROW_LOAD && x->doc)
        x->err = index_put(ix, &x->doc);
    else
        (void)index_delete(ix, str_of(x->tenant), str_of(x->collection), &x->id);
}

static void
change_done(void *arg)
{
    struct row *x = arg;

    if (x->kind == ROW_LOAD) {
        load_ended(x);
        return;
    }
    if (x->kind == ROW_DELETE)
        stat_inc(&retriever_stats, RETRIEVER_DELETES);
    row_free(x);
}

static void
change_start(void *arg)
{
    row_change(arg);
}

void
row_change(struct row *x)
{
    x->state = ROW_CHANGING;
    if (threads_run(x->feed->r->changer, change_work, change_done, x) != 0)
        (void)loop_after(x->feed->r->loop, 10, change_start, x);
}

/* ---- reading the feed */

static void
on_ready(struct feed *f, const struct change *c)
{
    for (struct row *x = *bucket_of(f, &c->document_id), *next; x; x = next) {
        next = x->chain;
        if (x->gone || !uuid_eq(&x->id, &c->document_id))
            continue;
        if (x->in == &f->aside) {               /* another version, which may be loaded */
            load_gone(x);
            continue;
        }
        if (x->state == ROW_QUEUED) {
            index_doc_free(&x->doc);
            x->from_ord = 0;
        } else {
            x->again = true;
        }
        return;
    }
    (void)row_new(f, ROW_LOAD, c);
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
    struct change none = { .tenant = STR(""), .collection = STR("") };

    LOG(WARN, NULL, M("the change feed went back: loading everything again"), KI("seq", f->after));
    on_drop(f, &none, ROW_CLEAR);
    f->after = 0;
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
        if (rep->items.n < PAGE) {
            f->reached_end = true;
            feed_caught(f);
        } else
            wait = 0;
        if (rep->jobs_pending > 0)
            ingest_poke(f->r->ingest);
    }
    load_more(f);
    if (!f->stopped)
        f->timer = loop_after(f->r->loop, wait, poll_changes, f);
}

static void
poll_changes(void *arg)
{
    struct feed *f = arg;
    struct changes_req q = { .after = f->after, .limit = PAGE };

    f->timer = 0;
    if (f->stopped || f->polling)
        return;
    if (f->queue.n > PENDING_MAX || !worker_registered(f->r->worker)) {
        load_more(f);
        f->timer = loop_after(f->r->loop, POLL_MS, poll_changes, f);
        return;
    }
    f->polling = true;
    f->call = worker_call(f->r->worker, NULL, KIND_CHANGES, &q, "", "", 2000, on_changes, f);
}

struct feed *
feed_new(struct retriever *r)
{
    struct feed *f = mem_new(sizeof(*f));

    f->r = r;
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
            return x->seq - 1;
    return f->after;
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
