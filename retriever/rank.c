/* Evidence → score: a logistic curve over what was seen. Coverage carries most of it, because it means the same for every
 * embedding model; the cosine counts relative to the collection's own distribution, because models' ranges differ. */
#include "retriever/rank.h"

#include <math.h>

double
rank_idf(double n, double df)
{
    return log(1 + (n - df + 0.5) / (df + 0.5));
}

/* In a handful of passages nearly every word of a question is rare or missing: that says little yet. */
double
rank_rarity(double n, double df)
{
    return log(1 + (n + 30) / (df + 1));
}

/* The built-in model knows words and parts of words only: beside BM25 it mostly helps with misspellings. */
double
rank_vector_weight(double option, struct str model)
{
    if (option >= 0)
        return option;
    return str_starts(model, "builtin-ngram") ? 0.12 : 0.5;
}

/* Fitted (logistic regression, each set weighing the same) on own questions against other sets' questions: squad,
 * hotpot500, scifact, mtragun, chunkeval, clauddocs. The same coverage means more the more words the question has. */
double
rank_relevance(const struct index_signals *s)
{
    double z = fmin(fmax(s->z - 2, 0), 8), length = (fmin(fmax(s->words, 4), 10) - 4) / 6;
    double x = -5.4 + 6.5 * s->coverage + 5.9 * s->coverage * length + 0.48 * z;

    return s->words < 1 && s->z < 6 ? 0 : 1 / (1 + exp(-x));
}
