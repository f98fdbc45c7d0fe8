/* Headings. See heading.h. */
#include "retriever/extract/heading.h"

#include <md4c.h>
#include <string.h>

#include "common/text/text.h"
#include "retriever/extract/entity.h"

enum { HEADING_MAX = 200, WHOLE_MAX = 1000, RAW_MAX = 2000, LABELS_MAX = 16384 };

static int
on_block(MD_BLOCKTYPE type, void *detail, void *arg)
{
    (void)type;
    (void)detail;
    (void)arg;
    return 0;
}

static int
on_span(MD_SPANTYPE type, void *detail, void *arg)
{
    (void)type;
    (void)detail;
    (void)arg;
    return 0;
}

static int
on_text(MD_TEXTTYPE type, const MD_CHAR *p, MD_SIZE n, void *arg)
{
    struct buf *out = arg;
    struct str t = { p, n };
    char letters[8];
    size_t used;

    switch (type) {
    case MD_TEXT_HTML: return 0;
    case MD_TEXT_BR:
    case MD_TEXT_SOFTBR: buf_c(out, ' '); return 0;
    case MD_TEXT_NULLCHAR: return 0;
    case MD_TEXT_ENTITY:
        if (entity_text(t, letters, &t.n, &used))
            t.p = letters;
        break;
    default: break;
    }
    buf_str(out, t);
    return 0;
}

/* Lines "[label]: target" of the document: only they make "[label]" a link. */
static void
add_labels(struct str s, struct buf *out)
{
    for (const char *p = s.p, *end = s.p + s.n; p < end && out->n < LABELS_MAX;) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *e = nl ? nl : end;
        const char *at = p;

        while (at < e && at - p < 3 && *at == ' ')
            at++;
        const char *close = at < e && *at == '[' && at + 1 < e && at[1] != '^'
                                ? memchr(at, ']', (size_t)(e - at))
                                : NULL;

        if (close && close + 1 < e && close[1] == ':' && e - at < 1000) {
            buf_str(out, (struct str){ at, (size_t)(e - at) });
            buf_c(out, '\n');
        }
        p = e + 1;
    }
}

/* Where "{#id}" and "{ .class }" begin at the end of a heading; s.n: they do not. */
static size_t
attributes_at(struct str s)
{
    const char *open = s.n > 2 && s.p[s.n - 1] == '}' ? memrchr(s.p, '{', s.n) : NULL;

    if (open && strchr("#.:", open[1 + (open[1] == ' ')]))
        return (size_t)(open - s.p);
    return s.n;
}

/* They name the heading and are not shown. */
static struct str
without_attributes(struct str s)
{
    s.n = attributes_at(s);
    return text_trim(s);
}

struct str
heading_id(struct str heading)
{
    struct str s = text_trim(heading);
    size_t i = attributes_at(s), from;

    while (i < s.n && !(s.p[i] == '#' && strchr("{: ", s.p[i - 1])))
        i++;
    for (from = ++i; i < s.n && (unsigned char)s.p[i] > ' ' && !strchr("}<>\"'`\\", s.p[i]);)
        i++;
    return i > from && i < s.n && strchr("} ", s.p[i]) ? (struct str){ s.p + from, i - from } : STR_NONE;
}

/* Bytes of a reference to a footnote at p, "[^1]": the page shows a small number; 0: none. */
static size_t
footnote_at(const char *p, size_t left)
{
    size_t n = 2;

    if (left < 4 || p[0] != '[' || p[1] != '^')
        return 0;
    while (n < left && (p[n] == '-' || p[n] == '_' || (p[n] >= '0' && p[n] <= '9') ||
                        ((p[n] | 32) >= 'a' && (p[n] | 32) <= 'z')))
        n++;
    return n > 2 && n < left && p[n] == ']' ? n + 1 : 0;
}

static void
drop_footnotes(struct buf *b)
{
    size_t n = 0;

    for (size_t i = 0, k; i < b->n; i += k ? k : 1) {
        k = footnote_at(b->p + i, b->n - i);
        if (k == 0)
            b->p[n++] = b->p[i];
    }
    b->n = n;
}

struct str
heading_plain(struct str s, struct str heading, struct arena *a)
{
    return text_trim(utf8_cut(heading_whole(s, heading, a), HEADING_MAX));
}

struct str
heading_whole(struct str s, struct str heading, struct arena *a)
{
    static const MD_PARSER parser = { .flags = MD_FLAG_STRIKETHROUGH | MD_FLAG_COLLAPSEWHITESPACE,
                                      .enter_block = on_block,
                                      .leave_block = on_block,
                                      .enter_span = on_span,
                                      .leave_span = on_span,
                                      .text = on_text };
    struct buf shown = BUF_MAX(4 * RAW_MAX);
    struct buf source = BUF_MAX(RAW_MAX + 2 * LABELS_MAX);
    struct str raw = without_attributes(utf8_cut(heading, RAW_MAX));

    buf_z(&source, "# ");
    buf_str(&source, raw);
    buf_z(&source, "\n\n");
    if (str_has_byte(raw, '['))
        add_labels(s, &source);
    if (md_parse(source.p, (MD_SIZE)source.n, &parser, &shown) != 0) {
        buf_reset(&shown);
        buf_str(&shown, raw);
    }
    if (!str_has_byte(raw, '`')) /* in code it may be a regular expression */
        drop_footnotes(&shown);
    struct str out = arena_str(a, utf8_cut(text_trim(buf_slice(&shown)), WHOLE_MAX));

    buf_free(&source);
    buf_free(&shown);
    return out;
}
