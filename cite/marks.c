/* Scanning an answer for marks. See marks.h. The answer comes from a model: anything may stand in it. */
#include "cite/marks.h"

struct scan {
    struct str s;          /* the answer */
    size_t hits;           /* how many passages there are */
    struct buf *out;       /* the answer without wrong marks */
    struct arena *arena;
    struct marks *marks;
    size_t cap;            /* room in marks->v */
};

struct group {             /* one bracket */
    size_t end;            /* behind it */
    long n[16];            /* its numbers */
    size_t count;
    bool plain;            /* ASCII brackets: may be copied as it stands */
};

static bool
opens(struct str s, size_t i, size_t *n)
{
    if (s.p[i] == '[') {
        *n = 1;
        return true;
    }
    *n = 3;
    return i + 3 <= s.n && memcmp(s.p + i, "\xe3\x80\x90", 3) == 0;
}

/* 【1†source】: what follows the dagger is the model's own note. */
static size_t
skip_note(struct str s, size_t i)
{
    if (i + 3 > s.n || memcmp(s.p + i, "\xe2\x80\xa0", 3) != 0)
        return i;
    for (size_t end = i + 64; i < s.n && i < end && s.p[i] != '\n'; i++)
        if (i + 3 <= s.n && memcmp(s.p + i, "\xe3\x80\x91", 3) == 0)
            break;
    return i;
}

static size_t
closes(struct str s, size_t i, bool plain)
{
    if (plain)
        return i < s.n && s.p[i] == ']' ? 1 : 0;
    return i + 3 <= s.n && memcmp(s.p + i, "\xe3\x80\x91", 3) == 0 ? 3 : 0;
}

static bool
digit(struct str s, size_t i)
{
    return i < s.n && s.p[i] >= '0' && s.p[i] <= '9';
}

/* A bracket that holds only numbers with commas, semicolons or spaces between them. */
static bool
group_at(struct str s, size_t i, struct group *g)
{
    size_t n;
    bool line_start = i == 0 || s.p[i - 1] == '\n'; /* "[1]: address" defines a link */

    *g = (struct group){ 0 };
    if (!opens(s, i, &n))
        return false;
    g->plain = n == 1;
    i += n;
    while (g->count < sizeof(g->n) / sizeof(*g->n)) {
        long v = 0;

        while (i < s.n && (s.p[i] == ' ' || s.p[i] == '^'))
            i++;
        if (!digit(s, i))
            return false;
        for (; digit(s, i); i++)
            v = v < 100000 ? 10 * v + (s.p[i] - '0') : v;
        g->n[g->count++] = v;
        if (!g->plain)
            i = skip_note(s, i);
        while (i < s.n && s.p[i] == ' ')
            i++;
        size_t close = closes(s, i, g->plain);

        if (close) {
            g->end = i + close;
            return !(g->plain && g->end < s.n && (s.p[g->end] == '(' || (s.p[g->end] == ':' && line_start)));
        }
        if (i >= s.n || (s.p[i] != ',' && s.p[i] != ';'))
            return false;
        i++;
    }
    return false;
}

static bool
add_mark(struct scan *k, long n)
{
    if (k->marks->n == MARKS_MAX)
        return true;
    if (k->marks->n == k->cap) {
        size_t cap = k->cap ? 2 * k->cap : 16;
        struct mark *v = arena_alloc(k->arena, cap * sizeof(*v));

        if (!v)
            return false;
        if (k->marks->n)
            memcpy(v, k->marks->v, k->marks->n * sizeof(*v));
        k->marks->v = v;
        k->cap = cap;
    }
    k->marks->v[k->marks->n++] = (struct mark){ n, k->out->n };
    return true;
}

static void
drop_space(struct buf *out)
{
    while (out->n && out->p[out->n - 1] == ' ')
        out->p[--out->n] = '\0';
}

/* Write the numbers of a bracket that stand; the rest is dropped. */
static bool
write_group(struct scan *k, size_t start, const struct group *g)
{
    size_t good = 0;

    for (size_t i = 0; i < g->count; i++)
        good += g->n[i] >= 1 && g->n[i] <= MARK_NUMBER_MAX && (size_t)g->n[i] <= k->hits;
    k->marks->dropped += g->count - good;
    size_t bracket;

    if (good == 0 && !(g->end < k->s.n && opens(k->s, g->end, &bracket)))
        drop_space(k->out);
    if (good == g->count && g->plain) {
        for (size_t i = 0; i < g->count; i++)
            if (!add_mark(k, g->n[i]))
                return false;
        buf_add(k->out, k->s.p + start, g->end - start);
        return true;
    }
    for (size_t i = 0; i < g->count; i++) {
        if (g->n[i] < 1 || g->n[i] > MARK_NUMBER_MAX || (size_t)g->n[i] > k->hits)
            continue;
        if (!add_mark(k, g->n[i]))
            return false;
        buf_printf(k->out, "[%ld]", g->n[i]);
    }
    return true;
}

/* Behind a code span or fence that begins at i with a run of backticks; i + run when it never closes. */
static size_t
code_end(struct str s, size_t i, size_t *scanned)
{
    size_t run = 0;

    while (i + run < s.n && s.p[i + run] == '`')
        run++;
    size_t at = i + run;

    if (*scanned)                   /* no closing run was found before: do not look again and again */
        return at;
    while (at < s.n) {
        size_t r = 0;

        while (at + r < s.n && s.p[at + r] == '`')
            r++;
        if (r == run)
            return at + r;
        at += r ? r : 1;
    }
    *scanned = run < 3;
    return run >= 3 ? s.n : i + run;
}

bool
marks_find(struct str answer, size_t hits, struct buf *out, struct arena *a, struct marks *marks)
{
    struct scan k = { answer, hits, out, a, marks, 0 };
    size_t i = 0, run = 0, gave_up = 0;

    *marks = (struct marks){ 0 };
    while (i < answer.n) {
        struct group g;

        if (answer.p[i] == '`') {
            i = code_end(answer, i, &gave_up);
            continue;
        }
        if (!group_at(answer, i, &g)) {
            i++;
            continue;
        }
        buf_add(out, answer.p + run, i - run);
        if (!write_group(&k, i, &g))
            return false;
        run = i = g.end;
    }
    buf_add(out, answer.p + run, answer.n - run);
    return !out->failed;
}
