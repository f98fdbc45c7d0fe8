/* Evidence → score: a logistic curve over what was seen. Coverage carries most of it, because it means the same for every
 * embedding model; the cosine counts relative to the collection's own distribution, because models' ranges differ. */
#include "retriever/index/rank.h"

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

bool
rank_semantic(struct str model)
{
    return !str_starts(model, "builtin-ngram");
}

/* The built-in model knows words and parts of words only: beside BM25 it mostly helps with misspellings. */
double
rank_vector_weight(double option, struct str model)
{
    if (option >= 0)
        return option;
    return rank_semantic(model) ? 0.5 : 0.12;
}

/* Models whose vectors all point one way: what any two texts have, and how much wider their cosines would be spread in another model.
 * Measured with e5-small-v2 (right passages .74 to .84, others .70 ± .03). The others are taken to be alike; nobody has measured them here. */
static const struct { const char *part; double base, spread; } narrow[] = { { "e5-", 0.70, 3.3 }, { "ada-002", 0.70, 3.3 }, { "gte-", 0.70, 3.3 } };

double
rank_lift(struct str model, double cosine, double mean, bool many)
{
    for (size_t i = 0; i < sizeof narrow / sizeof *narrow; i++)
        if (model.n > 0 && memmem(model.p, model.n, narrow[i].part, strlen(narrow[i].part)))
            return (cosine - (many ? fmax(narrow[i].base, mean) : narrow[i].base)) * narrow[i].spread;
    if (many && mean > RANK_NARROW)
        return (cosine - mean) * narrow[0].spread;
    return cosine - (many ? fmax(mean - 0.1, 0) : 0);
}

/* In a small collection, where deviations are bounded, the cosine itself has to do: of all-MiniLM-L6-v2 right passages that share no word
 * have .13 to .51 (half of them over .4), others .06 ± .08 and at most .28. The built-in one says little then. */
static double
rank_z(const struct index_signals *s)
{
    if (s->semantic)
        return fmax(s->z, 2 + RANK_LIFT * s->lift);
    return s->z > 0 || s->z < 0 ? s->z : RANK_Z_UNKNOWN;
}

/* Fitted (logistic regression, each set weighing the same) on own questions against other sets' questions, plain, chatty and
 * misspelt: squad, hotpot500, scifact, clauddocs, rustbook, chunkeval, docs and iotbook. The same coverage means more the more
 * words the question has; a word that stands in a heading or often is what the passage is about. */
double
rank_relevance(const struct index_signals *s)
{
    double z = fmin(fmax(rank_z(s) - 2, 0), 8), length = (fmin(fmax(s->words, 2), 8) - 2) / 6;
    double x = -5.66 + 4.32 * s->coverage + 5.11 * s->coverage * length + 3.51 * s->depth + 1.97 * s->head;

    x += RANK_NAMED * s->named + (s->semantic ? RANK_SEMANTIC : 0.64) * z - (s->words < 1 && z < 4 ? RANK_VAGUE : 0);
    if (s->coverage >= 0.5) /* it passes, and is no surer of it */
        x = fmax(x, fmin(x + RANK_SMALL * fmax(1 - s->passages / 30, 0), RANK_SURE));
    return s->coverage <= 0 && !s->semantic && z < 4 ? 0 : 1 / (1 + exp(-x));
}
