/* Units → the few that answer. See quote.h. Rare words of the question weigh up to some 3 times the common ones. */
#include <ctype.h>
#include <math.h>

#include "text/sentence.h"
#include "text/support.h"
#include "embedder/builtin/quote.h"

#define SURE 0.5        /* a hit's score from which one of several words is enough */
#define ALSO 0.72       /* further quotes: at least this share of the best score */
#define ALSO_LINES 0.95 /* … when the first is a block of lines */
#define UNDER 0.75      /* weight of a word of the heading directly above */
#define NEAR 0.4        /* … of a neighbour */
#define CONTEXT 0.4     /* … of a title or heading further up */
#define WEAK 0.3        /* weight of a word that is common in questions */
#define UNSEEN 1.0      /* weight of a word that no unit has, of the rarest's */
#define FEW 6.0         /* terms of a question; of more the unseen ones weigh less: it tells a story */
#define CODE 2.0        /* weight of a name of digits and letters */
#define SAID 0.7        /* said enough: see support.c */
#define IN_BLOCK 0.15   /* the share that code and lists say in their own words */
#define ASKED 0.5       /* coverage under a heading that the question has in full */
#define EXPLAINS 0.3    /* for what an option is called, before what it says */
#define DEFINES 0.35    /* for what says what the thing is that is asked for */
#define ALIKE 0.2       /* for the sentence directly under a heading that is the question in other words */
#define ALIKE_BELOW 0.1 /* … for the others under it */
#define POINTS 0.2      /* off the score of "See …" */
#define COMPARED 0.6    /* further quotes of what is compared: at least this share */
#define OTHERWISE 0.25  /* … of a quote that says the contrary */
#define FOREIGN 0.8     /* said, of a quote in another language: names and words that both have */
#define FEW_WORDS 5.0   /* of a question: of more each says less */
enum { CONTRARY_LOOKS = 3 };

/* ---- choosing */
/* Rare words weigh more; a word that no unit has nearly as much as the rarest of the others. Returns the sum. */
static double
weigh_terms(struct digest *d)
{
    double total = 0, most = 1;

    for (size_t i = 0; i < d->n_terms; i++) {
        struct term *t = &d->terms[i];

        t->weight = t->seen == 0 ? 0
                                 : (1.0 + 0.5 * log(1.0 + (double)d->n / (1.0 + t->seen))) * (t->weak   ? WEAK
                                                                                              : t->code ? CODE
                                                                                                        : 1);
        most = t->weight > most ? t->weight : most;
    }
    for (size_t i = 0; i < d->n_terms; i++) {
        struct term *t = &d->terms[i];

        t->weight = t->seen == 0 ? UNSEEN * most * (t->weak ? WEAK : 1) * fmin(1, FEW / (double)d->n_terms)
                                 : t->weight;
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
    if (!u->asked.in_full && !(u->asked.of_all && u->under != 0))
        return sum;
    u->direct = fmax(u->direct, SAID);
    return fmax(sum, u->under != 0 ? ASKED + 0.5 * sum : ASKED);
}

/* The share of the question that the first cell of a row has: "Station 3" is not the row that
 * has a 3 elsewhere. */
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

/* A row is looked up: the question names it and one of its columns. */
static bool
looked_up(const struct digest *d, const struct unit *u)
{
    return (u->first & d->strong) && (u->column & d->strong);
}

/* A line of it that begins with an option that the question names explains that; more so where the document is of the command that
 * is named besides. */
static double
explains_option(const struct digest *d, const struct unit *u)
{
    for (size_t i = 0; i < d->n_terms; i++)
        if ((u->own >> i & 1) && d->terms[i].sign && d->terms[i].member &&
            sign_defined(u->text, (struct str){ d->terms[i].written, d->terms[i].n }))
            return sign_commands(d->req->question, d->req->hits.v[u->hit].title) ? 2 * EXPLAINS : EXPLAINS;
    return 0;
}

static bool
is_table(const struct unit *u)
{
    return u->kind == UNIT_ROW || u->text.p[0] == '|';
}

/* The chunk's border cut its beginning off. A term above it that begins so is no sentence. */
static bool
is_cut(const struct unit *u)
{
    return u->kind == UNIT_SENTENCE && islower((unsigned char)u->key.p[0]);
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
        score += 0.15 * named(d, u) + explains_option(d, u) + DEFINES * quote_defines(d, u);
        score += u->asked.alike * u->asked.alike * (u->under != 0 || looked_up(d, u) ? ALIKE : ALIKE_BELOW);
        score -= u->pointer ? POINTS : 0;
        score -= u->words > 45 && u->kind <= UNIT_ITEM ? 0.1 : 0;
        score -= is_cut(u) ? 0.1 : 0;
        score -= u->kind == UNIT_CODE    ? 0.25
                 : is_table(u)           ? (looked_up(d, u) ? 0 : 0.22)
                 : u->kind == UNIT_BLOCK ? 0.05
                                         : 0;
        u->score = score;
    }
}

