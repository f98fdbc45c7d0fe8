/* Loading a document into the index: CHUNKS_GET page by page → made by the engine on a maker thread → put into it.
 *
 *   queued ─▶ fetching ─▶ adding ─┬▶ (next page)              failed: the page again, smaller
 *                                 └▶ changing ─▶ in the index     three times: aside ─▶ tried every 5 to 60 s ─▶ in the index
 *
 * A failure of the store or the bus is nobody's fault: everything waits. A failure while the store answers
 * others is the document's own: the document is put aside, so that no sequence number, no cache and no start
 * waits for it, the store shows it as failed with the reason, and its older version is no longer found. Some
 * slots are kept free of large documents. A search tells the seq of the collections that it asked, so that a
 * large document of one tenant holds up no other's `?wait=1`. */
#include <stdio.h>

#include "common/log.h"
#include "common/process/threads.h"
#include "retriever/feed.h"

enum {
    LOADS = 6,
    LONG_LOADS = 4,
    BULKS = 2,
    SEEN_MAX = 1024,
    RETRY_MS = 500,
    CALL_MS = 10000,
    TRIES = 3,
    FEW = 3,
    ROWS_LEAST = 8,
    ASIDE_FIRST_MS = 5000,
    ASIDE_MAX_MS = 60000,
    FULL_MS = 300000,
    TOLD_MS = 1000
};
enum { SLOT_NONE, SLOT_LOAD, SLOT_ASIDE };

static void fetch(struct row *x);

/* ---- places */

static void
take(struct row *x)
{
    struct feed *f = x->feed;

    x->full = false;
    x->slot = x->in == &f->aside ? SLOT_ASIDE : SLOT_LOAD;
    if (x->slot == SLOT_ASIDE) {
        f->aside_busy = true;
        return;
    }
    f->fetching++;
    x->large = x->from_ord > 0;
    f->large += x->large;
}

static void
leave(struct row *x)
{
    struct feed *f = x->feed;

    f->fetching -= x->slot == SLOT_LOAD;
    f->aside_busy = f->aside_busy && x->slot != SLOT_ASIDE;
    f->large -= x->large;
    x->large = false;
    x->slot = SLOT_NONE;
}

void
load_wait(struct row *x, int64_t ms)
{
    leave(x);
    x->at_ms = loop_now(x->feed->r->loop) + ms;
    x->state = ROW_QUEUED;
}

void
load_restart(struct row *x)
{
    x->feed->engine->unload(x->feed->engine, &x->doc);
    fresh_doc_free(&x->fresh);
    x->from_ord = 0;
}

void
load_gone(struct row *x)
{
    x->gone = true;
    if (x->state == ROW_QUEUED)
        row_free(x);
}

/* ---- aside */

static void
on_told(void *arg, struct reply *r)
{
    static struct log_gate gate;

    (void)arg;
    if (r->err != ERR_OK && log_gate(&gate))
        LOG(WARN, NULL, M("a document could not be marked"), KS("error", err_name(r->err)),
            KS("text", r->text));
}

static void
tell(struct row *x, const char *why, reply_fn fn)
{
    struct document_aside_req q = { .document_id = x->id };
    struct reply none = { .err = ERR_OK };

    if (x->feed->spare) { /* the index that people ask may well have it */
        fn(x, &none);
        return;
    }
    if (why)
        q.error = str_of(why);
    (void)worker_call(x->feed->r->worker, NULL, KIND_DOCUMENT_ASIDE, &q, x->tenant, "", CALL_MS, fn, x);
}

static int64_t
pause_of(const struct row *x)
{
    unsigned n = x->rounds < 4 ? x->rounds : 4;

    return x->full ? FULL_MS : ASIDE_FIRST_MS << n < ASIDE_MAX_MS ? ASIDE_FIRST_MS << n : ASIDE_MAX_MS;
}

/* It rests among those aside; said again each time, since a mark that nobody renews ends. */
static void
rest(struct row *x)
{
    load_wait(x, pause_of(x));
    x->rounds++;
    x->tries = 0;
    tell(x, x->why, on_told);
}

/* Nobody waits for it any more; what the index has of its older version goes. */
static void
put_aside(struct row *x)
{
    struct feed *f = x->feed;
    char id[37];

    LOG(WARN, NULL, M("document put aside: it cannot be loaded"), KS("document", uuid_text(&x->id, id)),
        KS("tenant", x->tenant), KS("why", x->why));
    stat_inc(&retriever_stats, RETRIEVER_PUT_ASIDE);
    leave(x);
    load_restart(x);
    row_aside(x);
    row_change(x);
    load_more(f);
}

static void on_returned(void *arg, struct reply *r);

static void
tell_returned(void *arg)
{
    tell(arg, NULL, on_returned);
}

