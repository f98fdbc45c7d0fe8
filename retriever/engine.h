/* A search engine: it holds the passages and finds those that answer a question. Each is a file or
 * folder and a row of engine.tbl; the feed, the search and the ingestion know it by this header
 * only. INDEX_ENGINE chooses.
 *
 *   pages ─▶ load (a thread) ─▶ doc ─▶ change: put ─▶ done         question ─▶ search ─▶ done
 *
 * An engine may answer at once on a thread of its own or the host's, or later, when a server has answered on
 * the loop: search and change return at once, and done comes in the loop's thread, exactly once, never from
 * inside. Everything else may come from any thread. */
#ifndef RETRIEVER_ENGINE_H
#define RETRIEVER_ENGINE_H

#include <stdatomic.h>

#include "common/process/loop.h"
#include "proto/msg.h"
#include "retriever/filter.h"
#include "text/words.h"

struct retriever_opt;
struct worker;
struct engine;

/* ---- questions */
struct engine_query {
    struct str tenant; /* the wall */
    const struct strs *collections;
    struct str text;             /* the question */
    struct str context;          /* the exchange that it follows up on; may be absent */
    const float *vector;         /* unit length; NULL: by words only */
    size_t dims;                 /* of vector */
    struct str model;            /* that made it */
    const struct filter *filter; /* never NULL; holds before anything is scored */
    size_t top_k;                /* 1 … 200 */
    double threshold;            /* least score of a hit, unless all */
    bool all;                    /* weak hits too */
};
/* A text that a reader selected, and the names of where, which may be absent. */
struct engine_selected {
    struct str text, chapter, section;
};
struct engine_search {
    struct engine_query query;
    struct engine_selected
        selected; /* text absent: nothing was. Else what is near to it is found too, and where it stands */
    struct arena *arena; /* everything that is found is copied into it */
    int64_t deadline_ms; /* clock_ms(); afterwards nobody waits */
    atomic_bool
        cancelled; /* the caller went away; set in the loop's thread: the engine looks at it, done still comes */
    /* the result */
    enum err err;            /* ERR_OK: found stands */
    const char *text;        /* with an error: a phrase users may see, static, or NULL */
    struct search_rep found; /* best passages first; found.selected: the place below, if it was found */
    struct hit place;        /* of the selection */
    void (*done)(struct engine_search *s);
    void *arg;  /* the caller's own */
    void *impl; /* the engine's own */
};

/* ---- changes: they take effect in the order in which they are given, and are visible to each search that begins after done */
enum engine_op {
    ENGINE_PUT,    /* replace the document of that id, or add it */
    ENGINE_DELETE, /* it is gone; no error when it was not there */
    ENGINE_DROP,   /* a whole collection */
    ENGINE_CLEAR   /* everything */
};
struct engine_change {
    enum engine_op op;
    struct str tenant, collection; /* borrowed until done */
    struct uuid id;                /* PUT, DELETE */
    /* Grows with the feed's sequence. Of two changes of one document, whoever made them, the one with the higher version stands, in
     * whatever order they come; where a server keeps the index, several retrievers write. */
    int64_t version;
    void *doc; /* PUT: consumed */
    /* The result of a PUT. ERR_INDEX_FULL: there is no room; another error: it is loaded once more, and then put aside. With either it
     * is not findable at all, since its older version is gone from the store. The others cannot fail: they are tried until they succeed. */
    enum err err;
    void (*done)(struct engine_change *c);
    void *arg;                  /* the caller's own */
    void *impl;                 /* the engine's own */
    struct engine_change *next; /* likewise */
};

struct engine_stats {
    size_t documents, passages, bytes; /* that can be found */
};

struct engine {
    const char *full; /* what to do when there is no room: "the index is full (…): …" */
    long capacity;    /* searches at once; offered to the hubs */
    /* False: too busy, done does not come; somebody else may have time. */
    bool (*search)(struct engine *e, struct engine_search *s);
    void (*change)(struct engine *e, struct engine_change *c); /* never refused */
    /* Add a page of chunks to a document that is being built; *doc NULL: it begins. False: no memory. Any thread, no lock. */
    bool (*load)(struct engine *e, void **doc, struct words *w, const struct chunks_get_rep *page);
    void (*unload)(struct engine *e, void **doc); /* frees what was not put; NULL is fine */
    size_t (*bytes)(struct engine *e, const void *doc);
    /* The bytes that a document will take, roughly, before it has vectors. */
    size_t (*cost)(struct engine *e, size_t text_bytes, size_t passages, size_t dims);
    bool (*room)(struct engine *e,
                 size_t bytes); /* would that much more fit; NULL: its server says when there is none */
    struct engine_stats (*stats)(struct engine *e);
    /* Of an engine whose index outlives the process; each may be NULL. busy: no more documents for now. resume: false, it is not known
     * yet; else changes after *after are wanted, and everything up to *known can be found meanwhile. reached: every change up to seq
     * is done, and with all no other is known. */
    bool (*busy)(struct engine *e);
    bool (*resume)(struct engine *e, int64_t *after, int64_t *known);
    void (*reached)(struct engine *e, int64_t seq, bool all);
    void (*sample)(struct engine *e);        /* its gauges; may be NULL */
    const char *(*health)(struct engine *e); /* NULL: it is well; else why not, static; may be NULL */
    void (*stop)(struct engine *e);          /* its threads and calls end: no done comes after it */
    void (*close)(struct engine *e);         /* after the last unload */
    void *impl;                              /* its own state */
};

/* ---- engine.c: the choice */
struct engine_host { /* what an engine gets; outlives it */
    struct loop *loop;
    const struct retriever_opt *opt;
    struct pool_threads *threads; /* RETRIEVER_THREADS of them, for searches */
    unsigned n_threads;
    struct worker *const
        *worker; /* the way to the store; it comes after the engine, and goes before its close */
};
struct engine_kind {
    const char *name;                                              /* in INDEX_ENGINE */
    struct engine *(*open)(const struct engine_host *h);           /* NULL after logging why */
    void (*check)(const struct retriever_opt *o, struct buf *err); /* its options; may be NULL */
    bool apart; /* its server may be away while Postgres is there: another index may stand in */
};
#define ENGINE(name) extern const struct engine_kind name##_engine;
#include "retriever/engine.tbl"
#undef ENGINE
/* pgvector/: no vectors, and no extension; what INDEX_FALLBACK=words asks */
extern const struct engine_kind words_engine;

void engine_check(const struct retriever_opt *o, struct buf *err);
struct engine *engine_open(const struct engine_host *h);
/* The one that stands in when that one's server is away. NULL: INDEX_FALLBACK says that there is none. */
struct engine *engine_open_fallback(const struct engine_host *h);
void engine_close(struct engine **e); /* NULL is fine */

static inline bool
engine_room(struct engine *e, size_t bytes)
{
    return !e->room || e->room(e, bytes);
}

#endif
