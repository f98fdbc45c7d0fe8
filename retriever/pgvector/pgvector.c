/* The engine "pgvector": the passages are in Postgres, behind the store, and here is nothing that could not be lost. A question is
 * searched on a thread of its own pool, which waits for the store; changes go through one writer (write.c).
 *
 *   look (each second, or until the index is there) ─▶ opened: from which change the feed goes on ─▶ searches, changes */
#include "common/clock.h"
#include "common/log.h"
#include "retriever/engine_run.h"
#include "retriever/pgvector/pgvector.h"

enum {
    QUEUE_PER_SEARCH = 4,
    LOOK_SOON_MS = 10,
    LOOK_AGAIN_MS = 300,
    LOOK_MS = 1000,
    CALL_MS = 5000,
    SICK_AFTER = 2
};
#define STALE_MS (INT64_C(6) * 24 * 3600 * 1000) /* the feed forgets deletes after 7 days */

static void look(void *arg);

static const char not_reached[] = "search index not reached";

/* ---- is it there */

struct reason {
    const char *missing, *sick;
};
static const struct reason reasons[] = {
    { "extension",
      "the database has no pgvector: install it and say `create extension vector`, or choose another INDEX_ENGINE" },
    { "old",
      "the database's pgvector is older than 0.8: install it and say `alter extension vector update`" },
    { "owner",
      "the tables of pgvector are not made: run footnote-store --migrate with INDEX_ENGINE=pgvector" },
    { "off", "the store makes no search index: INDEX_ENGINE=pgvector is missing there" },
    { NULL, not_reached },
};
static const struct reason reasons_words[] = {
    { "owner", "the tables of words are not made: run footnote-store --migrate with INDEX_FALLBACK=words" },
    { "off", "the store makes no tables of words: INDEX_FALLBACK=words is missing there" },
    { NULL, not_reached },
};

static const char *
reason_of(const struct pgvector *x, struct str missing)
{
    const struct reason *r = x->words ? reasons_words : reasons;

    while (r->missing && !str_is(missing, r->missing))
        r++;
    return r->sick;
}

static void
look_later(struct pgvector *x, int64_t ms)
{
    if (!x->timer && !x->stopped)
        x->timer = loop_after(x->loop, ms, look, x);
}

static void
open_index(struct pgvector *x, const struct index_state_rep *rep)
{
    x->seq = rep->seq;
    x->sick = NULL;
    LOG(INFO, NULL, M(x->words ? "words in Postgres" : "search index in Postgres"), KI("seq", rep->seq));
    atomic_store(&x->opened, true);
    pg_writer_go(x->writer);
}

static void
on_cleared(void *arg, struct reply *r)
{
    struct pgvector *x = arg;
    const struct ack *rep = r->rep;

    x->looking = false;
    x->clearing = r->err != ERR_OK || rep->count > 0;
    look_later(x, LOOK_SOON_MS);
}

/* The index begins anew: deletes of the meantime would be missing in it. */
static void
clear(struct pgvector *x)
{
    struct index_drop_req q = { .version = 0 };

    x->looking = true;
    (void)worker_call(*x->worker, NULL, KIND_INDEX_DROP, &q, "", "", CALL_MS, on_cleared, x);
}

static void
on_look(void *arg, struct reply *r)
{
    struct pgvector *x = arg;
    const struct index_state_rep *rep = r->rep;
    int64_t took = clock_ms() - x->looked_ms;
    const char *sick = x->sick;

    x->looking = false;
    x->failed = r->err == ERR_OK ? 0 : x->failed + 1;
    if (r->err != ERR_OK) {
        if (x->failed >= SICK_AFTER)
            x->sick = not_reached;
        look_later(x, LOOK_AGAIN_MS);
        return;
    }
    x->sick = rep->missing.n ? reason_of(x, rep->missing) : NULL;
    if (x->sick && x->sick != sick)
        LOG(ERROR, NULL, M("the search index is not there"), KS("why", x->sick));
    if (x->sick) {
        look_later(x, LOOK_AGAIN_MS);
        return;
    }
    if (!atomic_load(&x->opened) && rep->seq > 0 && rep->age_ms > STALE_MS) {
        x->clearing = true;
        look_later(x, LOOK_SOON_MS);
        return;
    }
    if (!atomic_load(&x->opened))
        open_index(x, rep);
    if (rep->documents > 0 || clock_ms() >= x->counted_ms) {
        atomic_store(&x->documents, (size_t)rep->documents);
        atomic_store(&x->passages, (size_t)rep->passages);
        x->counted_ms = clock_ms() + 20 * took; /* counting costs a twentieth of the time at most */
    }
    look_later(x, LOOK_MS);
}

static void
look(void *arg)
{
    struct pgvector *x = arg;
    struct index_state_req q = { .reached = x->reached };

    x->timer = 0;
    if (x->stopped || x->looking)
        return;
    if (!worker_registered(*x->worker)) {
        look_later(x, LOOK_SOON_MS);
        return;
    }
    if (x->clearing) {
        clear(x);
        return;
    }
    x->looking = true;
    x->looked_ms = clock_ms();
    q.counted = x->looked_ms >= x->counted_ms;
    (void)worker_call(*x->worker, NULL, KIND_INDEX_STATE, &q, "", "", CALL_MS, on_look, x);
}

