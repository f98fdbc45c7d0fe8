/* The question's terms: its content words as the passages' language stems them, its signs; misspelt ones as they are meant. See quote.h.
 * Function words of the question's own language are none, whatever the passages' language makes of them. */
#include <ctype.h>

#include "text/asking.h"
#include "text/fold.h"
#include "text/spell.h"
#include "embedder/builtin/quote.h"

#define SELECTION_TERMS 8 /* of the selected text, when the question has hardly any */

struct counter {
    struct digest *d;
    struct str text;
    uint32_t bits;
    size_t words;
    enum word_class least; /* of the terms that are added */
    size_t max;
    unsigned kind; /* so many of the next words may name the kind of answer */
};

static bool
is_term(const struct term *t, uint64_t h)
{
    return t->h == h || (t->joined != 0 && t->joined == h);
}

static void
count_word(void *arg, const struct word *w)
{
    struct counter *c = arg;

    c->words++;
    for (size_t i = 0; i < c->d->n_terms; i++)
        if (is_term(&c->d->terms[i], w->h))
            c->bits |= 1u << i;
}

uint32_t
quote_bits(struct digest *d, struct str text, size_t *words)
{
    struct counter c = { .d = d };

    words_each(d->words, text, count_word, &c);
    for (size_t i = 0; i < d->n_terms; i++)
        if (d->terms[i].sign && sign_stands(text, (struct str){ d->terms[i].written, d->terms[i].n })) {
            c.bits |= 1u << i;
            c.words++;
        }
    *words = c.words;
    return c.bits;
}

struct heading {
    const struct digest *d;
    size_t content, asked; /* its words; those that the question has */
};

static void
heading_word(void *arg, const struct word *w)
{
    struct heading *x = arg;
    bool has = false;

    if (w->cls == WORD_STOP)
        return;
    for (size_t i = 0; i < x->d->n_terms && !has; i++)
        has = is_term(&x->d->terms[i], w->h);
    x->content++;
    x->asked += has;
}

struct asking
quote_asks(struct digest *d, struct str heading)
{
    struct heading x = { .d = d };
    uint32_t has;
    double found, asked;
    size_t words;

    words_each(d->words, heading, heading_word, &x);
    has = quote_bits(d, heading, &words) & d->strong;
    found = d->strong ? (double)__builtin_popcount(has) / __builtin_popcount(d->strong) : 0;
    asked = x.content > 0 ? (double)x.asked / (double)x.content : 0;
    return (struct asking){ .in_full = x.content >= 2 && x.asked == x.content,
                            .of_all = (d->strong & (d->strong - 1)) != 0 && has == d->strong,
                            .alike = found > 0 ? 2 * found * asked / (found + asked) : 0 };
}

static void
look_for_wish(struct digest *d, struct str word)
{
    static const char *const numeric[] = { "many",    "much",   "long",   "often", "when",    "large",
                                           "old",     "fast",   "big",    "year",  "far",     "tall",
                                           "high",    "viele",  "lange",  "wann",  "combien", "quand",
                                           "cuantos", "cuando", "quanti", "quando" };
    static const char *const named[] = { "who", "whose", "whom",  "where", "wer", "wo",
                                         "qui", "ou",    "quien", "donde", "chi", "dove" };

    if (str_is_any(word, numeric, sizeof numeric / sizeof *numeric))
        d->wish = WISH_NUMBER;
    else if (d->wish == WISH_ANY && str_is_any(word, named, sizeof named / sizeof *named))
        d->wish = WISH_NAME;
}

