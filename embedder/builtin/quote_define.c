/* Sentences and lines that say what a thing is. See quote.h. */
#include <ctype.h>
#include <math.h>

#include "embedder/builtin/quote.h"

enum { TERM_BYTES = 80, TERM_WORDS = 3, ABOVE_WORDS = 8, SUBJECT_TOKENS = 9, SUBJECT_MORE = 3 };
#define NAMED 0.6  /* "a feature called autovacuum", which may be said beside the matter */
#define PLAIN 0.25 /* "Conffiles are …", which may tell anything of them */

static const struct copula {
    enum language language;
    const char *verbs, *articles, *many, *named; /* words between blanks */
} copulas[] = {
#define COPULA(language, verbs, articles, many, named) \
    { LANG_##language, " " verbs " ", " " articles " ", " " many " ", " " named " " },
#include "embedder/builtin/quote_define.tbl"
#undef COPULA
};

/* The words before the explanation of a term: "work_mem (integer)" of a line of its own, "work_mem" of "work_mem: …"; empty: the
 * text explains none. */
static struct str
term_before(struct str text)
{
    for (size_t i = 1; i + 1 < text.n && i < TERM_BYTES; i++)
        if (text.p[i] == '\n' || (text.p[i] == ':' && text.p[i + 1] == ' '))
            return (struct str){ text.p, i };
    return STR_NONE;
}

struct str
quote_term_above(struct str s)
{
    const char *nl = memchr(s.p, '\n', s.n);
    struct str term = { s.p, nl ? (size_t)(nl - s.p) : 0 }, rest;
    size_t word = 0, widest = 0, words = 1;

    /* a wrapped line is no term: the next word had no room on it */
    if (term.n == 0 || term.n > TERM_BYTES || !quote_is_open(term) || quote_is_lead_in(term))
        return STR_NONE;
    for (size_t i = 0; i < term.n; i++)
        words += term.p[i] == ' ';
    rest = (struct str){ nl + 1, s.n - term.n - 1 };
    while (word < rest.n && !isspace((unsigned char)rest.p[word]))
        word++;
    for (size_t i = 0, from = 0; i <= rest.n; i++)
        if (i == rest.n || rest.p[i] == '\n') {
            widest = i - from > widest ? i - from : widest;
            from = i + 1;
        }
    return words <= ABOVE_WORDS && term.n + 1 + word < widest ? term : STR_NONE;
}

/* The question asks for this term and for nothing else: "What is work_mem?" */
static bool
is_labelled(struct digest *d, const struct unit *u)
{
    struct str term = u->kind <= UNIT_ITEM ? term_before(u->text) : STR_NONE;
    const char *open = term.n > 0 ? memchr(term.p, '(', term.n) : NULL; /* its type, or its other name */
    uint32_t has;
    size_t words;

    if (term.n == 0 || !d->strong || __builtin_popcount(d->strong) > TERM_WORDS)
        return false;
    term.n = open && open > term.p ? (size_t)(open - term.p) : term.n;
    has = quote_bits(d, term, &words);
    return (has & d->strong) == d->strong && words <= (size_t)__builtin_popcount(has);
}

/* The run of letters at *at or behind it; empty: there is none. */
static struct str
token(struct str s, size_t *at)
{
    size_t from = *at, to;

    while (from < s.n && !isalnum((unsigned char)s.p[from]) && (unsigned char)s.p[from] < 0x80)
        from++;
    for (to = from; to < s.n && (isalnum((unsigned char)s.p[to]) || (unsigned char)s.p[to] >= 0x80 ||
                                 strchr("-_'./+#", s.p[to]));)
        to++;
    *at = to;
    return (struct str){ s.p + from, to - from };
}

static bool
among(const char *words, struct str one)
{
    const char *p = words;

    while (one.n > 0 && (p = memmem(p, strlen(p), one.p, one.n)) != NULL) {
        if (p > words && p[-1] == ' ' && p[one.n] == ' ')
            return true;
        p++;
    }
    return false;
}

static const struct copula *
copula_of(enum language l)
{
    for (size_t i = 0; i < sizeof copulas / sizeof *copulas; i++)
        if (copulas[i].language == l)
            return &copulas[i];
    return NULL;
}

/* How far the sentence says what all words of the question are, 0 … 1: they are its subject. */
static double
says_what(struct digest *d, struct str s)
{
    const struct copula *c = copula_of(d->asked_in);
    size_t at = 0, words;

    if (!c || quote_is_condition(s))
        return 0;
    for (int i = 0; i < SUBJECT_TOKENS; i++) {
        struct str t = token(s, &at), subject = { s.p, (size_t)(t.p - s.p) };

        if (t.n == 0)
            return 0;
        if (i == 0 || !among(c->verbs, t))
            continue;
        if ((quote_bits(d, subject, &words) & d->strong) != d->strong ||
            words > (size_t)__builtin_popcount(d->strong) + SUBJECT_MORE)
            return 0;
        return among(c->articles, token(s, &at)) ? 1 : among(c->many, t) ? PLAIN : 0;
    }
    return 0;
}

/* "… supports a mechanism called "write-ahead log"": all words of the question are the name. */
static double
says_name(struct digest *d, struct str s)
{
    const struct copula *c = copula_of(d->asked_in);
    size_t at = 0, words;

    for (struct str t = c ? token(s, &at) : STR_NONE; t.n > 0; t = token(s, &at)) {
        size_t from = at;

        if (!among(c->named, t))
            continue;
        for (int i = 0; i <= __builtin_popcount(d->strong); i++) { /* also with an article */
            struct str last = token(s, &at), name = { s.p + from, at - from };

            if (last.n > 0 && (quote_bits(d, name, &words) & d->strong) == d->strong)
                return NAMED;
        }
        at = from;
    }
    return 0;
}

double
quote_defines(struct digest *d, const struct unit *u)
{
    if (is_labelled(d, u))
        return 1;
    if (!d->asks_what || !d->strong || u->kind > UNIT_BLOCK)
        return 0;
    return fmax(says_what(d, u->key), says_name(d, u->key));
}
