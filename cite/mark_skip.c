/* Code, formulas and links, in which no mark stands (marks.h). Each function says where the one ends that begins at byte i; i: none
 * does. All looks are bounded. */
#include "cite/marks.h"

#include <stdio.h>

enum { FORMULA_LINE = 400, FORMULA_BLOCK = 2000, LINK_TEXT = 300, LINK_ADDRESS = 2000, TAG_TEXT = 2000 };

static struct str
at_most(struct str s, size_t i, size_t n)
{
    return (struct str){ s.p + i, s.n - i < n ? s.n - i : n };
}

static bool
blank_line(struct str s, size_t i)
{
    for (i++; i < s.n && (s.p[i] == ' ' || s.p[i] == '\t'); i++)
        ;
    return i < s.n && s.p[i] == '\n';
}

/* Behind a code span or fence that begins at i with a run of that sign; i + run when it never closes. A span ends with its paragraph.
 * *gave_up: up to there no closing run of a span will be found. */
static size_t
code_end(struct str s, size_t i, size_t *gave_up)
{
    size_t run = 0;
    char sign = s.p[i];

    while (i + run < s.n && s.p[i + run] == sign)
        run++;
    size_t at = i + run;

    if ((run < 3 && i < *gave_up) || (sign == '~' && (run < 3 || (i > 0 && s.p[i - 1] != '\n'))))
        return at;
    while (at < s.n) {
        size_t r = 0;

        while (at + r < s.n && s.p[at + r] == sign)
            r++;
        if (r == run)
            return at + r;
        if (run < 3 && s.p[at] == '\n' && blank_line(s, at))
            break;
        at += r ? r : 1;
    }
    *gave_up = run < 3 ? at : *gave_up;
    return run >= 3 ? s.n : i + run;
}

static bool
says_formula(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] && strchr("\\^_={}<>", s.p[i]))
            return true;
    return false;
}

/* Behind the formula that opens with n bytes at i and closes with `close`. */
static size_t
block_end(struct str s, size_t i, size_t n, const char *close)
{
    struct str in = at_most(s, i + n, FORMULA_BLOCK);
    const char *end = memmem(in.p, in.n, close, strlen(close));

    return end && says_formula((struct str){ in.p, (size_t)(end - in.p) })
               ? (size_t)(end - s.p) + strlen(close)
               : i;
}

/* "$x \in [1, 2]$": a formula, when it stands on one line and says something that only formulas say. "$$" may go over lines. */
static size_t
dollar_end(struct str s, size_t i)
{
    size_t from = i + 1;

    if (from < s.n && s.p[from] == '$')
        return block_end(s, i, 2, "$$");
    for (size_t k = from; k < s.n && k < from + FORMULA_LINE && s.p[k] != '\n'; k++)
        if (s.p[k] == '$' && k > from)
            return says_formula((struct str){ s.p + from, k - from }) && s.p[k - 1] != ' ' && s.p[from] != ' '
                       ? k + 1
                       : i;
    return i;
}

/* "\(…\)" on one line, "\[…\]" (which is a mark when only numbers are in it), "\begin{…}…\end{…}". */
static size_t
tex_end(struct str s, size_t i)
{
    struct str in = at_most(s, i, FORMULA_LINE), name;
    struct mark_group g;
    char close[64];
    const char *end;

    if (i + 1 < s.n && s.p[i + 1] == '(') {
        end = memmem(in.p, in.n, "\\)", 2);
        return end && !memchr(in.p, '\n', (size_t)(end - in.p)) ? (size_t)(end - s.p) + 2 : i;
    }
    if (i + 1 < s.n && s.p[i + 1] == '[')
        return mark_group_at(s, i, &g) ? i : block_end(s, i, 2, "\\]");
    end = str_starts(in, "\\begin{") ? memchr(in.p + 7, '}', in.n - 7) : NULL;
    if (!end)
        return i;
    name = (struct str){ in.p + 7, (size_t)(end - in.p) - 7 };
    if (name.n == 0 || name.n > 32)
        return i;
    (void)snprintf(close, sizeof close, "\\end{%.*s}", (int)name.n, name.p);
    return block_end(s, i, 7, close);
}

/* "[text](address)", also "[[1]](address)". */
static size_t
link_end(struct str s, size_t i)
{
    int depth = 0;

    for (size_t k = i; k < s.n && k < i + LINK_TEXT && s.p[k] != '\n'; k++) {
        depth += s.p[k] == '[' ? 1 : s.p[k] == ']' ? -1 : 0;
        if (depth > 0)
            continue;
        struct str in = at_most(s, k, LINK_ADDRESS);
        const char *end = in.n > 1 && in.p[1] == '(' ? memchr(in.p, ')', in.n) : NULL;

        return end ? (size_t)(end - s.p) + 1 : i;
    }
    return i;
}

/* "<code>…</code>" and its like. */
static size_t
tag_end(struct str s, size_t i)
{
    static const char *const tags[][2] = {
        { "<code>", "</code>" }, { "<pre>", "</pre>" }, { "<kbd>", "</kbd>" }, { "<samp>", "</samp>" }
    };

    for (size_t k = 0; k < sizeof tags / sizeof *tags; k++) {
        struct str in = at_most(s, i, TAG_TEXT);
        const char *end = str_starts(in, tags[k][0]) ? memmem(in.p, in.n, tags[k][1], strlen(tags[k][1]))
                                                     : NULL;

        if (end)
            return (size_t)(end - s.p) + strlen(tags[k][1]);
    }
    return i;
}

size_t
mark_skip(struct str s, size_t i, size_t *gave_up)
{
    switch (s.p[i]) {
    case '[': return link_end(s, i);
    case '`':
    case '~': return code_end(s, i, gave_up);
    case '$': return dollar_end(s, i);
    case '\\': return tex_end(s, i);
    case '<': return tag_end(s, i);
    default: return i;
    }
}