/* ---- searches */

static void
search_work(void *arg)
{
    struct engine_search *s = arg;
    struct pgvector *x = s->impl;

    if (atomic_load(&s->cancelled) || clock_ms() >= s->deadline_ms) {
        s->err = atomic_load(&s->cancelled) ? ERR_CANCELLED : ERR_DEADLINE;
    } else if (!atomic_load(&x->opened)) {
        s->err = ERR_NO_WORKER;
        s->text = not_reached;
    } else {
        pg_search(x, s);
    }
}

static bool
search(struct engine *e, struct engine_search *s)
{
    struct pgvector *x = e->impl;

    s->impl = x;
    return engine_run(s, x->threads, search_work);
}

/* ---- changes */

/* Not findable from now on, whatever the store does. */
static void
change(struct engine *e, struct engine_change *c)
{
    struct pgvector *x = e->impl;

    c->err = ERR_OK;
    c->impl = NULL;
    if (c->op == ENGINE_DELETE || c->op == ENGINE_DROP)
        c->impl = (void *)(uintptr_t)tombs_add(x->tombs, c->tenant, c->collection, &c->id, c->version);
    if (c->op == ENGINE_CLEAR)
        x->reached = 0;
    pg_writer_add(x->writer, c);
}

static bool
load(struct engine *e, void **doc, struct words *w, const struct chunks_get_rep *page)
{
    struct pg_doc *d = *doc;

    if (!d)
        *doc = d = mem_new(sizeof *d);
    d->bare = ((const struct pgvector *)e->impl)->words;
    return pg_doc_add(d, w, page);
}

static void
unload(struct engine *e, void **doc)
{
    struct pg_doc *d = *doc;

    (void)e;
    *doc = NULL;
    pg_doc_free(&d);
}

static size_t
bytes(struct engine *e, const void *doc)
{
    (void)e;
    return ((const struct pg_doc *)doc)->bytes.n;
}

static size_t
cost(struct engine *e, size_t text_bytes, size_t passages, size_t dims)
{
    (void)e;
    return 3 * text_bytes + passages * (4 * dims + 600);
}

static bool
busy(struct engine *e)
{
    struct pgvector *x = e->impl;

    return !atomic_load(&x->opened) || pg_writer_busy(x->writer);
}

static bool
resume(struct engine *e, int64_t *after, int64_t *known)
{
    struct pgvector *x = e->impl;

    if (!atomic_load(&x->opened))
        return false;
    *after = *known = x->seq;
    return true;
}

static void
reached(struct engine *e, int64_t seq, bool all)
{
    (void)all;
    ((struct pgvector *)e->impl)->reached = seq;
}

static struct engine_stats
stats(struct engine *e)
{
    struct pgvector *x = e->impl;

    return (struct engine_stats){ atomic_load(&x->documents), atomic_load(&x->passages), 0 };
}

static void
sample(struct engine *e)
{
    struct pgvector *x = e->impl;

    stat_set(&retriever_stats, RETRIEVER_CLUSTER_WAITING, (double)pg_writer_waiting(x->writer));
}

static const char *
health(struct engine *e)
{
    struct pgvector *x = e->impl;

    return x->sick ? x->sick : atomic_load(&x->opened) ? NULL : not_reached;
}

/* ---- life */

static void
stop(struct engine *e)
{
    struct pgvector *x = e->impl;

    x->stopped = true;
    loop_cancel(x->loop, &x->timer);
    asks_end(x->asks);
    threads_free(&x->threads);
}

/* After the worker: no answer comes any more. */
static void
close_pgvector(struct engine *e)
{
    struct pgvector *x = e->impl;

    stop(e);
    pg_writer_free(&x->writer);
    asks_free(&x->asks);
    pg_corpora_free(&x->corpora);
    tombs_free(&x->tombs);
    mem_free(&x);
}

static struct engine *
open_kind(const struct engine_host *h, bool words)
{
    struct pgvector *x = mem_new(sizeof *x);
    unsigned n = (unsigned)h->opt->pgvector_searches;

    x->e = (struct engine){ .full = "the database has no room left",
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
                            .close = close_pgvector,
                            .impl = x };
    x->words = words;
    x->opt = h->opt;
    x->loop = h->loop;
    x->worker = h->worker;
    x->asks = asks_new(h);
    x->tombs = tombs_new();
    x->corpora = pg_corpora_new();
    x->writer = pg_writer_new(x);
    x->threads = threads_new(h->loop, n, QUEUE_PER_SEARCH * n);
    look_later(x, 0);
    return &x->e;
}

static struct engine *
open_pgvector(const struct engine_host *h)
{
    return open_kind(h, false);
}

static struct engine *
open_words(const struct engine_host *h)
{
    return open_kind(h, true);
}

const struct engine_kind pgvector_engine = { .name = "pgvector", .open = open_pgvector };
const struct engine_kind words_engine = { .name = "words", .open = open_words };
