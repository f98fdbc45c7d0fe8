/* The scan of a page, in place. See markup.h.
 *
 *   line: fence, code by indentation ─▶ copied        mark of an admonition, import ─▶ blank, or its title
 *   text: `code`, \escapes, <autolinks> ─▶ copied     <!-- -->, <tags>, {expressions} ─▶ nothing      &entity; ─▶ its letter
 *
 * The writing never overtakes the reading: a tag becomes no more bytes than it has. */
#include "retriever/extract/markup.h"

#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/text/text.h"
#include "retriever/extract/entity.h"
#include "retriever/extract/markup_int.h"

enum { SPAN_MAX = 8192 };

/* ---- writing */

static void
put(struct page *p, char c)
{
    if (p->w < p->i)
        p->s[p->w++] = c;
}

static void
put_str(struct page *p, struct str s)
{
    if (s.n == 0 || p->i - p->w < s.n)
        return;
    memmove(p->s + p->w, s.p, s.n);
    p->w += s.n;
}

/* The text up to `end` as it stands. */
static void
copy(struct page *p, size_t end)
{
    if (p->w < p->i)
        memmove(p->s + p->w, p->s + p->i, end - p->i);
    p->w += end - p->i;
    p->i = end;
}

/* The line end at p->i stays where it is; blanks fill the line that became shorter. */
static void
new_line(struct page *p)
{
    memset(p->s + p->w, ' ', p->i - p->w);
    if (p->i < p->n)
        p->s[p->i++] = '\n';
    p->line = p->w = p->i;
}

static bool
line_is_empty(const struct page *p)
{
    for (size_t i = p->line; i < p->w; i++)
        if (p->s[i] != ' ' && p->s[i] != '\t' && p->s[i] != '>')
            return false;
    return true;
}

static void
gap(struct page *p)
{
    if (p->w > p->line && p->s[p->w - 1] != ' ')
        put(p, ' ');
}

/* The text behind stands on a line of its own; apart: in a paragraph of its own. */
static void
break_line(struct page *p, bool apart)
{
    if (p->joined || p->flat) {
        gap(p);
        return;
    }
    if (line_is_empty(p)) {
        p->w = p->table ? p->line : p->w; /* rows are not indented */
        return;
    }
    put(p, '\n');
    if (apart)
        put(p, '\n');
    p->line = p->w;
}

/* ---- elements of HTML */

/* "| a | b |", and below the head "|---|---|". */
static void
end_row(struct page *p)
{
    if (!p->row)
        return;
    p->row = p->joined = false;
    if (p->cells == 0)
        return;
    gap(p);
    put(p, '|');
    if (p->head && p->i - p->w >= 4 * p->cells + 2) {
        put(p, '\n');
        for (size_t k = 0; k < p->cells; k++)
            put_str(p, STR("|---"));
        put(p, '|');
    }
    p->head = false;
}

static void
on_row(struct page *p, const struct tag *t)
{
    end_row(p);
    if (t->closing || t->single)
        return;
    break_line(p, false);
    p->row = p->joined = true;
    p->head = false;
    p->cells = 0;
}

static void
on_cell(struct page *p, const struct tag *t)
{
    if (!p->row || t->closing) {
        gap(p);
        return;
    }
    p->head = p->head || (t->name.p[1] | 32) == 'h';
    p->cells++;
    gap(p);
    put_str(p, STR("| "));
}

static void
on_heading(struct page *p, const struct tag *t)
{
    int level = t->name.p[1] - '0';

    if (t->closing) {
        if (!p->row)
            p->joined = false;
        break_line(p, true);
        return;
    }
    break_line(p, true);
    if (p->row || p->flat || !line_is_empty(p))
        return;
    p->w = p->line;
    for (size_t room = p->i - p->w; level > 0 && room > 1; level--, room--)
        put(p, '#');
    put(p, ' ');
    p->joined = true;
}

/* <pre> … </pre> becomes a fence; tags in it go, entities become letters. */
static void
on_pre(struct page *p)
{
    const char *close = p->joined || p->spare <= 0 ? NULL : memmem(p->s + p->i, p->n - p->i, "</pre>", 6);
    size_t end = close ? (size_t)(close - p->s) : p->i, n, used;
    char letters[8];
    struct tag t;

    break_line(p, false);
    if (!close)
        p->spare -= (int64_t)(p->n - p->i);
    if (!close || p->i - p->w < 4)
        return;
    put_str(p, p->s[p->i] == '\n' ? STR("```") : STR("```\n"));
    while (p->i < end) {
        if (p->s[p->i] == '\n')
            new_line(p);
        else if (p->s[p->i] == '<' && tag_read(p, &t) && t.end <= end)
            p->i = t.end;
        else if (p->s[p->i] == '&' &&
                 entity_text((struct str){ p->s + p->i, end - p->i }, letters, &n, &used)) {
            p->i += used;
            put_str(p, (struct str){ letters, n });
        } else
            copy(p, p->i + 1);
    }
    p->i = end + 6;
    if (p->w > 0 && p->s[p->w - 1] != '\n')
        put(p, '\n');
    put_str(p, STR("```"));
    if (p->i < p->n && p->s[p->i] != '\n')
        put(p, '\n');
    p->line = p->w;
}

