/* footnote-retriever: everything between a document and a ranked passage.
 *
 *   documents ── job.claim ──▶ extract ▶ chunk ▶ embed ▶ job.chunks ──▶ store
 *   store ── changes, chunks.get ──▶ engine (engine.tbl) ──▶ search ──▶ gateway
 *
 * Serves SEARCH and CITE; calls store and embedder through the hub. Owns nothing on disk: the index is built from the
 * store at start and follows the change feed. Any number may run; each holds the whole index and shares the jobs.
 * Stops on SIGTERM: documents at hand are put back, searches in flight finish, exit 0. */
#include "retriever/fallback.h"
#include "retriever/fresh.h"
#include "retriever/ingest/ingest.h"
#include "retriever/model.h"
#include "retriever/reembed/reembed.h"
#include "retriever/retriever.h"

#include <unistd.h>

#include "common/log.h"
#include "common/process/threads.h"
#include "retriever/extract/beside.h"
#include "retriever/extract/child.h"
#include "retriever/extract/convert.h"

enum { QUEUE_PER_THREAD = 16, MAKER_QUEUE = 64, GIVE_BACK_MS = 3000, FRESH_BYTES = 33554432 };

static const struct opt_def opts[] = {
#define OPT_STRUCT struct retriever_opt
#define OPT OPT_ROW
#include "retriever/opt.tbl"
#undef OPT
};

static void
on_drained(void *arg)
{
    proc_exit(arg, 0);
}

/* Jobs were given back, or took too long to: their leases lapse. */
static void
jobs_given_back(void *arg)
{
    struct proc *p = arg;
    struct retriever *r = p->ctx;

    if (!r->leaving) {
        r->leaving = true;
        worker_drain(r->worker, on_drained, p);
    }
}

static void
drain(struct proc *p)
{
    struct retriever *r = p->ctx;

    feed_stop(r->feed);
    fallback_end_feed(r->fallback);
    reembed_stop(r->reembed);
    (void)loop_after(p->loop, GIVE_BACK_MS, jobs_given_back, p);
    ingest_drain(r->ingest, jobs_given_back, p);
}

static bool
ready(struct proc *p, struct buf *reasons)
{
    struct retriever *r = p->ctx;
    bool registered = worker_registered(r->worker), loaded = feed_caught_up(r->feed);
    bool words = fallback_ready(r->fallback); /* then it is ready without its engine */
    const char *sick = r->engine->health ? r->engine->health(r->engine) : NULL;

    if (words && !sick && loaded && fallback_stands_in(r->fallback))
        sick = "search engine failing";
    if (!registered)
        buf_z(reasons, "no hub");
    if (!loaded)
        buf_z(reasons, registered ? "index loading" : ", index loading");
    if (sick)
        buf_printf(reasons, "%s%s", registered && loaded ? "" : ", ", sick);
    if (words && (!loaded || sick))
        buf_z(reasons, ", searched by words only");
    if (!words && r->fallback && fallback_sick(r->fallback))
        buf_printf(reasons, "%s%s", registered && loaded && !sick ? "" : ", ", fallback_sick(r->fallback));
    return registered && (words || (loaded && !sick));
}

static void
sample(struct proc *p)
{
    struct retriever *r = p->ctx;
    struct engine_stats s = r->engine->stats(r->engine);

    if (r->engine->sample)
        r->engine->sample(r->engine);
    fallback_sample(r->fallback);
    stat_set(&retriever_stats, RETRIEVER_DOCUMENTS, (double)s.documents);
    stat_set(&retriever_stats, RETRIEVER_PASSAGES, (double)s.passages);
    stat_set(&retriever_stats, RETRIEVER_BYTES, (double)s.bytes);
    stat_set(&retriever_stats, RETRIEVER_SEQ, (double)feed_seq(r->feed));
    stat_set(&retriever_stats, RETRIEVER_AGE, feed_age_s(r->feed));
    stat_set(&retriever_stats, RETRIEVER_WAITING, (double)feed_waiting(r->feed));
    stat_set(&retriever_stats, RETRIEVER_RUNNING, (double)ingest_active(r->ingest));
    stat_set(&retriever_stats, RETRIEVER_PENDING, (double)feed_pending(r->feed));
    stat_set(&retriever_stats, RETRIEVER_READER_FAULTS, (double)child_failures());
    stat_set(&retriever_stats, RETRIEVER_ASIDE, (double)feed_aside(r->feed));
}

