/* Functions that the evaluation takes from the embedder. A file of its own, because the headers of embedder
 * and retriever do not go together. */
#ifndef TESTS_EVAL_EVAL_EMBED_H
#define TESTS_EVAL_EVAL_EMBED_H

#include "proto/msg.h"

/* A sentence model's file instead of the n-gram model. cache: a file that keeps its vectors from run to run,
 * or NULL. Its dimensions; 0: it cannot be used, which was told. */
size_t eval_model(const char *file, const char *cache);
const char *eval_model_name(void);
void eval_embed(const char *p, size_t n, float *out,
                size_t dims);                   /* the model's vector, by default the n-gram model's */
double eval_cosine(struct str a, struct str b); /* of two texts' vectors; 0 with the n-gram model */
void eval_answer(struct str question, const struct search_rep *found, struct buf *out,
                 struct cite_req *cite); /* the built-in answer */

/* The best quote there is, good enough or not, and the evidence for it: to calibrate with. False: nothing can be quoted. */
struct eval_evidence {
    struct str text;
    size_t hit;
    double direct, coverage, wish, terms, strong,
        missing; /* strong: terms that are not weak; missing: of them, in no passage */
};
bool eval_quote(struct str question, const struct search_rep *found, struct eval_evidence *out);

#endif
