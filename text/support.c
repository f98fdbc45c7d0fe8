/* The chance that a quote answers. See support.h. A question with a name, a number or a denial asks for just
 * that: a passage on the same matter that lacks it looks right and is not (Rajpurkar et al., "Know What You
 * Don't Know", 2018, whose unanswerable questions were made by exchanging them). */
#include "text/support.h"

#include <ctype.h>
#include <math.h>

#include "text/asking.h"
#include "text/instruct.h"

enum { ASKED_WORDS = 64, QUESTION_MAX = 65536, LONG_WORDS = 20 };
#define UNRELATED 0.35

struct asked {
    uint64_t h;
    uint64_t value; /* of a number */
    bool name, number;
    bool in_passage, in_quote;
};

/* Words that exchange a question for its contrary. */
static const char *const contraries[][2] = {
    { "most", "least" },
    { "more", "less" },
    { "more", "fewer" },
    { "first", "last" },
    { "highest", "lowest" },
    { "high", "low" },
    { "higher", "lower" },
    { "largest", "smallest" },
    { "larger", "smaller" },
    { "large", "small" },
    { "oldest", "youngest" },
    { "oldest", "newest" },
    { "longest", "shortest" },
    { "before", "after" },
    { "increase", "decrease" },
    { "increased", "decreased" },
    { "best", "worst" },
    { "always", "never" },
    { "maximum", "minimum" },
    { "north", "south" },
    { "east", "west" },
    { "northern", "southern" },
    { "eastern", "western" },
    { "positive", "negative" },
    { "success", "failure" },
    { "win", "lose" },
    { "won", "lost" },
    { "allow", "forbid" },
    { "allowed", "forbidden" },
    { "early", "late" },
    { "earliest", "latest" },
    { "strong", "weak" },
    { "stronger", "weaker" },
    { "majority", "minority" },
    { "inside", "outside" },
    { "internal", "external" },
    { "increasing", "decreasing" },
    { "public", "private" },
    { "enable", "disable" },
    { "enabled", "disabled" },
    { "like", "dislike" },
    { "agree", "disagree" },
    { "above", "below" },
    { "rise", "fall" },
    { "ancient", "modern" },
    { "major", "minor" },
    { "good", "bad" },
    { "legal", "illegal" },
};
enum { CONTRARIES = sizeof contraries / sizeof *contraries };

struct reading {
    struct str text; /* of the question, blanked where it says nothing */
    struct asked v[ASKED_WORDS];
    size_t n, words, end; /* end: of the last word */
    bool passage;         /* while the passage is read; else the quote and its headings */
    bool denies;          /* of the text at hand */
    uint64_t one, other;  /* bit i: it has that half of pair i */
};

/* Nearly all words of the lists begin otherwise: their lengths need not be found out, for each word of a passage anew. */
static bool
reads_as(struct str s, const char *z)
{
    return s.n > 0 && s.p[0] == z[0] && str_is(s, z);
}

static bool
is_denial(struct str s)
{
    static const char *const words[] = { "no",     "not",    "never",   "nor",    "none",  "neither",
                                         "nobody", "cannot", "without", "except", "nicht", "kein",
                                         "keine",  "nie",    "niemals", "ohne",   "pas",   "jamais",
                                         "sans",   "aucun",  "nunca",   "sin",    "mai",   "senza",
                                         "non",    "nao",    "sem" };

    return str_is_any(s, words, sizeof words / sizeof *words);
}

/* Words that deny in an answer: "unable", "with the exception of". */
static bool
is_exception(struct str s)
{
    static const char *const words[] = { "unable",  "exception", "exceptions", "excluding",   "excluded",
                                         "unfahig", "ausnahme",  "ausnahmen",  "ausgenommen", "sauf",
                                         "excepte", "excepto",   "exceto",     "eccetto",     "tranne" };

    return str_is_any(s, words, sizeof words / sizeof *words);
}

/* The number that a word begins with ("1950s"), modulo 2⁶⁴. */
static bool
read_value(struct str s, uint64_t *out)
{
    size_t i = 0;

    for (*out = 0; i < s.n && isdigit((unsigned char)s.p[i]); i++)
        *out = *out * 10 + (uint64_t)(s.p[i] - '0');
    return i > 0;
}

