/* Markdown source → blocks. See markdown.h. CommonMark 0.30, sections 4.2 (ATX), 4.3 (setext), 4.5 (fences). */
#include "retriever/markdown.h"

#include "common/text.h"

enum { FRONT_MATTER_LINES = 64, HEADING_MAX = 200 };

static size_t
line_end(struct str s, size_t i)
{
    const char *nl = i < s.n ? memchr(s.p + i, '\n', s.n - i) : NULL;

    return nl ? (size_t)(nl - s.p) : s.n;
}

static struct str
line_at(struct str s, size_t i)
{
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
        if (markdown && (fence_run(line, &c) || atx(line, &unused)))
            break;
        i += 1 + line.n;
    }
    b->end = i;
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
    } else if (!markdown || !atx(line, out))
        paragraph(s, markdown, i, out);
    *at = out->end < s.n ? out->end + 1 : s.n;
    return true;
}

size_t
md_front_matter(struct str s)
{
    if (!str_is(line_at(s, 0), "---"))
        return 0;
    size_t i = 4;

    for (int k = 0; k < FRONT_MATTER_LINES && i < s.n; k++) {
        struct str line = line_at(s, i);

        i += line.n + 1;
        if (str_is(line, "---") || str_is(line, "..."))
            return i < s.n ? i : s.n;
    }
    return 0;
}

static struct str
front_title(struct str s)
{
    size_t n = md_front_matter(s);

    for (size_t i = 0; i < n; i = line_end(s, i) + 1) {
        struct str line = line_at(s, i);

        if (!str_starts(line, "title:"))
            continue;
        struct str t = trim((struct str){ line.p + 6, line.n - 6 });

        if (t.n >= 2 && (t.p[0] == '"' || t.p[0] == '\'') && t.p[t.n - 1] == t.p[0])
            t = (struct str){ t.p + 1, t.n - 2 };
        return t;
    }
    return STR_NONE;
}

struct str
md_title(struct str s, struct arena *a)
{
    size_t at = md_front_matter(s);
    struct block b;

    while (block_next(s, true, &at, &b))
        if (b.kind == BLOCK_HEADING && b.level == 1 && b.heading.n)
            return md_plain(b.heading, a);
    struct str t = front_title(s);

    return t.n ? md_plain(t, a) : STR_NONE;
}

struct str
md_plain(struct str s, struct arena *a)
{
    struct str cut = utf8_cut(s, HEADING_MAX);
    char *z = arena_dup(a, cut);
    size_t n = 0;

    if (!z)
        return STR_NONE;
    for (size_t i = 0; i < cut.n; i++) {
        if (z[i] == '{' && i + 1 < cut.n && z[i + 1] == '#')
            break;
        if (z[i] == ']' && i + 1 < cut.n && z[i + 1] == '(') {
            const char *e = memchr(z + i, ')', cut.n - i);

            i = e ? (size_t)(e - z) : cut.n;
            continue;
        }
        if (z[i] != '`' && z[i] != '*' && z[i] != '[')
            z[n++] = z[i];
    }
    return trim((struct str){ z, n });
}
