/* The ways in which models write marks. A group is an opening, perhaps a label ("Source"), numbers with separators or ranges, a
 * note of the model behind a dagger, and the closing that fits:
 *
 *   [1]  [1, 2]  [1-3]  [1 and 2]  [Source 1]  [^1]  [[1]]  \[1\]  ［1］  【1†source】  (Source 1)
 *
 * "(1)" and superscripts are none: list items and units are written so. */
#include "cite/marks.h"

#include <strings.h>

static const struct {
    const char *open, *close;
    bool label;
} pairs[] = {
    { "\\[", "\\]", false },
    { "[[", "]]", false },
    { "[", "]", false },
    { "\xef\xbc\xbb", "\xef\xbc\xbd", false }, /* ［］ */
    { "\xe3\x80\x90", "\xe3\x80\x91", false }, /* 【】 */
    { "\xe3\x80\x94", "\xe3\x80\x95", false }, /* 〔〕 */
    { "\xe2\x9f\xa6", "\xe2\x9f\xa7", false }, /* ⟦⟧ */
    { "(", ")", true },
    { "\xef\xbc\x88", "\xef\xbc\x89", true },
};

static const char *const labels[] = {
    "source",
    "sources",
    "passage",
    "passages",
    "document",
    "documents",
    "doc",
    "docs",
    "reference",
    "references",
    "ref",
    "refs",
    "citation",
    "citations",
    "cite",
    "id",
    "source id",
    "source_id",
    "quelle",
    "quellen",
    "fuente",
    "fuentes",
    "fonte",
    "fonti",
    "fontes",
    "bron",
    "bronnen",
    "passagem",
    "pasaje",
    "zdroj",
    "kaynak",
    "\xd0\xb8\xd1\x81\xd1\x82\xd0\xbe\xd1\x87\xd0\xbd\xd0\xb8\xd0\xba",
    "\xd0\x98\xd1\x81\xd1\x82\xd0\xbe\xd1\x87\xd0\xbd\xd0\xb8\xd0\xba",
    "\xe6\x9d\xa5\xe6\xba\x90",
    "\xe4\xbe\x86\xe6\xba\x90",
    "\xe5\x87\xba\xe5\x85\xb8",
    "\xe8\xb3\x87\xe6\x96\x99",
    "\xec\xb6\x9c\xec\xb2\x98",
};

static const char *const separators[] = {
    ",",
    ";",
    "/",
    "|",
    "&",
    "+",
    "\xef\xbc\x8c",
    "\xe3\x80\x81",
    "\xef\xbc\x9b",
    "and ",
    "und ",
    "et ",
    "y ",
    "e ",
    "o ",
    "or ",
    "en ",
    "i ",
    "\xd0\xb8 ",
    "\xe5\x92\x8c",
    "\xe4\xb8\x8e",
    "\xe3\x81\xa8",
};

static const char *const dashes[] = { "-", "\xe2\x80\x93", "\xe2\x80\x94", "\xe2\x80\x91", "\xe2\x88\x92",
                                      "~", "\xef\xbd\x9e", "to ",          "bis " };

static struct str
rest(struct str s, size_t i)
{
    return i < s.n ? (struct str){ s.p + i, s.n - i } : (struct str){ s.p, 0 };
}

/* The length of the first of the list's words that s begins with; 0: none. */
static size_t
one_of(struct str s, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_starts(s, list[i]))
            return strlen(list[i]);
    return 0;
}

static size_t
spaces(struct str s, size_t i)
{
    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '^' || s.p[i] == '#'))
        i++;
    return i;
}

/* One digit, ASCII or full-width: its bytes; 0: none. */
static size_t
digit_at(struct str s, size_t i, long *v)
{
    if (i < s.n && s.p[i] >= '0' && s.p[i] <= '9') {
        *v = s.p[i] - '0';
        return 1;
    }
    if (i + 3 <= s.n && memcmp(s.p + i, "\xef\xbc", 2) == 0 && (unsigned char)s.p[i + 2] >= 0x90 &&
        (unsigned char)s.p[i + 2] <= 0x99) {
        *v = (unsigned char)s.p[i + 2] - 0x90;
        return 3;
    }
    return 0;
}

/* Behind a number; i: there is none. */
static size_t
number_at(struct str s, size_t i, long *out)
{
    long v = 0, d;

    for (size_t k; (k = digit_at(s, i, &d)) != 0; i += k)
        v = v < 1000000 ? 10 * v + d : v;
    *out = v;
    return i;
}

/* Behind "Source 1"'s label, with its colon or number sign; i: none. */
static size_t
label_at(struct str s, size_t i)
{
    size_t from = i, n = 0;

    for (size_t k = 0; k < sizeof labels / sizeof *labels; k++) {
        size_t len = strlen(labels[k]);

        if (len > n && i + len <= s.n && strncasecmp(s.p + i, labels[k], len) == 0)
            n = len;
    }
    if (n == 0)
        return from;
    for (i += n; i < s.n && strchr(" :.#_", s.p[i]); i++)
        ;
    long v;
    return digit_at(s, spaces(s, i), &v) ? i : from;
}

/* 【1†source】, [1, p. 3]: what follows the dagger is the model's own note, and a page is no passage. */
static size_t
skip_note(struct str s, size_t i, const char *close)
{
    static const char *const notes[] = { "\xe2\x80\xa0", ", p. ",    ", pp. ",     " p. ",   ", page ",
                                         ", S. ",        ", Seite ", ", section ", ", line " };

    if (!one_of(rest(s, i), notes, sizeof notes / sizeof *notes))
        return i;
    for (size_t end = i + 80; i < s.n && i < end && s.p[i] != '\n'; i++)
        if (str_starts(rest(s, i), close))
            break;
    return i;
}

