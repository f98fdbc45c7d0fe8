/* Questions. See query.h.
 *
 *   text ─▶ words ─▶ stems in each language that is searched ─▶ how many passages have them ─▶ weights
 *                      └ no passage has it: the word one letter away that passages have, if there is one
 *
 * What stands around a question ("hi, can you tell me", "like I am five") is worth little, whether passages have it or not. */
#include "retriever/index/query.h"

#include <math.h>
#include <stdlib.h>

#include "text/asking.h"
#include "text/spell.h"
#include "retriever/index/rank.h"

enum { SPELT_MAX = 6, TEXT_MAX = 65536 };

struct reader {
    struct query *q;
    struct words *words;
    struct shard *const *shards;
    size_t n_shards;
    double passages;
    struct str text;        /* the question */
    struct buf core;        /* it, with the phrases around it blanked, byte for byte */
    enum language own;      /* the question's */
    bool in_context;        /* while words of the context are added */
    bool in_other;          /* while stems of another language are added */
};

/* Another language's stem of a word that the question has. */
static void
add_form(struct reader *r, const struct word *w)
{
    for (size_t i = 0; i < r->q->n; i++) {
        struct query_term *t = &r->q->v[i];
        bool known = t->context != r->in_context || t->start != w->start || t->end != w->end || t->n_forms == QUERY_FORMS;

        for (size_t k = 0; k < t->n_forms; k++)
            known = known || t->h[k] == w->h;
        if (!known)
            t->h[t->n_forms++] = w->h;
    }
}

/* A greeting, a thank-you: blank in the core where it stands. */
static bool
is_asking(const struct reader *r, const struct word *w)
{
    return !r->in_context && w->start < r->core.n && r->core.p[w->start] == ' ';
}

static void
add_term(void *arg, const struct word *w)
{
    struct reader *r = arg;
    struct query *q = r->q;
    bool asking = is_asking(r, w);

    if (r->in_other) {
        add_form(r, w);
        return;
    }
    if (w->cls == WORD_STOP || q->n == QUERY_WORDS)
        return;
    for (size_t i = 0; i < q->n; i++)
        if (q->v[i].h[0] == w->h)
            return;
    q->v[q->n++] = (struct query_term){ .h = { w->h }, .n_forms = 1, .start = w->start, .end = w->end, .idf = asking ? RANK_WEAK : 1,
        .weight = asking ? RANK_ASKING : w->cls == WORD_WEAK ? RANK_WEAK : 1, .context = r->in_context,
        .weak = asking || w->cls == WORD_WEAK };
}

/* The languages of what is searched, and the one that most documents have. */
static uint64_t
languages_searched(const struct reader *r, enum language *most)
{
    uint64_t bits = 0;
    uint64_t n[LANGUAGES] = { 0 };

    *most = LANG_ENGLISH;
    for (int l = 0; l < LANGUAGES; l++) {
        for (size_t k = 0; k < r->n_shards; k++)
            n[l] += r->shards[k]->languages[l];
        bits |= (uint64_t)(n[l] > 0) << l;
        if (n[l] > n[*most])
            *most = (enum language)l;
    }
    return bits;
}

/* The question is read in its own language, among those of the documents; then its words get the stems that they have in the others,
 * since a name, or a question whose language nothing tells, is to be found in all. */
static void
read_terms(struct reader *r, struct str text)
{
    enum language most;
    uint64_t bits = languages_searched(r, &most);
    enum language own = language_of(text, bits, most);

    words_language(r->words, own);
    words_each(r->words, text, add_term, r);
    r->in_other = true;
    for (int l = 0; l < LANGUAGES; l++)
        if ((bits >> l & 1) && (enum language)l != own) {
            words_language(r->words, (enum language)l);
            words_each(r->words, text, add_term, r);
        }
    r->in_other = false;
    if (!r->in_context)
        r->own = own;
}

static double
passages_with(const struct reader *r, uint64_t h)
{
    double df = 0;

    for (size_t k = 0; k < r->n_shards; k++) {
        const struct term *t = shard_term(r->shards[k], h);

        df += t ? t->df : 0;
    }
    return df;
}

static double
passages_with_any(const struct reader *r, const struct query_term *t)
{
    double df = 0;

    for (size_t f = 0; f < t->n_forms; f++)
        df += passages_with(r, t->h[f]);
    return fmin(df, r->passages);
}

struct speller {
    const struct reader *r;
    struct str typed;
    uint64_t best;              /* the commonest neighbour */
    double df;                  /* passages that have it */
    bool stop;                  /* a stop word is a neighbour */
};

static void
try_spelling(void *arg, const struct word *w)
{
    struct speller *p = arg;
    bool stop = w->cls == WORD_STOP;
    double df = stop || !spell_meant(p->typed, w->folded) ? 0 : passages_with(p->r, w->h);

    p->stop = p->stop || (stop && w->end - w->start >= SPELL_LEAST);
    if (df > p->df) {
        p->df = df;
        p->best = w->h;
    }
}

/* A word that no passage has may be misspelt: then the commonest word one letter away is meant, or it says nothing. */
static bool
correct(const struct reader *r, struct query_term *t)
{
    struct str raw = { r->text.p + t->start, t->end - t->start };
    struct speller p = { .r = r, .typed = raw };
    struct buf b = BUF_MAX(TEXT_MAX);

    words_language(r->words, r->own);
    if (spell_neighbours(raw, &b))
        words_each(r->words, buf_slice(&b), try_spelling, &p);
    buf_free(&b);
    if (p.stop)
        t->weight = 0;
    if (p.stop || p.df <= 0)
        return false;
    t->h[0] = p.best;
    t->n_forms = 1;
    t->idf *= RANK_SPELT;
    t->weight *= RANK_SPELT;
    return true;
}

/* A word that no passage has counts as missing, but not in full: it may be the question's own way of asking. */
static void
weigh(const struct reader *r, struct query_term *t, size_t *tried)
{
    double place = t->context ? RANK_CONTEXT : 1, df = passages_with_any(r, t);

    if (df <= 0 && !t->context && *tried < SPELT_MAX) {
        (*tried)++;
        if (correct(r, t))
            df = passages_with_any(r, t);
    }
    t->idf *= df > 0 ? rank_idf(r->passages, df) * place : 0; /* what is nowhere finds nothing: it goes when there are too many */
    t->weight *= rank_rarity(r->passages, df) * place * (df > 0 ? 1 : RANK_UNKNOWN);
}

static int
by_idf(const void *a, const void *b)
{
    double x = ((const struct query_term *)a)->idf, y = ((const struct query_term *)b)->idf;

    return (x < y) - (x > y);
}

void
query_read(struct query *q, struct words *w, const struct index_query *iq, struct shard *const *shards, size_t n_shards,
           double passages)
{
    struct reader r = { .q = q, .words = w, .shards = shards, .n_shards = n_shards, .passages = passages, .text = iq->text,
        .core = BUF_MAX(TEXT_MAX + 1) };
    size_t tried = 0;

    asking_core(iq->text, &r.core);
    read_terms(&r, iq->text);
    buf_free(&r.core);
    r.in_context = true;
    read_terms(&r, iq->context);
    for (size_t i = 0; i < q->n; i++) {
        weigh(&r, &q->v[i], &tried);
        q->content += !q->v[i].context && !q->v[i].weak && q->v[i].weight > 0;
    }
    if (q->n)
        qsort(q->v, q->n, sizeof(*q->v), by_idf);
    if (q->n > QUERY_TERMS)
        q->n = QUERY_TERMS;
}