/* A line out of code that was cut says little by itself: more than two thirds of what is asked, or it is not quoted. */
static bool
is_scrap(const struct digest *d, const struct unit *u)
{
    return u->kind == UNIT_CODE && u->key.p == u->text.p && u->key.n == u->text.n &&
           3 * __builtin_popcount(u->own & d->strong) <= 2 * __builtin_popcount(d->strong);
}

static bool
may_quote(const struct digest *d, const struct unit *u)
{
    uint32_t any = u->own | u->under | u->near | u->context;
    bool enough = (d->strong & (d->strong - 1)) == 0 || (any & (any - 1)) != 0 ||
                  d->req->hits.v[u->hit].score >= SURE;

    return d->all || (enough && !is_scrap(d, u) && u->coverage >= QUOTE_LEAST_COVERAGE);
}

static bool
has_text(struct str text, struct str part)
{
    return part.n > 0 && text.n >= part.n && memmem(text.p, text.n, part.p, part.n) != NULL;
}

/* The unit says nothing that is quoted already, there or word for word elsewhere. */
bool
quote_is_news(const struct unit *u, const struct unit *const *have, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((u->text.p < have[i]->text.p + have[i]->text.n && have[i]->text.p < u->text.p + u->text.n) ||
            has_text(have[i]->text, u->key) || has_text(u->text, have[i]->text))
            return false;
    return true;
}

/* Its sentence alone, where what it leans on is quoted already. */
static void
drop_told(struct unit *u, const struct unit *const *have, size_t n)
{
    size_t before = u->key.p > u->text.p ? (size_t)(u->key.p - u->text.p) : 0;
    struct str leans_on = quote_trim((struct str){ u->text.p, before });

    if (u->kind > UNIT_ITEM || u->key.p + u->key.n != u->text.p + u->text.n)
        return;
    for (size_t i = 0; i < n; i++)
        if (has_text(have[i]->text, leans_on))
            u->text = u->key;
}

/* Behind prose no table and no code: they are quoted where they answer best. Nor what only says where something stands. */
static bool
goes_with(const struct unit *u, const struct unit *const *have, size_t n)
{
    return n == 0 || (!u->pointer && (have[0]->kind > UNIT_ITEM || (u->kind != UNIT_CODE && !is_table(u))));
}

