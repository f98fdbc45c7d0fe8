/* RTF (Microsoft, Rich Text Format Specification 1.9.1): headings by outline level or the name of their style, paragraphs, lists,
 * tables. Text in the code page of its font, or in Unicode. Pictures, headers, footers and instructions of fields are not read.
 *
 *   { group: its state is a copy of the one outside, and ends with it }   \word: a control, with a number or without   text */
#include <ctype.h>
#include <stdlib.h>
#include <strings.h>
#include <utf8proc.h>

#include "common/text/text.h"
#include "extract/charset.h"
#include "extract/out.h"

enum { DEPTH = 200, WORD_MAX = 32, FONTS = 1024, STYLES = 1024 };
enum place { BODY, SKIPPED, FONT_TABLE, STYLE_SHEET, DOCUMENT_TITLE };

/* Charsets of fonts, and the code pages that they mean; the first is for what names none. */
static const struct {
    int charset, page;
} charsets[] = { { 0, 1252 },   { 77, 10000 }, { 128, 932 },  { 129, 949 },  { 134, 936 },
                 { 136, 950 },  { 161, 1253 }, { 162, 1254 }, { 163, 1258 }, { 177, 1255 },
                 { 178, 1256 }, { 186, 1257 }, { 204, 1251 }, { 222, 874 },  { 238, 1250 } };

struct state {
    enum place place;
    int unicode_skip; /* characters that follow one in Unicode, for programs that have none */
    int font;
};
struct rtf {
    struct str s;
    size_t at;
    struct out *o;
    struct state stack[DEPTH], *now;
    int page, pages_of_fonts[FONTS]; /* code pages; 0: the document's */
    int style_levels[STYLES];        /* of headings */
    int style;                       /* of the style sheet's row at hand */
    int skip;                        /* characters */
    unsigned high;                   /* half of a pair in UTF-16 */
    bool begun;                      /* nothing stood in this group yet: a star makes it unknown */
    bool star;
    struct buf bytes, run, title, name; /* bytes: text in a code page */
    int level;                          /* of the paragraph at hand; 0: no heading */
    bool item, last_item, cell, table;  /* cell: it stands in one */
};

/* ---- text */

/* Before the filter of system calls: the document's code page, and all that fonts may have. */
static void
rtf_prepare(struct str body)
{
    const char *p = body.n > 0 ? memmem(body.p, body.n < 4096 ? body.n : 4096, "\\ansicpg", 8) : NULL;
    int page = 0;

    for (p = p ? p + 8 : NULL; p && p < body.p + body.n && isdigit((unsigned char)*p) && page < 100000; p++)
        page = 10 * page + *p - '0';
    for (size_t i = 0; i < sizeof charsets / sizeof *charsets; i++)
        codepage_prepare(charsets[i].page);
    if (page > 0)
        codepage_prepare(page);
    codepage_prepare(437);
    codepage_prepare(850);
}

static struct buf *
target(struct rtf *r)
{
    switch (r->now->place) {
    case BODY: return &r->run;
    case STYLE_SHEET: return &r->name;
    case DOCUMENT_TITLE: return &r->title;
    case SKIPPED:
    case FONT_TABLE: break;
    }
    return NULL;
}

static int
page_at_hand(const struct rtf *r)
{
    int font = r->now->font, page = font >= 0 && font < FONTS ? r->pages_of_fonts[font] : 0;

    return page > 0 ? page : r->page;
}

/* The bytes that were read so far are in one code page. */
static void
bytes_end(struct rtf *r)
{
    struct buf *to = target(r);

    if (to)
        codepage_utf8(page_at_hand(r), buf_slice(&r->bytes), to);
    buf_reset(&r->bytes);
}

static void
byte(struct rtf *r, char c)
{
    if (r->skip > 0) {
        r->skip--;
        return;
    }
    r->high = 0;
    if (target(r))
        buf_c(&r->bytes, c);
}

