/* The text and its blocks (out.h). Light Markdown, as people write it: "## heading", "- item", "| cell | cell
 * |", fences; so a reader of a citation and a model see what a heading and a row are. Blocks say where, so
 * that nothing is ever parsed out of the text again. */
#include "extract/out.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "common/text/text.h"
#include "common/utf8.h"
#include "common/write.h"
#include "text/clean.h"
#include "text/section.h"
#include "text/sentence.h"

enum { HEAD_MAX = 400, HEADING_BYTES = 200, CELLS_MAX = 1024, SPAN_MAX = 50, URL_MAX = 300 };

struct out {
    struct buf text;
    struct str title;
    struct extracted_block *blocks;
    size_t n_blocks, cap_blocks;
    struct extracted_page *pages;
    size_t n_pages, cap_pages;
    struct buf clean, line, row;
    /* the table at hand */
    size_t table_at, rows, cells, columns;
    struct buf names[CELLS_MAX]; /* of columns, when each cell names its own */
    bool wide;
};

struct out *
out_new(void)
{
    struct out *o = mem_new(sizeof *o);

    o->text.max = EXTRACTED_TEXT;
    return o;
}

/* ---- the end */

static void
send(struct str s)
{
    if (!write_all(STDOUT_FILENO, s))
        _exit(1);
}

_Noreturn void
out_refuse(const char *fmt, ...)
{
    char reason[EXTRACTED_REASON + 1];
    struct extraction e = { .reason = { reason, 0 } };
    struct buf b = { 0 };
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(reason, sizeof reason, fmt, ap);
    va_end(ap);
    e.reason = utf8_cut(str_of(reason), EXTRACTED_REASON);
    if (!utf8_valid(e.reason))
        e.reason = STR("the document is damaged");
    extracted_encode(&e, &b);
    send(buf_slice(&b));
    _exit(0);
}

_Noreturn void
out_send(struct out *o)
{
    struct extraction e = { .title = o->title,
                            .text = buf_slice(&o->text),
                            .blocks = o->blocks,
                            .n_blocks = o->n_blocks,
                            .pages = o->pages,
                            .n_pages = o->n_pages };
    struct buf head = { 0 }, tail = { 0 };

    if (o->n_blocks == 0)
        out_refuse("the document contains no text");
    extracted_head(&e, &head);
    extracted_tail(&e, &tail);
    send(buf_slice(&head));
    send(e.text);
    send(buf_slice(&tail));
    _exit(0);
}

/* ---- pieces */

/* Cleaned, in o->clean. Bytes that are no UTF-8 come from a damaged document. */
static struct str
cleaned(struct out *o, struct str s, bool one_line)
{
    const char *why;

    buf_reset(&o->line);
    buf_reset(&o->clean);
    why = clean_text(s, &o->line);
    if (why)
        out_refuse("%s", why);
    if (one_line) {
        size_t n = 0;
        bool blank = true;

        for (size_t i = 0; i < o->line.n; i++) {
            char c = o->line.p[i];
            bool space = c == ' ' || c == '\n' || c == '\t';

            if (!space)
                o->line.p[n++] = c;
            else if (!blank)
                o->line.p[n++] = ' ';
            blank = space;
        }
        o->line.n = n;
    }
    why = clean_compose(buf_slice(&o->line), &o->clean);
    if (why)
        out_refuse("%s", why);
    return text_trim(buf_slice(&o->clean));
}

static void
check_room(const struct out *o)
{
    if (o->text.failed)
        out_refuse("the document's text is larger than 64 MB");
    if (o->n_blocks >= EXTRACTED_BLOCKS)
        out_refuse("the document has too many parts");
}

static struct extracted_block *
block_new(struct out *o, enum extracted_kind kind, size_t start)
{
    check_room(o);
    if (o->n_blocks == o->cap_blocks) {
        o->cap_blocks = o->cap_blocks ? 2 * o->cap_blocks : 256;
        o->blocks = room_more(o->blocks, o->cap_blocks * sizeof *o->blocks);
    }
    o->blocks[o->n_blocks] = (struct extracted_block){ .kind = (uint8_t)kind,
                                                       .start = (uint32_t)start,
                                                       .end = (uint32_t)o->text.n };
    return &o->blocks[o->n_blocks++];
}

