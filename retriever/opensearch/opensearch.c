/* The engine "opensearch": the passages are in a cluster, and here is nothing that could not be lost. A question is searched on a
 * thread of its own pool, each with a connection; changes go through one writer (write.c). */
#include "common/clock.h"
#include "retriever/engine_run.h"
#include "retriever/opensearch/corpus.h"

enum { QUEUE_PER_SEARCH = 4 };

struct place { /* a connection that no search has */
    struct cluster_conn *conn;
    struct place *next;
};
struct opensearch {
    struct cluster_engine c;
    struct pool_threads *threads;
    pthread_mutex_t lock; /* of the places */
    struct place *free;
};

static struct cluster_engine *
inside(struct engine *e)
{
    return &((struct opensearch *)e->impl)->c;
}

/* ---- searches */

static struct place *
conn_take(struct opensearch *o)
{
    pthread_mutex_lock(&o->lock);
    struct place *p = o->free; /* there are as many as threads */

    o->free = p->next;
    pthread_mutex_unlock(&o->lock);
    return p;
}

static void
conn_put(struct opensearch *o, struct place *p)
{
    pthread_mutex_lock(&o->lock);
    p->next = o->free;
    o->free = p;
    pthread_mutex_unlock(&o->lock);
}

static void
search_work(void *arg)
{
    struct engine_search *s = arg;
    struct opensearch *o = s->impl;

    if (atomic_load(&s->cancelled) || clock_ms() >= s->deadline_ms) {
        s->err = atomic_load(&s->cancelled) ? ERR_CANCELLED : ERR_DEADLINE;
        return;
    }
    if (!atomic_load(&o->c.opened)) {
        s->err = ERR_NO_WORKER;
        s->text = "the search cluster was not reached yet";
        return;
    }
    struct place *p = conn_take(o);

    search_run(&o->c, p->conn, s);
    conn_put(o, p);
}

static bool
search(struct engine *e, struct engine_search *s)
{
    struct opensearch *o = e->impl;

    s->impl = o;
    return engine_run(s, o->threads, search_work);
}

/* ---- changes */

/* Not findable from now on, whatever the cluster does. */
static void
change(struct engine *e, struct engine_change *c)
{
    struct cluster_engine *x = inside(e);

    c->err = ERR_OK;
    c->impl = NULL;
    if (c->op == ENGINE_DELETE || c->op == ENGINE_DROP)
        c->impl = (void *)(uintptr_t)tombs_add(x->tombs, c->tenant, c->collection, &c->id, c->version);
    writer_add(x->writer, c);
}

static bool
load(struct engine *e, void **doc, struct words *w, const struct chunks_get_rep *page)
{
    (void)e;
    if (!*doc)
        *doc = mem_new(sizeof(struct cluster_doc));
    return cluster_doc_add(*doc, w, page);
}

static void
unload(struct engine *e, void **doc)
{
    struct cluster_doc *d = *doc;

    (void)e;
    *doc = NULL;
    cluster_doc_free(&d);
}

static size_t
bytes(struct engine *e, const void *doc)
{
    (void)e;
    return ((const struct cluster_doc *)doc)->lines.n;
}

static size_t
cost(struct engine *e, size_t text_bytes, size_t passages, size_t dims)
{
    (void)e;
    return 3 * text_bytes + passages * (16 * dims + 600);
}

static bool
busy(struct engine *e)
{
    return !atomic_load(&inside(e)->opened) || writer_busy(inside(e)->writer);
}

static bool
resume(struct engine *e, int64_t *after, int64_t *known)
{
    struct cluster_engine *x = inside(e);

    if (!atomic_load(&x->opened))
        return false;
    *after = atomic_load(&x->after);
    *known = atomic_load(&x->known);
    return true;
}

static void
reached(struct engine *e, int64_t seq, bool all)
{
    writer_reached(inside(e)->writer, seq, all);
}

static struct engine_stats
stats(struct engine *e)
{
    struct cluster_engine *x = inside(e);

    return (struct engine_stats){ atomic_load(&x->documents), atomic_load(&x->passages), 0 };
}

static void
sample(struct engine *e)
{
    struct cluster_engine *x = inside(e);

    stat_set(&retriever_stats, RETRIEVER_CLUSTER_DOWN, (double)cluster_nodes_down(x->cluster));
    stat_set(&retriever_stats, RETRIEVER_CLUSTER_WAITING, (double)writer_waiting(x->writer));
}

/* For /readyz: NULL, or why it is not well. */
static const char *
health(struct engine *e)
{
    struct cluster_engine *x = inside(e);

    if (!atomic_load(&x->opened))
        return "search cluster not reached";
    return cluster_nodes_down(x->cluster) == cluster_nodes(x->cluster) ? "search cluster down" : NULL;
}

/* ---- life */

static void
stop(struct engine *e)
{
    struct opensearch *o = e->impl;

    atomic_store(&o->c.ending, true);
    threads_free(&o->threads);
    writer_free(&o->c.writer);
}

static void
close_opensearch(struct engine *e)
{
    struct opensearch *o = e->impl;

    stop(e);
    while (o->free) {
        struct place *p = conn_take(o);

        cluster_conn_free(&p->conn);
        mem_free(&p);
    }
    corpus_cache_free(&o->c.corpora);
    tombs_free(&o->c.tombs);
    cluster_free(&o->c.cluster);
    pthread_mutex_destroy(&o->c.lock);
    pthread_mutex_destroy(&o->lock);
    mem_free(&o);
}

static struct engine *
open_opensearch(const struct engine_host *h)
{
    struct opensearch *o = mem_new(sizeof *o);
    unsigned n = (unsigned)h->opt->opensearch_searches;
    struct cluster_engine *x = &o->c;

    x->e = (struct engine){ .full = "the search cluster has no room left",
                            .capacity = (long)n + QUEUE_PER_SEARCH,
                            .search = search,
                            .change = change,
                            .load = load,
                            .unload = unload,
                            .bytes = bytes,
                            .cost = cost,
                            .busy = busy,
                            .resume = resume,
                            .reached = reached,
                            .stats = stats,
                            .sample = sample,
                            .health = health,
                            .stop = stop,
                            .close = close_opensearch,
                            .impl = o };
    x->opt = h->opt;
    x->loop = h->loop;
    pthread_mutex_init(&x->lock, NULL);
    pthread_mutex_init(&o->lock, NULL);
    x->cluster = cluster_new(h->opt);
    x->tombs = tombs_new();
    x->corpora = corpus_cache_new();
    for (unsigned i = 0; i < n; i++) {
        struct place *p = mem_new(sizeof *p);

        p->conn = cluster_conn_new(x->cluster);
        conn_put(o, p);
    }
    o->threads = threads_new(h->loop, n, QUEUE_PER_SEARCH * n);
    x->writer = writer_new(x);
    return &x->e;
}

static void
check(const struct retriever_opt *o, struct buf *err)
{
    cluster_check(o, err);
}

const struct engine_kind opensearch_engine = {
    .name = "opensearch", .open = open_opensearch, .check = check, .apart = true
};
