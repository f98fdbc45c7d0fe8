/* Inside of the embeddings of a model server: works (tasks under way) and pieces (calls). A work owns its
 * ranges; a piece owns copies of its texts and outlives its work, so that what it brings can be kept. */
#ifndef EMBEDDER_OPENAI_EMBED_H
#define EMBEDDER_OPENAI_EMBED_H

#include "embedder/embed.h"
#include "embedder/openai/pace.h"
#include "embedder/openai/upstream.h"

#define MODELS_MAX 16

/* One model of the server, as far as it is known. */
struct manners {
    char model[129];
    unsigned without; /* parameters it refused */
    struct pace pace;
    int64_t hold_until_ms; /* passages wait until then */
    int64_t hold_ms;       /* how long they waited last; 0: a call ended well since */
    size_t dims;           /* its own dimensions, learned; 0: not yet */
    int64_t seen_ms;       /* when a reply said so last */
};

struct openai_embed {
    struct embed_provider p; /* first: what others see */
    struct embedder *e;
    struct upstream *upstream; /* where it calls */
    struct manners known[MODELS_MAX];
    size_t n_known;
    struct work *questions, *documents; /* that have texts to send, oldest first */
    struct piece *all;                  /* calls that are not over */
    size_t flying;                      /* calls out */
    uint64_t timer;                     /* passages go on */
    bool probing;
};

struct range {
    size_t first, n;
    int cut; /* how often its one text is halved */
    struct range *next;
};

/* A task under way. */
struct work {
    struct embed_task *t;
    struct manners *k;
    struct range *ranges; /* not sent, or to be sent again */
    size_t missing;       /* texts without a vector */
    struct piece *pieces; /* calls out for it */
    struct work *next;    /* of its list */
    int64_t held_ms;      /* how long it waited for a server that was not available */
    bool again;           /* began anew, because dimensions changed */
};

/* One call. */
struct piece {
    struct openai_embed *m;
    struct manners *k;
    struct work *w;              /* NULL: nobody waits */
    struct piece *next;          /* w->pieces */
    struct piece *newer, *older; /* m->all */
    size_t first;                /* of the work's texts */
    struct embed_task sub;       /* its texts (own copies) and vectors */
    struct transfer *transfer;
    unsigned without;
    int cut;
    bool doubted; /* other dimensions than before: asked once more */
    int64_t sent_us;
};

/* ---- embed_reply.c */
/* Parse an embeddings reply into t->vectors: count, order, dimensions and numbers checked, unit length. False: unusable,
 * t->err and t->text say why. Pure but for t. */
bool embed_reply_parse(struct str body, struct embed_task *t);
size_t embed_reply_rows(struct str body); /* vectors in it */
/* An error where vectors should be, although the status was 200. *status: what it says of itself, else 400. */
bool embed_reply_error(struct str body, long *status);

/* ---- embed_work.c */
void work_add(struct work *w, size_t first, size_t n, int cut); /* these texts are to be sent */
void work_enlist(struct openai_embed *m, struct work *w);       /* it has texts to send; twice is once */
void work_unlist(struct openai_embed *m, struct work *w);
/* All vectors of the work are to be of one kind: begin anew with what the server gives now. */
void work_again(struct openai_embed *m, struct work *w);
/* The task is over (t->done): its calls go on for the cache; those of a question are dropped. Frees w. */
void work_end(struct openai_embed *m, struct work *w);
void work_fail(struct openai_embed *m, struct work *w, const struct embed_task *why);
struct piece *piece_new(struct openai_embed *m,
                        struct work *w); /* its next texts, as many as the server takes */
void piece_join(struct piece *p, struct openai_embed *m);
void piece_leave(struct piece *p); /* p->w does not wait for it any more */
/* The piece is to be sent again, as two halves or later: its texts are the work's again. Frees p. */
void piece_give_back(struct piece *p, bool halves);
void piece_free(struct piece *p);

#endif