/* Behind the closing tag of an element that is hidden with all that is in it. */
static size_t
hidden_end(const struct page *p, const struct tag *t, size_t at)
{
    for (const char *c = p->s + at, *end = p->s + p->n; (c = memmem(c, (size_t)(end - c), "</", 2)) != NULL;
         c += 2) {
        size_t i = (size_t)(c - p->s) + 2;

        if (p->n - i > t->name.n && strncasecmp(c + 2, t->name.p, t->name.n) == 0 &&
            !alnum(c[2 + t->name.n])) {
            const char *gt = memchr(c, '>', p->n - (i - 2));

            return gt ? (size_t)(gt - p->s) + 1 : p->n;
        }
    }
    return 0;
}

/* Does the tag that ended at p->i stand alone on its line? Then its label is shown. */
static void
on_component(struct page *p, const struct tag *t)
{
    size_t next = p->i;

    while (next < p->n && (p->s[next] == ' ' || p->s[next] == '\t'))
        next++;
    bool last = next >= p->n || p->s[next] == '\n';

    if (!t->single)
        p->boxes += t->closing ? -(p->boxes > 0) : 1;
    if (p->row || p->flat || !line_is_empty(p)) {
        if (!last && alnum(p->s[next]) && next == p->i)
            gap(p);
    } else if (t->label.n && last) {
        put_str(p, t->label);
    }
}

static void
on_block(struct page *p, const struct tag *t)
{
    static const char *const boxes[] = { "div",   "details", "section", "blockquote",
                                         "table", "figure",  "ul",      "ol" };

    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++)
        if (t->name.n == strlen(boxes[i]) && strncasecmp(t->name.p, boxes[i], t->name.n) == 0)
            p->boxes += t->closing ? -(p->boxes > 0) : 1;
    break_line(p, !p->table);
}

static void
on_tag(struct page *p, const struct tag *t)
{
    size_t end;

    switch (t->kind) {
    case ELEMENT_BLOCK: on_block(p, t); break;
    case ELEMENT_BREAK: break_line(p, false); break;
    case ELEMENT_ITEM:
        break_line(p, false);
        if (!t->closing && !p->joined && !p->flat)
            put_str(p, STR("- "));
        break;
    case ELEMENT_TERM: break_line(p, !t->closing && !p->table); break;
    case ELEMENT_DEFINITION: /* "term", and on the next line ": what it is", as Markdown's dialects have it */
        break_line(p, false);
        if (!t->closing && !p->joined && !p->flat)
            put_str(p, STR(": "));
        break;
    case ELEMENT_HEADING: on_heading(p, t); break;
    case ELEMENT_TABLE:
        end_row(p);
        p->table = false;
        on_block(p, t);
        p->table = !t->closing && !p->joined && !p->flat;
        break;
    case ELEMENT_ROW: on_row(p, t); break;
    case ELEMENT_CELL: on_cell(p, t); break;
    case ELEMENT_PRE:
        if (!t->closing)
            on_pre(p);
        break;
    case ELEMENT_HIDDEN:
        end = t->closing || t->single || p->spare <= 0 ? p->i : hidden_end(p, t, p->i);
        if (end == 0)
            p->spare -= (int64_t)(p->n - p->i);
        p->i = end ? end : p->i;
        break;
    case ELEMENT_COMPONENT: on_component(p, t); break;
    default: break;
    }
}

/* ---- text */

/* "<!-- … -->", "<!DOCTYPE …>", "<? … ?>", "<![CDATA[ … ]]>". One that begins a line and never ends hides all that follows. */
static bool
declaration(struct page *p)
{
    struct str s = { p->s + p->i, p->n - p->i };
    const char *close = NULL;
    size_t n = 0;

    if (str_starts(s, "<!--")) {
        if (p->no_comment)
            return false;
        n = 3;
        close = str_starts(s, "<!-->")    ? s.p + 2
                : str_starts(s, "<!--->") ? s.p + 3
                                          : memmem(s.p + 4, s.n - 4, "-->", 3);
        p->no_comment = !close;
    } else if (p->spare > 0 && str_starts(s, "<?")) {
        n = 2;
        close = memmem(s.p + 2, s.n - 2, "?>", 2);
    } else if (p->spare > 0 && str_starts(s, "<![CDATA[")) {
        n = 3;
        close = memmem(s.p, s.n, "]]>", 3);
    } else if (s.n > 2 && s.p[1] == '!' && letter(s.p[2])) {
        n = 1;
        close = memchr(s.p, '>', page_line_end(p, p->i) - p->i);
    } else
        return false;
    if (!close) {
        p->spare -= (int64_t)s.n;
        if (n != 3 || !line_is_empty(p) || p->w > p->line + 3)
            return false;
        p->i = p->n;
        return true;
    }
    p->i = (size_t)(close - p->s) + n;
    return true;
}

