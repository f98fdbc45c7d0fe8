/* Lines → blocks. See quote.h. A scanner of its own, since what may be quoted is another matter than what is
 * cut into passages: a passage may begin in the middle of a list or a table. It never fails. */
#include <ctype.h>

#include "text/sentence.h"
#include "embedder/builtin/quote.h"

struct str
quote_trim(struct str s)
{
    while (s.n > 0 && isspace((unsigned char)s.p[0]))
        s = (struct str){ s.p + 1, s.n - 1 };
    while (s.n > 0 && isspace((unsigned char)s.p[s.n - 1]))
        s.n--;
    return s;
}

static struct str
line_at(struct str s, size_t at)
{
    const char *nl = at < s.n ? memchr(s.p + at, '\n', s.n - at) : NULL;

    return (struct str){ s.p + at, !nl ? s.n - at : (size_t)(nl - s.p) - at };
}

static size_t
next_line(struct str s, size_t at)
{
    at += line_at(s, at).n + 1;
    return at < s.n ? at : s.n;
}

/* The line at a place, without white space around it and the marks of a quote before it. */
static struct str
bare_line(struct str s, size_t at)
{
    struct str line = line_at(s, at);
    size_t mark = quote_mark(line, 0);

    return quote_trim((struct str){ line.p + mark, line.n - mark });
}

static bool
is_quoted(struct str s, size_t at)
{
    return quote_mark(line_at(s, at), 0) > 0;
}

static int
heading_level(struct str line)
{
    int n = 0;

    while (n < 7 && (size_t)n < line.n && line.p[n] == '#')
        n++;
    return n >= 1 && n <= 6 && (size_t)n < line.n && (line.p[n] == ' ' || line.p[n] == '\t') ? n : 0;
}

static bool
is_underline(struct str line)
{
    for (size_t i = 0; i < line.n; i++)
        if (line.p[i] != line.p[0])
            return false;
    return line.n >= 2 && (line.p[0] == '=' || line.p[0] == '-');
}

/* "|---|:--:|", also without the outer bars. */
static bool
is_delimiter(struct str line)
{
    size_t dashes = 0, bars = 0;

    for (size_t i = 0; i < line.n; i++) {
        if (!strchr("|:- \t", line.p[i]))
            return false;
        dashes += line.p[i] == '-';
        bars += line.p[i] == '|';
    }
    return dashes >= 1 && bars >= 1;
}

static bool
is_row(struct str line)
{
    return line.n > 1 && line.p[0] == '|';
}

static bool
is_item(struct str line)
{
    size_t k = 0;

    while (k < line.n && k < 9 && isdigit((unsigned char)line.p[k]))
        k++;
    if (k > 0)
        return k + 1 < line.n && (line.p[k] == '.' || line.p[k] == ')') && line.p[k + 1] == ' ';
    return line.n > 2 && strchr("-*+", line.p[0]) && line.p[1] == ' ';
}

static bool
is_check_box(struct str line)
{
    size_t k = 0;

    while (k < line.n && strchr("-*+ 0123456789.)", line.p[k]) != NULL)
        k++;
    return is_item(line) && k + 3 <= line.n && line.p[k] == '[' && strchr(" xX", line.p[k + 1]) &&
           line.p[k + 2] == ']';
}

/* A picture, a link by itself (a table of contents), a tag or a comment. */
static bool
is_idle(struct str line)
{
    const char *close;

    if (is_item(line))
        line = quote_trim((struct str){ line.p + 2, line.n - 2 });
    if (line.n > 4 && line.p[0] == '<' && line.p[line.n - 1] == '>' &&
        (isalpha((unsigned char)line.p[1]) || line.p[1] == '/' || line.p[1] == '!'))
        return memchr(line.p, '>', line.n) == line.p + line.n - 1 || line.p[1] == '!';
    if (line.n > 2 && line.p[0] == '!' && line.p[1] == '[')
        line = (struct str){ line.p + 1, line.n - 1 };
    else if (line.n > 3 && str_starts(line, "[!["))
        return line.p[line.n - 1] == ')';
    if (line.n < 4 || line.p[0] != '[' || line.p[line.n - 1] != ')')
        return false;
    close = memmem(line.p, line.n, "](", 2);
    return close && memchr(close, ')', (size_t)(line.p + line.n - close)) == line.p + line.n - 1;
}

/* The name of a fold: "<summary>Why?</summary>". */
static struct str
summary_of(struct str line)
{
    const char *open = line.n > 0 ? memmem(line.p, line.n, "<summary>", 9) : NULL;
    const char *close = open ? memmem(open, (size_t)(line.p + line.n - open), "</summary>", 10) : NULL;

    return close ? quote_trim((struct str){ open + 9, (size_t)(close - open) - 9 }) : STR_NONE;
}

static bool
starts_with(struct str s, struct str z)
{
    return s.n >= z.n && memcmp(s.p, z.p, z.n) == 0;
}

