/* Changes, on a thread of their own, in their order:
 *
 *   change ─▶ waiting ─▶ batch: heads (_mget) ─▶ lines (_bulk) ─▶ taken ─▶ refresh ─▶ done, in the loop's thread
 *
 * A batch is repeated until the cluster takes it: each line names the version of its change, so a line that was taken before, or
 * is older than what is there, changes nothing. A line that the cluster never takes fails its document. */
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/process/cond.h"
#include "common/text/json.h"
#include "common/text/text.h"
#include "retriever/opensearch/opensearch.h"

enum {
    BATCH = 256,
    BATCH_BYTES = 8 << 20,
    BUSY_BYTES = 6 << 20,
    REFRESH_MS = 1000,
    CHECKPOINT_MS = 1000,
    STATS_MS = 500,
    IDLE_MS = 250,
    PAUSE_MIN_MS = 100,
    PAUSE_MAX_MS = 5000,
    CALL_MS = 60000
};

struct writer {
    struct cluster_engine *e;
    struct cluster_conn *conn;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t some;
    struct changes waiting;
    int64_t reached;
    bool all;
    bool end;
    atomic_size_t pending; /* changes that are not done */
    /* the thread's own */
    struct changes batch, taken;
    int64_t refreshed_ms, checked_ms, counted_ms, pause_ms;
    bool counts_old;
};

/* c->impl of a delete: its entry among the tombs. */
static uint64_t
handle_of(const struct engine_change *c)
{
    return (uint64_t)(uintptr_t)c->impl;
}

static size_t
change_bytes(const struct engine_change *c)
{
    return c->doc ? ((const struct cluster_doc *)c->doc)->lines.n : 0;
}

static void
changes_add(struct changes *l, struct engine_change *c)
{
    c->next = NULL;
    if (!l->first)
        l->last = &l->first;
    *l->last = c;
    l->last = &c->next;
    l->n++;
    l->bytes += change_bytes(c);
}

static struct engine_change *
changes_take(struct changes *l)
{
    struct engine_change *c = l->first;

    l->first = c->next;
    l->n--;
    l->bytes -= change_bytes(c);
    return c;
}

static void
drop_doc(struct engine_change *c)
{
    struct cluster_doc *d = c->doc;

    c->doc = NULL;
    cluster_doc_free(&d);
}

/* ---- whole collections */

/* Everything of it that is older. The cluster deletes what a search finds, so that comes up to date first; until nothing is left. */
static bool
drop(struct writer *w, const struct generation *g, const struct engine_change *c)
{
    struct buf b = BUF_MAX(8192);
    char path[192];
    json_t *v = NULL;
    bool good = schema_refresh(w->e, w->conn, g);

    (void)snprintf(path, sizeof path, "/%s/_delete_by_query?conflicts=proceed&refresh=true", g->name);
    buf_printf(
        &b,
        "{\"query\":{\"bool\":{\"filter\":[{\"range\":{\"ver\":{\"lt\":%lld}}}],\"minimum_should_match\":1,\"should\":[",
        (long long)c->version);
    buf_printf(&b, "{\"term\":{\"k\":\"%016llx\"}},{\"bool\":{\"filter\":[{\"term\":{\"t\":",
               (unsigned long long)hash_pair(c->tenant, c->collection));
    buf_json(&b, c->tenant);
    buf_z(&b, "}},{\"term\":{\"c\":");
    buf_json(&b, c->collection);
    buf_z(&b, "}}]}}]}}}");
    good = good && cluster_post(w->e, w->conn, path, buf_slice(&b), &v);
    good = good && json_int(v, "version_conflicts", 1) == 0 &&
           json_array_size(json_object_get(v, "failures")) == 0;
    json_decref(v);
    buf_free(&b);
    return good;
}

/* ---- the thread */

static bool
apply_to(struct writer *w, struct generation *g)
{
    const struct engine_change *c = w->batch.first;

    if (g->name[0] == 0)
        return true;
    return c->op == ENGINE_DROP ? drop(w, g, c) : bulk_put(w->e, w->conn, g, &w->batch);
}

static bool
apply(struct writer *w)
{
    if (w->batch.first->op == ENGINE_CLEAR)
        return schema_again(w->e, w->conn);
    return apply_to(w, &w->e->live) && apply_to(w, &w->e->next);
}

/* Documents go together; a whole collection, or everything, alone. */
static void
take_batch(struct writer *w)
{
    while (w->waiting.first && w->batch.n < BATCH && w->batch.bytes < BATCH_BYTES) {
        bool whole = w->waiting.first->op == ENGINE_DROP || w->waiting.first->op == ENGINE_CLEAR;

        if (whole && w->batch.n > 0)
            break;
        changes_add(&w->batch, changes_take(&w->waiting));
        if (whole)
            break;
    }
}

/* In the loop's thread. */
static void
all_done(void *arg)
{
    struct engine_change *c = arg;

    while (c) {
        struct engine_change *next = c->next;

        c->done(c);
        c = next;
    }
}

static void
taken_visible(struct writer *w)
{
    for (struct engine_change *c = w->taken.first; c; c = c->next) {
        drop_doc(c);
        if (c->impl)
            tombs_done(w->e->tombs, handle_of(c), &c->id);
    }
    atomic_fetch_add(&w->e->writes, 1);
    atomic_fetch_sub(&w->pending, w->taken.n);
    loop_post(w->e->loop, all_done, w->taken.first);
    w->taken = (struct changes){ .n = 0 };
    w->counts_old = true;
}

static void
refresh(struct writer *w, bool idle)
{
    int64_t now = clock_ms();

    if (w->taken.n == 0 || (!idle && now - w->refreshed_ms < REFRESH_MS))
        return;
    if (!schema_refresh(w->e, w->conn, &w->e->live))
        return;
    w->refreshed_ms = now;
    taken_visible(w);
}

