/* One document being ingested. Only ingest.c and job*.c include this. All of it belongs to the loop's thread, but for
 * what job_read touches while it runs on a maker thread. */
#ifndef RETRIEVER_JOB_H
#define RETRIEVER_JOB_H

#include "common/text.h"
#include "retriever/chunk.h"
#include "retriever/retriever.h"

enum { JOB_WINDOW = 256, JOB_BATCH = 64, JOB_EMBEDS = 4, JOB_TRIES = 4 };

struct job;
struct ingest {
    struct retriever *r;
    struct job *jobs;          /* all at hand */
    size_t active;             /* how many */
    bool asking;               /* a claim or a probe is in flight */
    bool draining;
    bool waits;                /* the store was told that documents wait for embeddings */
    char model[129];           /* that embeds; "": not known (any more) */
    size_t dims;               /* of its vectors */
    int64_t pause_ms, not_before_ms; /* after faults */
    void (*drained)(void *arg);
    void *drained_arg;
};

struct window_item {           /* one chunk of the window at hand */
    uint8_t hash[32];          /* of what is embedded */
    struct str passage;        /* what is embedded; in job->passages */
    float *vector;             /* in job->vectors; NULL: not there yet */
    bool asked;                /* part of an EMBED that was sent */
    bool fresh;                /* newly embedded */
    size_t same_as;            /* 1 + an earlier item with the same hash; 0: none */
};

struct batch {                 /* texts of one EMBED call */
    struct job *job;
    bool busy;                 /* in flight */
    size_t n;
    size_t index[JOB_BATCH];   /* items */
};

struct job {
    struct ingest *g;
    struct job *prev, *next;
    struct arena *claim_arena; /* of claim */
    const struct job_claim_rep *claim;
    char tenant[65];           /* of the claim */
    /* read by job_read */
    struct arena *arena;       /* of pieces */
    struct buf text;           /* normalised */
    enum doc_format format;
    struct str title;          /* the client's, else the document's own */
    struct pieces pieces;
    const char *why;           /* not readable: the reason */
    char reason[256];
    /* the window */
    size_t first, n;           /* pieces [first, first + n) */
    struct window_item item[JOB_WINDOW];
    struct buf passages;       /* text of the window's items */
    float *vectors;            /* JOB_WINDOW × dims */
    size_t dims;               /* of vectors */
    char model[129];           /* of vectors */
    struct batch batch[JOB_EMBEDS];
    unsigned in_flight;        /* batches that are busy */
    enum err embed_err;        /* of the first that failed */
    /* steps */
    void (*step)(struct job *j); /* what is being done: done again after a passing fault */
    unsigned tries;            /* of this step */
    uint64_t retry, renew;     /* timers */
    unsigned calls;            /* of any kind, in flight */
    bool reading;              /* a maker thread has it */
    bool dead;                 /* ended: freed when nothing is in flight */
    bool fault;                /* ended by a passing fault of the embedder */
    const char *interrupt;     /* give it back as soon as possible, with this text */
    char error[1024];          /* for JOB_FINISH */
    bool again;                /* for JOB_FINISH */
    size_t embedded, stored;   /* chunks */
    int64_t started_ms;
};

/* ingest.c */
bool ingest_model(struct ingest *g, const struct embed_rep *rep);
void ingest_ended(struct ingest *g, bool fault);
/* job.c */
struct job *job_new(struct ingest *g, struct reply *claim);   /* takes the reply's arena */
void job_free(struct job *j);
void job_start(struct job *j);
void job_fail(struct job *j, const char *why);                /* for good */
void job_give_back(struct job *j, const char *why);           /* a passing fault */
void job_interrupt(struct job *j, const char *why);           /* give it back at the next step */
/* Call with the job's tenant; fn(arg, reply) comes unless the job ended before. */
void job_call(struct job *j, enum kind kind, const void *req, reply_fn fn, void *arg);
/* The reply's verdict: true when the step went well. Else the step is repeated, or the job ends. */
bool job_ok(struct job *j, struct reply *r);
void job_step(struct job *j, void (*step)(struct job *j));
/* job_embed.c: the windows; calls job_finish at the end */
void job_window(struct job *j);
void job_finish(struct job *j);

#endif
