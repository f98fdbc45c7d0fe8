/* Units → the few that answer. See quote.h. Rare words of the question weigh up to some 3 times the common ones. */
#include <ctype.h>
#include <math.h>

#include "text/asking.h"
#include "text/spell.h"
#include "text/support.h"
#include "embedder/builtin/quote.h"

#define SELECTION_TERMS 8        /* of the selected text, when the question has hardly any */
#define LEAST_COVERAGE 0.30      /* below this nothing is quoted, however likely */
#define SURE 0.5                 /* a hit's score from which one of several words is enough */
#define ALSO 0.72                /* further quotes: at least this share of the best score */
#define ALSO_LINES 0.95          /* … when the first is a block of lines */
#define UNDER 0.75               /* what a word of the heading directly above counts */
#define NEAR 0.4                 /* … of a neighbour */
#define CONTEXT 0.4              /* … of a title or heading further up */
#define WEAK 0.3                 /* weight of a word that is common in questions */
#define UNSEEN 1.0               /* weight of a word that no unit has, of the rarest's */
#define FEW 6.0                  /* terms of a question; of more the unseen ones weigh less: it tells a story */
#define CODE 2.0                 /* weight of a name of digits and letters */
#define SAID 0.7                 /* said enough: see support.c */
#define IN_BLOCK 0.15            /* what code and lists say in their own words */
#define ASKED 0.5                /* coverage under a heading that the question has in full */

/* ---- words */
struct counter {
    struct digest *d;
    uint32_t bits;
    size_t words;
    enum word_class least;       /* of the terms that are added */
    size_t max;
};

static void
count_word(void *arg, const struct word *w)
{
    struct counter *c = arg;

    c->words++;
    for (size_t i = 0; i < c->d->n_terms; i++)
        if (c->d->terms[i].h == w->h)
            c->bits |= 1u << i;
}

uint32_t
quote_bits(struct digest *d, struct str text, size_t *words)
{
    struct counter c = { .d = d };

    words_each(d->words, text, count_word, &c);
    *words = c.words;
    return c.bits;
}

struct heading {
    const struct digest *d;
    size_t content, asked;
};

static void
heading_word(void *arg, const struct word *w)
{
    struct heading *x = arg;
    bool has = false;

    if (w->cls == WORD_STOP)
        return;
    for (size_t i = 0; i < x->d->n_terms && !has; i++)
        has = x->d->terms[i].h == w->h;
    x->content++;
    x->asked += has;
}

bool
quote_asks(struct digest *d, struct str heading)
{
    struct heading x = { .d = d };

    words_each(d->words, heading, heading_word, &x);
    return x.content >= 2 && x.asked == x.content;
}

static void
look_for_wish(struct digest *d, struct str word)
{
    static const char *const numeric[] = { "many", "much", "long", "often", "when", "large", "old", "fast", "big", "year", "far", "tall",
        "high", "viele", "lange", "wann", "combien", "quand", "cuantos", "cuando", "quanti", "quando" };
    static const char *const named[] = { "who", "whose", "whom", "where", "wer", "wo", "qui", "ou", "quien", "donde", "chi", "dove" };

    for (size_t i = 0; i < sizeof numeric / sizeof numeric[0]; i++)
        if (str_is(word, numeric[i]))
            d->wish = WISH_NUMBER;
    for (size_t i = 0; i < sizeof named / sizeof named[0] && d->wish == WISH_ANY; i++)
        if (str_is(word, named[i]))
            d->wish = WISH_NAME;
}

static bool
is_code(struct str s)
{
    size_t digits = 0, letters = 0;

    for (size_t i = 0; i < s.n; i++) {
        digits += isdigit((unsigned char)s.p[i]) != 0;
        letters += isalpha((unsigned char)s.p[i]) != 0;
    }
    return digits >= 2 && (letters > 0 || digits >= 3);
}

static void
add_term(void *arg, const struct word *w)
{
    struct counter *c = arg;
    struct digest *d = c->d;
    struct term *t;

    look_for_wish(d, w->folded);
    if (w->cls > c->least || d->n_terms >= c->max || (c->least < WORD_STOP && language_class(d->asked_in, w->folded) == WORD_STOP))
        return;
    for (size_t i = 0; i < d->n_terms; i++)
        if (d->terms[i].h == w->h)
            return;
    t = &d->terms[d->n_terms++];
    *t = (struct term){ .h = w->h, .weak = w->cls == WORD_WEAK, .code = is_code(w->folded) };
    if (w->folded.n < sizeof t->written)
        memcpy(t->written, w->folded.p, t->n = w->folded.n);
}

void
quote_read(struct digest *d, struct str text, enum word_class least, size_t max)
{
    struct counter c = { .d = d, .least = least, .max = max };

    words_each(d->words, text, add_term, &c);
}

/* ---- misspelt words */
struct vocabulary {              /* of all passages */
    uint64_t *h;
    size_t n, cap;
};

