/* The change feed → the index. Polls CHANGES every 100 ms (faster while there is more), in the feed's order:
 *
 *   ready  → CHUNKS_GET page by page → counted on a maker thread → index_put on the changer thread
 *   delete → marks loads of the document as gone → index_delete on the changer thread
 *
 * Every change is a row in a list until it is in the index: the list's head tells the seq that was reached. A document
 * that changes while it is loaded is loaded again. A failed call is repeated; without a hub the index keeps serving. */
#include "common/log.h"
#include "retriever/retriever.h"

enum { POLL_MS = 100, PAGE = 500, LOADS = 4, PENDING_MAX = 200000, BUCKETS = 4096, RETRY_MS = 500 };

enum row_kind { ROW_LOAD, ROW_DELETE, ROW_DROP, ROW_CLEAR };
enum row_state { ROW_QUEUED, ROW_FETCHING, ROW_ADDING, ROW_CHANGING };

struct row {
    struct feed *feed;
    struct row *prev, *next;    /* of the feed's list, in seq order */
    struct row *chain;          /* of its bucket; loads only */
    enum row_kind kind;
    enum row_state state;
    int64_t seq;
    struct uuid id;
    char tenant[65], collection[129];
    bool gone;                  /* deleted meanwhile: drop what comes */
    bool again;                 /* changed meanwhile: load it once more */
    bool first;                 /* belongs to the first catching up */
    bool failed;                /* the maker thread had no memory */
    struct index_doc *doc;      /* being built */
    int64_t updated_ms, from_ord; /* of the version at hand; next page */
    struct reply page;          /* reply whose arena we hold */
    enum err err;               /* of index_put */
};

struct feed {
    struct retriever *r;
    struct row *head, *tail;
    struct row *buckets[BUCKETS];
    size_t pending, fetching, first_left;
    int64_t after;              /* last change that was read */
    int64_t heard_ms;           /* when the feed last answered */
    int64_t waiting;            /* documents that wait for a retriever, as it said then */
    bool polling, stopped, reached_end, caught_up;
    uint64_t timer;
    uint64_t call;              /* the poll in flight */
    int64_t hold_until_ms;      /* no fetches before: the last one failed */
};

static void poll_changes(void *arg);
static void fetch_more(struct feed *f);

static struct row **
bucket_of(struct feed *f, const struct uuid *id)
{
    return &f->buckets[(id->b[15] | (unsigned)id->b[14] << 8) % BUCKETS];
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
    f->first_left += x->first;
    x->prev = f->tail;
    *(f->tail ? &f->tail->next : &f->head) = x;
    f->tail = x;
    f->pending++;
    if (kind == ROW_LOAD) {
        x->chain = *bucket_of(f, &x->id);
        *bucket_of(f, &x->id) = x;
    }
    return x;
}

static void
check_caught_up(struct feed *f)
{
    if (f->caught_up || !f->reached_end || f->first_left)
        return;
    struct index_stats s = index_stats(f->r->index);

    f->caught_up = true;
    worker_set_capacity(f->r->worker, SERVICE_RETRIEVE, f->r->capacity);
    LOG(INFO, NULL, M("index ready"), KI("seq", f->after), KI("documents", s.documents), KI("passages", s.passages));
}

static void
row_free(struct row *x)
{
    struct feed *f = x->feed;

    *(x->prev ? &x->prev->next : &f->head) = x->next;
    *(x->next ? &x->next->prev : &f->tail) = x->prev;
    if (x->kind == ROW_LOAD) {
        struct row **at = bucket_of(f, &x->id);

        while (*at != x)
            at = &(*at)->chain;
        *at = x->chain;
    }
    f->pending--;
    f->first_left -= x->first;
    index_doc_free(&x->doc);
    arena_free(&x->page.arena);
    mem_free(&x);
    check_caught_up(f);
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
    struct feed *f = x->feed;

    if (x->err == ERR_INDEX_FULL) {
        char id[37];

        stat_inc(&retriever_stats, RETRIEVER_FULL);
        LOG(WARN, NULL, M("document not searchable: the index is full"), KS("document", uuid_text(&x->id, id)));
    }
    if (x->kind == ROW_DELETE)
        stat_inc(&retriever_stats, RETRIEVER_DELETES);
    if (x->kind == ROW_LOAD)
        f->fetching--;
    if (x->kind == ROW_LOAD && x->again && !x->gone) {
        x->again = false;
        x->state = ROW_QUEUED;
        x->from_ord = 0;
        x->err = ERR_OK;
    } else
        row_free(x);
    fetch_more(f);
}

static void
change_start(void *arg)
{
    struct row *x = arg;

    x->state = ROW_CHANGING;
    if (threads_run(x->feed->r->changer, change_work, change_done, x) != 0)
        (void)loop_after(x->feed->r->loop, 10, change_start, x);
}

/* ---- loading a document */

static void
load_again(struct row *x)
{
    struct feed *f = x->feed;

    f->fetching--;
    index_doc_free(&x->doc);
    if (x->gone) {
        row_free(x);
        fetch_more(f);
        return;
    }
    x->from_ord = 0;
    x->state = ROW_QUEUED;
    f->hold_until_ms = loop_now(f->r->loop) + RETRY_MS;
    stat_inc(&retriever_stats, RETRIEVER_FEED_FAULTS);
}