/* Until the store knows, answers that were made without the document may be kept. */
static void
on_returned(void *arg, struct reply *r)
{
    struct row *x = arg;

    if (r->err == ERR_OK || x->gone)
        row_free(x);
    else
        (void)loop_after(x->feed->r->loop, TOLD_MS, tell_returned, x);
}

static void
returned(struct row *x)
{
    char id[37];

    LOG(INFO, NULL, M("document loaded after all"), KS("document", uuid_text(&x->id, id)),
        KS("tenant", x->tenant));
    if (x->in != &x->feed->aside)
        row_aside(x);
    tell_returned(x);
}

/* ---- failures */

/* Not the document's fault: the store or the way to it. */
bool
load_is_outage(const struct row *x, enum err e)
{
    const struct feed *f = x->feed;
    static const enum err outages[] = { ERR_BUSY,       ERR_DRAINING,      ERR_NO_WORKER,  ERR_WORKER_LOST,
                                        ERR_TOO_LATE,   ERR_CANCELLED,     ERR_STORE_DOWN, ERR_STORE_BUSY,
                                        ERR_STORE_FULL, ERR_STORE_IN_DOUBT };

    for (size_t i = 0; i < sizeof outages / sizeof outages[0]; i++)
        if (e == outages[i])
            return true;
    /* Out of time: is it this document, or everything? The feed, which is asked every 100 ms, must have been answered, and so must
     * another document's page, unless there are few others. */
    return e == ERR_DEADLINE &&
           (f->heard_ms <= x->asked_ms || (f->loaded_ms <= x->since_ms && f->queue.n > FEW));
}

static void
load_failed(struct row *x, enum err e, const char *text)
{
    struct feed *f = x->feed;
    /* a start waits for no third try; one that was only slow gets a second with a smaller page */
    unsigned most = f->caught_up ? TRIES : e == ERR_DEADLINE ? 2 : 1;

    stat_inc(&retriever_stats, RETRIEVER_FEED_FAULTS);
    x->tries++;
    x->rows = x->rows / 8 > ROWS_LEAST ? x->rows / 8 : ROWS_LEAST;
    (void)snprintf(
        x->why, sizeof x->why,
        "stored, but not searchable: it cannot be loaded (%s%s%.60s); this is tried again every minute",
        err_name(e), text[0] ? ": " : "", text);
    if (x->in == &f->aside)
        rest(x);
    else if (x->tries >= most)
        put_aside(x);
    else
        load_wait(x, (int64_t)RETRY_MS << x->tries);
}

/* The call for a page, or the maker, failed. */
static void
page_failed(struct row *x, enum err e, const char *text)
{
    struct feed *f = x->feed;
    static struct log_gate gate;

    if (x->gone) {
        leave(x);
        row_free(x);
    } else if (load_is_outage(x, e)) {
        stat_inc(&retriever_stats, RETRIEVER_FEED_FAULTS);
        f->hold_until_ms = loop_now(f->r->loop) + RETRY_MS;
        load_wait(x, RETRY_MS);
    } else {
        if (log_gate(&gate))
            LOG(WARN, NULL, M("chunks could not be read"), KS("error", err_name(e)), KS("text", text));
        load_failed(x, e, text);
    }
    load_more(f);
}

/* ---- pages */

static void
add_work(void *arg)
{
    struct row *x = arg;
    struct engine *e = x->feed->engine;
    struct words *w = words_new();

    x->failed = !e->load(e, &x->doc, w, x->page.rep);
    words_free(&w);
}

void
load_whole(struct row *x)
{
    struct engine *e = x->feed->engine;

    x->bytes = e->bytes(e, x->doc);
    row_change(x);
}

static void
add_done(void *arg)
{
    struct row *x = arg;
    struct feed *f = x->feed;
    const struct chunks_get_rep *rep = x->page.rep;
    bool more = rep->has_more && rep->chunks.n > 0;

    if (more)
        x->from_ord = rep->chunks.v[rep->chunks.n - 1].ord + 1;
    x->page.rep = NULL;
    arena_free(&x->page.arena);
    if (x->failed || x->gone) {
        load_restart(x);
        page_failed(x, ERR_INTERNAL, "not enough memory");
        return;
    }
    x->tries = 0;
    x->since_ms = 0;
    f->loaded_ms = loop_now(f->r->loop);
    if (!more) {
        load_whole(x);
    } else if (x->slot == SLOT_ASIDE || x->large || f->large < LONG_LOADS) {
        f->large += !x->large && x->slot != SLOT_ASIDE;
        x->large = x->slot != SLOT_ASIDE;
        fetch(x);
    } else {
        load_wait(x, 0);
        load_more(f);
    }
}

static void
add_start(void *arg)
{
    struct row *x = arg;

    x->state = ROW_ADDING;
    if (threads_run(x->feed->r->makers, add_work, add_done, x) != 0)
        (void)loop_after(x->feed->r->loop, 20, add_start, x);
}