static void
collect(void *arg, const struct word *w)
{
    struct vocabulary *v = arg;

    if (v->n == v->cap) {
        v->cap = v->cap > 0 ? 2 * v->cap : 1024;
        v->h = mem_resize(v->h, v->cap * sizeof *v->h);
    }
    v->h[v->n++] = w->h;
}

static bool
knows(const struct vocabulary *v, uint64_t h)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->h[i] == h)
            return true;
    return false;
}

struct speller {
    const struct vocabulary *v;
    struct str typed;
    uint64_t meant;
    bool found;
};

static void
try_spelling(void *arg, const struct word *w)
{
    struct speller *s = arg;

    if (s->found || w->cls == WORD_STOP || !spell_meant(s->typed, w->folded) || !knows(s->v, w->h))
        return;
    s->meant = w->h;
    s->found = true;
}

/* A word that no passage has is read as one that a passage has and that is one letter away. */
static void
correct_terms(struct digest *d)
{
    struct vocabulary v = { 0 };

    for (size_t i = 0, n = prompt_passages(d->req); i < n; i++) {
        words_each(d->words, d->req->hits.v[i].title, collect, &v);
        words_each(d->words, d->req->hits.v[i].section, collect, &v);
        words_each(d->words, d->req->hits.v[i].text, collect, &v);
    }
    for (size_t i = 0; i < d->n_terms; i++) {
        struct term *t = &d->terms[i];
        struct speller s = { .v = &v, .typed = { t->written, t->n } };
        struct buf b = BUF_MAX(65536);

        if (t->n >= SPELL_LEAST && !knows(&v, t->h) && spell_neighbours((struct str){ t->written, t->n }, &b))
            words_each(d->words, buf_slice(&b), try_spelling, &s);
        t->h = s.found ? s.meant : t->h;
        buf_free(&b);
    }
    mem_free(&v.h);
}

void
quote_terms(struct digest *d)
{
    struct buf core = BUF_MAX(65536 + 1);
    struct str q = d->req->question;

    const struct hit *first = d->req->hits.n > 0 ? d->req->hits.v : NULL;

    d->asked_in = language_of(q, 0, LANG_ENGLISH);
    words_language(d->words, language_given(first ? first->language : STR_NONE, first ? utf8_cut(first->text, 4096) : STR_NONE,
                                            d->asked_in));
    asking_core(q, &core);
    quote_read(d, buf_slice(&core), WORD_WEAK, QUOTE_TERMS);
    if (d->n_terms < 2 && d->req->selection.n > 0 && !d->req->selected)
        quote_read(d, d->req->selection, WORD_CONTENT, SELECTION_TERMS); /* "What does this mean?" */
    if (d->n_terms == 0)
        quote_read(d, q, WORD_STOP, QUOTE_TERMS);
    buf_free(&core);
    correct_terms(d);
}

/* ---- choosing */
/* Rare words weigh more; a word that no unit has nearly as much as the rarest of the others. Returns the sum. */
static double
weigh_terms(struct digest *d)
{
    double total = 0, most = 1;

    d->n_strong = 0;
    for (size_t i = 0; i < d->n_terms; i++) {
        struct term *t = &d->terms[i];

        t->weight = t->seen == 0 ? 0 : (1.0 + 0.5 * log(1.0 + (double)d->n / (1.0 + t->seen))) * (t->weak ? WEAK : t->code ? CODE : 1);
        most = t->weight > most ? t->weight : most;
    }
    for (size_t i = 0; i < d->n_terms; i++) {
        struct term *t = &d->terms[i];

        d->n_strong += !t->weak;
        t->weight = t->seen == 0 ? UNSEEN * most * (t->weak ? WEAK : 1) * fmin(1, FEW / (double)d->n_terms) : t->weight;
        total += t->weight;
    }
    return total;
}

static double
coverage(const struct digest *d, struct unit *u, double total)
{
    double sum = 0, direct = 0;

    for (size_t i = 0; i < d->n_terms; i++) {
        double share = (u->own >> i & 1)     ? 1
                       : (u->under >> i & 1) ? UNDER
                       : (u->near >> i & 1)  ? NEAR
                                             : (u->context >> i & 1) * CONTEXT;

        sum += d->terms[i].weight * share;
        direct += share >= 1 ? d->terms[i].weight : 0;
    }
    u->direct = total > 0 ? direct / total : 0;
    sum = total > 0 && (u->own | u->under) != 0 ? sum / total : 0;
    if (!u->asked)
        return sum;
    u->direct = fmax(u->direct, SAID);
    return fmax(sum, u->under != 0 ? ASKED + 0.5 * sum : ASKED);
}

/* How much of the question the first cell of a row has: "Station 3" is not the row that has a 3 elsewhere. */
static double
named(const struct digest *d, const struct unit *u)
{
    double sum = 0, all = 1e-9;

    for (size_t i = 0; i < d->n_terms; i++) {
        all += d->terms[i].weight;
        sum += u->first >> i & 1 ? d->terms[i].weight : 0;
    }
    return sum / all;
}