static void
count(struct writer *w)
{
    static const char query[] =
        "{\"size\":0,\"track_total_hits\":true,\"aggs\":{\"h\":{\"filter\":{\"exists\":{\"field\":\"k\"}}},"
        "\"c\":{\"filter\":{\"exists\":{\"field\":\"t\"}}}}}";
    char path[160];
    json_t *v = NULL;
    const json_t *a;

    if (!w->counts_old || clock_ms() < w->counted_ms)
        return;
    (void)snprintf(path, sizeof path, "/%s/_search", w->e->live.name);
    if (!cluster_post(w->e, w->conn, path, str_of(query), &v))
        return;
    a = json_object_get(v, "aggregations");
    atomic_store(&w->e->documents, (size_t)json_int(json_object_get(a, "h"), "doc_count", 0));
    atomic_store(&w->e->passages, (size_t)json_int(json_object_get(a, "c"), "doc_count", 0));
    json_decref(v);
    w->counted_ms = clock_ms() + STATS_MS;
    w->counts_old = false;
}

static void
checkpoint(struct writer *w, int64_t reached, bool all)
{
    struct cluster_engine *e = w->e;

    if (clock_ms() < w->checked_ms)
        return;
    w->checked_ms = clock_ms() + CHECKPOINT_MS;
    if (e->next.name[0] && !schema_checkpoint(e, w->conn, &e->next, reached))
        return;
    if (reached >= e->live.seq && !schema_checkpoint(e, w->conn, &e->live, reached))
        return;
    if (e->next.name[0] && all && reached >= e->live.seq && schema_refresh(e, w->conn, &e->next))
        (void)schema_switch(e, w->conn);
}

/* Nothing came for a while, or did: false, it has to end. */
static bool
wait_for_work(struct writer *w, int64_t until)
{
    pthread_mutex_lock(&w->lock);
    while (!w->end && (!w->waiting.first || w->pause_ms > 0) && cond_wait(&w->some, &w->lock, until))
        ;
    if (w->batch.n == 0 && atomic_load(&w->e->opened))
        take_batch(w);
    bool end = w->end;

    pthread_mutex_unlock(&w->lock);
    return !end;
}

static void
again_later(struct writer *w, bool good)
{
    w->pause_ms = good                             ? 0
                  : w->pause_ms == 0               ? PAUSE_MIN_MS
                  : 2 * w->pause_ms < PAUSE_MAX_MS ? 2 * w->pause_ms
                                                   : PAUSE_MAX_MS;
}

static void
batch_taken(struct writer *w)
{
    while (w->batch.first)
        changes_add(&w->taken, changes_take(&w->batch));
}

/* After a failure for a while; with something to make visible, or before the cluster was reached, not at all. */
static int64_t
rest_ms(const struct writer *w)
{
    if (w->pause_ms > 0)
        return w->pause_ms;
    return w->taken.n > 0 || !atomic_load(&w->e->opened) ? 0 : IDLE_MS;
}

static void *
write_thread(void *arg)
{
    struct writer *w = arg;
    struct cluster_engine *e = w->e;

    while (wait_for_work(w, clock_ms() + rest_ms(w))) {
        if (!atomic_load(&e->opened)) {
            bool good = schema_open(e, w->conn);

            w->counts_old = true;
            atomic_store(&e->opened, good);
            again_later(w, good);
            continue;
        }
        if (w->batch.n > 0) {
            bool good = apply(w);

            again_later(w, good);
            if (!good)
                continue;
            batch_taken(w);
        }
        pthread_mutex_lock(&w->lock);
        bool idle = !w->waiting.first, all = w->all;
        int64_t reached = w->reached;

        pthread_mutex_unlock(&w->lock);
        refresh(w, idle);
        if (idle)
            count(w);
        checkpoint(w, reached, all);
    }
    return NULL;
}

/* ---- from the loop's thread */

struct writer *
writer_new(struct cluster_engine *e)
{
    struct writer *w = mem_new(sizeof *w);

    w->e = e;
    w->conn = cluster_conn_new(e->cluster);
    pthread_mutex_init(&w->lock, NULL);
    cond_init(&w->some);
    if (pthread_create(&w->thread, NULL, write_thread, w) != 0) {
        LOG(ERROR, NULL, M("no thread for the search cluster"));
        abort();
    }
    return w;
}

static void
drop_all(struct changes *l)
{
    while (l->first)
        drop_doc(changes_take(l));
}

void
writer_free(struct writer **wp)
{
    struct writer *w = *wp;

    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->end = true;
    pthread_cond_signal(&w->some);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    drop_all(&w->waiting);
    drop_all(&w->batch);
    drop_all(&w->taken);
    cluster_conn_free(&w->conn);
    pthread_cond_destroy(&w->some);
    pthread_mutex_destroy(&w->lock);
    mem_free(wp);
}

void
writer_add(struct writer *w, struct engine_change *c)
{
    atomic_fetch_add(&w->pending, 1);
    pthread_mutex_lock(&w->lock);
    changes_add(&w->waiting, c);
    pthread_cond_signal(&w->some);
    pthread_mutex_unlock(&w->lock);
}

size_t
writer_waiting(struct writer *w)
{
    return atomic_load(&w->pending);
}

bool
writer_busy(struct writer *w)
{
    pthread_mutex_lock(&w->lock);
    bool busy = w->waiting.bytes > BUSY_BYTES;

    pthread_mutex_unlock(&w->lock);
    return busy;
}

void
writer_reached(struct writer *w, int64_t seq, bool all)
{
    pthread_mutex_lock(&w->lock);
    w->reached = seq;
    w->all = all;
    pthread_mutex_unlock(&w->lock);
}
