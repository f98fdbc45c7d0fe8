/* Loading many documents at once: one call brings the first chunks of up to 64 of them, one task of a maker
 * counts their words. Most documents are whole with that; of the others the rest is loaded page by page
 * (feed_load.c). Of a document that this process has just stored only its description is asked for (fresh.h).
 * When the call fails for another reason than an outage, each of them is loaded by itself, so that only one
 * that cannot be loaded is held up. */
#include "common/process/threads.h"
#include "retriever/feed.h"

enum { CALL_MS = 10000, HOLD_MS = 500, FULL_MS = 20 };

struct bulk {
    struct feed *f;
    struct row *v[LOAD_MANY];
    size_t n;
    struct reply page;                    /* we hold its arena */
    struct chunks_get_rep own[LOAD_MANY]; /* with the chunks that are here */
};

static void
bulk_free(struct bulk *b)
{
    struct feed *f = b->f;

    f->bulks--;
    arena_free(&b->page.arena);
    mem_free(&b);
    load_more(f);
}

/* On a maker's thread: the rows are nobody else's meanwhile. */
static void
work(void *arg)
{
    struct bulk *b = arg;
    struct words *w = words_new();
    struct engine *e = b->f->engine;

    for (size_t i = 0; i < b->n; i++) {
        struct row *x = b->v[i];

        x->failed = !e->load(e, &x->doc, w, x->part);
    }
    words_free(&w);
}

static void
one_worked(struct row *x)
{
    const struct chunks_get_rep *rep = x->part;

    x->part = NULL;
    fresh_doc_free(&x->fresh);
    if (x->gone) {
        row_free(x);
    } else if (x->failed || x->again) {
        x->single = x->failed;
        x->again = false;
        load_restart(x);
        load_wait(x, 0);
    } else if (rep->has_more && rep->chunks.n > 0) {
        x->from_ord = rep->chunks.v[rep->chunks.n - 1].ord + 1;
        load_wait(x, 0);
    } else {
        load_whole(x);
    }
}

static void
worked(void *arg)
{
    struct bulk *b = arg;

    b->f->loaded_ms = loop_now(b->f->r->loop);
    for (size_t i = 0; i < b->n; i++)
        one_worked(b->v[i]);
    bulk_free(b);
}

static void
start(void *arg)
{
    struct bulk *b = arg;

    if (threads_run(b->f->r->makers, work, worked, b) != 0)
        (void)loop_after(b->f->r->loop, FULL_MS, start, b);
}

static const struct chunks_get_rep *
part_of(const struct chunks_load_rep *rep, const struct row *x)
{
    for (size_t i = 0; i < rep->items.n; i++)
        if (rep->items.v[i].document.n == 1 && uuid_eq(&rep->items.v[i].document.v[0].id, &x->id))
            return &rep->items.v[i];
    return NULL;
}

/* The part of a document whose chunks are here; NULL: it has changed meanwhile, or got vectors of another model besides. */
static const struct chunks_get_rep *
with_chunks(const struct row *x, const struct chunks_get_rep *part, struct chunks_get_rep *own)
{
    const struct document *d = part->document.v;

    if (!x->fresh || part->chunks.n > 0)
        return part;
    if (d->seq != x->fresh->seq || d->chunks != (int64_t)x->fresh->n || part->second_model.n > 0)
        return NULL;
    *own = *part;
    own->chunks.v = x->fresh->v;
    own->chunks.n = x->fresh->n;
    own->has_more = false;
    return own;
}

/* True: its part is good, and goes to the maker. */
static bool
one_came(struct row *x, const struct chunks_load_rep *rep, struct chunks_get_rep *own)
{
    const struct chunks_get_rep *part = part_of(rep, x);
    enum page page = part ? load_check(x, part) : PAGE_BAD; /* missing: chunks.get says why */

    if (x->gone) {
        row_free(x);
    } else if (page == PAGE_GOOD && (x->part = with_chunks(x, part, own))) {
        x->state = ROW_ADDING;
        return true;
    } else if (page == PAGE_GOOD) { /* it is read as it is now */
        load_restart(x);
        load_wait(x, 0);
    } else if (page == PAGE_MOVED) { /* not here any more: take out what is there */
        row_change(x);
    } else {
        x->single = true;
        load_wait(x, 0);
    }
    return false;
}

static void
one_failed(struct row *x, enum err e)
{
    struct feed *f = x->feed;

    if (x->gone) {
        row_free(x);
        return;
    }
    if (load_is_outage(x, e))
        f->hold_until_ms = loop_now(f->r->loop) + HOLD_MS;
    else
        x->single = true;
    if (x->again || x->single)
        fresh_doc_free(&x->fresh);
    x->again = false;
    load_wait(x, 0);
}

static void
on_load(void *arg, struct reply *r)
{
    struct bulk *b = arg;
    size_t n = b->n;

    b->n = 0;
    if (r->err != ERR_OK)
        stat_inc(&retriever_stats, RETRIEVER_FEED_FAULTS);
    for (size_t i = 0; i < n; i++) {
        if (r->err != ERR_OK)
            one_failed(b->v[i], r->err);
        else if (one_came(b->v[i], r->rep, &b->own[b->n]))
            b->v[b->n++] = b->v[i];
    }
    if (b->n == 0) {
        bulk_free(b);
        return;
    }
    b->page = *r;
    r->arena = NULL;
    start(b);
}

void
bulk_fetch(struct feed *f, struct row **v, size_t n)
{
    struct bulk *b = mem_new(sizeof *b);
    struct document_key key[LOAD_MANY];
    struct chunks_load_req q = { .items = { key, n } };

    b->f = f;
    b->n = n;
    f->bulks++;
    for (size_t i = 0; i < n; i++) {
        b->v[i] = v[i];
        key[i] = (struct document_key){ .document_id = v[i]->id, .bare = v[i]->fresh != NULL };
        v[i]->state = ROW_FETCHING;
        v[i]->asked_ms = loop_now(f->r->loop);
        v[i]->since_ms = v[i]->since_ms ? v[i]->since_ms : v[i]->asked_ms;
        row_asked(v[i]);
    }
    (void)worker_call(f->r->worker, NULL, KIND_CHUNKS_LOAD, &q, "", "", CALL_MS, on_load, b);
}