/* A capital that no sentence begins with. */
static bool
is_name(struct str text, const struct word *w)
{
    size_t i = w->start;

    if (!isupper((unsigned char)text.p[i]))
        return false;
    while (i > 0 && (text.p[i - 1] == ' ' || strchr("\"'([*_`", text.p[i - 1]) != NULL))
        i--;
    return i > 0 && !strchr(".!?:\n", text.p[i - 1]);
}

static void
take_contraries(struct reading *r, struct str s)
{
    for (size_t i = 0; i < CONTRARIES; i++) {
        r->one |= (uint64_t)reads_as(s, contraries[i][0]) << i;
        r->other |= (uint64_t)reads_as(s, contraries[i][1]) << i;
    }
}

static void
take_asked(void *arg, const struct word *w)
{
    struct reading *r = arg;
    bool joined = w->start < r->end; /* "1620-21" is no number beside its parts */
    uint64_t value;
    bool number = read_value(w->folded, &value) && !joined;

    r->end = w->end;
    r->denies = r->denies || is_denial(w->folded);
    take_contraries(r, w->folded);
    r->words++;
    if (w->cls != WORD_CONTENT || r->n == ASKED_WORDS || r->text.p[w->start] == ' ')
        return;
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i].h == w->h)
            return;
    r->v[r->n++] = (struct asked){ .h = w->h, .value = value, .name = is_name(r->text, w), .number = number };
}

static void
take_said(void *arg, const struct word *w)
{
    struct reading *r = arg;
    uint64_t value;
    bool number = read_value(w->folded, &value);

    if (!r->passage) {
        r->denies = r->denies || is_denial(w->folded) || is_exception(w->folded);
        take_contraries(r, w->folded);
    }
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i].h == w->h || (number && r->v[i].number && r->v[i].value == value)) {
            r->v[i].in_passage = true;
            r->v[i].in_quote = r->v[i].in_quote || !r->passage;
        }
}

static bool
has_not(struct str s) /* "isn't" */
{
    return str_has(s, "n't") || str_has(s, "n\xe2\x80\x99t");
}

/* A story, or a line of a log: not every word of it must be in the answer. */
static bool
is_loose(const struct reading *r)
{
    for (size_t i = 0; i < r->text.n; i++)
        if (strchr("_{}<>=\\/", r->text.p[i]))
            return true;
    return r->words > LONG_WORDS;
}

static bool
asks_denied(const struct reading *r)
{
    return (r->denies || has_not(r->text)) && !str_has(r->text, "not only") && !str_has(r->text, "or not");
}

void
support_read(struct words *w, struct str question, const struct hit *h, struct str quote, struct support *out)
{
    const struct str heads[] = { h->title, h->chapter, h->section, h->lead };
    struct buf core = BUF_MAX(QUESTION_MAX + 1);
    struct reading r = { 0 };
    uint64_t one, other;

    *out = (struct support){ .found = h->score, .said = 1 };
    asking_core(question, &core);
    r.text = buf_slice(&core);
    words_language(w, language_given(h->language, h->text, LANG_ENGLISH));
    words_each(w, r.text, take_asked, &r);
    if (!is_loose(&r)) {
        out->denial = asks_denied(&r);
        one = r.one & ~r.other; /* "high or low?" has both */
        other = r.other & ~r.one;
        r.passage = true;
        words_each(w, h->text, take_said, &r);
        r.passage = r.denies = false;
        for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
            words_each(w, heads[i], take_said, &r);
            r.denies = r.denies || has_not(heads[i]);
        }
        out->denial = out->denial && !r.denies; /* a heading that is the question in other words */
        r.denies = false;
        r.one = r.other = 0;
        words_each(w, quote, take_said, &r);
        out->denial = out->denial && !r.denies && !has_not(quote);
        out->contrary = ((one & r.other & ~r.one) | (other & r.one & ~r.other)) != 0;
        for (size_t i = 0; i < r.n; i++) {
            out->name = out->name || (r.v[i].name && !r.v[i].in_quote);
            out->number = out->number || (r.v[i].number && !r.v[i].in_passage);
        }
    }
    buf_free(&core);
}

