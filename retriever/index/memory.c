/* The index as a search engine: searches on the host's threads, changes one after another on a thread of its own.
 *
 *   change ─▶ the changer's queue, and what has no place there yet waits in order ─▶ index_put … ─▶ done */
#include "common/clock.h"
#include "retriever/engine_run.h"
#include "retriever/index/index.h"
#include "retriever/retriever.h"

enum { CHANGER_QUEUE = 4096 };

struct memory {
    struct engine e; /* what others see */
    struct index *index;
    struct pool_threads *searchers;     /* the host's */
    struct pool_threads *changer;       /* one thread */
    struct engine_change *first, *last; /* that wait for a place in its queue */
};

/* ---- searches */

static void
search_work(void *arg)
{
    struct engine_search *s = arg;
    struct index *ix = ((struct memory *)s->impl)->index;

    if (atomic_load(&s->cancelled) || clock_ms() >= s->deadline_ms) {
        s->err = atomic_load(&s->cancelled) ? ERR_CANCELLED : ERR_DEADLINE;
        return;
    }
    struct words *w = words_new();

    s->err = index_search(ix, w, &s->query, s->arena, &s->found);
    if (s->err == ERR_OK && s->selected.text.n > 0)
        s->err = index_near(ix, w, &s->query, &s->selected, s->arena, &s->found);
    if (s->err == ERR_OK && s->selected.text.n > 0 &&
        index_select(ix, w, &s->query, &s->selected, s->arena, &s->place)) {
        s->found.selected.v = &s->place;
        s->found.selected.n = 1;
    }
    if (s->err == ERR_INTERNAL)
        s->text = "the search needs more memory than it may have";
    words_free(&w);
}

static bool
search(struct engine *e, struct engine_search *s)
{
    struct memory *m = e->impl;

    s->impl = m;
    return engine_run(s, m->searchers, search_work);
}

/* ---- changes */

static void
change_work(void *arg)
{
    struct engine_change *c = arg;
    struct index *ix = ((struct memory *)c->impl)->index;
    struct index_doc *doc = c->doc;

    switch (c->op) {
    case ENGINE_PUT:
        c->doc = NULL;
        c->err = index_put(ix, &doc);
        break;
    case ENGINE_DELETE: (void)index_delete(ix, c->tenant, c->collection, &c->id); break;
    case ENGINE_DROP: index_drop(ix, c->tenant, c->collection); break;
    case ENGINE_CLEAR: index_clear(ix); break;
    }
}

static void change_done(void *arg);

static bool
changer_takes(struct memory *m, struct engine_change *c)
{
    return threads_run(m->changer, change_work, change_done, c) == 0;
}

static void
change_done(void *arg)
{
    struct engine_change *c = arg;
    struct memory *m = c->impl;

    while (m->first && changer_takes(m, m->first))
        m->first = m->first->next;
    c->done(c);
}

/* None overtakes another: a document that is deleted must not come back. */
static void
change(struct engine *e, struct engine_change *c)
{
    struct memory *m = e->impl;

    c->impl = m;
    c->next = NULL;
    c->err = ERR_OK;
    if (!m->first && changer_takes(m, c))
        return;
    *(m->first ? &m->last->next : &m->first) = c;
    m->last = c;
}

/* ---- documents */

static bool
load(struct engine *e, void **doc, struct words *w, const struct chunks_get_rep *page)
{
    (void)e;
    if (!*doc)
        *doc = index_doc_new(page);
    return *doc && index_doc_add(*doc, w, page);
}

static void
unload(struct engine *e, void **doc)
{
    struct index_doc *d = *doc;

    (void)e;
    *doc = NULL;
    index_doc_free(&d);
}

static size_t
bytes(struct engine *e, const void *doc)
{
    (void)e;
    return index_doc_bytes(doc);
}

/* Text, words and postings; of a vector the float32 and the int8 row. */
static size_t
cost(struct engine *e, size_t text_bytes, size_t passages, size_t dims)
{
    (void)e;
    return 4 * text_bytes + passages * (5 * dims + 300);
}

static bool
room(struct engine *e, size_t n)
{
    return index_has_room(((struct memory *)e->impl)->index, n);
}

static struct engine_stats
stats(struct engine *e)
{
    return index_stats(((struct memory *)e->impl)->index);
}

/* ---- life */

/* The searchers are the host's, which has ended them. */
static void
stop(struct engine *e)
{
    struct memory *m = e->impl;

    threads_free(&m->changer);
}

static void
close_memory(struct engine *e)
{
    struct memory *m = e->impl;

    threads_free(&m->changer);
    index_free(&m->index);
    mem_free(&m);
}

static struct engine *
open_memory(const struct engine_host *h)
{
    struct memory *m = mem_new(sizeof *m);

    *m = (struct memory){
        .e = { .full = "the index is full (INDEX_MAX_BYTES): delete documents or raise the limit",
               .capacity = 4 * (long)h->n_threads,
               .search = search,
               .change = change,
               .load = load,
               .unload = unload,
               .bytes = bytes,
               .cost = cost,
               .room = room,
               .stats = stats,
               .stop = stop,
               .close = close_memory,
               .impl = m },
        .index = index_new((size_t)h->opt->index_max_bytes),
        .searchers = h->threads,
        .changer = threads_new(h->loop, 1, CHANGER_QUEUE),
    };
    index_set_weight(m->index, h->opt->vector_weight);
    return &m->e;
}

const struct engine_kind memory_engine = { .name = "memory", .open = open_memory };
