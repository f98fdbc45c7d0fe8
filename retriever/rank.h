/* How evidence becomes a score. Pure functions; the constants are calibrated by tests/eval. */
#ifndef RETRIEVER_RANK_H
#define RETRIEVER_RANK_H

#include "retriever/index.h"

#define RANK_K1 1.2      /* BM25: how soon repetition saturates */
#define RANK_B 0.6       /* BM25: how much longer passages pay */
#define RANK_WEAK 0.3    /* weight of a weak word in coverage */
#define RANK_THRESHOLD 0.35 /* default: below this a passage does not answer */

double rank_idf(double n, double df);                     /* BM25's, > 0 */
double rank_relevance(const struct index_signals *s);     /* 0 … 1: how sure are we that it answers */

#endif