/* Fitted on one half of squad (answerable against unanswerable) and checked on the other; see docs/decisions/034. A name, a number,
 * a denial or a superlative that the text lacks weighs more than how well it was found, because a passage on the same
 * matter is found as well. Where retrieval is unsure, a quote that says little of the question is the chance meeting of a common
 * word; a near passage is none. By words the scores are spread otherwise. */
static const struct weights {
    double base, odds, low, chance, unsure, near, few, lacks, kind, name, number, denial, contrary, unlike;
} weights[] = {
    [SUPPORT_FOUND] = { .base = 0.25,
                        .odds = 0.2,
                        .low = 0.4,
                        .chance = 1.5,
                        .unsure = 0.4,
                        .name = 0.9,
                        .number = 1.4,
                        .denial = 3.3,
                        .contrary = 2.8,
                        .unlike = 0.5 },
    [SUPPORT_WORDS] = { .base = 0.78,
                        .odds = 0.2,
                        .low = 0.8,
                        .chance = 1.5,
                        .unsure = 1.1,
                        .name = 0.6,
                        .number = 0.8,
                        .denial = 1.8,
                        .contrary = 1.8 },
    [SUPPORT_MEANING] = { .base = 1.78,
                          .odds = 0.15,
                          .chance = 2,
                          .unsure = 0.4,
                          .near = 1.5,
                          .few = 1.8,
                          .lacks = 0.7,
                          .kind = 0.2,
                          .name = 0.8,
                          .number = 1,
                          .denial = 3.9,
                          .contrary = 3.1,
                          .unlike = 0.35 },
};
#define FAR 0.4 /* cosine from which a passage is hardly found by chance */

static double
ramp(double x, double from, double to)
{
    return fmin(fmax((x - from) / (to - from), 0), 1);
}

double
support_chance(const struct support *s)
{
    const struct weights *w = &weights[s->by];
    double p = fmin(fmax(s->found, 0.01), 0.999), odds = log(p / (1 - p));
    double met = ramp(s->said, 0.7, 0.45) * (s->by == SUPPORT_MEANING ? ramp(s->near, FAR + 0.1, FAR) : 1);
    double x = w->base + w->odds * odds + w->low * fmin(odds - 0.3, 0) +
               w->chance * fmin(odds - w->unsure, 0) * met + w->near * s->near - w->few * s->few -
               w->lacks * s->lacks + w->kind * s->kind - w->name * s->name - w->number * s->number -
               w->denial * s->denial - w->contrary * s->contrary - w->unlike * s->unlike;

    return 1 / (1 + exp(-x));
}

/* A selection (hit 0) is found for whatever is asked. It is hardly the answer to a question that has words of
 * its own and none of them in common with it. */
static void
doubt_selection(struct words *w, const struct cite_req *req, struct support *s)
{
    const struct hit *h = &req->hits.v[0];
    struct reading r = { 0 };
    struct buf core = BUF_MAX(QUESTION_MAX + 1);
    bool any = false;

    if (instructs(w, req->question, language_of(h->text, 0, LANG_ENGLISH)))
        return;
    asking_core(req->question, &core);
    r.text = buf_slice(&core);
    words_language(w, language_of(h->text, 0, LANG_ENGLISH));
    words_each(w, r.text, take_asked, &r);
    words_each(w, h->text, take_said, &r);
    for (size_t i = 0; i < r.n; i++)
        any = any || r.v[i].in_quote;
    buf_free(&core);
    if (!any) {
        s->found = UNRELATED;
        s->said = 0;
    }
}

double
support_confidence(struct words *w, const struct cite_req *req, const struct cite_rep *rep)
{
    double best = 0;

    for (size_t i = 0; i < rep->citations.n; i++) {
        const struct citation *c = &rep->citations.v[i];
        struct support s;

        if (c->n < 1 || (size_t)c->n > req->hits.n)
            continue;
        const struct hit *h = &req->hits.v[c->n - 1];

        support_read(w, req->question, h, c->excerpt, &s);
        if (c->n == 1 && req->selection.n > 0)
            doubt_selection(w, req, &s);
        best = fmax(best, support_chance(&s) * (h->score > 0 ? fmin(c->score / h->score, 1) : 0));
    }
    return best;
}