static void
point(struct rtf *r, unsigned c)
{
    struct buf *to = target(r);
    utf8proc_uint8_t z[4];

    bytes_end(r);
    if (c >= 0xd800 && c < 0xdc00) {
        r->high = c;
        return;
    }
    if (c >= 0xdc00 && c < 0xe000)
        c = r->high ? 0x10000 + ((r->high - 0xd800) << 10) + (c - 0xdc00) : 0xfffd;
    r->high = 0;
    if (to && c > 0)
        buf_add(to, (const char *)z, (size_t)utf8proc_encode_char((utf8proc_int32_t)c, z));
}

/* ---- blocks */

static void
paragraph_end(struct rtf *r)
{
    struct str s;

    if (r->now->place != BODY)
        return;
    bytes_end(r);
    s = text_trim(buf_slice(&r->run));
    if (str_starts(s, "\xe2\x80\xa2") && !r->cell) { /* an item that was typed */
        s = text_trim((struct str){ s.p + 3, s.n - 3 });
        r->item = true;
    }
    if (r->cell) {
        buf_c(&r->run, ' ');
        return;
    }
    if (r->table) {
        out_table_end(r->o);
        r->table = false;
    }
    if (r->level > 0)
        out_heading(r->o, r->level, s);
    else if (r->item && s.n > 0)
        out_item(r->o, s, r->last_item);
    else if (s.n > 0)
        out_text(r->o, s, false);
    r->last_item = r->item && s.n > 0;
    r->item = r->item && !str_starts(text_trim(buf_slice(&r->run)), "\xe2\x80\xa2");
    buf_reset(&r->run);
}

static void
cell_end(struct rtf *r)
{
    if (r->now->place != BODY)
        return;
    bytes_end(r);
    if (!r->table)
        out_table(r->o);
    r->table = true;
    out_cell(r->o, buf_slice(&r->run));
    buf_reset(&r->run);
}

static void
row_end(struct rtf *r)
{
    if (r->table && r->now->place == BODY)
        out_row_end(r->o);
    r->cell = false;
}

/* "heading 2;" is a style's name. */
static void
style_end(struct rtf *r)
{
    struct str s;

    bytes_end(r);
    s = text_trim(buf_slice(&r->name));
    if (r->style >= 0 && r->style < STYLES && s.n >= 9 && strncasecmp(s.p, "heading ", 8) == 0 &&
        s.p[8] >= '1' && s.p[8] <= '9')
        r->style_levels[r->style] = s.p[8] < '7' ? s.p[8] - '0' : 6;
    if (r->style >= 0 && r->style < STYLES && s.n >= 5 && strncasecmp(s.p, "title", 5) == 0 &&
        (s.n == 5 || s.p[5] == ';'))
        r->style_levels[r->style] = 1;
    buf_reset(&r->name);
    r->style = 0;
}

/* ---- controls */

static void
on_font_charset(struct rtf *r, int n)
{
    if (r->now->place != FONT_TABLE || r->now->font < 0 || r->now->font >= FONTS)
        return;
    for (size_t i = 1; i < sizeof charsets / sizeof *charsets; i++)
        if (charsets[i].charset == n)
            r->pages_of_fonts[r->now->font] = charsets[i].page;
}

static void
on_style(struct rtf *r, int n)
{
    if (r->now->place == STYLE_SHEET)
        r->style = n;
    else if (r->now->place == BODY)
        r->level = n >= 0 && n < STYLES ? r->style_levels[n] : 0;
}

static void
on_outline(struct rtf *r, int n)
{
    if (r->now->place == STYLE_SHEET && r->style >= 0 && r->style < STYLES && n >= 0 && n < 9)
        r->style_levels[r->style] = n < 6 ? n + 1 : 6;
    else if (r->now->place == BODY && n >= 0 && n < 9)
        r->level = n < 6 ? n + 1 : 6;
}

static void
plain_paragraph(struct rtf *r, int n)
{
    (void)n;
    if (r->now->place == BODY) {
        r->level = 0;
        r->cell = r->item = false;
    }
}

