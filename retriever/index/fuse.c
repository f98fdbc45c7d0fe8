/* The order of candidates. See fuse.h. */
#include "retriever/index/fuse.h"

#include <math.h>
#include <stdlib.h>

#include "retriever/index/rank.h"
#include "text/section.h"
#include "text/sign.h"

enum { RELEVANT_OF = 16, Z_SEEN = 30 };

/* The count of the word in the passage, its headings included. */
static double
word_count(const struct index_doc *d, const struct passage *p, uint64_t h)
{
    size_t lo = p->first, hi = p->first + p->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (d->hash[mid] < h)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < p->first + p->n && d->hash[lo] == h ? d->tf[lo] : 0;
}

double
fuse_bm25(const struct ranking *s, double idf, double tf, double len)
{
    return idf * tf * (RANK_K1 + 1) / (tf + RANK_K1 * (1 - RANK_B + RANK_B * len / s->mean_len));
}

double
fuse_words(const struct ranking *s, const struct index_doc *d, const struct passage *p)
{
    double sum = 0;

    for (size_t i = 0; i < s->words.n; i++)
        for (size_t f = 0; f < s->words.v[i].n_forms; f++)
            sum += fuse_bm25(s, s->words.v[i].idf, word_count(d, p, s->words.v[i].h[f]), p->len);
    return sum;
}

struct heads { /* which words of the question stand in headings */
    const struct ranking *s;
    bool has[QUERY_TERMS], own[QUERY_TERMS]; /* in any; in the own one */
    size_t content, asked;                   /* words of the own heading; those that the question has */
};

static bool
is_form(const struct query_term *t, uint64_t h)
{
    bool is = false;

    for (size_t f = 0; f < t->n_forms; f++)
        is = is || t->h[f] == h;
    return is;
}

static void
head_word(void *arg, const struct word *w)
{
    struct heads *x = arg;

    for (size_t i = 0; i < x->s->words.n; i++)
        x->has[i] = x->has[i] || is_form(&x->s->words.v[i], w->h);
}

static void
own_word(void *arg, const struct word *w)
{
    struct heads *x = arg;
    bool has = false;

    if (w->cls == WORD_STOP)
        return;
    for (size_t i = 0; i < x->s->words.n; i++)
        if (!x->s->words.v[i].context && is_form(&x->s->words.v[i], w->h))
            has = x->own[i] = true;
    x->content++;
    x->asked += has;
}

static double
harmonic(double a, double b)
{
    return a + b > 0 ? 2 * a * b / (a + b) : 0;
}

/* How much of the question one passage has; with its context when that says more ("and how long does it take?"). */
static void
cover(const struct ranking *s, struct words *w, struct candidate *c)
{
    const struct index_doc *d = c->doc;
    const struct passage *p = c->passage;
    double have[2] = { 0 }, all[2] = { 1e-9, 1e-9 }, own = 0;
    struct heads x = { .s = s };

    words_language(w, d->language);
    words_each(w, d->title, head_word, &x);
    words_each(w, p->chapter, head_word, &x);
    words_each(w, p->section, head_word, &x);
    words_each(w, p->lead, head_word, &x);
    words_each(w, section_last(p->section.n ? p->section : p->chapter), own_word, &x);
    if (x.content >= 2 && x.asked == x.content)
        c->sig.named = x.content == 2 ? 0.75 : 1;
    if (c->defines)
        c->sig.named = 1;
    for (size_t i = 0; i < s->words.n; i++) {
        const struct query_term *t = &s->words.v[i];
        double tf = 0;

        for (size_t f = 0; f < t->n_forms; f++)
            tf += word_count(d, p, t->h[f]);

        all[t->context] += t->weight;
        if (tf <= 0)
            continue;
        have[t->context] += t->weight;
        if (t->context)
            continue;
        c->sig.depth += t->weight * (tf / (1 + tf));
        c->sig.head += x.has[i] ? t->weight : 0;
        own += x.own[i] ? t->weight : 0;
        c->sig.matched += !t->weak && t->weight > 0;
    }
    c->alike = x.asked ? harmonic((double)x.asked / (double)x.content, own / all[0]) : 0;
    c->sig.depth /= all[0];
    c->sig.head /= all[0];
    c->sig.mass = have[0];
    c->sig.coverage = fmax(have[0] / all[0], (have[0] + have[1]) / (all[0] + all[1]));
}

static int
by_fused(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if (x->fused < y->fused || x->fused > y->fused)
        return x->fused < y->fused ? 1 : -1;
    return (x->order > y->order) - (x->order < y->order);
}

/* A passage of which a line begins with an option that the question names explains it; many more may only use it. */
static void
prefer_definitions(struct ranking *s)
{
    struct str v[SIGNS_ASKED];
    size_t n = signs_asked(s->q->text, v, SIGNS_ASKED);

    for (size_t k = 0; k < n; k++) {
        uint64_t h = sign_defined_hash(v[k]);

        if (!sign_is_option(v[k]))
            continue;
        for (size_t i = 0; i < s->n_cands; i++) {
            struct candidate *c = &s->cands[i];

            if (!c->defines && word_count(c->doc, c->passage, h) > 0) {
                c->defines = true;
                c->fused += RANK_DEFINES;
                c->fused += sign_commands(s->q->text, c->doc->title) ? RANK_COMMAND : 0;
            }
        }
    }
}

