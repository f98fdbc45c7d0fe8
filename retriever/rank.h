/* How evidence becomes a score. Pure functions; the constants are calibrated by tests/eval. */
#ifndef RETRIEVER_RANK_H
#define RETRIEVER_RANK_H

#include "retriever/index.h"

#define RANK_K1 1.1      /* BM25: how soon repetition saturates */
#define RANK_B 0.7       /* BM25: how much longer passages pay */
#define RANK_WEAK 0.3    /* weight of a weak word in coverage */
#define RANK_CONTEXT 0.2 /* weight of a word that only the context has */
#define RANK_Z_UNKNOWN 3.2 /* z where too few vectors were seen to tell */
#define RANK_THRESHOLD 0.35 /* default: below this a passage does not answer */

double rank_idf(double n, double df);                     /* BM25's, > 0 */
double rank_rarity(double n, double df);                  /* what a word weighs in coverage: flatter in small collections */
double rank_vector_weight(double option, struct str model); /* of the cosine in the order; option < 0: by the model */
double rank_relevance(const struct index_signals *s);     /* 0 … 1: how sure are we that it answers */

#endif
