/* Scanning an answer for marks. See marks.h. The answer comes from a model: anything may stand in it.
 *
 *   answer ─▶ group (mark_form.c) ─▶ text? index, year, a document's own (mark_own.c) ─▶ stays as it is
 *                                 └▶ mark: its numbers that were sent stand, the others go, and what they would leave (mark_gap.c) */
#include "common/text/number.h"
#include "cite/marks.h"

#include <ctype.h>

struct scan {
    const struct marks_in *in;
    struct str s;    /* the answer */
    struct buf *out; /* the answer without wrong marks */
    struct arena *arena;
    struct marks *marks;
    size_t cap;                        /* room in marks->v */
    size_t run;                        /* copied up to here */
    size_t index_end;                  /* behind an index ("a[0]"): what touches it is one, too */
    size_t gave_up;                    /* mark_skip's */
    size_t stood;                      /* numbers so far that stand, refused or not */
    size_t sup_end;                    /* "</sup>" behind marks that go on; 0: none */
    bool defined[MARK_NUMBER_MAX + 1]; /* "[n]: http…": [n] is a link's name */
};

static bool
sent(const struct scan *k, long n)
{
    return n >= 1 && n <= MARK_NUMBER_MAX && (size_t)n <= k->in->hits;
}

static bool
add_mark(struct scan *k, long n)
{
    if (k->marks->n == MARKS_MAX)
        return true;
    if (k->marks->n == k->cap) {
        size_t cap = k->cap ? 2 * k->cap : 16;
        struct mark *v = arena_alloc(k->arena, cap * sizeof *v);

        if (!v)
            return false;
        if (k->marks->n)
            memcpy(v, k->marks->v, k->marks->n * sizeof *v);
        k->marks->v = v;
        k->cap = cap;
    }
    k->marks->v[k->marks->n++] = (struct mark){ n, k->out->n };
    return true;
}

/* ---- what is text */

/* Lines like "[1]: https://…" give a link's address to the name 1. */
static void
find_definitions(struct scan *k)
{
    static const char *const address[] = { "http", "<", "/", "#", "./", "../", "mailto:" };

    for (size_t i = 0; i < k->s.n; i++) {
        size_t at = i + 1;
        int64_t n;

        if (k->s.p[i] != '[' || (i > 0 && k->s.p[i - 1] != '\n'))
            continue;
        at += number_first((struct str){ k->s.p + at, k->s.n - at }, MARK_NUMBER_MAX, &n);
        if (n == 0 || n > MARK_NUMBER_MAX || at + 1 >= k->s.n || k->s.p[at] != ']' || k->s.p[at + 1] != ':')
            continue;
        for (at += 2; at < k->s.n && k->s.p[at] == ' '; at++)
            ;
        for (size_t w = 0; w < sizeof address / sizeof *address; w++)
            k->defined[n] |= str_starts((struct str){ k->s.p + at, k->s.n - at }, address[w]);
    }
}

static bool
touches_word(struct str s, size_t i)
{
    return i > 0 && (isalnum((unsigned char)s.p[i - 1]) || strchr("_)]", s.p[i - 1]));
}

/* "x[1]": an index of what has a name of one small letter. A sentence ends with such a word only behind a number: "300 m[1]". */
static bool
touches_letter(struct str s, size_t i)
{
    size_t b = i > 0 ? i - 1 : 0;

    while (b > 0 && s.p[b - 1] == ' ')
        b--;
    if (b > 0 && b + 1 < i && isdigit((unsigned char)s.p[b - 1]))
        return false;
    return i > 0 && islower((unsigned char)s.p[i - 1]) &&
           (i == 1 || (unsigned char)s.p[i - 2] <= ' ' || strchr("(,;+-*/=<>[", s.p[i - 2]));
}

/* "= [1, 2]": a value. No mark follows such a sign. */
static bool
follows_operator(struct str s, size_t i)
{
    static const char *const signs[] = { "=",
                                         "\xe2\x88\x88" /* ∈ */,
                                         "\xe2\x88\x89",
                                         "\xe2\x8a\x82",
                                         "\xe2\x8a\x86",
                                         "\xe2\x89\xa4",
                                         "\xe2\x89\xa5",
                                         "\xe2\x89\xa0",
                                         "\xe2\x89\x88" };

    while (i > 0 && s.p[i - 1] == ' ')
        i--;
    for (size_t k = 0; k < sizeof signs / sizeof *signs; k++) {
        size_t n = strlen(signs[k]);

        if (i > n && memcmp(s.p + i - n, signs[k], n) == 0)
            return true;
    }
    return false;
}

static bool
has_zero(const struct mark_group *g)
{
    for (size_t i = 0; i < g->count; i++)
        if (g->n[i] == 0)
            return true;
    return false;
}