static void
stop(struct proc *p)
{
    struct retriever *r = p->ctx;

    if (!r)
        return;
    beside_stop();
    threads_free(&r->searchers);
    threads_free(&r->makers);
    threads_free(&r->readers);
    if (r->engine)
        r->engine->stop(r->engine);
    fallback_stop(r->fallback);
    worker_free(&r->worker);
    feed_free(&r->feed);
    fallback_free(&r->fallback);
    fresh_free(&r->fresh);
    ingest_free(&r->ingest);
    reembed_free(&r->reembed);
    model_free(&r->model);
    engine_close(&r->engine);
    mem_free(&p->ctx);
}

static unsigned
thread_count(const struct retriever_opt *o)
{
    long n = o->threads > 0 ? o->threads : sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > 256 ? 256 : (unsigned)n;
}

static int
start(struct proc *p)
{
    const struct retriever_opt *o = p->opt;
    struct retriever *r = mem_new(sizeof *r);
    unsigned n = thread_count(o);
    struct engine_host host = { .loop = p->loop, .opt = o, .n_threads = n, .worker = &r->worker };
    const struct worker_service offers[] = { { SERVICE_RETRIEVE,
                                               0 } }; /* until the index is loaded: feed.c */
    struct worker_config cfg = { .endpoints = o->hub_endpoints,
                                 .opts = &p->opts,
                                 .services = offers,
                                 .n_services = 1,
                                 .ctx = r,
                                 .drain_ms = 1000 * o->drain_timeout };

    retriever_stats_init();
    child_init(o->extract_timeout, (size_t)o->extract_max_bytes);
    convert_init(o->extract_url, o->extract_formats, o->extract_timeout);
    cfg.handlers[KIND_SEARCH] = on_search;
    cfg.handlers[KIND_CITE] = on_cite;
    p->ctx = r;
    r->opt = o;
    r->loop = p->loop;
    r->searchers = threads_new(p->loop, n, QUEUE_PER_THREAD * n);
    r->makers = threads_new(p->loop, n > 4 ? 4 : n, MAKER_QUEUE);
    r->readers = threads_new(p->loop, n > 2 ? 4 : 2, MAKER_QUEUE);
    host.threads = r->searchers;
    r->engine = engine_open(&host);
    if (!r->engine)
        return -1;
    r->fallback = fallback_new(r, &host);
    r->worker = worker_new(p->loop, &cfg);
    if (!r->worker)
        return -1;
    r->model = model_new(r);
    r->ingest = ingest_new(r);
    r->fresh = fresh_new(FRESH_BYTES);
    r->feed = feed_new(r, r->engine);
    fallback_begin(r->fallback);
    r->reembed = reembed_new(r);
    return 0;
}

static void
check(const void *opt, struct buf *err)
{
    const struct retriever_opt *o = opt;

    worker_check(o->hub_endpoints, o->bus_curve, o->bus_secret_key, o->hub_public_key, err);
    engine_check(o, err);
    convert_check(o->extract_url, o->extract_formats, err);
    if (o->vector_weight < 0 && o->vector_weight > -1)
        buf_printf(err, "VECTOR_WEIGHT: %g; allowed: 0 to 1, or -1\n", o->vector_weight);
}

int
main(int argc, char **argv)
{
    static const struct service svc = {
        .name = "retriever",
        .summary = "turns documents into passages and finds those that answer a question",
        .manual =
            "Extracts, cuts and indexes documents, and searches them by words and vectors. Needs a "
            "hub (the gateway), and through it the store and, for new documents, the embedder. Holds the whole index "
            "in memory and rebuilds it from the store at start. Stops on SIGTERM: documents at hand are put back, "
            "searches in flight finish.",
        .opts = opts,
        .n_opts = sizeof opts / sizeof opts[0],
        .opt_size = sizeof(struct retriever_opt),
        .check = check,
        .start = start,
        .ready = ready,
        .drain = drain,
        .stop = stop,
        .sample = sample,
    };

    return proc_main(argc, argv, &svc);
}
