/* The common part of this folder's files. All of it belongs to the loop's thread. */
#ifndef RETRIEVER_REEMBED_PARTS_H
#define RETRIEVER_REEMBED_PARTS_H

#include "retriever/reembed/reembed.h"

enum { ROUND_TEXTS = 256, ROUND_BATCH = 16, ROUND_CALLS = 4 };

struct text {         /* one passage that is embedded */
    size_t at, n;     /* bytes of round->texts */
    uint8_t hash[32]; /* its chunk's: of what was embedded when it was ingested */
    bool asked, have; /* sent; its vector is there */
};

struct piece_of { /* a document's part of the round */
    const struct model_document *of;
    int64_t from_ord; /* its first passage here */
    size_t first, n;  /* its texts */
    bool last;        /* up to its end */
    bool gone;        /* it has changed since, or went: left out */
};

struct batch { /* texts of one EMBED call */
    struct reembed *b;
    size_t n, index[ROUND_BATCH];
    bool busy;
};

struct round {
    struct batch batch[ROUND_CALLS];
    struct piece_of piece[MODEL_DOCUMENTS];
    size_t n_pieces, next; /* that is loaded */
    struct text text[ROUND_TEXTS];
    size_t n;
    struct buf texts;
    float *vectors; /* n × dims */
    size_t in_flight;
    enum err err; /* of the first call that failed */
    char why[256];
    int64_t send_ms; /* no batch before */
    uint64_t timer;
};

struct reembed {
    struct retriever *r;
    const struct model_claim_rep *work; /* at hand; NULL: none */
    struct arena *arena;                /* of it */
    char tenant[65], collection[129];   /* of the work */
    char after[2049];                   /* external id of the last document that is whole */
    bool by_name;                       /* the set that is built is not of the embedder's own choice */
    bool stopped, lost;
    int64_t pause_ms; /* after faults */
    char error[256];  /* said with the next claim */
    uint64_t timer, renew;
    struct round *round;
    struct compare *compare;
};

/* reembed.c */
bool reembed_is_own(const struct reembed *b, struct str model,
                    int64_t dims);                /* does the embedder choose it without being told */
void reembed_next(struct reembed *b, int64_t ms); /* the work at hand is over: the next claim */
void reembed_fault(struct reembed *b, enum err e, const char *why); /* a passing fault: again, later */
/* Ask; fn(b, reply) comes in the loop's thread, unless we stopped. */
void reembed_call(struct reembed *b, enum kind kind, const void *req, int64_t ms, reply_fn fn, void *arg);
/* round.c: some passages of the documents that were claimed → vectors in the store */
void round_begin(struct reembed *b);
void round_free(struct round **x);
/* compare.c: nothing lacks the set: both models on stored questions, then the switch */
void compare_begin(struct reembed *b);
void compare_free(struct compare **x);

#endif
