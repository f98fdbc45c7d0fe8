/* Questions about a text that the reader selected: it is hit 0. See quote.h.
 *
 *   "explain this in simple words" ─▶ no word of its own ─▶ the sentences that hold most of what the selection is about, and the one
 *   elsewhere in the documents that says most of the same words
 *
 * These are quotes all the same: nothing is put into other words, since only a model could do that. */
#include <math.h>

#include "text/instruct.h"
#include "embedder/builtin/quote.h"

enum { OWN_QUOTES = 2, TERSE_WORDS = 4 };
#define LEAST_FOUND 0.25  /* score of a passage that may say something of the selection */
#define LEAST_SHARE 0.3   /* of the weight of its words */
#define LEAST_OF_MANY 0.2 /* … when it has four of them */
#define LEAST_OF_ROW 0.5  /* … of a row or of code, which say little by themselves */
#define UNDER 0.6         /* a word in the heading directly above */
#define FIRST 0.5         /* the beginning of a selection says what it is about */

bool
quote_is_about(const struct chat_req *req)
{
    struct words *w = words_new();
    bool about = instructs(w, req->question, language_of(utf8_cut(req->selection, 4096), 0, LANG_ENGLISH));

    words_free(&w);
    return about;
}

void
quote_about(struct digest *d)
{
    struct str text = d->req->hits.v[0].text;

    d->n = d->n_terms = d->strong = 0;
    d->about = true;
    words_language(d->words, language_of(utf8_cut(text, 4096), 0, LANG_ENGLISH));
    for (int least = WORD_CONTENT; least <= WORD_STOP && d->n_terms == 0; least++)
        quote_read(d, text, (enum word_class)least, QUOTE_TERMS);
    quote_cut(d);
}

/* ---- choosing */
static double
weight(const struct digest *d, uint32_t bits)
{
    double sum = 0;

    for (size_t i = 0; i < d->n_terms; i++)
        if (bits >> i & 1)
            sum += log(1.0 + d->terms[i].seen);
    return sum;
}

/* The weight of a unit, higher the more it says of what most of the selection is about, in few words. */
static double
central(const struct digest *d, const struct unit *u)
{
    return weight(d, u->own) / sqrt(8.0 + (double)u->words) + (u->ord == 0 ? FIRST : 0) -
           (u->kind >= UNIT_ROW ? 0.2 : 0);
}

/* It stands within the selection, here or as a copy elsewhere. */
static bool
is_selected(const struct digest *d, const struct unit *u)
{
    const struct hit *sel = &d->req->hits.v[0], *h = &d->req->hits.v[u->hit];
    int64_t at = h->start + (u->text.p - h->text.p);

    if (uuid_eq(&sel->document_id, &h->document_id) && at < sel->end && at + (int64_t)u->text.n > sel->start)
        return true;
    return memmem(sel->text.p, sel->text.n, u->key.p, u->key.n) != NULL;
}

static double
related(const struct digest *d, const struct unit *u)
{
    const struct hit *h = &d->req->hits.v[u->hit];
    double all = weight(d, UINT32_MAX), has = weight(d, u->own);
    unsigned shared = (unsigned)__builtin_popcount(u->own | u->under);

    if (u->hit == 0 || h->score < LEAST_FOUND || u->own == 0 || shared < (d->n_terms > 1 ? 2u : 1u) ||
        is_selected(d, u))
        return 0;
    has += UNDER * weight(d, u->under & ~u->own);
    if (has < all * (u->kind >= UNIT_ROW ? LEAST_OF_ROW : shared > 3 ? LEAST_OF_MANY : LEAST_SHARE))
        return 0;
    return has / sqrt(8.0 + (double)u->words) + 0.2 * h->score;
}

static size_t
pick(struct digest *d, const struct unit **out, size_t n, size_t max,
     double (*score)(const struct digest *, const struct unit *), bool own)
{
    while (n < max) {
        const struct unit *best = NULL;
        double top = 0;

        for (size_t k = 0; k < d->n; k++) {
            const struct unit *u = &d->u[k];
            double s = (u->hit == 0) == own && quote_is_news(u, out, n) ? score(d, u) : 0;

            if (s > top) {
                top = s;
                best = u;
            }
        }
        if (!best)
            break;
        out[n++] = best;
    }
    return n;
}

/* Nothing of it is a sentence (a heading, a question, a word): its beginning. */
static const struct unit *
beginning(struct digest *d)
{
    struct str text = quote_trim(d->req->hits.v[0].text), some = utf8_cut(text, QUOTE_BYTES);
    struct unit *u = &d->u[d->n < QUOTE_UNITS ? d->n : QUOTE_UNITS - 1];

    for (size_t i = some.n; some.n < text.n && i > some.n / 2; i--)
        if (some.p[i - 1] == ' ' || some.p[i - 1] == '\n') {
            some.n = i;
            break;
        }
    some = quote_trim(some);
    *u = (struct unit){ .kind = UNIT_SENTENCE, .text = some, .key = some };
    return u;
}

static bool
is_terse(struct digest *d)
{
    size_t words;

    (void)quote_bits(d, d->req->hits.v[0].text, &words);
    return words <= TERSE_WORDS;
}

size_t
quote_essence(struct digest *d, const struct unit **out)
{
    size_t n = 0;

    if (is_terse(d) && (n = pick(d, out, 0, OWN_QUOTES, related, false)) > 0)
        return n;
    n = pick(d, out, 0, OWN_QUOTES, central, true);
    if (n == 2 && out[1]->ord < out[0]->ord) {
        const struct unit *u = out[0];

        out[0] = out[1];
        out[1] = u;
    }
    if (n == 0)
        out[n++] = beginning(d);
    return pick(d, out, n, n + 1, related, false);
}
