/* Candidates, wherever they come from → their order and scores, alike for every engine:
 *
 *   fused = v × bm25 / best bm25 + (1 − v) × (cosine − mean) / (best cosine − mean); v = (1 − w) × trust in the words
 *   score = relevance of the best passage × fused / best fused */
#ifndef RETRIEVER_INDEX_FUSE_H
#define RETRIEVER_INDEX_FUSE_H

#include "retriever/index/query.h"

struct candidate {
    const struct index_doc *doc;
    const struct passage *passage;
    size_t order; /* among equals */
    float bm25, cosine;
    double fused;
    double alike; /* how alike its own heading and the question are, 0 … 1 */
    bool vector;  /* it has one of the question's model */
    bool defines; /* a line of it begins with an option that the question names */
    struct index_signals sig;
};
struct ranking {
    const struct engine_query *q;
    struct arena *arena;
    double vector_weight;      /* VECTOR_WEIGHT */
    double passages, mean_len; /* of all that is searched: how many, and words of each */
    struct query words;        /* of the question and its context */
    double sum, sum2;          /* of the cosines of all vectors that were seen, and of their squares */
    size_t seen;
    struct candidate *cands;
    size_t n_cands, cands_cap;
    double mean, deviation; /* of the cosines */
    double trust;           /* in the words, 0 … 1: less where the passages have hardly any of them */
};

/* BM25 of a word that a passage of that many words has so often. */
double fuse_bm25(const struct ranking *s, double idf, double tf, double len);
/* The same of all words of the question. */
double fuse_words(const struct ranking *s, const struct index_doc *d, const struct passage *p);
void fuse_order(struct ranking *s, struct words *w); /* the best first */
/* As hits, copied into the arena. ERR_INTERNAL when that is full. */
enum err fuse_hits(const struct ranking *s, struct search_rep *rep, struct index_signals *signals);

#endif