static bool
add_numbers(struct mark_group *g, long from, long to)
{
    if (to < from || to - from > MARK_NUMBER_MAX)
        return false;
    for (long v = from; v <= to; v++)
        if (g->count < MARK_GROUP_MAX)
            g->n[g->count++] = v;
    return true;
}

/* Numbers up to the closing: where the closing begins, or 0. */
static size_t
numbers_at(struct str s, size_t i, const char *close, bool need_label, struct mark_group *g)
{
    bool labelled = false;

    for (;;) {
        long v, last;
        size_t k = spaces(s, i), to;

        i = label_at(s, k);
        labelled |= i != k;
        g->plain &= i == k;
        k = number_at(s, spaces(s, i), &v);
        if (k == spaces(s, i))
            return 0;
        last = v;
        i = spaces(s, k);
        to = one_of(rest(s, i), dashes, sizeof dashes / sizeof *dashes);
        if (to) {
            k = number_at(s, spaces(s, i + to), &last);
            if (k == spaces(s, i + to))
                return 0;
            g->plain = false;
            i = k;
        }
        if (!add_numbers(g, v, last))
            return 0;
        k = skip_note(s, i, close);
        g->plain &= k == i;
        i = k;
        while (i < s.n && s.p[i] == ' ')
            i++;
        if (str_starts(rest(s, i), close))
            return labelled || !need_label ? i : 0;
        to = one_of(rest(s, i), separators, sizeof separators / sizeof *separators);
        if (!to)
            return 0;
        g->plain &= s.p[i] == ',' || s.p[i] == ';';
        i = spaces(s, i + to);
        if (str_starts(rest(s, i), "and ")) { /* "1, 2, and 3" */
            g->plain = false;
            i += 4;
        }
    }
}

static bool
line_start(struct str s, size_t i)
{
    while (i > 0 && (s.p[i - 1] == ' ' || s.p[i - 1] == '\t'))
        i--;
    return i == 0 || s.p[i - 1] == '\n';
}

bool
mark_group_at(struct str s, size_t i, struct mark_group *g)
{
    for (size_t k = 0; k < sizeof pairs / sizeof *pairs; k++) {
        size_t n = strlen(pairs[k].open), end;

        if (!str_starts(rest(s, i), pairs[k].open))
            continue;
        g->start = i;
        g->count = 0;
        g->plain = strcmp(pairs[k].open, "[") == 0;
        end = numbers_at(s, i + n, pairs[k].close, pairs[k].label, g);
        if (end == 0)
            continue;
        g->end = end + strlen(pairs[k].close);
        g->plain = g->plain && !memchr(s.p + i, '^', end - i) && !memchr(s.p + i, '#', end - i);
        if (g->end < s.n && s.p[g->end] == '(' && pairs[k].open[0] == '[')
            return false; /* a link */
        return !(g->end < s.n && s.p[g->end] == ':' && line_start(s, i) &&
                 pairs[k].open[0] == '['); /* "[1]: address" defines one */
    }
    return false;
}

/* Behind a code span or fence that begins at i with a run of backticks; i + run when it never closes. */
static size_t
code_end(struct str s, size_t i, size_t *gave_up)
{
    size_t run = 0;

    while (i + run < s.n && s.p[i + run] == '`')
        run++;
    size_t at = i + run;

    if (*gave_up) /* no closing run was found before: do not look again and again */
        return at;
    while (at < s.n) {
        size_t r = 0;

        while (at + r < s.n && s.p[at + r] == '`')
            r++;
        if (r == run)
            return at + r;
        at += r ? r : 1;
    }
    *gave_up = run < 3;
    return run >= 3 ? s.n : i + run;
}

/* "$x \in [1, 2]$": a formula, when it stands on one line and says something that only formulas say. */
static size_t
formula_end(struct str s, size_t i)
{
    bool two = i + 1 < s.n && s.p[i + 1] == '$', formula = false;
    size_t from = i + 1 + two;

    for (size_t k = from; k < s.n && k < from + 400 && s.p[k] != '\n'; k++) {
        formula |= strchr("\\^_={}<>", s.p[k]) != NULL;
        if (s.p[k] == '$' && k > from)
            return formula && s.p[k - 1] != ' ' && s.p[from] != ' '
                       ? k + 1 + (two && k + 1 < s.n && s.p[k + 1] == '$')
                       : i;
    }
    return i;
}

static size_t
paren_formula_end(struct str s, size_t i)
{
    const char *end = memmem(s.p + i, s.n - i < 400 ? s.n - i : 400, "\\)", 2);

    return end && !memchr(s.p + i, '\n', (size_t)(end - s.p) - i) ? (size_t)(end - s.p) + 2 : i;
}

/* "[text](address)", also "[[1]](address)". */
static size_t
link_end(struct str s, size_t i)
{
    int depth = 0;

    for (size_t k = i; k < s.n && k < i + 300 && s.p[k] != '\n'; k++) {
        depth += s.p[k] == '[' ? 1 : s.p[k] == ']' ? -1 : 0;
        if (depth > 0)
            continue;
        const char *end = k + 1 < s.n && s.p[k + 1] == '('
                              ? memchr(s.p + k, ')', s.n - k < 2000 ? s.n - k : 2000)
                              : NULL;

        return end ? (size_t)(end - s.p) + 1 : i;
    }
    return i;
}

size_t
mark_skip(struct str s, size_t i, size_t *gave_up)
{
    if (s.p[i] == '[')
        return link_end(s, i);
    if (s.p[i] == '`')
        return code_end(s, i, gave_up);
    if (s.p[i] == '$')
        return formula_end(s, i);
    if (s.p[i] == '\\' && i + 1 < s.n && s.p[i + 1] == '(')
        return paren_formula_end(s, i);
    return i;
}
