/* Tags of HTML and JSX, expressions of MDX. See markup.h. CommonMark 0.30, section 6.6, with attributes as JSX has them. */
#include <string.h>

#include "retriever/extract/markup_int.h"
#include "common/hash.h"

static const struct {
    enum element kind;
    const char *names;
} elements[] = {
    { ELEMENT_INLINE,
      " a abbr acronym area audio b bdi bdo big button cite code data del dfn em embed font i img input ins kbd label map mark "
      "nobr object output param picture q rp rt ruby s samp small source span strike strong sub sup time track tt u var "
      "video wbr " },
    { ELEMENT_BLOCK,
      " address article aside blockquote body caption center col colgroup details dialog dir div dl fieldset "
      "figcaption figure footer form frame frameset header hgroup hr html legend link main menu meta nav noscript ol "
      "optgroup option p search section select summary tbody textarea tfoot thead ul " },
    { ELEMENT_BREAK, " br " },
    { ELEMENT_ITEM, " li " },
    { ELEMENT_TERM, " dt " },
    { ELEMENT_DEFINITION, " dd " },
    { ELEMENT_HEADING, " h1 h2 h3 h4 h5 h6 " },
    { ELEMENT_TABLE, " table " },
    { ELEMENT_ROW, " tr " },
    { ELEMENT_CELL, " td th " },
    { ELEMENT_PRE, " pre " },
    { ELEMENT_HIDDEN, " script style template svg head iframe math " },
};

static size_t
hash(struct str name)
{
    uint64_t h = hash_str(name);

    return (size_t)(h ^ h >> 32) % MARKUP_NAMES;
}

/* "Tabs.Tab", "sl-card", "svg:path" */
static struct str
name_at(const struct page *p, size_t i)
{
    size_t e = i;

    if (e >= p->n || !letter(p->s[e]))
        return STR_NONE;
    while (e < p->n && e - i < 64 && (alnum(p->s[e]) || strchr("-._:", p->s[e])) && p->s[e])
        e++;
    return (struct str){ p->s + i, e - i };
}

void
tag_note_closed(struct page *p, size_t from)
{
    const char *at = p->s + from, *end = p->s + p->n;

    while (at < end && (at = memchr(at, '<', (size_t)(end - at))) != NULL) {
        struct str name = at + 1 < end && at[1] == '/' ? name_at(p, (size_t)(at - p->s) + 2) : STR_NONE;
        size_t h = hash(name);

        if (name.n)
            p->closed[h / 8] |= (uint8_t)(1u << h % 8);
        at++;
    }
}

/* Element names count in lower or in upper case; a name with both is a component. */
static enum element
element_of(struct str name)
{
    char key[16] = " ";
    size_t upper = 0;

    if (name.n + 3 > sizeof key)
        return ELEMENT_NONE;
    for (size_t i = 0; i < name.n; i++) {
        upper += name.p[i] >= 'A' && name.p[i] <= 'Z';
        key[i + 1] = letter(name.p[i]) ? (char)(name.p[i] | 32) : name.p[i];
    }
    key[name.n + 1] = ' ';
    bool digit = name.n == 2 && name.p[1] >= '1' && name.p[1] <= '6';

    if (upper > 0 && upper + digit < name.n)
        return ELEMENT_NONE;
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++)
        if (strstr(elements[i].names, key))
            return elements[i].kind;
    return ELEMENT_NONE;
}

static size_t
skip_blanks(const struct page *p, size_t i, size_t end)
{
    size_t lines = 0;

    for (; i < end && strchr(" \t\n", p->s[i]) && p->s[i]; i++)
        if (p->s[i] == '\n' && ++lines > 1)
            break; /* an empty line ends what the tag stands in */
    return i;
}

/* Behind the quote that ends the string at i; 0: none does. */
static size_t
skip_string(const struct page *p, size_t i, size_t end)
{
    const char *q = memchr(p->s + i + 1, p->s[i], end - i - 1);

    return q ? (size_t)(q - p->s) + 1 : 0;
}

