/* Markdown source → blocks. See markdown.h. CommonMark 0.30, sections 4.2 (ATX), 4.3 (setext), 4.5 (fences); tables. */
#include "retriever/extract/markdown.h"

#include "common/text/text.h"
#include "retriever/extract/front_matter.h"
#include "retriever/extract/heading.h"

static size_t
line_end(struct str s, size_t i)
{
    const char *nl = i < s.n ? memchr(s.p + i, '\n', s.n - i) : NULL;

    return nl ? (size_t)(nl - s.p) : s.n;
}

static struct str
line_at(struct str s, size_t i)
{
    if (i >= s.n)
        return (struct str){ s.p + s.n, 0 };
    return (struct str){ s.p + i, line_end(s, i) - i };
}

static struct str
trim(struct str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

static size_t
indent(struct str line)
{
    size_t i = 0;

    while (i < line.n && line.p[i] == ' ')
        i++;
    return i;
}

/* Length of a run of c at the start of the line (up to 3 spaces before it). */
static size_t
run_of(struct str line, char c)
{
    size_t i = indent(line), from = i;

    if (i > 3)
        return 0;
    while (i < line.n && line.p[i] == c)
        i++;
    return i - from;
}

/* ``` or ~~~: its length, and the character in *c. */
static size_t
fence_run(struct str line, char *c)
{
    size_t n = run_of(line, '`');

    *c = '`';
    if (n < 3) {
        n = run_of(line, '~');
        *c = '~';
    }
    return n >= 3 ? n : 0;
}

static bool
atx(struct str line, struct block *b)
{
    size_t n = run_of(line, '#'), at = indent(line) + n;

    if (n < 1 || n > 6 || (at < line.n && line.p[at] != ' ' && line.p[at] != '\t'))
        return false;
    struct str t = trim((struct str){ line.p + at, line.n - at });
    size_t e = t.n;

    while (e && t.p[e - 1] == '#')
        e--;
    if (e == 0 || t.p[e - 1] == ' ')
        t.n = e;
    b->kind = BLOCK_HEADING;
    b->level = (int)n;
    b->heading = trim(t);
    return true;
}

static int
setext(struct str line)
{
    struct str t = trim(line);
    size_t eq = run_of(t, '='), dash = run_of(t, '-');

    if (indent(line) > 3 || t.n == 0)
        return 0;
    return eq == t.n ? 1 : dash == t.n ? 2 : 0;
}

static size_t
fence_end(struct str s, size_t start, size_t n, char c)
{
    size_t i = line_end(s, start);

    while (i < s.n) {
        struct str line = line_at(s, i + 1);
        size_t e = i + 1 + line.n, run = run_of(line, c);

        if (run >= n && trim(line).n == run)
            return e;
        i = e;
    }
    return s.n;
}

static bool
table_line(struct str line, bool dashes)
{
    line = trim(line);
    if (line.n < 2 || !str_has_byte(line, '|'))
        return false;
    for (size_t i = 0; i < line.n && dashes; i++)
        if (!strchr("|:- \t", line.p[i]))
            return false;
    return true;
}

/* A line of cells above a line of dashes (GitHub Flavored Markdown, 4.10). */
static bool
table_begins(struct str s, size_t i)
{
    return table_line(line_at(s, i), false) && table_line(line_at(s, line_end(s, i) + 1), true);
}

/* A paragraph from start on: up to an empty line or the start of another block. */
static void
paragraph(struct str s, bool markdown, size_t start, struct block *b)
{
    size_t i = line_end(s, start);
    char c;

    b->kind = BLOCK_TEXT;
    while (i < s.n) {
        struct str line = line_at(s, i + 1);
        struct block unused;
        int level = markdown ? setext(line) : 0;

        if (trim(line).n == 0)
            break;
        if (level && line_end(s, start) == i && s.p[start] != '|' && !str_starts(line_at(s, start), "- ")) {
            b->kind = BLOCK_HEADING;
            b->level = level;
            b->heading = trim(line_at(s, start));
            i += 1 + line.n;
            break;
        }
        if (markdown && (fence_run(line, &c) || atx(line, &unused) || table_begins(s, i + 1)))
            break;
        i += 1 + line.n;
    }
    b->end = i;
}

static size_t
table_end(struct str s, size_t i)
{
    size_t end = line_end(s, i);

    while (end < s.n && table_line(line_at(s, end + 1), false))
        end = line_end(s, end + 1);
    return end;
}

bool
block_next(struct str s, bool markdown, size_t *at, struct block *out)
{
    size_t i = *at;
    char c;

    while (i < s.n && trim(line_at(s, i)).n == 0)
        i = line_end(s, i) + 1;
    if (i >= s.n) {
        *at = s.n;
        return false;
    }
    struct str line = line_at(s, i);
    size_t fence = markdown ? fence_run(line, &c) : 0;

    *out = (struct block){ .kind = BLOCK_TEXT, .start = i, .end = i + line.n };
    if (fence) {
        out->kind = BLOCK_FENCE;
        out->end = fence_end(s, i, fence, c);
    } else if (markdown && table_begins(s, i)) {
        out->kind = BLOCK_TABLE;
        out->end = table_end(s, i);
    } else if (!markdown || !atx(line, out))
        paragraph(s, markdown, i, out);
    *at = out->end < s.n ? out->end + 1 : s.n;
    while (out->end > i && (s.p[out->end - 1] == ' ' || s.p[out->end - 1] == '\t'))
        out->end--; /* markup.h fills shortened lines */
    return true;
}

struct str
md_table_head(struct str s, size_t at)
{
    size_t i = at, third;

    if (at >= s.n || !table_line(line_at(s, at), false) || table_line(line_at(s, line_end(s, at) + 1), true))
        return STR_NONE;
    while (i > 0) { /* back, a line at a time, as long as rows go on */
        size_t from = i - 1;

        while (from > 0 && s.p[from - 1] != '\n')
            from--;
        if (!table_line(line_at(s, from), false))
            break;
        i = from;
    }
    third = line_end(s, i) + 1; /* of the line of dashes */
    if (third > at || !table_line(line_at(s, third), true))
        return STR_NONE;
    return (struct str){ s.p + i, line_end(s, third) - i };
}

struct str
md_title(struct str s, struct arena *a)
{
    size_t at = front_matter(s);
    struct block b;

    while (block_next(s, true, &at, &b))
        if (b.kind == BLOCK_HEADING && b.level == 1 && b.heading.n)
            return heading_plain(s, b.heading, a);
    struct str t = front_matter_title(s, a);

    return t;
}
