/* The lines of an answer that are code (sanitize.h): fences, and the list items that they may stand in.
 *
 * The danger is to take for code what a renderer takes for text. A fence that is indented by at most three columns is one in
 * every container; deeper ones only in a list item whose text begins there. A line that is indented less than its fence may have
 * ended the list and with it the fence. Then, and at every other sign that our reading and a renderer's could part, unsure is set
 * for good: the rest is text. */
#include "gateway/safe/sanitize.h"

#include <ctype.h>

#define LINE_LOOK 512 /* of a line that may be a fence or a list item */

struct line {
    struct str s;  /* from its beginning, as far as it is there */
    size_t i;      /* first byte that is not indentation */
    size_t indent; /* columns */
    bool tab;      /* in the indentation */
    size_t end;    /* its line feed; s.n when it is not there */
    bool whole;    /* end is known */
};

static void
look(struct line *l, struct str rest, bool end)
{
    const char *nl = memchr(rest.p, '\n', rest.n);

    *l = (struct line){ .s = rest, .end = nl ? (size_t)(nl - rest.p) : rest.n, .whole = nl || end };
    for (; l->i < l->end && (rest.p[l->i] == ' ' || rest.p[l->i] == '\t'); l->i++) {
        l->tab = l->tab || rest.p[l->i] == '\t';
        l->indent += rest.p[l->i] == '\t' ? 4 - l->indent % 4 : 1;
    }
}

static size_t
run_of(const struct line *l, size_t i)
{
    size_t n = 0;

    while (i + n < l->end && l->s.p[i + n] == l->s.p[i])
        n++;
    return n;
}

static bool
blank_from(const struct line *l, size_t i)
{
    while (i < l->end && (l->s.p[i] == ' ' || l->s.p[i] == '\t' || l->s.p[i] == '\r'))
        i++;
    return i == l->end;
}

static size_t
through(const struct line *l)
{
    return l->end < l->s.n ? l->end + 1 : l->end;
}

/* ---- in a fenced block */

/* true: it is known; *closes: 1 when it surely ends the block, -1 when a renderer might think otherwise. */
static bool
closing(const struct sanitizer *s, const struct line *l, int *closes)
{
    bool cut = !l->whole && l->s.n < LINE_LOOK;
    size_t run;

    *closes = 0;
    if (l->i == l->end)
        return !cut;
    if (l->s.p[l->i] != s->fence)
        return true;
    run = run_of(l, l->i);
    if (!blank_from(l, l->i + run))
        return true;
    if (cut)
        return false;
    if (run < s->fence_run)
        return true;
    *closes = l->whole && !l->tab &&
                      (l->indent == s->fence_indent || (l->indent > s->fence_indent && l->indent <= 3))
                  ? 1
                  : -1;
    return true;
}

static bool
in_fence(struct sanitizer *s, const struct line *l, size_t *take)
{
    int closes;

    *take = 0;
    if (!closing(s, l, &closes))
        return false;
    if (closes > 0) {
        s->fence = 0;
        s->open_span = false;
        s->was_blank = true;
        *take = through(l);
        return true;
    }
    if (closes < 0 || (l->indent < s->fence_indent && !blank_from(l, l->i))) {
        s->fence = 0;
        s->unsure = true;
        return true;
    }
    s->verbatim = true;
    return true;
}

/* ---- outside */

/* A fence of at least three; its info string may not hold backticks. */
static bool
opens(struct sanitizer *s, const struct line *l)
{
    char c = l->s.p[l->i];
    size_t run = run_of(l, l->i);
    bool in_item = s->item > 0 && l->indent >= s->item && l->indent <= s->item + 3;

    if (s->unsure || l->tab || run < 3 || (l->indent > 3 && !in_item))
        return false;
    if (c == '`' && memchr(l->s.p + l->i + run, '`', l->end - l->i - run))
        return false;
    s->fence = c;
    s->fence_run = run;
    s->fence_indent = l->indent;
    if (!in_item)
        s->item = 0;
    return true;
}

/* Bytes of a list marker with the spaces behind it, or 0. A thematic break and an empty item are none for us. */
static size_t
marker(const struct sanitizer *s, const struct line *l)
{
    size_t i = l->i, n;
    bool one, rule = true;

    if (i == l->end)
        return 0;
    one = l->s.p[i] == '1';
    if (strchr("-*+", l->s.p[i])) {
        i++;
    } else {
        while (i < l->end && isdigit((unsigned char)l->s.p[i]))
            i++;
        if (i == l->i || i - l->i > 9 || i == l->end || (l->s.p[i] != '.' && l->s.p[i] != ')'))
            return 0;
        if (!(one && i == l->i + 1) && !s->was_blank && s->item == 0)
            return 0; /* goes on with a paragraph */
        i++;
    }
    for (n = 0; i + n < l->end && l->s.p[i + n] == ' ';)
        n++;
    for (size_t k = l->i; k < l->end; k++)
        rule = rule && strchr("-*_ \t\r", l->s.p[k]) != NULL;
    if (n == 0 || n > 4 || rule || blank_from(l, i + n))
        return 0;
    return i + n - l->i;
}

static void
note_item(struct sanitizer *s, const struct line *l)
{
    size_t n = l->tab ? 0 : marker(s, l);
    bool here = l->indent <= 3 || (s->item > 0 && (l->indent == s->item_indent ||
                                                   (l->indent >= s->item && l->indent <= s->item + 3)));

    if (n > 0 && here) {
        s->item = l->indent + n;
        s->item_indent = l->indent;
    } else if (l->indent < s->item) {
        s->item = 0;
    }
}

static size_t
span_of(const struct line *l, size_t i, const char *set)
{
    size_t n = 0;

    while (i + n < l->end && strchr(set, l->s.p[i + n]) && l->s.p[i + n] != 0)
        n++;
    return n;
}

/* Could more of the line change what it is? */
static bool
undecided(const struct line *l)
{
    size_t i = l->i;

    if (l->whole || l->s.n >= LINE_LOOK)
        return false;
    if (i == l->end)
        return true;
    if (l->s.p[i] == '`' || l->s.p[i] == '~')
        return run_of(l, i) >= 3 || i + run_of(l, i) == l->end;
    if (strchr("-*+", l->s.p[i]))
        return i + span_of(l, i, "-*+_ \t") == l->end;
    i += span_of(l, i, "0123456789");
    if (i > l->i && i < l->end && (l->s.p[i] == '.' || l->s.p[i] == ')'))
        i += 1 + span_of(l, i + 1, " ");
    return i > l->i && i == l->end;
}

static bool
begins(struct sanitizer *s, const struct line *l, size_t *take)
{
    *take = 0;
    if (undecided(l))
        return false;
    if (l->i < l->end && (l->s.p[l->i] == '`' || l->s.p[l->i] == '~') && l->whole && opens(s, l)) {
        *take = through(l);
        return true;
    }
    if (blank_from(l, l->i) && l->whole) {
        s->open_span = false;
        s->bracket = false;
    } else {
        note_item(s, l);
    }
    s->line_start = false;
    s->lead = s->blank = true;
    return true;
}

bool
sanitize_line(struct sanitizer *s, struct str rest, bool end, size_t *take)
{
    struct line l;

    if (rest.n > LINE_LOOK)
        rest.n = LINE_LOOK;
    look(&l, rest, end && rest.n < LINE_LOOK);
    return s->fence ? in_fence(s, &l, take) : begins(s, &l, take);
}