static size_t
begin(struct out *o, bool tight)
{
    if (o->text.n > 0)
        buf_z(&o->text, tight ? "\n" : "\n\n");
    if (o->n_pages > 0 && o->pages[o->n_pages - 1].start == UINT32_MAX)
        o->pages[o->n_pages - 1].start = (uint32_t)o->text.n;
    return o->text.n;
}

void
out_title(struct out *o, struct str s)
{
    struct buf copy = { 0 };

    s = utf8_cut(cleaned(o, s, true), 250);
    if (o->title.n > 0 || s.n == 0)
        return;
    buf_str(&copy, s);
    o->title = buf_slice(&copy);
}

void
out_page(struct out *o, uint32_t number)
{
    if (o->n_pages > 0 && o->pages[o->n_pages - 1].start == UINT32_MAX)
        o->n_pages--; /* nothing stood on it */
    if (o->n_pages >= EXTRACTED_PAGES)
        out_refuse("the document has too many pages");
    if (o->n_pages == o->cap_pages) {
        o->cap_pages = o->cap_pages ? 2 * o->cap_pages : 64;
        o->pages = room_more(o->pages, o->cap_pages * sizeof *o->pages);
    }
    o->pages[o->n_pages++] = (struct extracted_page){ UINT32_MAX, number };
}

void
out_heading(struct out *o, int level, struct str s)
{
    size_t start;
    struct extracted_block *b;

    s = cleaned(o, s, true);
    if (s.n == 0)
        return;
    if (s.n > 4 * HEADING_BYTES) { /* a paragraph that is marked as one */
        out_text(o, s, false);
        return;
    }
    level = level < 1 ? 1 : level > 6 ? 6 : level;
    start = begin(o, false);
    for (int i = 0; i < level; i++)
        buf_c(&o->text, '#');
    buf_c(&o->text, ' ');
    buf_str(&o->text, s);
    b = block_new(o, EXTRACTED_HEADING, start);
    b->level = (uint8_t)level;
    b->from = (uint32_t)(o->text.n - s.n);
    b->to = (uint32_t)(b->from + utf8_cut(s, HEADING_BYTES).n);
    if (level == 1)
        out_title(o, (struct str){ o->text.p + b->from, b->to - b->from });
}

static void
paragraph(struct out *o, const char *mark, struct str s, bool tight)
{
    size_t start;

    s = cleaned(o, s, true);
    if (s.n == 0)
        return;
    start = begin(o, tight);
    buf_z(&o->text, mark);
    buf_str(&o->text, s);
    (void)block_new(o, EXTRACTED_PARAGRAPH, start);
}

void
out_text(struct out *o, struct str s, bool tight)
{
    paragraph(o, "", s, tight);
}

void
out_item(struct out *o, struct str s, bool tight)
{
    paragraph(o, "- ", s, tight);
}

/* An address that other people can open, and that ends where Markdown's link ends. */
static bool
leads_anywhere(const char *url)
{
    static const char *const schemes[] = { "http://", "https://", "mailto:" };
    bool open = false;

    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        open = open || strncasecmp(url, schemes[i], strlen(schemes[i])) == 0;
    for (size_t i = 0; open && url[i]; i++)
        open = i < URL_MAX && (unsigned char)url[i] > ' ' && url[i] != 0x7f && !strchr("()<>\"", url[i]);
    return open;
}

/* Signs are of ASCII, of Latin-1, from U+2000 to U+2FFF, for private use, or pictures: "¶", "#", "§", "🔗", a space of no width. */
static bool
only_signs(struct str s)
{
    for (size_t i = 0, n; i < s.n; i += n) {
        unsigned char c = (unsigned char)s.p[i];
        bool picture = c == 0xf0 && i + 1 < s.n && (unsigned char)s.p[i + 1] == 0x9f;

        n = utf8_first((struct str){ s.p + i, s.n - i });
        if (n == 0 || (n == 1 ? isalnum(c) : !picture && c != 0xc2 && c != 0xe2 && c != 0xee && c != 0xef))
            return false;
    }
    return s.n > 0;
}