/* No passage is numbered 0 or 1932: an index, an interval, a year. "[1-9][0-9]": two of a kind. */
static bool
numbers_are_text(const struct scan *k, const struct mark_group *g)
{
    struct mark_group next;
    bool year = false, any = false;

    for (size_t i = 0; i < g->count; i++) {
        year |= g->n[i] >= 1000 && g->n[i] <= 9999;
        any |= sent(k, g->n[i]);
    }
    if (has_zero(g) && (g->count > 1 || touches_word(k->s, g->start)))
        return true;
    if (g->end < k->s.n && mark_group_at(k->s, g->end, &next) && next.count > 1 && has_zero(&next))
        return true;
    return year && !any;
}

/* "[text][1]", and "[1]" that is no passage: the name of a link that is defined. */
static bool
names_link(const struct scan *k, const struct mark_group *g)
{
    if (g->count != 1 || g->n[0] < 1 || g->n[0] > MARK_NUMBER_MAX || !k->defined[g->n[0]])
        return false;
    return !sent(k, g->n[0]) || (g->start > 0 && k->s.p[g->start - 1] == ']');
}

static bool
is_text(struct scan *k, const struct mark_group *g)
{
    bool index;

    if (k->in->have_given)
        return true; /* given marks were taken before */
    index = numbers_are_text(k, g) || (k->index_end == g->start && g->start > 0) ||
            touches_letter(k->s, g->start);
    if (index && touches_word(k->s, g->start))
        k->index_end = g->end;
    return index || follows_operator(k->s, g->start) || names_link(k, g) ||
           (k->in->evidence && mark_is_own(k->s, g, k->in->evidence));
}

/* ---- writing */

static bool
copy_to(struct scan *k, size_t end)
{
    buf_add(k->out, k->s.p + k->run, end - k->run);
    k->run = end;
    return !k->out->failed;
}

/* Write the numbers of a bracket that stand; the rest is dropped. Returns where the answer goes on; 0: no room. */
static size_t
write_group(struct scan *k, const struct mark_group *g)
{
    bool any = false;

    for (size_t i = 0; i < g->count; i++) {
        bool known = sent(k, g->n[i]);
        bool refused = known && k->stood < k->in->n_refused && k->in->refused[k->stood];

        k->stood += known;
        k->marks->dropped += !known;
        if (!known || refused)
            continue;
        if (!add_mark(k, g->n[i]))
            return 0;
        if (g->plain)
            buf_add(k->out, k->s.p + g->start, g->end - g->start);
        else
            buf_printf(k->out, "[%ld]", g->n[i]);
        any = true;
    }
    return any ? g->end : mark_gap_close(k->out, k->s, g->end);
}

/* "<sup>[1], [2]</sup>": behind the last mark, where the tag closes; 0: there is something else in it. */
static size_t
raised_end(struct str s, size_t i)
{
    struct mark_group g;

    for (i += strlen("<sup>"); i < s.n && mark_group_at(s, i, &g);) {
        for (i = g.end; i < s.n && strchr(" ,;", s.p[i]); i++)
            ;
        if (str_starts((struct str){ s.p + i, s.n - i }, "</sup>"))
            return i;
    }
    return 0;
}

/* Is i at a tag that raises marks only? Marks need none. */
static size_t
skip_raise(struct scan *k, size_t i)
{
    struct str s = { k->s.p + i, k->s.n - i };

    if (k->sup_end > 0 && i == k->sup_end)
        return i + strlen("</sup>");
    if (!str_starts(s, "<sup>"))
        return i;
    k->sup_end = raised_end(k->s, i);
    return k->sup_end ? i + strlen("<sup>") : i;
}

/* The next mark that the answer's writer says stands here. */
static bool
given_at(const struct scan *k, size_t i, size_t *next, struct mark_group *g)
{
    while (*next < k->in->n_given && k->in->given[*next].at < i)
        (*next)++;
    if (*next == k->in->n_given || k->in->given[*next].at != i || !mark_group_at(k->s, i, g))
        return false;
    return g->count == 1 && g->n[0] == k->in->given[*next].n;
}

bool
marks_find(const struct marks_in *in, struct buf *out, struct arena *a, struct marks *marks)
{
    struct scan k = { .in = in, .s = in->answer, .out = out, .arena = a, .marks = marks };
    size_t i = 0, next = 0;

    *marks = (struct marks){ 0 };
    find_definitions(&k);
    while (i < k.s.n) {
        struct mark_group g;
        size_t skip = in->have_given ? i : mark_skip(k.s, i, &k.gave_up);
        bool given = given_at(&k, i, &next, &g);
        size_t raise = in->have_given ? i : skip_raise(&k, i);

        if (raise != i) {
            if (!copy_to(&k, i))
                return false;
            k.run = i = raise;
        } else if (skip != i) {
            i = skip;
        } else if (!given && !mark_group_at(k.s, i, &g)) {
            i++;
        } else if (!given && is_text(&k, &g)) {
            marks->own++;
            i = g.end;
        } else {
            if (!copy_to(&k, i))
                return false;
            k.run = i = write_group(&k, &g);
            if (i == 0)
                return false;
        }
    }
    return copy_to(&k, k.s.n);
}