static void
bytes_skip(struct rtf *r, int n)
{
    size_t left = r->s.n - r->at;

    r->at += n > 0 && (size_t)n < left ? (size_t)n : n > 0 ? left : 0;
}

#define CONTROL(name) static void name(struct rtf *r, int n)
CONTROL(end_paragraph)
{
    (void)n;
    paragraph_end(r);
}
CONTROL(end_cell)
{
    (void)n;
    cell_end(r);
}
CONTROL(end_row)
{
    (void)n;
    row_end(r);
}
CONTROL(in_cell)
{
    (void)n;
    r->cell = r->now->place == BODY || r->cell;
}
CONTROL(in_list)
{
    (void)n;
    r->item = r->now->place == BODY || r->item;
}
CONTROL(blank)
{
    (void)n;
    byte(r, ' ');
}
CONTROL(set_font)
{
    bytes_end(r);
    r->now->font = n;
}
CONTROL(set_page)
{
    r->page = n;
}
CONTROL(set_skip)
{
    r->now->unicode_skip = n < 0 ? 0 : n > 8 ? 8 : n;
}
CONTROL(bullet_text)
{
    (void)n;
    r->now->place = SKIPPED;
    r->item = true;
}
CONTROL(skipped)
{
    (void)n;
    r->now->place = SKIPPED;
}
CONTROL(font_table)
{
    (void)n;
    r->now->place = FONT_TABLE;
}
CONTROL(style_sheet)
{
    (void)n;
    r->now->place = STYLE_SHEET;
}
CONTROL(title)
{
    (void)n;
    r->now->place = DOCUMENT_TITLE;
}
CONTROL(bullet)
{
    (void)n;
    point(r, 0x2022);
}
CONTROL(left_quote)
{
    (void)n;
    point(r, 0x2018);
}
CONTROL(right_quote)
{
    (void)n;
    point(r, 0x2019);
}
CONTROL(left_quotes)
{
    (void)n;
    point(r, 0x201c);
}
CONTROL(right_quotes)
{
    (void)n;
    point(r, 0x201d);
}
CONTROL(long_dash)
{
    (void)n;
    point(r, 0x2014);
}
CONTROL(short_dash)
{
    (void)n;
    point(r, 0x2013);
}
CONTROL(unicode)
{
    r->skip = 0;
    point(r, (unsigned)(n < 0 ? n + 65536 : n) & 0xffff);
    r->skip = r->now->unicode_skip;
}

static const struct {
    const char *word;
    void (*fn)(struct rtf *r, int n);
} controls[] = {
    { "par", end_paragraph },
    { "sect", end_paragraph },
    { "page", end_paragraph },
    { "pard", plain_paragraph },
    { "cell", end_cell },
    { "row", end_row },
    { "intbl", in_cell },
    { "ls", in_list },
    { "line", blank },
    { "tab", blank },
    { "f", set_font },
    { "ansicpg", set_page },
    { "uc", set_skip },
    { "u", unicode },
    { "s", on_style },
    { "outlinelevel", on_outline },
    { "fcharset", on_font_charset },
    { "bin", bytes_skip },
    { "bullet", bullet },
    { "lquote", left_quote },
    { "rquote", right_quote },
    { "ldblquote", left_quotes },
    { "rdblquote", right_quotes },
    { "emdash", long_dash },
    { "endash", short_dash },
    { "pntext", bullet_text },
    { "listtext", bullet_text },
    { "fonttbl", font_table },
    { "stylesheet", style_sheet },
    { "title", title },
    { "colortbl", skipped },
    { "pict", skipped },
    { "header", skipped },
    { "headerl", skipped },
    { "headerr", skipped },
    { "headerf", skipped },
    { "footer", skipped },
    { "footerl", skipped },
    { "footerr", skipped },
    { "footerf", skipped },
    { "fldinst", skipped },
    { "objdata", skipped },
    { "listtable", skipped },
    { "listoverridetable", skipped },
    { "revtbl", skipped },
    { "rsidtbl", skipped },
    { "author", skipped },
    { "operator", skipped },
    { "subject", skipped },
    { "keywords", skipped },
    { "comment", skipped },
    { "doccomm", skipped },
    { "company", skipped },
    { "generator", skipped },
    { "themedata", skipped },
    { "annotation", skipped },
    { "deleted", skipped },
    { "v", skipped },
};