static void fetch(struct row *x);

static void
add_work(void *arg)
{
    struct row *x = arg;
    struct words *w = words_new();

    if (!x->doc)
        x->doc = index_doc_new(x->page.rep);
    x->failed = !x->doc || !index_doc_add(x->doc, w, x->page.rep);
    words_free(&w);
}

static void
add_done(void *arg)
{
    struct row *x = arg;
    const struct chunks_get_rep *rep = x->page.rep;
    bool more = rep->has_more && rep->chunks.n > 0;

    if (more)
        x->from_ord = rep->chunks.v[rep->chunks.n - 1].ord + 1;
    x->page.rep = NULL;
    arena_free(&x->page.arena);
    if (x->failed || x->gone)
        load_again(x);
    else if (more)
        fetch(x);
    else
        change_start(x);
}

static void
add_start(void *arg)
{
    struct row *x = arg;

    x->state = ROW_ADDING;
    if (threads_run(x->feed->r->makers, add_work, add_done, x) != 0)
        (void)loop_after(x->feed->r->loop, 20, add_start, x);
}

enum page { PAGE_GOOD, PAGE_MOVED, PAGE_BAD };

static enum page
page_check(struct row *x, const struct chunks_get_rep *rep)
{
    const struct document *d = rep->document.v;

    if (rep->document.n != 1 || !uuid_eq(&d->id, &x->id))
        return PAGE_BAD;
    if (!str_is(rep->tenant, x->tenant) || !str_is(d->collection, x->collection))
        return PAGE_MOVED;
    if (x->from_ord && d->updated_ms != x->updated_ms)  /* another version than the pages before */
        return PAGE_BAD;
    x->updated_ms = d->updated_ms;
    return PAGE_GOOD;
}

static void
on_chunks(void *arg, struct reply *r)
{
    struct row *x = arg;
    static struct log_gate gate;
    enum page page = r->err == ERR_OK ? page_check(x, r->rep) : r->err == ERR_NOT_FOUND ? PAGE_MOVED : PAGE_BAD;

    if (x->gone || page == PAGE_BAD) {
        if (r->err != ERR_OK && log_gate(&gate))
            LOG(WARN, NULL, M("chunks could not be read"), KS("error", err_name(r->err)), KS("text", r->text));
        load_again(x);
        return;
    }
    if (page == PAGE_MOVED) {               /* not here any more: take out what is there */
        index_doc_free(&x->doc);
        change_start(x);
        return;
    }
    x->page = *r;
    r->arena = NULL;
    add_start(x);
}

static void
fetch(struct row *x)
{
    struct chunks_get_req q = { .document_id = x->id, .from_ord = x->from_ord };

    x->state = ROW_FETCHING;
    (void)worker_call(x->feed->r->worker, NULL, KIND_CHUNKS_GET, &q, x->tenant, "", 10000, on_chunks, x);
}

static void
fetch_more(struct feed *f)
{
    if (f->stopped || loop_now(f->r->loop) < f->hold_until_ms)
        return;
    for (struct row *x = f->head; x && f->fetching < LOADS; x = x->next)
        if (x->kind == ROW_LOAD && x->state == ROW_QUEUED) {
            f->fetching++;
            fetch(x);
        }
}

/* ---- reading the feed */

static void
on_ready(struct feed *f, const struct change *c)
{
    for (struct row *x = *bucket_of(f, &c->document_id); x; x = x->chain) {
        if (x->gone || !uuid_eq(&x->id, &c->document_id))
            continue;
        x->again = x->again || x->state != ROW_QUEUED;
        return;
    }
    (void)row_new(f, ROW_LOAD, c);
}

static void
load_gone(struct row *x)
{
    x->gone = true;
    if (x->state == ROW_QUEUED)
        row_free(x);
}

static void
on_delete(struct feed *f, const struct change *c)
{
    for (struct row *x = *bucket_of(f, &c->document_id), *next; x; x = next) {
        next = x->chain;
        if (uuid_eq(&x->id, &c->document_id))
            load_gone(x);
    }
    change_start(row_new(f, ROW_DELETE, c));
}

static void
on_drop(struct feed *f, const struct change *c, enum row_kind kind)
{
    for (struct row *x = f->head, *next; x; x = next) {
        next = x->next;
        if (x->kind == ROW_LOAD &&
            (kind == ROW_CLEAR || (str_is(c->tenant, x->tenant) && str_is(c->collection, x->collection))))
            load_gone(x);
    }
    change_start(row_new(f, kind, c));
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
            check_caught_up(f);
        } else
            wait = 0;
        if (rep->jobs_pending > 0)
            ingest_poke(f->r->ingest);
    }
    fetch_more(f);
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
    if (f->pending > PENDING_MAX || !worker_registered(f->r->worker)) {
        fetch_more(f);
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
    while ((*fp)->head)
        row_free((*fp)->head);
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
    return f->head ? f->head->seq - 1 : f->after;
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
    return f->pending;
}
