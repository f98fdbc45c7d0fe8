/* Questions. See query.h.
 *
 *   text ─▶ words ─▶ stems in each language that is searched ─▶ how many passages have them ─▶ weights
 *                      └ no passage has it: the word one letter away that passages have, if there is one, or the two words that it is
 *                        written together of; and of "cool-down" either the two words or the one count, as passages have them
 *
 * The words around a question ("hi, can you tell me", "like I am five") are worth little, whether
 * passages have them or not. */
#include "retriever/index/query.h"

#include <math.h>
#include <stdlib.h>

#include "text/asking.h"
#include "text/fold.h"
#include "text/sign.h"
#include "text/spell.h"
#include "retriever/index/rank.h"

enum { SPELT_MAX = 6, TEXT_MAX = 65536, QUERY_NEIGHBOURS = 4096, GUESSED_IN = 3 };

struct reader {
    struct query *q;
    struct words *words;
    const struct corpus *corpus;
    struct str text; /* the question */
    struct buf core; /* it, with the phrases around it blanked, byte for byte */
    /* the languages in which an unknown word may be one: the question's, and those that most documents have */
    enum language in[GUESSED_IN];
    size_t n_in;
    bool foreign;    /* no document is in that language: a word that is in none of them is not misspelt */
    bool in_context; /* while words of the context are added */
    bool in_other;   /* while stems of another language are added */
};