enum page
load_check(struct row *x, const struct chunks_get_rep *rep)
{
    const struct document *d = rep->document.v;

    if (rep->document.n != 1 || !uuid_eq(&d->id, &x->id))
        return PAGE_BAD;
    if (!str_is(rep->tenant, x->tenant) || !str_is(d->collection, x->collection))
        return PAGE_MOVED;
    if (x->from_ord && d->updated_ms != x->updated_ms) /* another version than the pages before */
        return PAGE_OTHER;
    x->updated_ms = d->updated_ms;
    x->marked = str_is(d->status, "failed");
    return PAGE_GOOD;
}

static void
on_chunks(void *arg, struct reply *r)
{
    struct row *x = arg;
    enum page page = r->err == ERR_OK          ? load_check(x, r->rep)
                     : r->err == ERR_NOT_FOUND ? PAGE_MOVED
                                               : PAGE_BAD;

    if (x->gone || page == PAGE_BAD) {
        page_failed(x, r->err ? r->err : ERR_BAD_FRAME, r->err ? r->text : "another document came");
    } else if (page == PAGE_OTHER) {
        load_restart(x);
        fetch(x);
    } else if (page == PAGE_MOVED) { /* not here any more: take out what is there */
        load_restart(x);
        row_change(x);
    } else {
        x->page = *r;
        r->arena = NULL;
        add_start(x);
    }
}

static void
fetch(struct row *x)
{
    struct chunks_get_req q = { .document_id = x->id, .from_ord = x->from_ord, .limit = x->rows };

    x->state = ROW_FETCHING;
    x->asked_ms = loop_now(x->feed->r->loop);
    x->since_ms = x->since_ms ? x->since_ms : x->asked_ms;
    if (x->from_ord == 0)
        row_asked(x);
    (void)worker_call(x->feed->r->worker, NULL, KIND_CHUNKS_GET, &q, x->tenant, "", CALL_MS, on_chunks, x);
}

/* One of those aside at a time. One that the index has no room for is not even fetched. */
static void
try_aside(struct feed *f, int64_t now)
{
    struct engine *e = f->engine;

    for (struct row *x = f->aside.head; x && !f->aside_busy; x = x->next) {
        if (x->state != ROW_QUEUED || (!x->full && now < x->at_ms))
            continue;
        if (!x->full || engine_room(e, x->bytes)) {
            take(x);
            fetch(x);
        } else if (now >= x->at_ms) {
            rest(x);
        }
    }
}

/* Rows that were never tried go together (feed_bulk.c), the others one by one. */
void
load_more(struct feed *f)
{
    int64_t now = loop_now(f->r->loop);
    struct row *many[LOAD_MANY];
    size_t n = 0, seen = 0;

    if (f->stopped || now < f->hold_until_ms || (f->engine->busy && f->engine->busy(f->engine)))
        return;
    for (struct row *x = f->queue.head; x && seen < SEEN_MAX; x = x->next, seen++) {
        if (x->kind != ROW_LOAD || x->state != ROW_QUEUED || now < x->at_ms)
            continue;
        if (!x->single && !x->from_ord) {
            if (n < LOAD_MANY && f->bulks < BULKS)
                many[n++] = x;
        } else if (f->fetching < LOADS && (!x->from_ord || f->large < LONG_LOADS)) {
            take(x);
            fetch(x);
        }
        if (n == LOAD_MANY) {
            bulk_fetch(f, many, n);
            n = 0;
        }
    }
    if (n)
        bulk_fetch(f, many, n);
    try_aside(f, now);
}

static void
index_full(struct row *x)
{
    char id[37];

    stat_inc(&retriever_stats, RETRIEVER_FULL);
    if (x->in != &x->feed->aside)
        stat_inc(&retriever_stats, RETRIEVER_PUT_ASIDE);
    LOG(WARN, NULL, M("document not searchable: the index is full"), KS("document", uuid_text(&x->id, id)));
    (void)snprintf(x->why, sizeof x->why, "stored, but not searchable: %s", x->feed->engine->full);
    x->full = true;
    if (x->in != &x->feed->aside)
        row_aside(x);
    rest(x);
}

void
load_ended(struct row *x)
{
    struct feed *f = x->feed;
    enum err e = x->change.err;
    bool was_aside = x->in == &f->aside, went = was_aside && x->slot == SLOT_NONE;

    x->change.err = ERR_OK;
    leave(x);
    if (x->gone) {
        row_free(x);
    } else if (x->again) {
        x->again = false;
        x->state = ROW_QUEUED;
        load_restart(x);
    } else if (went) {
        rest(x);
    } else if (e == ERR_INDEX_FULL) {
        index_full(x);
    } else if (e != ERR_OK) {
        load_restart(x);
        load_failed(x, e, "the search engine did not take it");
    } else if (was_aside || (x->marked && !f->spare)) {
        returned(x);
    } else {
        row_free(x);
    }
    load_more(f);
}