/* `code`: from the run of marks at p->i to the next run of that length within the paragraph. */
static void
code_span(struct page *p)
{
    size_t run = 0, end = p->i + SPAN_MAX < p->n ? p->i + SPAN_MAX : p->n, i, k;

    while (p->i + run < p->n && p->s[p->i + run] == '`')
        run++;
    for (i = p->i + run; i < end; i += k ? k : 1) {
        for (k = 0; i + k < p->n && p->s[i + k] == '`'; k++)
            ;
        if (k == run || (p->s[i] == '\n' && i + 1 < p->n && p->s[i + 1] == '\n'))
            break;
    }
    bool closed = i < end && p->s[i] == '`' && p->spare > 0;

    if (!closed)
        p->spare -= (int64_t)(i - p->i);
    for (end = closed ? i + run : p->i + run; p->i < end;)
        if (p->s[p->i] == '\n' && !p->joined)
            new_line(p);
        else
            copy(p, p->i + 1);
}

/* One blank is enough of those on both sides of a hidden text. */
static void
close_gap(struct page *p)
{
    if (p->w > p->line && p->s[p->w - 1] == ' ' && p->i < p->n && p->s[p->i] == ' ')
        p->i++;
}

/* {expression} of MDX: only a text in quotes is shown. Braces of formulas and of {#names} are text. */
static bool
expression(struct page *p)
{
    size_t end;
    char before = p->w > p->line ? p->s[p->w - 1] : ' ', next = p->i + 1 < p->n ? p->s[p->i + 1] : 0;
    bool comment = next == '/' && p->i + 2 < p->n && p->s[p->i + 2] == '*';

    bool text = next == '"' || next == '\'',
         formula = alnum(before) || strchr("\\_^}$", before) || (next && strchr("#.:%{", next));

    if (!comment && (!p->mdx || (formula && !text)))
        return false;
    end = tag_expression(p, p->i);
    if (end == 0)
        return false;
    struct str in = text_trim((struct str){ p->s + p->i + 1, end - p->i - 2 });
    bool quoted = in.n >= 2 && strchr("\"'`", in.p[0]) && in.p[in.n - 1] == in.p[0] &&
                  !str_has_byte(in, '\n');

    p->i = end;
    if (quoted)
        put_str(p, (struct str){ in.p + 1, in.n - 2 });
    else
        close_gap(p);
    return true;
}

static bool
entity(struct page *p)
{
    char letters[8];
    size_t n, used;

    if (!entity_text((struct str){ p->s + p->i, p->n - p->i }, letters, &n, &used))
        return false;
    if (n == 1 && !strchr("'\" ", letters[0]))
        return false; /* "&lt;" and "&#42;" would be markup without their marks */
    p->i += used;
    put_str(p, (struct str){ letters, n });
    return true;
}

static bool
angle(struct page *p)
{
    struct tag t;

    if (markup_autolink((struct str){ p->s + p->i, p->n - p->i }))
        return false;
    if (declaration(p)) {
        close_gap(p);
        return true;
    }
    if (!tag_read(p, &t))
        return false;
    p->i = t.end;
    on_tag(p, &t);
    if (!line_is_empty(p))
        close_gap(p);
    return true;
}

/* ---- lines */

static bool
list_item(struct str s)
{
    size_t k = 0;

    while (k < s.n && k < 9 && s.p[k] >= '0' && s.p[k] <= '9')
        k++;
    if (k > 0)
        return k + 1 < s.n && (s.p[k] == '.' || s.p[k] == ')') && s.p[k + 1] == ' ';
    return s.n > 1 && strchr("-*+", s.p[0]) && s.p[1] == ' ';
}

/* The run of ``` or ~~~ or $$ that the line begins with, behind marks of quotes and items; its length, 0: none. */
static size_t
fence_at(struct str s, char *c)
{
    size_t k = 0, n = 0;

    while (k < s.n && (s.p[k] == ' ' || s.p[k] == '\t' || s.p[k] == '>' ||
                       ((s.p[k] == '-' || s.p[k] == '*') && k + 1 < s.n && s.p[k + 1] == ' ')))
        k++;
    while (k + n < s.n && s.p[k + n] == s.p[k] && strchr("`~$", s.p[k]))
        n++;
    if (n == 0 || n < (s.p[k] == '$' ? 2u : 3u))
        return 0;
    struct str rest = { s.p + k + n, s.n - k - n };

    *c = s.p[k];
    if (*c == '$' && text_trim(rest).n > 0)
        return 0;
    return *c == '`' && memchr(rest.p, '`', rest.n) ? 0 : n;
}