static void
do_control(struct rtf *r, const char *word, int n)
{
    bool star = r->star;

    r->star = false;
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++)
        if (strcmp(controls[i].word, word) == 0) {
            controls[i].fn(r, n);
            return;
        }
    if (star && strcmp(word, "footnote") != 0 && strcmp(word, "shppict") != 0)
        r->now->place = SKIPPED; /* a destination that only newer programs know */
}

static int
hex(char c)
{
    return isdigit((unsigned char)c)    ? c - '0'
           : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
                                        : 0;
}

/* Behind a backslash. */
static void
control(struct rtf *r)
{
    char word[WORD_MAX + 1], c = r->at < r->s.n ? r->s.p[r->at] : 0;
    size_t n = 0;
    bool number;
    long value = 0;

    if (!isalpha((unsigned char)c)) {
        r->at++;
        if (c == '\'' && r->at + 2 <= r->s.n) {
            byte(r, (char)(16 * hex(r->s.p[r->at]) + hex(r->s.p[r->at + 1])));
            r->at += 2;
        } else if (c == '*')
            r->star = true;
        else if (c == '\n' || c == '\r')
            paragraph_end(r);
        else if (c == '~' || c == '_' || c == '\\' || c == '{' || c == '}')
            byte(r, c == '~' ? ' ' : c == '_' ? '-' : c);
        return;
    }
    while (r->at < r->s.n && isalpha((unsigned char)r->s.p[r->at])) {
        if (n < WORD_MAX)
            word[n++] = r->s.p[r->at];
        r->at++;
    }
    word[n] = 0;
    bool minus = r->at < r->s.n && r->s.p[r->at] == '-';

    r->at += minus;
    for (number = false; r->at < r->s.n && isdigit((unsigned char)r->s.p[r->at]); number = true, r->at++)
        value = value < 100000000 ? 10 * value + r->s.p[r->at] - '0' : value;
    r->at += r->at < r->s.n && r->s.p[r->at] == ' ';
    if (strcmp(word, "v") == 0 && number && value == 0)
        return; /* hidden text ends */
    do_control(r, word, number ? (int)(minus ? -value : value) : strcmp(word, "uc") == 0 ? 1 : 0);
}

static void
open_group(struct rtf *r)
{
    bytes_end(r);
    if (r->now + 1 == r->stack + DEPTH)
        out_refuse("the document is nested too deeply");
    r->now[1] = r->now[0];
    r->now++;
    r->skip = 0;
    r->star = false;
}

static void
close_group(struct rtf *r)
{
    bytes_end(r);
    if (r->now->place == STYLE_SHEET)
        style_end(r);
    if (r->now->place == DOCUMENT_TITLE)
        out_title(r->o, buf_slice(&r->title)); /* before a heading becomes it */
    r->now -= r->now > r->stack;
    r->skip = 0;
}

static void
rtf_read(struct str body, struct out *o)
{
    struct rtf *r = room_new(sizeof *r);

    if (!str_starts(body, "{\\rtf"))
        out_refuse("the file is no RTF: it does not begin with {\\rtf");
    memset(r, 0, sizeof *r);
    r->s = body;
    r->o = o;
    r->page = 1252;
    r->now = r->stack;
    r->now->unicode_skip = 1;
    while (r->at < body.n) {
        char c = body.p[r->at++];

        if (c == '{')
            open_group(r);
        else if (c == '}')
            close_group(r);
        else if (c == '\\')
            control(r);
        else if (c != '\n' && c != '\r' && c != 0)
            byte(r, c);
    }
    while (r->now > r->stack)
        close_group(r);
    r->cell = false;
    r->now->place = BODY;
    paragraph_end(r);
    if (r->table)
        out_table_end(o);
}

const struct reader reader_rtf = { .read = rtf_read, .prepare = rtf_prepare };
