/* Traces that a dropped mark would leave: blanks, commas, empty brackets, "(see )". Both sides are looked at: the part of the answer
 * that was written, and what stands behind the mark.
 *
 *   x [15].   x ([15]).   x **[15]**.   x (see [15]).  →  x.
 *   x [15] and [1].   x ([1], [15]).                   →  x [1].   x ([1]). */
#include "cite/marks.h"

#include <ctype.h>

enum { LEAD_MAX = 24 };

static void
cut_to(struct buf *out, size_t n)
{
    out->n = n;
    if (out->p)
        out->p[n] = '\0';
}

static void
drop_space(struct buf *out)
{
    while (out->n && out->p[out->n - 1] == ' ')
        cut_to(out, out->n - 1);
}

static size_t
behind_spaces(struct str s, size_t i)
{
    while (i < s.n && s.p[i] == ' ')
        i++;
    return i;
}

static bool
group_at(struct str s, size_t i)
{
    struct mark_group g;

    return i < s.n && mark_group_at(s, i, &g);
}

/* Words that lead to a source, and to nothing without it. */
static bool
leads_in(struct str s)
{
    static const char *const words[] = { "see",  "see also",  "cf",     "source", "sources", "ref",
                                         "refs", "reference", "siehe",  "vgl",    "quelle",  "voir",
                                         "cfr",  "véase",     "fuente", "ver",    "fonte",   "vedi",
                                         "zie",  "bron",      "см",     "引用",   "来源",    "參見" };

    while (s.n > 0 && strchr(" .:*_", s.p[s.n - 1]))
        s.n--;
    while (s.n > 0 && strchr(" *_#>-", s.p[0]))
        s = (struct str){ s.p + 1, s.n - 1 };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_is_anycase(s, words[i]))
            return true;
    return false;
}

/* "(see" before the mark that stood in the brackets' end. */
static void
drop_lead(struct buf *out)
{
    size_t b = out->n;

    while (b > 0 && out->n - b < LEAD_MAX && !strchr("(\n", out->p[b - 1]))
        b--;
    if (b > 0 && out->p[b - 1] == '(' && leads_in((struct str){ out->p + b, out->n - b }))
        cut_to(out, b);
}

/* Brackets and emphasis around nothing. */
static size_t
unwrap(struct buf *out, struct str s, size_t end)
{
    static const struct {
        const char *before, *behind;
    } wraps[] = { { "(", ")" },
                  { "**", "**" },
                  { "<sup>", "</sup>" },
                  { "<sub>", "</sub>" },
                  { "[", "]" },
                  { "（", "）" },
                  { "__", "__" },
                  { "*", "*" },
                  { "_", "_" },
                  { "^", "^" },
                  { "\xe2\x80\x9c", "\xe2\x80\x9d" },
                  { "\"", "\"" } };

    for (size_t i = 0; i < sizeof wraps / sizeof *wraps;) {
        size_t n = strlen(wraps[i].behind);

        if (i == 0 && end < s.n && s.p[end] == ')')
            drop_lead(out);
        if (str_ends(buf_slice(out), wraps[i].before) && end + n <= s.n &&
            memcmp(s.p + end, wraps[i].behind, n) == 0) {
            cut_to(out, out->n - strlen(wraps[i].before));
            end += n;
            i = 0;
        } else {
            i++;
        }
    }
    return end;
}

static const char *const joins[] = { ",",  ";",  " and", " und",  " et", " y",
                                     " e", " &", " or",  " oder", "、",  "和" };

/* Behind "[15], " or "[15] and " where another mark follows, which takes its place; 0: none does. */
static size_t
next_mark(struct str s, size_t end)
{
    if (group_at(s, behind_spaces(s, end)))
        return behind_spaces(s, end);
    for (size_t i = 0; i < sizeof joins / sizeof *joins; i++) {
        size_t at = joins[i][0] == ' ' ? behind_spaces(s, end) : end,
               n = strlen(joins[i]) - (joins[i][0] == ' '), next = behind_spaces(s, at + n);

        if (at + n < s.n && memcmp(s.p + at, joins[i] + (joins[i][0] == ' '), n) == 0 && group_at(s, next) &&
            (joins[i][0] != ' ' || (at > end && next > at + n)))
            return next;
    }
    return 0;
}

/* "[1], " or "[1] and" in front of the mark that went. */
static void
drop_join(struct buf *out)
{
    for (size_t i = 0; i < sizeof joins / sizeof *joins; i++) {
        size_t n = strlen(joins[i]), k = out->n - n;

        if (!str_ends(buf_slice(out), joins[i]) || k == 0 || out->p[k - 1] != ']')
            continue;
        for (k--; k > 0 && isdigit((unsigned char)out->p[k - 1]);)
            k--;
        if (k > 0 && out->p[k - 1] == '[' && out->p[k] != ']') {
            cut_to(out, out->n - n);
            return;
        }
    }
}

/* "", "-", "12.": nothing but the sign of a list. "- 30" has a number. */
static bool
only_sign(struct str s)
{
    size_t k = 0;

    while (s.n > 0 && s.p[0] == ' ')
        s = (struct str){ s.p + 1, s.n - 1 };
    while (s.n > 0 && s.p[s.n - 1] == ' ')
        s.n--;
    while (k < s.n && isdigit((unsigned char)s.p[k]))
        k++;
    return k == s.n ? k == 0 : k + 1 == s.n && strchr(k ? ".)" : "-*+", s.p[k]) != NULL;
}

/* A line that had nothing but the mark, behind "Sources:" or the sign of a list, goes. */
static size_t
drop_line(struct buf *out, struct str s, size_t end)
{
    size_t b = out->n;

    if (end < s.n && s.p[end] != '\n')
        return end;
    while (b > 0 && out->p[b - 1] != '\n')
        b--;
    struct str line = { out->p ? out->p + b : "", out->n - b };

    if (b == 0 || (!only_sign(line) && (!leads_in(line) || !str_has_byte(line, ':'))))
        return end;
    cut_to(out, b);
    return end < s.n ? end + 1 : end;
}

/* Nothing of the group that ended at `end` was written. Returns where the answer goes on. */
size_t
mark_gap_close(struct buf *out, struct str s, size_t end)
{
    size_t next;

    end = unwrap(out, s, end);
    next = next_mark(s, end);
    if (next > 0)
        return next;
    drop_space(out);
    drop_join(out);
    end = unwrap(out, s, end);
    drop_space(out);
    end = drop_line(out, s, end);
    while (end == s.n && out->n && (out->p[out->n - 1] == '\n' || out->p[out->n - 1] == ' '))
        cut_to(out, out->n - 1);
    if (out->n == 0 || out->p[out->n - 1] == '\n') /* it began a line: the text does now */
        end = behind_spaces(s, end);
    return end;
}
