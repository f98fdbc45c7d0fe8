/* Units by meaning: where no unit has the question's words, a sentence model says which one is near to it. See quote.h.
 *
 *   units of the first passages, each under its heading ─▶ vectors ─▶ cosine with the question's ─▶ the nearest, when it is near enough
 *
 * A question whose words are there is left to them: a passage on the same matter that lacks just
 * the word that was asked for is near, and no answer. A chance word elsewhere does not keep the nearest unit from being
 * quoted, when that has none of them. Nor is a quote taken that lacks a name or a
 * number of the question. */
#include <math.h>
#include <stdlib.h>

#include "text/support.h"
#include "embedder/builtin/quote.h"

#define LEAST_NEAR 0.28   /* cosine of the local model: see docs/decisions/034 */
#define LEFT_TO_WORDS 0.7 /* coverage by some unit: the words are there, and do not answer */
#define OTHER_WORDS \
    0.15           /* coverage of a quote for its meaning: below this it has other words than the question */
#define BELOW 0.15 /* of another model: how much farther than its passage a sentence may be that answers … */
#define OUTSTANDS \
    0.33 /* … and how far it must be on the way from the sentences that say least to the question itself */
#define ALSO_NEAR 0.92 /* a second one: at least this share of the nearest's */

static bool
words_say_something(const struct digest *d)
{
    for (size_t i = 0; i < d->n; i++)
        if (d->u[i].coverage >= (d->by == SUPPORT_WORDS ? QUOTE_LEAST_COVERAGE : LEFT_TO_WORDS))
            return true;
    return false;
}

/* An option that no unit has: what is near to the question is about another one. */
static bool
lacks_option(const struct digest *d)
{
    for (size_t i = 0; i < d->n_terms; i++)
        if (d->terms[i].sign && d->terms[i].member && d->terms[i].seen == 0)
            return true;
    return false;
}

/* Each unit under its heading, which says what it is about; the question is the last. */
bool
quote_near_texts(const struct digest *d, struct near_set *s)
{
    size_t at[NEAR_UNITS + 1];

    *s = (struct near_set){ .all = BUF_MAX((size_t)1 << 20) };
    if (words_say_something(d) || lacks_option(d))
        return false;
    for (size_t i = 0; i < d->n && s->n < NEAR_UNITS; i++) {
        const struct unit *u = &d->u[i];
        const struct hit *h = &d->req->hits.v[u->hit];

        if (u->hit >= NEAR_HITS || u->kind > UNIT_BLOCK)
            continue;
        at[s->n] = s->all.n;
        s->v[s->n++].u = u;
        buf_str(&s->all, utf8_cut(h->section.n > 0 ? h->section : h->title, 200));
        buf_c(&s->all, '\n');
        buf_str(&s->all, utf8_cut(u->text, QUOTE_BYTES));
    }
    at[s->n] = s->all.n;
    for (size_t i = 0; i < s->n; i++)
        s->texts[i] = (struct str){ s->all.p + at[i], at[i + 1] - at[i] };
    s->texts[s->n] = utf8_cut(d->req->question, 2000);
    return s->n > 0 && !s->all.failed;
}

void
near_set_free(struct near_set *s)
{
    buf_free(&s->all);
}

static bool
lacks(struct digest *d, const struct unit *u)
{
    struct support s;

    support_read(d->words, d->req->question, &d->req->hits.v[u->hit], u->text, &s);
    return s.name || s.number || s.contrary;
}

static int
by_cosine(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

/* The cosine that a sentence of another model's passage needs: models differ in what any two texts have. */
static double
least_of(const struct digest *d, const struct near_set *s, const struct near_unit *best)
{
    float sorted[NEAR_UNITS];
    double low;

    for (size_t i = 0; i < s->n; i++)
        sorted[i] = s->v[i].cosine;
    qsort(sorted, s->n, sizeof *sorted, by_cosine);
    low = s->n > 1 ? (double)sorted[s->n / 4] : -1;
    return fmax(d->req->hits.v[best->u->hit].vector - BELOW, low + OUTSTANDS * (1 - low));
}

size_t
quote_near_choose(struct digest *d, struct near_set *s, const float *vectors, size_t dims, bool local,
                  const struct unit **out)
{
    const float *asked = vectors + s->n * dims;
    size_t have = 0;
    float first = 0;

    for (size_t i = 0; i < s->n; i++)
        for (size_t c = 0; c < dims; c++)
            s->v[i].cosine += vectors[i * dims + c] * asked[c];
    while (have < 2) {
        const struct near_unit *best = NULL;
        double least;

        for (size_t i = 0; i < s->n; i++)
            if ((!best || s->v[i].cosine > best->cosine) && quote_is_news(s->v[i].u, out, have))
                best = &s->v[i];
        if (!best)
            break;
        least = local ? LEAST_NEAR : least_of(d, s, best);
        if (local && best->u->coverage >= OTHER_WORDS)
            break;
        if ((double)best->cosine < (have == 0 ? least : ALSO_NEAR * (double)first) || lacks(d, best->u))
            break;
        first = have == 0 ? best->cosine : first;
        out[have++] = best->u;
    }
    return have;
}

size_t
quote_near(struct digest *d, const struct embed_near *m, const struct unit **out)
{
    struct near_set *s = mem_new(sizeof *s);
    size_t have = 0;

    if (quote_near_texts(d, s)) {
        float *vectors = mem_new((s->n + 1) * m->dims * sizeof *vectors);

        m->embed(m, s->texts, s->n + 1, vectors);
        have = quote_near_choose(d, s, vectors, m->dims, true, out);
        mem_free(&vectors);
    }
    near_set_free(s);
    mem_free(&s);
    return have;
}
