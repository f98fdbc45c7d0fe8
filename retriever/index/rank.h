/* From evidence to a score. Pure functions; the constants are calibrated by tests/eval. */
#ifndef RETRIEVER_INDEX_RANK_H
#define RETRIEVER_INDEX_RANK_H

#include "retriever/index/index.h"

#define RANK_K1 1.1      /* BM25: how soon repetition saturates */
#define RANK_B 0.7       /* BM25: how much longer passages pay */
#define RANK_WEAK 0.3    /* weight of a weak word in coverage */
#define RANK_ASKING 0.1  /* weight in coverage of a word around the question ("thanks") */
#define RANK_UNKNOWN 0.5 /* weight in coverage of a word that no passage has */
#define RANK_SPELT 0.7   /* weight of a corrected word */
#define RANK_CONTEXT 0.2 /* weight of a word that only the context has */
#define RANK_HEAD 0.3    /* gain in the order of headings that have all words */
#define RANK_ALIKE \
    0.1 /* gain in the order of a passage whose own heading has the question's words and no others */
#define RANK_DEFINES 0.4   /* gain in the order of a passage that explains an option */
#define RANK_COMMAND 0.3   /* … of the command that the question names */
#define RANK_COVER 0.1     /* gain in the order of a passage that has all words */
#define RANK_Z_UNKNOWN 3.2 /* z where too few vectors were seen to tell */
#define RANK_SEMANTIC \
    1.3 /* weight of a deviation where vectors know meanings: from 5.3 of them on a passage passes without a common word */
#define RANK_NAMED 4.0 /* for a passage whose heading the question has in full: a pasted error, a FAQ */
#define RANK_SMALL \
    2.4 /* for half of a question's words in a handful of passages, where a missing word says least */
#define RANK_SURE 2.2      /* RANK_SMALL makes nothing surer than .9 */
#define RANK_LIFT 11       /* deviations for a cosine of 1 above what any two texts have */
#define RANK_NARROW 0.5    /* a mean cosine above this is of a model whose vectors all point one way */
#define RANK_VAGUE 1.5     /* against a question without a content word */
#define RANK_THRESHOLD 0.2 /* default: below this a passage does not answer */

double rank_idf(double n, double df);    /* BM25's, > 0 */
double rank_rarity(double n, double df); /* weight of a word in coverage: flatter in small collections */
bool rank_fitted(struct str model);      /* was relevance fitted with this model's vectors */
bool rank_semantic(struct str model);    /* does a model know more than words and parts of words */
double rank_vector_weight(double option,
                          struct str model); /* of the cosine in the order; option < 0: by the model */
/* How far the words may be trusted beside a vector that knows meanings, 0 … 1: best is BM25's best score, full what a passage with all
 * of the question's words gets, rare what one word gets that a single passage has. */
double rank_trust(double best, double full, double rare);
/* A cosine above what two texts have anyhow. mean: of the question's with the collection, many: of enough
 * passages to trust it. */
double rank_lift(struct str model, double cosine, double mean, bool many);
double rank_relevance(const struct index_signals *s); /* 0 … 1: how sure are we that it answers */

#endif