void
out_link(struct buf *run, size_t from, const char *url)
{
    struct buf words = { 0 };
    struct str s = from < run->n ? text_trim((struct str){ run->p + from, run->n - from }) : STR_NONE;

    /* the permanent link of a heading, or back to where one came from */
    if (url && url[0] == '#' && only_signs(s)) {
        run->n = from;
        return;
    }
    if (s.n == 0 || !url || !leads_anywhere(url) || str_is(s, url) ||
        (strncasecmp(url, "mailto:", 7) == 0 && str_is(s, url + 7)))
        return;
    buf_str(&words, s);
    run->n = from;
    buf_printf(run, "[" STR_FMT "](%s)", STR_ARG(buf_slice(&words)), url);
    buf_free(&words);
}

void
out_question(struct buf *run)
{
    struct str s = text_trim(buf_slice(run));
    struct buf marked = { 0 };
    size_t end;

    if (!sentence_asks(s)) /* nearly all of them */
        return;
    buf_printf(&marked, "**" STR_FMT "**", STR_ARG(s));
    if (section_question(buf_slice(&marked), &end).n > 0) {
        buf_reset(run);
        buf_str(run, buf_slice(&marked));
    }
    buf_free(&marked);
}

void
out_lines(struct out *o, struct str s, bool bare)
{
    size_t start;

    s = cleaned(o, s, false);
    while (s.n > 0 && s.p[0] == '\n')
        s = (struct str){ s.p + 1, s.n - 1 };
    if (s.n == 0)
        return;
    start = begin(o, false);
    if (!bare)
        buf_z(&o->text, "```\n");
    buf_str(&o->text, s);
    if (!bare)
        buf_z(&o->text, "\n```");
    (void)block_new(o, EXTRACTED_CODE, start);
}

bool
out_empty(const struct out *o)
{
    return o->n_blocks == 0;
}

/* ---- tables */

void
out_table(struct out *o)
{
    o->rows = o->cells = o->columns = 0;
    o->wide = false;
    buf_reset(&o->row);
}

void
out_cell(struct out *o, struct str s)
{
    size_t k = o->cells++;

    s = cleaned(o, s, true);
    if (k >= CELLS_MAX)
        return;
    if (o->rows == 0) {
        buf_reset(&o->names[k]);
        buf_str(&o->names[k], utf8_cut(s, 100));
        o->columns = k + 1;
    }
    if (o->wide && o->rows > 0) {
        if (s.n == 0)
            return;
        buf_z(&o->row, o->row.n ? " | " : "| ");
        if (k < o->columns && o->names[k].n) {
            buf_str(&o->row, buf_slice(&o->names[k]));
            buf_z(&o->row, ": ");
        }
    } else {
        buf_z(&o->row, o->row.n ? " | " : "| ");
    }
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '|')
            buf_c(&o->row, '\\');
        buf_c(&o->row, s.p[i]);
    }
}

void
out_span(struct out *o, struct str s, long columns)
{
    out_cell(o, s);
    for (long i = 1; i < columns && i < SPAN_MAX; i++)
        out_cell(o, STR(""));
}

/* The line below the head. */
static void
dashes(struct out *o)
{
    for (size_t i = 0; i < o->columns; i++)
        buf_z(&o->text, i ? " --- |" : "\n| --- |");
}

void
out_row_end(struct out *o)
{
    bool any = false;

    for (size_t i = 0; i < o->row.n && !any; i++)
        any = !strchr(" |", o->row.p[i]);
    if (any && o->rows == 0)
        o->table_at = begin(o, false);
    else if (any)
        buf_c(&o->text, '\n');
    if (any) {
        buf_str(&o->text, buf_slice(&o->row));
        buf_z(&o->text, " |");
        if (o->rows++ == 0) {
            o->wide = o->row.n > HEAD_MAX;
            dashes(o);
        }
        check_room(o);
    }
    o->cells = 0;
    buf_reset(&o->row);
}

void
out_table_end(struct out *o)
{
    if (o->cells > 0)
        out_row_end(o);
    if (o->rows > 0)
        (void)block_new(o, EXTRACTED_TABLE, o->table_at);
    o->rows = 0;
}