/* Up to KIND_WORDS behind "what" name the kind of answer: "what type of cell", until another function word. */
enum { KIND_WORDS = 3 };
static bool
names_kind(struct counter *c, const struct word *w)
{
    static const char *const asking[] = { "what",    "which",   "whose",   "welche", "welcher",
                                          "welches", "welchem", "welchen", "quel",   "quelle",
                                          "quels",   "quelles", "quale",   "quali",  "cual",
                                          "cuales",  "qual",    "quais",   "welk",   "welke" },
                             *const joining[] = { "of", "de", "di", "von", "van" };
    bool may = c->kind > 0;

    if (str_is_any(w->folded, asking, sizeof asking / sizeof *asking)) {
        c->kind = KIND_WORDS;
        return false;
    }
    c->kind -= may;
    if (w->cls < WORD_STOP)
        return may;
    if (!str_is_any(w->folded, joining, sizeof joining / sizeof *joining))
        c->kind = 0;
    return false;
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

/* Behind the dot or colons of a name in a program: "pino.final", "io::read". */
static bool
is_member(struct str text, const struct word *w)
{
    const char *p = text.p + w->start;

    return w->start > 2 && w->end - w->start > 2 &&
           ((p[-1] == '.' && (isalnum((unsigned char)p[-2]) || p[-2] == '_' || p[-2] == ')')) ||
            (p[-1] == ':' && p[-2] == ':'));
}

static bool
is_function_word(enum language l, struct str raw)
{
    char z[FOLD_MAX];
    size_t n = fold_word(raw, z);

    return language_class(l, (struct str){ z, n }) == WORD_STOP;
}

/* A function word of the question's language, or two that a hyphen joins ("est-ce"). */
static bool
is_function(const struct digest *d, struct str text, const struct word *w)
{
    struct str raw = { text.p + w->start, w->end - w->start };
    const char *hyphen = memchr(raw.p, '-', raw.n);
    size_t n = hyphen ? (size_t)(hyphen - raw.p) : raw.n;

    return is_function_word(d->asked_in, (struct str){ raw.p, n }) &&
           (!hyphen || is_function_word(d->asked_in, (struct str){ hyphen + 1, raw.n - n - 1 }));
}

/* There is room for it. */
static struct term *
put_term(struct digest *d, struct term t)
{
    d->strong |= (uint32_t)!t.weak << d->n_terms;
    d->terms[d->n_terms] = t;
    return &d->terms[d->n_terms++];
}

static void
add_term(void *arg, const struct word *w)
{
    struct counter *c = arg;
    struct digest *d = c->d;
    struct term *t;
    bool kind = names_kind(c, w);

    look_for_wish(d, w->folded);
    if (w->cls > c->least || d->n_terms >= c->max || (c->least < WORD_STOP && is_function(d, c->text, w)))
        return;
    for (size_t i = 0; i < d->n_terms; i++)
        if (d->terms[i].h == w->h)
            return;
    d->kinds |= (uint32_t)kind << d->n_terms;
    t = put_term(d, (struct term){ .h = w->h,
                                   .weak = w->cls == WORD_WEAK,
                                   .code = is_code(w->folded),
                                   .start = w->start,
                                   .end = w->end,
                                   .member = is_member(c->text, w) });
    if (w->folded.n < sizeof t->written)
        memcpy(t->written, w->folded.p, t->n = w->folded.n);
}

void
quote_read(struct digest *d, struct str text, enum word_class least, size_t max)
{
    struct counter c = { .d = d, .text = text, .least = least, .max = max };

    words_each(d->words, text, add_term, &c);
}

/* ---- misspelt words */
struct vocabulary { /* of all passages */
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

static void
collect_all(struct digest *d, struct vocabulary *v)
{
    for (size_t i = 0, n = prompt_passages(d->req); i < n; i++) {
        words_each(d->words, d->req->hits.v[i].title, collect, v);
        words_each(d->words, d->req->hits.v[i].section, collect, v);
        words_each(d->words, d->req->hits.v[i].text, collect, v);
    }
}

static bool
spelt(struct digest *d, struct term *t, const struct vocabulary *v)
{
    struct speller s = { .v = v, .typed = { t->written, t->n } };
    struct buf b = BUF_MAX(65536);

    if (spell_neighbours(s.typed, &b))
        words_each(d->words, buf_slice(&b), try_spelling, &s);
    t->h = s.found ? s.meant : t->h;
    buf_free(&b);
    return s.found;
}

static uint64_t
known_part(struct digest *d, const struct vocabulary *v, struct str part)
{
    uint64_t h = words_hash(d->words, part);

    return h && knows(v, h) ? h : 0;
}

/* "Filterreinigung" asks for Filter and Reinigung, where passages have those; "Garantiedauer" for Garantie. */
static void
cut_compound(struct digest *d, struct term *t, const struct vocabulary *v)
{
    struct compound c[COMPOUND_SPLITS];
    struct str word = { t->written, t->n };
    size_t n = compound_splits(word, d->read_in, c);

    for (size_t i = 0; i < n; i++) {
        uint64_t first = known_part(d, v, compound_first(word, c[i])),
                 second = known_part(d, v, compound_second(word, c[i]));

        if (!first || (!second && !c[i].measure))
            continue;
        t->h = first;
        if (second && d->n_terms < QUOTE_TERMS)
            put_term(d, (struct term){ .h = second, .weak = t->weak });
        return;
    }
}

/* A word that no passage has is read as one that a passage has and that is one letter away, or that it is written together of. */
static void
correct_terms(struct digest *d, const struct vocabulary *v)
{
    for (size_t i = 0, n = d->n_terms; i < n; i++) {
        struct term *t = &d->terms[i];

        if (!t->sign && t->n >= SPELL_LEAST && !t->joined && !knows(v, t->h) && !spelt(d, t, v))
            cut_compound(d, t, v);
    }
}

/* Bits of terms, one of which is dropped. */
static uint32_t
without_bit(uint32_t bits, size_t i)
{
    uint32_t below = ((uint32_t)1 << i) - 1;

    return (bits & below) | (bits >> 1 & ~below);
}

static void
drop_term(struct digest *d, size_t i)
{
    memmove(&d->terms[i], &d->terms[i + 1], (d->n_terms - i - 1) * sizeof *d->terms);
    d->n_terms--;
    d->kinds = without_bit(d->kinds, i);
    d->strong = without_bit(d->strong, i);
}

static bool
is_within(const struct term *part, const struct term *both)
{
    return !part->sign && !both->sign && part->start >= both->start && part->end <= both->end &&
           part->end - part->start < both->end - both->start;
}

/* "log in" stands in passages that have "login". */
static void
join_words(struct digest *d, struct str question, const struct vocabulary *v)
{
    struct apart a[APART_MAX];

    for (size_t i = 0, n = spell_apart(question, a); i < n; i++) {
        uint64_t h = known_part(d, v, (struct str){ a[i].joined, a[i].n });

        for (size_t k = 0; h && k < d->n_terms; k++)
            if (d->terms[k].start >= a[i].start && d->terms[k].end <= a[i].end)
                d->terms[k].joined = h;
    }
}

/* "cool-down" was read as "cool", "down" and "cooldown": passages have either the two or the one. */
static void
settle_joined(struct digest *d, struct str question, const struct vocabulary *v)
{
    for (size_t i = 0; i < d->n_terms; i++)
        for (size_t k = 0; k < d->n_terms; k++) {
            const struct term *part = &d->terms[k], *both = &d->terms[i];

            if (!is_within(part, both) || knows(v, part->h) == knows(v, both->h))
                continue;
            drop_term(d, knows(v, both->h) ? k : i);
            i = SIZE_MAX; /* from the beginning: places have moved */
            break;
        }
    join_words(d, question, v);
}

/* A sign is a term of its own. */
static void
add_signs(struct digest *d, struct str question)
{
    struct str v[SIGNS_ASKED];
    size_t n = signs_asked(question, v, SIGNS_ASKED);

    for (size_t i = 0; i < n && d->n_terms < QUOTE_TERMS; i++) {
        struct term *t = put_term(d, (struct term){ .h = sign_hash(v[i]),
                                                    .code = true,
                                                    .sign = true,
                                                    .member = sign_is_option(v[i]),
                                                    .n = v[i].n });

        memcpy(t->written, v[i].p, v[i].n);
    }
}

/* A word that a passage in another language lacks is not misspelt, and words say little: names, and what is written alike in both by
 * chance. */
bool
quote_is_foreign(const struct digest *d, const struct hit *h)
{
    enum language of;

    /* a table of names is in no language: what is expected is held against another one */
    if (!language_parse(h->language, &of))
        of = language_of(utf8_cut(h->text, 4096), UINT64_C(1) << d->asked_in, d->asked_in);
    return of != d->asked_in && language_of(d->req->question, 0, of) != of;
}

void
quote_terms(struct digest *d)
{
    struct buf core = BUF_MAX(65536 + 1);
    struct str q = d->req->question;
    struct vocabulary v = { 0 };
    const struct hit *first = d->req->hits.n > 0 ? d->req->hits.v : NULL;
    bool own; /* the passages are in the question's language, as far as can be told */

    d->asked_in = language_of(q, 0, LANG_ENGLISH);
    d->read_in = language_given(first ? first->language : STR_NONE,
                                first ? utf8_cut(first->text, 4096) : STR_NONE, d->asked_in);
    words_language(d->words, d->read_in);
    asking_core(q, &core);
    quote_read(d, buf_slice(&core), WORD_WEAK, QUOTE_TERMS);
    own = !first || !quote_is_foreign(d, first);
    if (own) {
        collect_all(d, &v);
        settle_joined(d, q, &v);
    }
    if (d->n_terms < 2 && d->req->selection.n > 0 && !d->req->selected)
        quote_read(d, d->req->selection, WORD_CONTENT, SELECTION_TERMS); /* "What does this mean?" */
    add_signs(d, q);
    if (d->n_terms == 0)
        quote_read(d, q, WORD_STOP, QUOTE_TERMS);
    d->compares = quote_compares(q);
    d->asks_what = quote_asks_what(buf_slice(&core));
    buf_free(&core);
    if (own)
        correct_terms(d, &v);
    mem_free(&v.h);
}