/* Is the line code, by a fence or by its indentation? */
static bool
is_code(struct page *p, struct str line)
{
    struct str s = text_trim(line);
    char c = 0;
    size_t n = fence_at(line, &c);

    if (p->fence) {
        bool dollars = p->fence == '$' && s.n >= 2 && memcmp(s.p + s.n - 2, "$$", 2) == 0;

        if (dollars || (n >= p->fence_n && c == p->fence && s.p[s.n - 1] == c))
            p->fence = 0;
        return true;
    }
    if (n > 0) {
        p->fence = c;
        p->fence_n = n;
        return true;
    }
    bool deep = line.n > 0 && (line.p[0] == '\t' || str_starts(line, "    "));

    p->indented = deep && !p->mdx && p->boxes == 0 && !p->list && !p->note && (p->blank || p->indented);
    return p->indented;
}

static void
note_line(struct page *p, struct str line)
{
    struct str s = text_trim(line);
    bool deep = line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t');

    if (!deep) {
        p->note = str_starts(s, "!!!") || str_starts(s, "???") || str_starts(s, "=== ");
        p->list = list_item(s) || (p->list && !p->blank);
    } else
        p->list = p->list || list_item(s);
    p->flat = s.n > 0 && (s.p[0] == '|' || s.p[0] == '#' || str_has(s, " | "));
}

/* The line that begins at p->i. True: it is done. */
static bool
whole_line(struct page *p)
{
    size_t end = page_line_end(p, p->i), module;
    struct str line = { p->s + p->i, end - p->i }, shown;
    bool empty = text_trim(line).n == 0;

    if (is_code(p, line) || empty) {
        copy(p, end);
        p->blank = empty && !p->fence;
    } else if (line_mark(p, line, &shown)) {
        note_line(p, line);
        p->i = end;
        put_str(p, shown);
        p->blank = shown.n == 0;
    } else if (p->blank && (module = line_module(p)) > 0) {
        p->mdx = true;
        p->i = module;
    } else {
        note_line(p, line);
        p->blank = false;
        return false;
    }
    p->flat = false;
    new_line(p);
    return true;
}

/* The end of a line of text: an open row or heading goes on, and rows follow each other, if no empty line comes. */
static void
text_line_end(struct page *p)
{
    bool empty = p->i + 1 < p->n && p->s[p->i + 1] == '\n';

    if ((p->joined || (p->table && line_is_empty(p))) && !empty) {
        p->i++;
        while (p->i < p->n && (p->s[p->i] == ' ' || p->s[p->i] == '\t'))
            p->i++;
        gap(p);
        return;
    }
    p->joined = p->row = p->flat = false;
    p->table = p->table && !empty;
    p->blank = line_is_empty(p);
    new_line(p);
}

/* Text up to the next sign that may begin markup, or what that sign begins. */
static void
text_part(struct page *p)
{
    static const bool sign[256] = {
        [0] = 1, ['\n'] = 1, ['&'] = 1, ['<'] = 1, ['\\'] = 1, ['`'] = 1, ['{'] = 1
    };
    size_t end = p->i;
    bool done;

    while (end < p->n && !sign[(uint8_t)p->s[end]])
        end++;
    if (end > p->i) {
        copy(p, end);
        return;
    }
    char c = p->s[p->i];

    if (c == '\\' && p->i + 1 < p->n && p->s[p->i + 1] != '\n') {
        copy(p, p->i + 2);
        return;
    }
    if (c == '`') {
        code_span(p);
        return;
    }
    done = c == '<' ? angle(p) : c == '{' ? expression(p) : c == '&' && entity(p);
    if (!done)
        copy(p, p->i + 1);
}

void
markup_hide(char *s, size_t n, size_t from, bool mdx)
{
    struct page *p = mem_new(sizeof *p);

    *p = (struct page){ .s = s, .n = n, .i = from, .w = from, .line = from, .mdx = mdx, .blank = true };
    p->spare = 16 * (int64_t)n + 1048576;
    tag_note_closed(p, from);
    while (p->i < n) {
        if (p->i == p->w && p->line == p->i && !p->joined && whole_line(p))
            continue;
        while (p->i < n && s[p->i] != '\n')
            text_part(p);
        if (p->i < n)
            text_line_end(p);
    }
    end_row(p);
    memset(s + p->w, ' ', n - p->w);
    mem_free(&p);
}