static void
order(const struct unit **q, size_t n)
{
    /* the best stays first; what follows reads in the order of the documents */
    for (size_t i = 1; i < n; i++)
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

static void
read_support(struct digest *d, const struct unit *u, struct support *s)
{
    struct buf quote = BUF_MAX(65536);

    buf_str(&quote, u->above);
    buf_c(&quote, '\n');
    buf_str(&quote, u->head);
    buf_c(&quote, '\n');
    buf_str(&quote, u->text);
    support_read(d->words, d->req->question, &d->req->hits.v[u->hit], buf_slice(&quote), s);
    buf_free(&quote);
}

/* The share of the question's weight that the quotes have together. */
static double
said_together(const struct digest *d, const struct unit *const *q, size_t n)
{
    double sum = 0, all = 1e-9;
    uint32_t any = 0;

    for (size_t i = 0; i < n; i++)
        any |= q[i]->own | q[i]->under;
    for (size_t i = 0; i < d->n_terms; i++) {
        double w = d->terms[i].weak ? 0 : d->terms[i].weight; /* "difference" is not what is compared */

        all += w;
        sum += any >> i & 1 ? w : 0;
    }
    return sum / all;
}

/* "pino.final", and no passage has a "final"; "--foo", and none has that, nor a heading above. */
static bool
lacks_member(const struct digest *d)
{
    uint32_t members = 0;

    for (size_t i = 0; i < d->n_terms; i++)
        members |= (uint32_t)(d->terms[i].member && d->terms[i].seen == 0) << i;
    for (size_t k = 0; k < d->n && members; k++)
        members &= ~(d->u[k].under | d->u[k].context);
    return members != 0;
}

/* Evidence that the local sentence model allows. A passage without its vector, or that a reranker judged, keeps its score. */
static void
read_meaning(const struct digest *d, const struct unit *u, struct support *s)
{
    const struct hit *h = &d->req->hits.v[u->hit];
    uint32_t missing = d->strong & ~(u->own | u->under);

    s->by = d->by == SUPPORT_MEANING && (h->vector <= 0 || h->rerank > 0) ? SUPPORT_FOUND : d->by;
    s->near = h->vector;
    s->kind = (missing & d->kinds) != 0;
    s->lacks = (missing & ~d->kinds) != 0;
    s->few = fmin(1, FEW_WORDS / fmax(__builtin_popcount(d->strong), 1));
}

/* The question says more than the quotes do: is one of them likely to answer all the same? Where a sentence model found the passages
 * the best one has to be: further ones say even less, and one of them often seems to. A table without the
 * number that is asked for ("Station 151" of 150) leaves it to the next quote. Things that are compared may stand in one quote each. */
static bool
likely(struct digest *d, const struct unit *const *q, size_t n)
{
    bool any = d->all, last = false, lacks = lacks_member(d);
    double together = d->compares && n > 1 ? said_together(d, q, n) : 0;

    for (size_t i = 0; i < n && !any && !last; i++) {
        struct support s;

        read_support(d, q[i], &s);
        if (s.number && is_table(q[i]))
            continue;
        read_meaning(d, q[i], &s);
        s.name = s.name || lacks;
        s.unlike = d->wish == WISH_NUMBER && !q[i]->digits;
        s.said = fmax(q[i]->direct + (q[i]->kind == UNIT_BLOCK ? IN_BLOCK : 0), together);
        if (q[i]->first && has_code(d, q[i]->first))
            s.said = fmax(s.said, SAID);
        s.found = sqrt(fmax(s.found * d->req->hits.v[0].score,
                            0)); /* the first may be one that cannot be quoted */
        if (d->by == SUPPORT_WORDS && s.said < FOREIGN && quote_is_foreign(d, &d->req->hits.v[q[i]->hit]))
            continue;
        any = support_chance(&s) >= SUPPORT_LEAST;
        last = d->by != SUPPORT_WORDS;
    }
    return any;
}

/* ---- picking */
/* Of what is compared, a quote that has what the others lack. */
static bool
adds(const struct digest *d, const struct unit *u, const struct unit *const *have, size_t n)
{
    uint32_t any = 0;

    for (size_t i = 0; i < n; i++)
        any |= have[i]->own | have[i]->under;
    for (size_t i = 0; i < d->n_terms; i++)
        if (!d->terms[i].weak && ((u->own | u->under) & ~any) >> i & 1)
            return true;
    return false;
}

/* A sign that the first quote has and this one lacks: it is about another sign. */
static bool
lacks_sign(const struct digest *d, const struct unit *u, const struct unit *const *have, size_t n)
{
    for (size_t i = 0; n > 0 && i < d->n_terms; i++)
        if (d->terms[i].sign && !d->compares && (have[0]->own & ~u->own) >> i & 1)
            return true;
    return false;
}

static struct unit *
best_of(struct digest *d, const struct unit *const *have, size_t n, bool adding)
{
    struct unit *best = NULL;

    for (size_t k = 0; k < d->n; k++) {
        struct unit *u = &d->u[k];

        if (may_quote(d, u) && quote_is_news(u, have, n) && goes_with(u, have, n) &&
            !lacks_sign(d, u, have, n) && (!best || u->score > best->score) &&
            (!adding || adds(d, u, have, n)))
            best = u;
    }
    return best;
}

/* The best one; another that is nearly as good where that says the contrary of what is asked ("before": "after"). */
static struct unit *
first_of(struct digest *d)
{
    struct unit *best = best_of(d, NULL, 0, false);

    for (int i = 0; best && i < CONTRARY_LOOKS; i++) {
        struct support s;
        struct unit *next;

        read_support(d, best, &s);
        if (!s.contrary)
            return best;
        best->score -= OTHERWISE;
        next = best_of(d, NULL, 0, false);
        if (next == best)
            return best;
        best = next;
    }
    return best;
}

size_t
quote_pick(struct digest *d, const struct unit **out)
{
    size_t n = 0;

    weigh(d);
    while (n < QUOTES) {
        struct unit *best = n == 0 ? first_of(d) : d->compares ? best_of(d, out, n, true) : NULL;
        bool other = n > 0 && best && best->score >= out[0]->score * COMPARED;

        best = n == 0 || other ? best : best_of(d, out, n, false);
        if (!best ||
            (n > 0 && !other && best->score < out[0]->score * (out[0]->kind > UNIT_ITEM ? ALSO_LINES : ALSO)))
            break;
        if (best->rest.n > 0 && (best->direct < SAID || sentence_asks(best->above)) &&
            (best->under & ~best->own) != 0)
            best->text = best->key = best->rest; /* a heading asks: its paragraph answers */
        drop_told(best, out, n);
        out[n++] = best;
    }
    order(out, n);
    return likely(d, out, n) ? n : 0;
}