static void
fuse(struct ranking *s)
{
    double best_words = 1e-9, best_cosine = 0, w = 0;
    double seen = s->seen ? (double)s->seen : 1;

    if (s->q->vector && s->seen)
        w = rank_vector_weight(s->vector_weight, s->q->model);
    s->mean = s->sum / seen;
    s->deviation = sqrt(fmax(s->sum2 / seen - s->mean * s->mean, 0));
    for (size_t i = 0; i < s->n_cands; i++) {
        best_words = fmax(best_words, s->cands[i].bm25);
        best_cosine = fmax(best_cosine, s->cands[i].cosine);
    }
    s->trust = w > 0 && rank_semantic(s->q->model)
                   ? rank_trust(best_words, s->words.full, rank_idf(s->passages, 0))
                   : 1;
    double base = s->seen > Z_SEEN ? s->mean : 0, span = fmax(best_cosine - base, 1e-6);
    double words = (1 - w) * s->trust;

    for (size_t i = 0; i < s->n_cands; i++) {
        struct candidate *c = &s->cands[i];

        /* in full where there is no vector to compare (after a change of model) */
        double by_words = c->bm25 / best_words;

        c->fused = c->vector ? words * by_words + (1 - words) * fmin(fmax((c->cosine - base) / span, 0), 1)
                             : by_words;
    }
    prefer_definitions(s);
    qsort(s->cands, s->n_cands, sizeof *s->cands, by_fused);
}

/* The first ones once more, now that their evidence is looked at. */
static void
refine(struct ranking *s, struct words *w)
{
    size_t n = s->n_cands < RELEVANT_OF ? s->n_cands : RELEVANT_OF;

    for (size_t i = 0; i < n; i++) {
        struct candidate *c = &s->cands[i];

        cover(s, w, c);
        c->fused += s->trust *
                    (RANK_HEAD * c->sig.head + RANK_COVER * c->sig.coverage + RANK_ALIKE * c->alike);
    }
    qsort(s->cands, n, sizeof *s->cands, by_fused);
}

void
fuse_order(struct ranking *s, struct words *w)
{
    fuse(s);
    refine(s, w);
}

/* The surest of the first passages speaks for the question. */
static double
relevance(const struct ranking *s, struct index_signals *best)
{
    double top = 0, words = s->words.content;

    *best = (struct index_signals){ 0 };
    if (words < 1 && s->q->context.n)
        words = 1;
    for (size_t i = 0; i < s->n_cands && i < RELEVANT_OF; i++) {
        const struct candidate *c = &s->cands[i];
        struct index_signals sig;

        sig = c->sig;
        sig.cosine = c->cosine;
        sig.words = words;
        sig.semantic = c->vector && rank_semantic(s->q->model);
        sig.fitted = c->vector && rank_fitted(s->q->model);
        sig.lift = rank_lift(s->q->model, c->cosine, s->mean, s->seen > Z_SEEN);
        sig.passages = s->passages;
        sig.z = 0;

        if (s->seen > Z_SEEN && c->vector)
            sig.z = (c->cosine - s->mean) / fmax(s->deviation, 1e-6);
        double r = rank_relevance(&sig);

        if (i == 0 || r > top) {
            top = r;
            *best = sig;
        }
    }
    return top;
}

static bool
write_hit(const struct ranking *s, const struct candidate *c, double score, struct hit *h)
{
    const struct index_doc *d = c->doc;
    const struct passage *p = c->passage;

    if (!index_hit(d, p, p->text, s->arena, h) ||
        (p->lead.n > 0 && !(h->lead = arena_str(s->arena, p->lead)).p))
        return false;
    h->language = d->language_set ? str_of(language_code(d->language)) : STR_NONE;
    h->vector = c->cosine;
    h->lexical = c->bm25;
    h->score = score;
    return true;
}

enum err
fuse_hits(const struct ranking *s, struct search_rep *rep, struct index_signals *signals)
{
    double top = relevance(s, signals), best = s->n_cands ? fmax(s->cands[0].fused, 1e-9) : 1;
    double strong = s->q->threshold > 0 ? s->q->threshold : RANK_THRESHOLD, least = s->q->all ? 0 : strong;

    rep->hits.v = arena_alloc(s->arena, s->q->top_k * sizeof *rep->hits.v);
    if (!rep->hits.v)
        return ERR_INTERNAL;
    for (size_t i = 0; i < s->n_cands && rep->hits.n < s->q->top_k; i++) {
        double score = top * s->cands[i].fused / best;

        if (score < least || s->cands[i].fused <= 0)
            break;
        if (!write_hit(s, &s->cands[i], score, &rep->hits.v[rep->hits.n]))
            return ERR_INTERNAL;
        rep->hits.n++;
        rep->strong += score >= strong;
    }
    return ERR_OK;
}
