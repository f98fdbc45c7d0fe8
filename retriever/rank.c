/* Evidence → score: a logistic curve over what was seen. Coverage carries most of it, because it means the same for every
 * embedding model; the cosine counts relative to the collection's own distribution, because models' ranges differ. */
#include "retriever/rank.h"

#include <math.h>

double
rank_idf(double n, double df)
{
    return log(1 + (n - df + 0.5) / (df + 0.5));
}

double
rank_relevance(const struct index_signals *s)
{
    double z = fmin(fmax(s->z - 3, 0), 6);
    double x = -4.2 + 7.0 * s->coverage - 0.8 * s->missing + 0.35 * z;

    return s->words < 1 && s->z < 5 ? 0 : 1 / (1 + exp(-x));
}
