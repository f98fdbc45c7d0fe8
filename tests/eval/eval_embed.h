/* What the evaluation takes from the embedder. A file of its own, because the headers of embedder and retriever do not go together. */
#ifndef TESTS_EVAL_EMBED_H
#define TESTS_EVAL_EMBED_H

#include "proto/msg.h"

void eval_embed(const char *p, size_t n, float *out, size_t dims);                                   /* the built-in vector */
void eval_answer(struct str question, const struct search_rep *found, struct buf *out, struct cite_req *cite); /* the built-in answer */

/* The best quote there is, good enough or not, and the evidence for it: to calibrate with. False: nothing can be quoted. */
struct eval_evidence {
    struct str text;
    size_t hit;
    double direct, coverage, wish, terms, strong, missing; /* strong: terms that are not weak; missing: of them, in no passage */
};
bool eval_quote(struct str question, const struct search_rep *found, struct eval_evidence *out);

#endif
