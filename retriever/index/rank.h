/* How evidence becomes a score. Pure functions; the constants are calibrated by tests/eval. */
#ifndef RETRIEVER_RANK_H
#define RETRIEVER_RANK_H

#include "retriever/index/index.h"

#define RANK_K1 1.1      /* BM25: how soon repetition saturates */
#define RANK_B 0.7       /* BM25: how much longer passages pay */
#define RANK_WEAK 0.3    /* weight of a weak word in coverage */
#define RANK_ASKING 0.1  /* weight in coverage of a word around the question ("thanks") */
#define RANK_UNKNOWN 0.5 /* weight in coverage of a word that no passage has */
#define RANK_SPELT 0.7   /* weight of a corrected word */
#define RANK_CONTEXT 0.2 /* weight of a word that only the context has */
#define RANK_HEAD 0.3    /* what headings that have all words add to the order */
#define RANK_COVER 0.1   /* what a passage that has all words gains in the order */
#define RANK_Z_UNKNOWN 3.2 /* z where too few vectors were seen to tell */
#define RANK_SEMANTIC 1.3 /* what a deviation counts where vectors know meanings: from 5.3 of them on a passage passes without a common word */
#define RANK_NAMED 4.0   /* for a passage whose heading the question has in full: a pasted error, a FAQ */
#define RANK_SMALL 2.4   /* for half of a question's words in a handful of passages, where a missing word says least */
#define RANK_SURE 2.2    /* RANK_SMALL makes nothing surer than .9 */
#define RANK_LIFT 11     /* deviations for a cosine of 1 above what any two texts have */
#define RANK_NARROW 0.5  /* a mean cosine above this is of a model whose vectors all point one way */
#define RANK_VAGUE 1.5   /* against a question without a content word */
#define RANK_THRESHOLD 0.2 /* default: below this a passage does not answer */

double rank_idf(double n, double df);                     /* BM25's, > 0 */
double rank_rarity(double n, double df);                  /* what a word weighs in coverage: flatter in small collections */
bool rank_semantic(struct str model);                       /* does a model know more than words and parts of words */
double rank_vector_weight(double option, struct str model); /* of the cosine in the order; option < 0: by the model */
/* A cosine above what two texts have anyhow. mean: of the question's with the collection, many: of enough passages to trust it. */
double rank_lift(struct str model, double cosine, double mean, bool many);
double rank_relevance(const struct index_signals *s);     /* 0 … 1: how sure are we that it answers */

#endif
