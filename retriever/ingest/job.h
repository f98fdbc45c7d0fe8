/* One document being ingested. Private to retriever/ingest/. All of it belongs to the loop's thread, but for
 * what job_read touches while it runs on a maker thread. */
#ifndef RETRIEVER_INGEST_JOB_H
#define RETRIEVER_INGEST_JOB_H

#include "common/text/text.h"
#include "retriever/extract/chunk.h"
#include "retriever/retriever.h"

enum {
    JOB_WINDOW = 256,       /* chunks of a window … */
    JOB_WINDOW_MOST = 1024, /* … where the embedder is fast and so many vectors are not too large */
    JOB_BATCH = 64,         /* texts of one EMBED at most */
    JOB_EMBEDS = 8,         /* of them at once */
    JOB_TRIES = 4,          /* of a step that a passing fault met */
    JOB_LEASE_MS = 30000,   /* of a claimed document */
    JOB_MEMBERS = 64,       /* small documents that go together; small: */
    SMALL_CHUNKS = 64,      /* passages at most */
    SMALL_BYTES = 262144    /* and bytes of text */
};

struct job;
struct lot;
struct ingest {
    struct retriever *r;
    struct job *jobs;        /* all at hand */
    size_t active;           /* how many */
    size_t lots;             /* of which they are */
    int64_t claim_most;      /* documents at once; 1 after a claim that could not be read */
    struct flow {            /* load of the embedder: as much as it makes in a second or two */
        size_t texts, calls; /* of a call, and at once */
        size_t in_flight;    /* calls */
        bool poking;         /* jobs that had to wait will be looked at */
    } flow;
    bool asking; /* a claim, or the question which model, is in flight */
    bool draining;
    bool waits;     /* the store was told that documents wait for embeddings */
    char away[129]; /* a model in use somewhere that cannot be asked: its documents get the embedder's */
    int64_t away_until_ms;           /* then it is tried again */
    int64_t pause_ms, not_before_ms; /* after faults */
    void (*drained)(void *arg);
    void *drained_arg;
};

struct lot { /* documents that were claimed together */
    struct ingest *g;
    struct arena *arena; /* of their claims */
    size_t refs;         /* jobs that are left */
    size_t reading;      /* of them on their way to or from a maker */
};

struct window_item {    /* one chunk of the window at hand */
    struct job *of;     /* its owner: the job itself, or a member */
    size_t piece;       /* of its pieces */
    uint8_t hash[32];   /* of what is embedded */
    struct str passage; /* the embedded text; in job->passages */
    float *vector;      /* in job->vectors; NULL: not there yet */
    bool asked;         /* part of an EMBED that was sent */
    bool fresh;         /* newly embedded */
    size_t same_as;     /* 1 + an earlier item with the same hash; 0: none */
};

struct batch { /* texts of one EMBED call */
    struct job *job;
    bool busy; /* in flight */
    size_t n;
    int64_t sent_ms;
    size_t index[JOB_BATCH]; /* items */
};

struct job {
    struct ingest *g;
    struct job *prev, *next;
    struct lot *lot; /* it came with, which has the claim's memory */
    const struct job_claim_rep *claim;
    /* Small documents of a lot are ingested together: one leads, its window holds the chunks of all, and it ends them all at once. */
    struct job *member[JOB_MEMBERS]; /* the leader's, itself first */
    size_t n_members;                /* 0: it goes by itself */
    struct job *leader;              /* of a member; NULL: it goes by itself, or waits for its lot */
    bool waits;                      /* read; its lot is not yet */
    bool starved;                    /* has texts to send when others' calls end */
    char tenant[65];                 /* of the claim */
    /* read by job_read */
    struct arena *arena; /* of pieces */
    struct extracted doc;
    struct str title; /* the client's, else the document's own */
    struct pieces pieces;
    const char *why; /* not readable: the reason */
    /* the window */
    size_t first, n;          /* of a job by itself: pieces [first, first + n) */
    struct window_item *item; /* JOB_WINDOW_MOST */
    struct buf passages;      /* text of the window's items */
    float *vectors;           /* n × dims */
    size_t dims;              /* of vectors */
    char model[129];          /* of vectors */
    bool by_name;             /* it is not the embedder's own choice: the one in use in the collection */
    struct batch batch[JOB_EMBEDS];
    unsigned in_flight; /* batches that are busy */
    enum err embed_err; /* of the first that failed */
    /* steps */
    void (*step)(struct job *j); /* the step at hand: done again after a passing fault */
    unsigned tries;              /* of this step */
    uint64_t retry, renew;       /* timers */
    unsigned calls;              /* of any kind, in flight */
    bool reading;                /* a maker thread has it */
    bool dead;                   /* ended: freed when nothing is in flight */
    bool fault;                  /* ended by a passing fault of the embedder */
    const char *interrupt;       /* give it back as soon as possible, with this text */
    char error[1024];            /* for JOB_FINISH */
    bool again;                  /* for JOB_FINISH */
    bool off;                    /* again, for what concerns this document alone */
    int64_t wait_ms;             /* for JOB_FINISH */
    bool unspent;                /* with again: the host could not read it, which costs no attempt */
    size_t embedded, stored;     /* chunks */
    int64_t started_ms;
};

/* ingest.c */
void ingest_ended(struct ingest *g, bool fault);
void ingest_pause(struct ingest *g); /* the next claim waits a moment */
/* job.c */
struct job *job_new(struct lot *l, const struct job_claim_rep *claim);
void job_free(struct job *j);
void job_start(struct job *j);
void job_fail(struct job *j, const char *why);      /* for good */
void job_give_back(struct job *j, const char *why); /* a passing fault */
void job_interrupt(struct job *j, const char *why); /* give it back at the next step */
/* Call with the job's tenant; fn(arg, reply) comes unless the job ended before. */
void job_call(struct job *j, enum kind kind, const void *req, reply_fn fn, void *arg);
/* The reply's verdict: true when the step went well. Else the step is repeated, or the job ends. */
bool job_ok(struct job *j, struct reply *r);
void job_step(struct job *j, void (*step)(struct job *j));
void job_alone(struct job *j);                    /* read before: text, windows, end, by itself */
void job_end(struct job *j, enum job_result how); /* it is over: gone as soon as nothing points to it */
/* lot.c: who goes together */
void lot_put(struct lot *l);                                     /* one of its jobs is gone */
void lot_ready(struct lot *l);                                   /* all of it is read */
void lot_release(struct job *leader, void (*fn)(struct job *j)); /* each goes on by itself: fn */
void lot_done_step(struct job *leader);                          /* all chunks have vectors: jobs.done */
/* window.c: the windows; calls job_report at the end */
void job_window(struct job *j);
size_t window_most(struct job *j); /* chunks of one; makes room for its items */
void job_vectors(struct job *j);   /* a window whose items name their pieces: vectors, then the store */
struct chunk job_chunk(const struct job *j, size_t item); /* of the window */
struct str job_space(const struct job *j, int64_t *dims); /* the model that was in use when it was claimed */
void flow_forget(struct job *j);                          /* it is over: its calls count no longer */
void job_report(struct job *j);

#endif
