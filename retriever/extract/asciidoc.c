/* AsciiDoc: its own source. Headings are "= Title", "== Chapter" … (also "## Chapter"); between lines of ----
 * or .... nothing is one, and such blocks and tables (|===) are cut at lines. Comments are no text: lines that
 * begin with two slashes, blocks between lines of four or more, and what [comment] stands above (AsciiDoc
 * Language, "Comments"). */
#include "retriever/extract/blocks.h"

/* "== Words": how many signs; 0: it is none. */
static size_t
heading_level(struct str line)
{
    size_t n = lines_run(line, '=');

    if (n == 0)
        n = lines_run(line, '#');
    return n >= 1 && n <= 6 && n + 1 < line.n && line.p[n] == ' ' ? n : 0;
}

static bool
is_run(struct str line, const char *signs)
{
    return line.n >= 4 && strchr(signs, line.p[0]) && lines_run(line, line.p[0]) == line.n;
}

/* A line that begins and ends a block of lines. */
static bool
is_fence(struct str line)
{
    return str_is(line, "|===") || str_is(line, "```") || is_run(line, "-.+");
}

/* ":toc: left" sets something and says nothing. */
static bool
is_setting(struct str line)
{
    return line.n > 2 && line.p[0] == ':' && memchr(line.p + 1, ':', line.n - 1) && line.p[1] != ' ';
}

/* To the line that is as this one, or the end. */
static void
go_to_mate(struct lines *l)
{
    struct str mark = l->line;

    for (size_t next = lines_next(l); lines_at(l, next); next = lines_next(l))
        if (str_eq(l->line, mark))
            break;
}

/* ---- comments */

static bool
is_comment(struct str line)
{
    return line.n >= 2 && lines_run(line, '/') == 2;
}

/* The part behind [comment]: a block between two lines, or the lines before an empty one. */
static void
go_to_end_of_part(struct lines *l)
{
    if (!lines_at(l, lines_next(l)))
        return;
    if (is_run(l->line, "-.+/=*_") || str_is(l->line, "--") || str_is(l->line, "|===") ||
        str_is(l->line, "```")) {
        go_to_mate(l);
        return;
    }
    while (l->line.n > 0 && lines_at(l, lines_next(l)))
        ;
}

static void
hide_comments(struct extracted *x)
{
    struct lines l = { .text = buf_slice(&x->text) };

    for (size_t next = 0; lines_at(&l, next); next = lines_next(&l)) {
        size_t start = l.at;

        if (is_run(l.line, "/"))
            go_to_mate(&l);
        else if (str_is(l.line, "[comment]"))
            go_to_end_of_part(&l);
        else if (!is_comment(l.line)) {
            if (is_fence(l.line) && !str_is(l.line, "|==="))
                go_to_mate(&l);
            continue;
        }
        scan_hide(x, start, l.at + l.line.n);
    }
}

/* ---- blocks */

static bool
ends_paragraph(struct str line)
{
    return heading_level(line) > 0 || is_fence(line);
}

static void
step(struct scan *s, void *own)
{
    size_t level = heading_level(s->l.line), start = s->l.at;

    (void)own;
    if (level > 0) {
        scan_heading(s, level, start, (struct str){ s->l.line.p + level + 1, s->l.line.n - level - 1 });
    } else if (is_fence(s->l.line)) {
        go_to_mate(&s->l);
        scan_add(s, EXTRACTED_CODE, start);
    } else if (!is_setting(s->l.line)) {
        scan_paragraph(s, ends_paragraph);
    }
}

static const char *
asciidoc_read(struct str body, struct extracted *x)
{
    return scan_blocks(body, x, hide_comments, step, NULL);
}

const struct extractor extractor_asciidoc = { .read = asciidoc_read, .next = blocks_next };