/* Behind the line that closes a fence or a formula; s.n when none does. */
static size_t
closing(struct str s, size_t at, struct str mark, bool *whole)
{
    *whole = false;
    for (at = next_line(s, at); at < s.n; at = next_line(s, at)) {
        struct str line = bare_line(s, at);

        if (starts_with(line, mark)) {
            *whole = true;
            return next_line(s, at);
        }
    }
    return s.n;
}

static size_t
fence_block(struct str s, size_t at, struct block *b)
{
    struct str line = bare_line(s, at), mark = { line.p, 0 };
    bool formula = str_starts(line, "$$");

    if (!formula && !str_starts(line, "```") && !str_starts(line, "~~~"))
        return 0;
    while (mark.n < line.n && line.p[mark.n] == line.p[0])
        mark.n++;
    b->kind = formula ? BLOCK_FORMULA : BLOCK_CODE;
    b->whole = true;
    if (formula && line.n > 4 && line.p[line.n - 1] == '$')
        return next_line(s, at);
    return closing(s, at, formula ? STR("$$") : mark, &b->whole);
}

static size_t
table_block(struct str s, size_t at, struct block *b)
{
    struct str line = bare_line(s, at);
    bool bars = is_row(line);

    if (!bars &&
        !(str_has_byte(line, '|') && is_delimiter(bare_line(s, next_line(s, at))) && next_line(s, at) < s.n))
        return 0;
    b->kind = BLOCK_TABLE;
    do {
        at = next_line(s, at);
        line = bare_line(s, at);
    } while (at < s.n && (bars ? is_row(line) : str_has_byte(line, '|')));
    return at;
}

/* Does a block of another kind begin with this line? */
static bool
begins(struct str s, size_t at)
{
    struct str line = bare_line(s, at);

    return line.n == 0 || heading_level(line) || is_item(line) || is_row(line) || is_idle(line) ||
           str_starts(line, "```") || str_starts(line, "~~~") || str_starts(line, "$$");
}

static size_t
text_block(struct str s, size_t at, struct block *b)
{
    struct str first = bare_line(s, at);

    b->kind = is_item(first) ? BLOCK_ITEM : BLOCK_TEXT;
    at = next_line(s, at);
    while (at < s.n && !begins(s, at) && (b->quoted || !is_quoted(s, at))) {
        struct str line = bare_line(s, at);

        if (is_underline(line)) {
            b->kind = b->kind == BLOCK_TEXT ? BLOCK_HEADING : b->kind;
            b->level = line.p[0] == '=' ? 1 : 2;
            return next_line(s, at);
        }
        at = next_line(s, at);
    }
    return at;
}

/* The rest of the fence that a passage begins in the middle of, if its lead opens one. */
static size_t
open_fence(struct str s, struct str lead, struct block *b)
{
    struct str line = quote_trim(lead), mark = { line.p, 0 };
    size_t end;
    bool whole;

    if (!fence_opens(line))
        return 0;
    while (mark.n < line.n && line.p[mark.n] == line.p[0])
        mark.n++;
    end = starts_with(bare_line(s, 0), mark) ? next_line(s, 0) : closing(s, 0, mark, &whole);
    *b = (struct block){ .kind = BLOCK_CODE, .text = quote_trim((struct str){ s.p, end }), .apart = true };
    return end;
}

size_t
quote_blocks(struct str s, struct str lead, struct block *out, size_t max)
{
    size_t n = 0, at = max > 0 ? open_fence(s, lead, out) : 0;
    bool apart = true;

    n = at > 0;

    while (at < s.n && n < max) {
        struct str line = bare_line(s, at);
        struct block b = { .apart = apart, .quoted = is_quoted(s, at) };
        size_t end;

        apart = line.n == 0;
        if (apart || is_underline(line) || is_delimiter(line)) {
            at = next_line(s, at);
            continue;
        }
        struct str summary = summary_of(line);

        if (summary.n > 0) {
            out[n++] = (struct block){ .kind = BLOCK_HEADING, .text = summary, .level = 6 };
            at = next_line(s, at);
            continue;
        }
        b.indent = (size_t)(line.p - s.p) - at;
        if ((b.level = heading_level(line)) != 0) {
            b.kind = BLOCK_HEADING;
            end = next_line(s, at);
        } else if (is_check_box(line) || is_idle(line)) {
            b.kind = BLOCK_IDLE;
            end = next_line(s, at);
        } else if ((end = quote_rst(s, at, n > 0 ? &out[n - 1] : NULL, &b)) == 0 &&
                   (end = fence_block(s, at, &b)) == 0 && (end = table_block(s, at, &b)) == 0) {
            end = text_block(s, at, &b);
        }
        if (!b.text.p)
            b.text = quote_trim((struct str){ s.p + at, end - at });
        if (b.text.n > 0)
            out[n++] = b;
        at = end;
    }
    return n;
}