static bool
is_table(const struct unit *u)
{
    return u->kind == UNIT_ROW || u->text.p[0] == '|';
}

static void
weigh(struct digest *d)
{
    double total = weigh_terms(d);

    for (size_t k = 0; k < d->n; k++) {
        struct unit *u = &d->u[k];
        const struct hit *h = &d->req->hits.v[u->hit];
        double score = u->coverage = coverage(d, u, total);

        score += 0.1 / (1.0 + (double)u->ord) + 0.1 / (1.0 + (double)u->hit);
        score += 0.2 * (h->score < 0 ? 0 : h->score > 1 ? 1 : h->score);
        score += (d->wish == WISH_NUMBER && u->digits) || (d->wish == WISH_NAME && u->name) ? 0.1 : 0;
        score += 0.15 * named(d, u);
        score -= u->words > 45 && u->kind <= UNIT_ITEM ? 0.1 : 0;
        score -= islower((unsigned char)u->text.p[0]) && u->kind == UNIT_SENTENCE ? 0.1 : 0; /* cut off by the chunk's border */
        score -= u->kind == UNIT_CODE ? 0.25 : is_table(u) ? 0.22 : u->kind == UNIT_BLOCK ? 0.05 : 0;
        u->score = score;
    }
}

static bool
may_quote(const struct digest *d, const struct unit *u)
{
    uint32_t any = u->own | u->under | u->near | u->context;
    bool enough = d->n_strong <= 1 || (any & (any - 1)) != 0 || d->req->hits.v[u->hit].score >= SURE;

    return d->all || (enough && u->coverage >= LEAST_COVERAGE);
}

/* Nothing of it stands in what is quoted already, there or word for word elsewhere. */
bool
quote_is_news(const struct unit *u, const struct unit *const *have, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((u->text.p < have[i]->text.p + have[i]->text.n && have[i]->text.p < u->text.p + u->text.n) || str_eq(have[i]->text, u->text))
            return false;
    return true;
}

/* Behind prose no table and no code: they are quoted where they answer best. */
static bool
goes_with(const struct unit *u, const struct unit *const *have, size_t n)
{
    return n == 0 || have[0]->kind > UNIT_ITEM || (u->kind != UNIT_CODE && !is_table(u));
}

static void
order(const struct unit **q, size_t n)
{
    for (size_t i = 1; i < n; i++) /* the best stays first; what follows reads in the order of the documents */
        for (size_t k = i; k > 1; k--) {
            const struct unit *a = q[k - 1], *b = q[k];

            if (a->hit < b->hit || (a->hit == b->hit && a->ord < b->ord))
                break;
            q[k - 1] = b;
            q[k] = a;
        }
}

static bool
has_code(const struct digest *d, uint32_t bits)
{
    bool any = false;

    for (size_t i = 0; i < d->n_terms; i++)
        any = any || ((bits >> i & 1) && d->terms[i].code);
    return any;
}

/* What the question says and the quotes do not: is one of them likely to answer all the same? */
static bool
likely(struct digest *d, const struct unit *const *q, size_t n)
{
    bool any = d->all;

    for (size_t i = 0; i < n && !any; i++) {
        struct buf quote = BUF_MAX(65536);
        struct support s;

        buf_str(&quote, q[i]->head);
        buf_c(&quote, '\n');
        buf_str(&quote, q[i]->text);
        support_read(d->words, d->req->question, &d->req->hits.v[q[i]->hit], buf_slice(&quote), &s);
        buf_free(&quote);
        if (s.number && is_table(q[i]))
            continue;            /* "Station 151" of 150 */
        s.said = q[i]->direct + (q[i]->kind == UNIT_BLOCK ? IN_BLOCK : 0);
        if (q[i]->first && has_code(d, q[i]->first))
            s.said = fmax(s.said, SAID);
        s.found = sqrt(fmax(s.found * d->req->hits.v[0].score, 0)); /* what is first may be what cannot be quoted */
        any = support_chance(&s) >= SUPPORT_LEAST;
    }
    return any;
}

size_t
quote_pick(struct digest *d, const struct unit **out)
{
    size_t n = 0;

    weigh(d);
    while (n < QUOTES) {
        const struct unit *best = NULL;

        for (size_t k = 0; k < d->n; k++) {
            const struct unit *u = &d->u[k];

            if (may_quote(d, u) && quote_is_news(u, out, n) && goes_with(u, out, n) && (best == NULL || u->score > best->score))
                best = u;
        }
        if (best == NULL || (n > 0 && best->score < out[0]->score * (out[0]->kind > UNIT_ITEM ? ALSO_LINES : ALSO)))
            break;
        if (best->rest.n > 0 && best->direct < SAID && (best->under & ~best->own) != 0)
            d->u[best - d->u].text = d->u[best - d->u].key = best->rest; /* a heading asks: its paragraph answers */
        out[n++] = best;
    }
    order(out, n);
    return likely(d, out, n) ? n : 0;
}
