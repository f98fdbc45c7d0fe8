/* Scanning an answer for marks. See marks.h. The answer comes from a model: anything may stand in it.
 *
 *   answer ─▶ group (mark_form.c) ─▶ text? index, year, a document's own (mark_own.c) ─▶ stays as it is
 *                                 └▶ mark: its numbers that were sent stand, the others go, and what they would leave */
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

/* No passage is numbered 0 or 1932: an index, an interval, a year. */
static bool
numbers_are_text(const struct scan *k, const struct mark_group *g)
{
    bool zero = false, year = false, any = false;

    for (size_t i = 0; i < g->count; i++) {
        zero |= g->n[i] == 0;
        year |= g->n[i] >= 1000 && g->n[i] <= 9999;
        any |= sent(k, g->n[i]) && !zero;
    }
    return (zero && (g->count > 1 || touches_word(k->s, g->start))) || (year && !any);
}

static bool
is_text(struct scan *k, const struct mark_group *g)
{
    bool index;

    if (k->in->have_given)
        return true; /* given marks were taken before */
    index = numbers_are_text(k, g) || (k->index_end == g->start && g->start > 0);
    if (index && touches_word(k->s, g->start))
        k->index_end = g->end;
    return index || (g->count == 1 && g->n[0] >= 1 && g->n[0] <= MARK_NUMBER_MAX && k->defined[g->n[0]]) ||
           (k->in->evidence && mark_is_own(k->s, g, k->in->evidence));
}

/* ---- what a dropped mark would leave */

static void
drop_space(struct buf *out)
{
    while (out->n && out->p[out->n - 1] == ' ')
        out->p[--out->n] = '\0';
}

static bool
ends_with(const struct buf *out, const char *z)
{
    size_t n = strlen(z);

    return out->n >= n && memcmp(out->p + out->n - n, z, n) == 0;
}

static void
cut(struct buf *out, size_t n)
{
    out->n -= n;
    out->p[out->n] = '\0';
}

static bool
group_follows(const struct scan *k, size_t i)
{
    struct mark_group g;

    return i < k->s.n && mark_group_at(k->s, i, &g);
}

/* Nothing of the group at [start, end) was written: no empty brackets, orphaned commas or double blanks stay. Returns where
 * the answer goes on. */
static size_t
close_gap(struct scan *k, size_t end)
{
    static const struct {
        const char *before, *behind;
    } wraps[] = { { "(", ")" }, { "**", "**" }, { "<sup>", "</sup>" }, { "[", "]" } };
    static const char *const joins[] = { ",", ";", " and", " und", " et", " &" };
    struct buf *out = k->out;

    for (size_t i = 0; i < sizeof wraps / sizeof *wraps; i++) {
        size_t n = strlen(wraps[i].behind);

        if (!ends_with(out, wraps[i].before) || end + n > k->s.n ||
            memcmp(k->s.p + end, wraps[i].behind, n) != 0)
            continue;
        cut(out, strlen(wraps[i].before));
        end += n;
    }
    if (group_follows(k, end))
        return end;
    drop_space(out);
    size_t next = end;

    if (next < k->s.n && strchr(",;", k->s.p[next])) { /* "[15], [1]" */
        for (next++; next < k->s.n && k->s.p[next] == ' '; next++)
            ;
        if (group_follows(k, next)) {
            if (out->n && !strchr("\n(", out->p[out->n - 1]))
                buf_c(out, ' ');
            return next;
        }
    }
    for (size_t i = 0; i < sizeof joins / sizeof *joins; i++) { /* "[1] and [15]." */
        size_t n = strlen(joins[i]);

        if (ends_with(out, joins[i]) && out->n > n && out->p[out->n - n - 1] == ']' &&
            (end == k->s.n || strchr(".!?;\n", k->s.p[end])))
            cut(out, n);
    }
    if (out->n == 0 || out->p[out->n - 1] == '\n') /* it began a line: the text does now */
        while (end < k->s.n && k->s.p[end] == ' ')
            end++;
    return end;
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
    bool stands[MARK_GROUP_MAX];
    size_t good = 0;

    for (size_t i = 0; i < g->count; i++) {
        bool known = sent(k, g->n[i]);
        bool refused = known && k->stood < k->in->n_refused && k->in->refused[k->stood];

        k->stood += known;
        k->marks->dropped += !known;
        stands[i] = known && !refused;
        good += stands[i];
    }
    if (good == 0)
        return close_gap(k, g->end);
    for (size_t i = 0; i < g->count; i++) {
        if (!stands[i])
            continue;
        if (!add_mark(k, g->n[i]))
            return 0;
        if (good < g->count || !g->plain)
            buf_printf(k->out, "[%ld]", g->n[i]);
    }
    if (good == g->count && g->plain)
        buf_add(k->out, k->s.p + g->start, g->end - g->start);
    return g->end;
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

        if (skip != i) {
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