/* Another language's stem of a word that the question has. */
static void
add_form(struct reader *r, const struct word *w)
{
    for (size_t i = 0; i < r->q->n; i++) {
        struct query_term *t = &r->q->v[i];
        bool known = t->context != r->in_context || t->start != w->start || t->end != w->end ||
                     t->n_forms == QUERY_FORMS;

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
    q->v[q->n++] = (struct query_term){ .h = { w->h },
                                        .n_forms = 1,
                                        .start = w->start,
                                        .end = w->end,
                                        .idf = asking ? RANK_WEAK : 1,
                                        .weight = asking                ? RANK_ASKING
                                                  : w->cls == WORD_WEAK ? RANK_WEAK
                                                                        : 1,
                                        .context = r->in_context,
                                        .weak = asking || w->cls == WORD_WEAK };
}

/* The languages of what is searched, and the one that most documents have. */
static uint64_t
languages_searched(const struct reader *r, enum language *most)
{
    const uint64_t *n = r->corpus->languages;
    uint64_t bits = 0;

    *most = LANG_ENGLISH;
    for (int l = 0; l < LANGUAGES; l++) {
        bits |= (uint64_t)(n[l] > 0) << l;
        if (n[l] > n[*most])
            *most = (enum language)l;
    }
    return bits;
}

static void
read_signs(struct reader *r, struct str text)
{
    struct str v[SIGNS_ASKED];

    for (size_t i = 0, n = signs_asked(text, v, SIGNS_ASKED); i < n; i++) {
        size_t at = (size_t)(v[i].p - text.p);
        const struct word w = { .folded = v[i],
                                .stem = v[i],
                                .cls = WORD_CONTENT,
                                .start = at,
                                .end = at + v[i].n,
                                .h = sign_hash(v[i]) };

        add_term(r, &w);
    }
}

/* "log in" may be "login" in the passages. */
static void
read_apart(struct reader *r, struct str text)
{
    struct apart v[APART_MAX];

    for (size_t i = 0, n = spell_apart(text, v); i < n; i++) {
        uint64_t h = words_hash(r->words, (struct str){ v[i].joined, v[i].n });

        for (size_t k = 0; k < r->q->n; k++) {
            struct query_term *t = &r->q->v[k];

            if (t->start >= v[i].start && t->end <= v[i].end)
                t->joined[t->start == v[i].start] = h;
        }
    }
}

static void
guess_languages(struct reader *r, enum language own)
{
    const uint64_t *docs = r->corpus->languages;

    for (enum language next = own; next != LANGUAGES && r->n_in < GUESSED_IN;) {
        r->in[r->n_in++] = next;
        next = LANGUAGES;
        for (int l = 0; l < LANGUAGES; l++) {
            bool has = docs[l] == 0;

            for (size_t i = 0; i < r->n_in; i++)
                has = has || r->in[i] == (enum language)l;
            if (!has && (next == LANGUAGES || docs[l] > docs[next]))
                next = (enum language)l;
        }
    }
}

/* The question is read in its own language, among those of the documents; then its words get the
 * stems that they have in the others, since a name, or a question whose language nothing tells, is
 * to be found in all. */
static void
read_terms(struct reader *r, struct str text)
{
    enum language most;
    uint64_t bits = languages_searched(r, &most);
    enum language own = language_of(text, bits, most);

    words_language(r->words, own);
    words_each(r->words, text, add_term, r);
    if (!r->in_context)
        read_apart(r, text);
    read_signs(r, text);
    r->in_other = true;
    for (int l = 0; l < LANGUAGES; l++)
        if ((bits >> l & 1) && (enum language)l != own) {
            words_language(r->words, (enum language)l);
            words_each(r->words, text, add_term, r);
        }
    r->in_other = false;
    if (!r->in_context) {
        guess_languages(r, own);
        r->foreign = !(bits >> own & 1);
    }
}

static double
passages_with(const struct reader *r, uint64_t h)
{
    return r->corpus->with(r->corpus->arg, h);
}

static double
passages_with_any(const struct reader *r, const struct query_term *t)
{
    double df = 0;

    for (size_t f = 0; f < t->n_forms; f++)
        df += passages_with(r, t->h[f]);
    return fmin(df, r->corpus->passages);
}

struct speller {
    const struct reader *r;
    struct str typed;
    uint64_t best; /* the commonest neighbour */
    double df;     /* passages that have it */
    bool stop;     /* a stop word is a neighbour */
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

static struct str
written(const struct reader *r, const struct query_term *t)
{
    return (struct str){ r->text.p + t->start, t->end - t->start };
}

/* Empty: the word is too long to be cut. */
static struct str
fold_written(const struct reader *r, const struct query_term *t, char z[FOLD_MAX])
{
    struct str s = written(r, t);

    return (struct str){ z, s.n < FOLD_MAX ? fold_word(s, z) : 0 };
}

/* Does a stop word of the question's language stand one letter away? *p: the commonest neighbour. */
static void
spell(const struct reader *r, struct speller *p)
{
    struct buf b = BUF_MAX(TEXT_MAX);

    if (spell_neighbours(p->typed, &b))
        for (size_t i = 0; i < r->n_in && !p->stop && (i == 0 || p->df <= 0); i++) {
            words_language(r->words, r->in[i]);
            words_each(r->words, buf_slice(&b), try_spelling, p);
            p->stop = p->stop && i == 0;
        }
    buf_free(&b);
}

static void
mean(struct query_term *t, uint64_t h)
{
    t->h[0] = h;
    t->n_forms = 1;
    t->idf *= RANK_SPELT;
    t->weight *= RANK_SPELT;
}

/* The two words that the term is written together of: those that passages have, the rarer of both being the commonest. A
 * second one that only says what is asked of the first ("-dauer") may be missing. */
static bool
cut_compound(const struct reader *r, struct query_term *t)
{
    struct compound v[COMPOUND_SPLITS];
    uint64_t first = 0, second = 0;
    double best = 0;
    char z[FOLD_MAX];
    struct str folded = fold_written(r, t, z);

    for (size_t l = 0; l < r->n_in && best <= 0; l++) {
        words_language(r->words, r->in[l]);
        for (size_t i = 0, n = compound_splits(folded, r->in[l], v); i < n; i++) {
            uint64_t a = words_hash(r->words, compound_first(folded, v[i])),
                     b = words_hash(r->words, compound_second(folded, v[i]));
            double x = a ? passages_with(r, a) : 0, y = b ? passages_with(r, b) : 0;
            double common = y <= 0 && v[i].measure ? x / 2 : fmin(x, y);

            if (common > best) {
                best = common;
                first = a;
                second = y > 0 ? b : 0;
            }
        }
    }
    if (best <= 0)
        return false;
    mean(t, first);
    if (second && r->q->n < QUERY_WORDS) {
        r->q->v[r->q->n] = *t;
        r->q->v[r->q->n++].h[0] = second;
    }
    return true;
}

/* A word that no passage has may be misspelt: then the commonest word one letter away is meant; or written together; or it
 * says nothing. */
static bool
correct(const struct reader *r, struct query_term *t)
{
    struct speller p = { .r = r, .typed = written(r, t) };

    spell(r, &p);
    if (p.stop) {
        t->weight = 0;
        return false;
    }
    if (p.df <= 0)
        return cut_compound(r, t);
    mean(t, p.best);
    return true;
}

/* Do passages have both words that are written together in h? Then those are meant. */
static bool
known_apart(const struct reader *r, uint64_t h)
{
    size_t known = 0;

    for (size_t i = 0; i < r->q->n; i++)
        known += (r->q->v[i].joined[0] == h || r->q->v[i].joined[1] == h) &&
                 passages_with(r, r->q->v[i].h[0]) > 0;
    return known >= 2;
}

/* "log in" has "login" as another form of its words, where passages have that. */
static void
settle_apart(const struct reader *r)
{
    for (size_t i = 0; i < r->q->n; i++) {
        struct query_term *t = &r->q->v[i];

        for (int k = 0; k < 2; k++)
            if (t->joined[k] && t->n_forms < QUERY_FORMS && passages_with(r, t->joined[k]) > 0 &&
                !known_apart(r, t->joined[k]))
                t->h[t->n_forms++] = t->joined[k];
    }
}

/* "cool-down" was read as "cool", "down" and "cooldown". The words that passages have of it count; the rest is not missing. */
static void
settle_joined(const struct reader *r)
{
    struct query *q = r->q;

    for (size_t i = 0; i < q->n; i++) {
        struct query_term *both = &q->v[i];

        for (size_t k = 0; k < q->n; k++) {
            struct query_term *part = &q->v[k];
            bool inside = part->context == both->context && part->start >= both->start &&
                          part->end <= both->end && part->end - part->start < both->end - both->start;

            if (!inside)
                continue;
            if (passages_with_any(r, both) > 0 && passages_with_any(r, part) <= 0)
                part->weight = 0;
            else if (passages_with_any(r, both) <= 0 && passages_with_any(r, part) > 0)
                both->weight = 0;
        }
    }
}

/* A word that no passage has counts as missing, but not in full: it may be the question's own way of asking. */
static void
weigh(const struct reader *r, struct query_term *t, size_t *tried)
{
    double place = t->context ? RANK_CONTEXT : 1, df = passages_with_any(r, t);

    if (t->weight <= 0) {
        t->idf = 0;
        return;
    }
    if (df <= 0 && !t->context && !r->foreign && *tried < SPELT_MAX) {
        (*tried)++;
        if (correct(r, t))
            df = passages_with_any(r, t);
    }
    if (!t->context && t->weight > 0)
        r->q->full += t->idf * (df > 0 ? rank_idf(r->corpus->passages, df)
                                       : RANK_UNKNOWN * rank_idf(r->corpus->passages, 0));
    t->idf *= df > 0 ? rank_idf(r->corpus->passages, df) * place
                     : 0; /* a word that is nowhere finds nothing: it goes when there are too many */
    t->weight *= rank_rarity(r->corpus->passages, df) * place * (df > 0 ? 1 : RANK_UNKNOWN);
}

static int
by_idf(const void *a, const void *b)
{
    double x = ((const struct query_term *)a)->idf, y = ((const struct query_term *)b)->idf;

    return (x < y) - (x > y);
}

/* All words of the question, and the neighbours of those that no passage has, each at once. */
static void
look_up_words(const struct reader *r)
{
    uint64_t h[QUERY_WORDS / 2]; /* half of the most: nobody asks so much */
    size_t n = 0;

    for (size_t i = 0; i < r->q->n; i++)
        for (size_t f = 0; f < r->q->v[i].n_forms && n < sizeof h / sizeof *h; f++)
            h[n++] = r->q->v[i].h[f];
    for (size_t i = 0; i < 2 * r->q->n && n < sizeof h / sizeof *h; i++)
        if (r->q->v[i / 2].joined[i % 2])
            h[n++] = r->q->v[i / 2].joined[i % 2];
    r->corpus->look_up(r->corpus->arg, h, n);
}

struct neighbours {
    struct str typed;
    uint64_t h[QUERY_NEIGHBOURS];
    size_t n;
};

static void
take_neighbour(void *arg, const struct word *w)
{
    struct neighbours *x = arg;

    if (w->cls != WORD_STOP && x->n < QUERY_NEIGHBOURS && spell_meant(x->typed, w->folded))
        x->h[x->n++] = w->h;
}

static void
add_guess(struct neighbours *x, uint64_t h)
{
    if (h && x->n < QUERY_NEIGHBOURS)
        x->h[x->n++] = h;
}

/* Words that an unknown one may be meant as. */
static void
guess(const struct reader *r, const struct query_term *t, struct neighbours *x)
{
    struct compound v[COMPOUND_SPLITS];
    struct buf b = BUF_MAX(TEXT_MAX);
    char z[FOLD_MAX];
    struct str folded = fold_written(r, t, z);

    x->typed = written(r, t);
    for (size_t l = 0; l < r->n_in; l++) {
        words_language(r->words, r->in[l]);
        for (size_t i = 0, n = compound_splits(folded, r->in[l], v); i < n; i++) {
            add_guess(x, words_hash(r->words, compound_first(folded, v[i])));
            add_guess(x, words_hash(r->words, compound_second(folded, v[i])));
        }
        buf_reset(&b);
        if (spell_neighbours(x->typed, &b))
            words_each(r->words, buf_slice(&b), take_neighbour, x);
    }
    buf_free(&b);
}

static void
look_up_neighbours(const struct reader *r)
{
    struct neighbours *x = mem_new(sizeof *x);
    size_t tried = r->foreign ? SPELT_MAX : 0;

    for (size_t i = 0; i < r->q->n && tried < SPELT_MAX; i++) {
        const struct query_term *t = &r->q->v[i];

        if (t->context || t->weight <= 0 || passages_with_any(r, t) > 0)
            continue;
        tried++;
        guess(r, t, x);
    }
    if (x->n > 0)
        r->corpus->look_up(r->corpus->arg, x->h, x->n);
    mem_free(&x);
}

void
query_read(struct query *q, struct words *w, const struct engine_query *iq, const struct corpus *c)
{
    struct reader r = { .q = q, .words = w, .corpus = c, .text = iq->text, .core = BUF_MAX(TEXT_MAX + 1) };
    size_t tried = 0;

    asking_core(iq->text, &r.core);
    read_terms(&r, iq->text);
    buf_free(&r.core);
    r.in_context = true;
    read_terms(&r, iq->context);
    if (c->look_up)
        look_up_words(&r);
    settle_joined(&r);
    settle_apart(&r);
    if (c->look_up)
        look_up_neighbours(&r);
    for (size_t i = 0; i < q->n; i++) {
        weigh(&r, &q->v[i], &tried);
        q->content += !q->v[i].context && !q->v[i].weak && q->v[i].weight > 0;
    }
    if (q->n)
        qsort(q->v, q->n, sizeof *q->v, by_idf);
    if (q->n > QUERY_TERMS)
        q->n = QUERY_TERMS;
}

/* ---- counts from elsewhere */

enum { COUNTS_MAX = 4608 };

struct counted {
    uint64_t h;
    double df;
};

static int
by_hash(const void *a, const void *b)
{
    uint64_t x = ((const struct counted *)a)->h, y = ((const struct counted *)b)->h;

    return (x > y) - (x < y);
}

void
counts_add(struct word_counts *c, uint64_t h, double df)
{
    if (!c->v)
        c->v = mem_new(COUNTS_MAX * sizeof *c->v);
    if (c->n < COUNTS_MAX)
        c->v[c->n++] = (struct counted){ h, df };
}

void
counts_sort(struct word_counts *c)
{
    if (c->n > 0)
        qsort(c->v, c->n, sizeof *c->v, by_hash);
}

double
counts_of(const struct word_counts *c, uint64_t h)
{
    struct counted key = { .h = h };
    const struct counted *found = c->n ? bsearch(&key, c->v, c->n, sizeof key, by_hash) : NULL;

    return found ? found->df : 0;
}

void
counts_free(struct word_counts *c)
{
    mem_free(&c->v);
    c->n = 0;
}
