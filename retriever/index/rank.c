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

/* The n-gram model knows words and parts of words only: beside BM25 it mostly helps with misspellings. Of the sentence model's
 * weights .3 to .5, .4 has the best mean over clauddocs, chunkeval, mtragun, hotpot500, scifact and squad. */
double
rank_vector_weight(double option, struct str model)
{
    if (option >= 0)
        return option;
    return rank_fitted(model) ? 0.4 : rank_semantic(model) ? 0.5 : 0.12;
}

static double
ramp(double x, double from, double to)
{
    return fmin(fmax((x - from) / (to - from), 0), 1);
}

/* Words find a passage that has most of the question's, or more than one rare word of it. A single word that a question in other
 * words has in common with some passage is chance, and must not outrank the meaning. Measured on the paraphrase set beside
 * squad, mtragun, clauddocs, hotpot500 and scifact. */
double
rank_trust(double best, double full, double rare)
{
    return fmax(ramp(best / fmax(full, 1e-9), 0.6, 1), ramp(best / fmax(rare, 1e-9), 1.1, 1.7));
}

/* Models whose vectors all point one way: what any two texts have, and how much wider their cosines would be
 * spread in another model. Measured with e5-small-v2 (right passages .74 to .84, others .70 ± .03). The
 * others are taken to be alike; nobody has measured them here. */
static const struct {
    const char *part;
    double base, spread;
} narrow[] = { { "e5-", 0.70, 3.3 }, { "ada-002", 0.70, 3.3 }, { "gte-", 0.70, 3.3 } };

double
rank_lift(struct str model, double cosine, double mean, bool many)
{
    for (size_t i = 0; i < sizeof narrow / sizeof *narrow; i++)
        if (str_has(model, narrow[i].part))
            return (cosine - (many ? fmax(narrow[i].base, mean) : narrow[i].base)) * narrow[i].spread;
    if (many && mean > RANK_NARROW)
        return (cosine - mean) * narrow[0].spread;
    return cosine - (many ? fmax(mean - 0.1, 0) : 0);
}

/* In a small collection, where deviations are bounded, the cosine itself has to do: of all-MiniLM-L6-v2 right
 * passages that share no word have .13 to .51 (half of them over .4), others .06 ± .08 and at most .28. The
 * built-in one says little then. */
static double
rank_z(const struct index_signals *s)
{
    if (s->semantic)
        return fmax(s->z, 2 + RANK_LIFT * s->lift);
    return s->z > 0 || s->z < 0 ? s->z : RANK_Z_UNKNOWN;
}

/* The weight of each kind of evidence. Fitted (logistic regression, each set weighing the same) on own
 * questions against other sets' questions. The same coverage means more the more words the question has; a
 * word that stands in a heading or often is what the passage is about. */
struct weights {
    double base, coverage, by_length, depth, head, z;
};
/* squad, hotpot500, scifact, clauddocs, rustbook, chunkeval, docs and iotbook; plain, chatty and misspelt */
static const struct weights
    usual = { -5.66, 4.32, 5.11, 3.51, 1.97, 0.64 },
    semantic = { -5.66, 4.32, 5.11, 3.51, 1.97, RANK_SEMANTIC },
    /* its own vectors over squad, clauddocs, mtragun, chunkeval, rustbook and iotbook, each left out in turn; the base .8 lower, so that the
     * built-in answers refuse what they refused with the n-gram model */
    minilm = { -10.5, 5.26, 3.62, 1.98, 3.37, 1.30 };

bool
rank_fitted(struct str model)
{
    return str_starts(model, "all-MiniLM-L6-v2");
}

/* The vector's evidence where no word has any: fitted on the same questions, and on the paraphrase set against questions whose topic is
 * missing. Among many passages the nearest one is nearer by chance; in a handful, where the cosine itself has to do, it is
 * so less often. */
static double
by_vector_alone(const struct index_signals *s, double z)
{
    double base = s->passages <= 30 ? -8.3 + 1.5 * (1 - s->passages / 30)
                                    : -6 - fmin(fmax(log(s->passages / 160), 0), 2.3);

    return base + 1.63 * z;
}

double
rank_relevance(const struct index_signals *s)
{
    const struct weights *w = s->fitted ? &minilm : s->semantic ? &semantic : &usual;
    double z = fmin(fmax(rank_z(s) - 2, 0), 8), length = (fmin(fmax(s->words, 2), 8) - 2) / 6;
    double x = w->base + w->coverage * s->coverage + w->by_length * s->coverage * length +
               w->depth * s->depth + w->head * s->head;

    x += RANK_NAMED * s->named + w->z * z - (s->words < 1 && z < 4 ? RANK_VAGUE : 0);
    if (s->fitted)
        x = fmax(x, by_vector_alone(s, z));
    if (s->coverage >= 0.5) /* it passes, and is no surer of it */
        x = fmax(x, fmin(x + RANK_SMALL * fmax(1 - s->passages / 30, 0), RANK_SURE));
    return s->coverage <= 0 && !s->semantic && z < 4 ? 0 : 1 / (1 + exp(-x));
}