size_t
tag_expression(struct page *p, size_t at)
{
    size_t end = at + MARKUP_TAG_MAX < p->n ? at + MARKUP_TAG_MAX : p->n, i = at, depth = 0;

    if (p->spare <= 0)
        return 0;
    while (i < end) {
        char c = p->s[i];

        if (c == '/' && i + 1 < end && p->s[i + 1] == '*') {
            const char *close = memmem(p->s + i + 2, end - i - 2, "*/", 2);

            if (!close)
                break;
            i = (size_t)(close - p->s) + 2;
            continue;
        }
        if (c == '`' || c == '"' || c == '\'') {
            size_t line = page_line_end(p, i), e = skip_string(p, i, c == '`' || line > end ? end : line);

            if (e == 0 && c == '`')
                break;
            i = e ? e : i + 1; /* an apostrophe in the text of an element */
            continue;
        }
        depth += c == '{';
        if (c == '}' && --depth == 0)
            return i + 1;
        i++;
    }
    p->spare -= (int64_t)(end - at);
    return 0;
}

/* One attribute from i on, behind its name; 0: it is none. */
static size_t
skip_value(struct page *p, size_t i, size_t end, struct str *value)
{
    size_t e = i;

    if (i >= end)
        return 0;
    if (p->s[i] == '{')
        return tag_expression(p, i);
    if (p->s[i] == '"' || p->s[i] == '\'') {
        e = skip_string(p, i, end);
        *value = e ? (struct str){ p->s + i + 1, e - i - 2 } : STR_NONE;
        return e;
    }
    while (e < end && !strchr(" \t\n\"'=<>`", p->s[e]))
        e++;
    return e > i ? e : 0;
}

static size_t
skip_attribute(struct page *p, size_t i, size_t end, struct tag *t)
{
    size_t from = i, after;
    struct str value = STR_NONE;

    if (p->s[i] == '{') { /* {...props}, {name} */
        t->attributes = true;
        return tag_expression(p, i);
    }
    while (i < end && (alnum(p->s[i]) || strchr("_:.-@#*()[]", p->s[i])) && p->s[i])
        i++;
    if (i == from || (!letter(p->s[from]) && !strchr("_:@#*([", p->s[from])))
        return 0;
    struct str name = { p->s + from, i - from };

    after = skip_blanks(p, i, end);
    if (after >= end || p->s[after] != '=')
        return i;
    t->attributes = true;
    i = skip_value(p, skip_blanks(p, after + 1, end), end, &value);
    if (i && value.n && !str_has_byte(value, '\n') && (str_is(name, "title") || str_is(name, "label")))
        t->label = value;
    return i;
}

static bool
is_closed(const struct page *p, struct str name)
{
    size_t h = hash(name);

    return p->closed[h / 8] >> h % 8 & 1;
}

/* From behind the name to behind ">"; 0: it is no tag. */
static size_t
tag_end(struct page *p, size_t i, struct tag *t)
{
    size_t end = i + MARKUP_TAG_MAX < p->n ? i + MARKUP_TAG_MAX : p->n;

    while (i < end) {
        size_t next = skip_blanks(p, i, end);

        if (next < end && p->s[next] == '>')
            return next + 1;
        if (next + 1 < end && p->s[next] == '/' && p->s[next + 1] == '>' && !t->closing) {
            t->single = true;
            return next + 2;
        }
        if (next == i || next >= end || t->closing || !(i = skip_attribute(p, next, end, t)))
            break;
    }
    return 0;
}

bool
tag_read(struct page *p, struct tag *t)
{
    size_t i = p->i + 1;

    *t = (struct tag){ .closing = i < p->n && p->s[i] == '/' };
    i += t->closing;
    if (p->spare <= 0)
        return false;
    if (p->mdx && i < p->n && p->s[i] == '>') { /* <> and </> */
        t->kind = ELEMENT_COMPONENT;
        t->end = i + 1;
        return true;
    }
    t->name = name_at(p, i);
    if (t->name.n == 0)
        return false;
    t->end = tag_end(p, i + t->name.n, t);
    if (t->end == 0) {
        p->spare -= 64;
        return false;
    }
    t->kind = element_of(t->name);
    if (t->kind == ELEMENT_NONE && (t->closing || t->single || t->attributes || is_closed(p, t->name)))
        t->kind = ELEMENT_COMPONENT;
    return t->kind != ELEMENT_NONE;
}

bool
markup_autolink(struct str s)
{
    size_t n = 1;

    while (n < s.n && n < 2048 && s.p[n] != '>' && s.p[n] != '<' && s.p[n] != ' ' && s.p[n] != '\n')
        n++;
    struct str in = { s.p + 1, n - 1 };

    return n < s.n && s.p[n] == '>' && letter(s.p[1]) &&
           (str_has(in, "://") || str_starts(in, "mailto:") ||
            (str_has_byte(in, '@') && !str_has_byte(in, '=')));
}
