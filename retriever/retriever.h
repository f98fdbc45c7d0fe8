/* The retriever's context and its parts' interfaces. Everything here belongs to the loop's thread. */
#ifndef RETRIEVER_RETRIEVER_H
#define RETRIEVER_RETRIEVER_H

#include "common/process/proc.h"
#include "common/process/stat.h"
#include "proto/worker.h"
#include "retriever/engine.h"

struct retriever_opt {
#define OPT OPT_FIELD
#include "retriever/opt.tbl"
#undef OPT
};

enum {
#define STAT_TBL "retriever/stat.tbl"
#include "common/process/stat_enum.h"
#undef STAT_TBL
};
enum job_result { JOB_DONE, JOB_FAILED, JOB_AGAIN, JOB_LOST };
extern struct stat_set retriever_stats;
void retriever_stats_init(void);

struct retriever {
    const struct retriever_opt *opt;
    struct loop *loop;
    struct worker *worker;
    struct engine *engine;          /* the index; its searches are offered to the hubs when it is loaded */
    struct pool_threads *searchers; /* SEARCH and CITE */
    struct pool_threads *makers;    /* extraction, chunking, documents on their way into the index */
    struct pool_threads *readers;   /* wait for footnote-extract */
    struct feed *feed;
    struct fresh *fresh; /* documents that were just stored (fresh.h) */
    struct model *model; /* that the embedder has (model.h) */
    struct ingest *ingest;
    struct fallback
        *fallback; /* of searches, when the engine's server is away (fallback.h); NULL: there is none */
    struct reembed *reembed; /* another embedding model */
    bool leaving;            /* the jobs are given back; the worker is draining */
};

/* search.c: handlers of the bus */
void on_search(struct delivery *c);
void on_cite(struct delivery *c);

/* feed.c, feed_load.c: the change feed → the index */
struct feed *feed_new(struct retriever *r, struct engine *e);
void feed_free(struct feed **f);
bool feed_caught_up(const struct feed *f); /* was the index up to date once */
int64_t feed_seq(const struct feed *f);    /* every change up to this one is in the index */
double
feed_age_s(const struct feed *f); /* since the feed last answered; since the start, when it never did */
int64_t feed_waiting(const struct feed *f); /* documents that waited for a retriever then */
size_t feed_pending(const struct feed *f);  /* changes known and not yet applied */
size_t feed_aside(const struct feed *f);    /* documents that cannot be loaded for now */
/* The same of some collections (none: of all) of a tenant: what others are waiting for does not count. */
int64_t feed_seq_of(const struct feed *f, const char *tenant, const struct strs *collections);
void feed_stop(struct feed *f); /* poll no more */

#endif
