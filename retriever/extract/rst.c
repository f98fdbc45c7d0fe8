/* reStructuredText: its own source. A heading is a line of words above a line of one sign that is at least as
 * long, maybe below another such line; the order in which these signs come first is the order of their levels
 * (docutils, "Sections").
 *
 * Comments are no text: ".. words" where the words are no directive, target, note or substitution, and the
 * lines below that stand further in (docutils, "Comments"). Literal text has none. */
#include "retriever/extract/blocks.h"

enum { LEVELS = 6 };

struct styles {
    int sign[LEVELS]; /* of each level; twice there: its negative */
    size_t n;
};

/* ---- headings */

/* The sign of a line that consists of it alone; 0: it is none. */
static char
adornment(struct str line)
{
    static const char signs[] = "=-~^\"'`#*+.:_<>!$%&(),/;?@[\\]{|}";

    return line.n >= 2 && strchr(signs, line.p[0]) && lines_run(line, line.p[0]) == line.n ? line.p[0] : 0;
}

static size_t
level_of(struct styles *s, int sign)
{
    size_t i = 0;

    while (i < s->n && s->sign[i] != sign)
        i++;
    if (i == s->n && s->n < LEVELS)
        s->sign[s->n++] = sign;
    return i < LEVELS ? i + 1 : LEVELS;
}

/* A heading that begins at this line; the line is its last one then. */
static bool
heading(struct scan *s, struct styles *styles, struct str *words, size_t *level)
{
    struct lines first = s->l, next = s->l;
    char over = adornment(first.line), under;

    if (over && !lines_at(&next, lines_next(&first)))
        return false;
    *words = text_trim(next.line);
    if (words->n == 0 || adornment(*words) || !lines_at(&next, lines_next(&next)))
        return false;
    under = adornment(next.line);
    if (!under || (over && over != under) || utf8_count(*words) > next.line.n + 1 ||
        (!over && first.line.p[0] == ' '))
        return false;
    *level = level_of(styles, over ? -under : under);
    s->l = next;
    return true;
}

/* ---- comments */

static size_t
indent_of(struct str line)
{
    size_t n = 0;

    while (n < line.n && (line.p[n] == ' ' || line.p[n] == '\t'))
        n++;
    return n;
}

/* "name:: …" → name; absent: it is no directive. */
static struct str
directive(struct str s)
{
    const char *at = s.n > 2 ? memmem(s.p, s.n, "::", 2) : NULL;
    struct str name = { s.p, at ? (size_t)(at - s.p) : 0 };

    if (!at || name.n == 0 || (name.n + 2 < s.n && at[2] != ' '))
        return STR_NONE;
    if (name.p[name.n - 1] == ' ')
        name.n--;
    for (size_t i = 0; i < name.n; i++)
        if (strchr(" \"'`<>|()[]*,;/\\", name.p[i]))
            return STR_NONE;
    return name.n > 0 ? name : STR_NONE;
}

/* "_target: …", "[1] note", "|words| image:: …" */
static bool
is_markup(struct str s)
{
    return s.p[0] == '_' || s.p[0] == '|' || (s.p[0] == '[' && str_has_byte(s, ']')) || directive(s).n > 0;
}

static bool
is_literal(struct str name)
{
    static const char *const names[] = { "code",       "code-block", "sourcecode", "parsed-literal",
                                         "raw",        "math",       "doctest",    "testcode",
                                         "testoutput", "prompt",     "graphviz",   "productionlist" };

    return str_is_any(name, names, sizeof names / sizeof *names);
}

/* The line at hand, and those below it that stand further in than it does; the last of them is at hand then. */
static void
go_over_part(struct lines *l)
{
    size_t in = indent_of(l->line), last = l->at;

    for (size_t next = lines_next(l); lines_at(l, next); next = lines_next(l)) {
        if (l->line.n > 0 && indent_of(l->line) <= in)
            break;
        if (l->line.n > 0)
            last = l->at;
    }
    (void)lines_at(l, last);
}

static bool
is_empty_below(const struct lines *l)
{
    struct lines next = *l;

    return !lines_at(&next, lines_next(l)) || next.line.n == 0;
}

static void
hide_comments(struct extracted *x)
{
    struct lines l = { .text = buf_slice(&x->text) };
    bool paragraph = false; /* which goes on */

    for (size_t next = 0; lines_at(&l, next); next = lines_next(&l)) {
        struct str s = text_trim(l.line), words;
        size_t start = l.at;
        bool mark = str_starts(s, "..") && (s.n == 2 || s.p[2] == ' ') && !paragraph;

        paragraph = s.n > 0 && !mark;
        if (mark) {
            words = text_trim((struct str){ s.p + 2, s.n - 2 });
            if (words.n > 0 && is_markup(words)) {
                if (is_literal(directive(words)))
                    go_over_part(&l);
                continue;
            }
            if (words.n > 0 || !is_empty_below(&l)) /* an empty one takes nothing with it */
                go_over_part(&l);
            scan_hide(x, start, l.at + l.line.n);
        } else if (s.n >= 2 && memcmp(s.p + s.n - 2, "::", 2) == 0 && is_empty_below(&l)) {
            go_over_part(&l);
        }
    }
}

/* ---- blocks */

static void
step(struct scan *s, void *own)
{
    size_t start = s->l.at, level;
    struct str words;

    if (heading(s, own, &words, &level))
        scan_heading(s, level, start, words);
    else
        scan_paragraph(s, NULL);
}

static const char *
rst_read(struct str body, struct extracted *x)
{
    struct styles styles = { 0 };

    return scan_blocks(body, x, hide_comments, step, &styles);
}

const struct extractor extractor_rst = { .read = rst_read, .next = blocks_next };
