/* Answers of near-identical questions (semantic.c): SEMANTIC_CACHE. */
#ifndef GATEWAY_ASK_SEMANTIC_H
#define GATEWAY_ASK_SEMANTIC_H

#include "gateway/admit/semantic_ring.h"
#include "proto/msg.h"
#include "text/language.h"

struct question;

struct semantic {           /* a question's part in it */
    enum language language; /* of the question, part of the key of what sessions share */
    bool asked;             /* it has its vector, from before its turn began: the next fields */
    struct outcome embedded;
    struct str vector, model; /* as search_req has them */
    int64_t after;
    const int8_t *code; /* the vector as it is compared, ring.dims bytes; NULL: none */
    struct semantic_ring ring;
    struct cache_probe origin; /* the entry that q->copied comes from; key "": it is no near answer */
    const struct turn_finish_req *checked; /* a near answer that is not given but checked */
};

/* After the exact look-up has missed, where the question's collection has near answers: q->copied, which is not taken yet, is the answer to a near-identical question. False: there is none, or
 * it is to be checked. */
bool ask_semantic_look(struct question *q);
/* The near answer was taken, or is gone. */
void ask_semantic_taken(struct question *q, bool stands);
/* The answer of this question is there for others under q->share. */
void ask_semantic_keep(struct question *q);
/* The answer was made anew: is the one of before an answer to it, too? */
void ask_semantic_check(struct question *q);

/* Where the answer is from, as answers tell it in all dialects: query, semantic or none. */
struct str ask_cached(const struct question *q);

/* run.c. The vector of the question, once: what an earlier call of it found is what the next one gets. by_words: as embed_question has it. */
enum err ask_embed(struct question *q, struct str text, struct search_req *req, struct outcome *a,
                   bool *by_words);

#endif
