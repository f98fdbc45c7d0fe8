/* A selection in a source. See locate.h.
 *
 *   both texts ─▶ what a page shows ─▶ letters and digits, folded, each with the bytes it came from ─▶ memmem ─▶ bytes of the source
 *
 * Both sides go through the same reader, so that a selection of the source itself is found as well. */
#include "text/locate.h"

#include <ctype.h>
#include <utf8proc.h>

#include "text/fold.h"
#include "common/text/text.h"

enum {
    TARGET_MAX = 2048,
    TAG_MAX = 1024,
    ENTITY_MAX = 12,
    LEAST_LETTERS = 4,
    SHORT_LETTERS = 16,
    TAIL_MAX = 8,
    LIST_LINES = 40,
    VAIN_MAX = 1 << 17
};

/* ---- what a page does not show */

static bool
at(struct str s, size_t i, const char *z)
{
    size_t n = strlen(z);

    return s.n - i >= n && memcmp(s.p + i, z, n) == 0;
}

/* Behind the first `close` after i, within max bytes; 0: there is none. */
static size_t
behind(struct str s, size_t i, const char *close, size_t max)
{
    size_t left = s.n - i < max ? s.n - i : max;
    const char *p = memmem(s.p + i, left, close, strlen(close));

    return p ? (size_t)(p - s.p) + strlen(close) : 0;
}

/* Behind the bracket that closes the one at i; 0: none does. *vain: bytes of the text that were looked at for nothing. */
static size_t
closed(struct str s, size_t i, char open, char close, size_t *vain)
{
    size_t depth = 0, k = i;

    if (*vain > VAIN_MAX)
        return 0;
    for (; k < s.n && k - i < TARGET_MAX; k++) {
        depth += s.p[k] == open;
        if (s.p[k] == close && --depth == 0)
            return k + 1;
        if (s.p[k] == '\n' && k + 1 < s.n && s.p[k + 1] == '\n')
            break;
    }
    *vain += k - i;
    return 0;
}

static size_t
line_end(struct str s, size_t i)
{
    const char *nl = memchr(s.p + i, '\n', s.n - i);

    return nl ? (size_t)(nl - s.p) : s.n;
}

/* White space and the marks of quotes. */
static size_t
indent(struct str s, size_t i)
{
    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t' || s.p[i] == '>'))
        i++;
    return i;
}

/* Behind "12. " or "12) " at i; i: there is none. */
static size_t
number(struct str s, size_t i)
{
    size_t d = i;

    while (d < s.n && d - i < 9 && isdigit((unsigned char)s.p[d]))
        d++;
    return d > i && d + 1 < s.n && (s.p[d] == '.' || s.p[d] == ')') && s.p[d + 1] == ' ' ? d + 1 : i;
}

/* Does the number that the line at i begins with belong to a list? In the middle of a paragraph it may be one of the text. */
static bool
is_list(struct str s, size_t i)
{
    size_t k = indent(s, i), line = i;

    if (i == 0 || at(s, k, "1.") || at(s, k, "1)"))
        return true;
    for (int up = 0; up < LIST_LINES && line > 0; up++) {
        size_t end = --line;

        while (line > 0 && s.p[line - 1] != '\n')
            line--;
        k = indent(s, line);
        if (k >= end || number(s, k) > k)
            return up == 0 || k < end;
    }
    return false;
}

/* Fences, the numbers of lists, and where links lead to ("[name]: address"). */
static size_t
skip_at_line(struct str s, size_t i, size_t *vain)
{
    size_t k = indent(s, i), n;

    if (at(s, k, "```") || at(s, k, "~~~"))
        return line_end(s, k);
    if (k < s.n && s.p[k] == '[') {
        size_t name = closed(s, k, '[', ']', vain);

        return name > 0 && name < s.n && s.p[name] == ':' ? line_end(s, name) : i;
    }
    n = number(s, k);
    return n > k && is_list(s, i) ? n : i;
}

static size_t
skip_tag(struct str s, size_t i)
{
    size_t k = i + 1 + (i + 1 < s.n && s.p[i + 1] == '/');

    if (at(s, i, "<!--"))
        return behind(s, i, "-->", 4096);
    if (k >= s.n || !isalpha((unsigned char)s.p[k]))
        return 0;
    while (k < s.n && (isalnum((unsigned char)s.p[k]) || s.p[k] == '-'))
        k++;
    if (k >= s.n || !strchr(" \n\t/>", s.p[k]))
        return 0; /* a < b, an address, a type with two parameters */
    while (k < s.n && k - i < TAG_MAX && s.p[k] != '<' && s.p[k] != '`') {
        size_t quoted = s.p[k] == '"' ? behind(s, k + 1, "\"", TAG_MAX) : 0;

        if (s.p[k] == '>')
            return k + 1;
        k = quoted > 0 ? quoted : k + 1;
    }
    return 0;
}

static size_t
skip_entity(struct str s, size_t i)
{
    for (size_t k = i + 1; k < s.n && k - i < ENTITY_MAX; k++) {
        if (s.p[k] == ';')
            return k > i + 1 ? k + 1 : 0;
        if (!isalnum((unsigned char)s.p[k]) && s.p[k] != '#')
            return 0;
    }
    return 0;
}

/* The end of a form that begins at i and that no page shows; i: the page shows it. */
static size_t
skip_hidden(struct str s, size_t i, size_t *vain)
{
    size_t to = 0;

    if (i == 0 || s.p[i - 1] == '\n')
        to = skip_at_line(s, i, vain);
    if (to > i)
        return to;
    switch (s.p[i]) {
    case ']':
        if (i + 1 < s.n && s.p[i + 1] == '(')
            to = closed(s, i + 1, '(', ')', vain);
        else if (i + 1 < s.n && s.p[i + 1] == '[')
            to = closed(s, i + 1, '[', ']', vain);
        break;
    case '!':
        to = at(s, i, "![") ? closed(s, i + 1, '[', ']', vain) : 0;
        if (to > 0)
            to = to < s.n && s.p[to] == '(' ? closed(s, to, '(', ')', vain) : 0;
        break;
    case '<': to = skip_tag(s, i); break;
    case '&': to = skip_entity(s, i); break;
    case '{': to = at(s, i, "{#") || at(s, i, "{:") ? behind(s, i, "}", 128) : 0; break;
    default: break;
    }
    return to > i ? to : i;
}

/* ---- letters */

struct letters {
    char *out;       /* twice the bytes that are read fit */
    uint32_t *from;  /* for each byte of out: where its character begins; NULL: nobody asks */
    size_t n, chars; /* bytes, code points */
};

static void
put(struct letters *l, const char *p, size_t n, size_t from)
{
    for (size_t i = 0; i < n; i++) {
        l->out[l->n] = p[i];
        if (l->from)
            l->from[l->n] = (uint32_t)from;
        l->n++;
    }
    l->chars++;
}

static bool
counts(int32_t cp)
{
    switch (utf8proc_category(cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SO: return true;
    default: return false;
    }
}

/* One character beyond ASCII. Folding may leave up to twice its bytes; what gets longer than that is kept as it is. */
static void
put_wide(struct letters *l, struct str c, size_t from)
{
    char folded[FOLD_MAX];
    int32_t cp = 0;

    utf8proc_iterate((const utf8proc_uint8_t *)c.p, (utf8proc_ssize_t)c.n, &cp);
    if (!counts(cp))
        return;
    if ((cp >= 0x3041 && cp <= 0x9fff) || (cp >= 0xac00 && cp <= 0xd7a3) || cp >= 0x1f000) {
        put(l, c.p, c.n, from); /* folding changes nothing there, and most of a text may be such */
        return;
    }
    size_t n = fold_word(c, folded);

    if (n > 2 * c.n)
        put(l, c.p, c.n, from);
    else if (n > 0)
        put(l, folded, n, from);
}

/* The letters that a page shows of s. */
static void
read_loose(struct str s, struct letters *l)
{
    size_t vain = 0;

    for (size_t i = 0; i < s.n;) {
        size_t to = skip_hidden(s, i, &vain), n;
        char low;

        if (to > i) {
            i = to;
            continue;
        }
        n = utf8_first((struct str){ s.p + i, s.n - i });
        n = n ? n : 1;
        if (n > 1)
            put_wide(l, (struct str){ s.p + i, n }, i);
        low = (char)tolower((unsigned char)s.p[i]);
        if (n == 1 && (isalnum((unsigned char)low) || low == '%'))
            put(l, &low, 1, i);
        i += n;
    }
}

static void
read_exact(struct str s, struct letters *l)
{
    for (size_t i = 0; i < s.n; i++)
        if (!space_byte(s.p[i]))
            put(l, s.p + i, 1, i);
}

/* ---- the search */

void
locator_init(struct locator *l, struct str selection)
{
    struct letters loose = { .out = mem_new(2 * selection.n + 1) },
                   exact = { .out = mem_new(2 * selection.n + 1) };

    read_exact(selection, &exact);
    read_loose(selection, &loose);
    *l = (struct locator){ .selection = selection,
                           .exact = { exact.out, exact.n },
                           .loose = { loose.out, loose.n },
                           .letters = loose.chars };
    if (loose.chars < LEAST_LETTERS || 2 * loose.n < exact.n)
        l->loose.n = 0; /* mostly signs: letters alone would be found anywhere */
}

void
locator_fini(struct locator *l)
{
    mem_free(&l->exact.p);
    mem_free(&l->loose.p);
}

static bool
word_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Nothing goes on there: neither side of the border is within a word of ASCII letters. */
static bool
is_border(struct str text, size_t i)
{
    return i == 0 || i >= text.n || !word_byte(text.p[i - 1]) || !word_byte(text.p[i]);
}

/* Emphasis that the span has one half of only. */
static void
balance(struct str text, struct span *x)
{
    size_t b = x->start, e = x->end;

    while (b > 0 && strchr("*_`[", text.p[b - 1]) && text.p[b - 1] != '\0')
        b--;
    while (e < text.n && strchr("*_`", text.p[e]) && text.p[e] != '\0')
        e++;
    if (b < x->start && memmem(text.p + x->start, x->end - x->start, text.p + x->start - 1, 1))
        x->start = b;
    else if (b < x->start && text.p[x->start - 1] == '[' &&
             memchr(text.p + x->start, ']', x->end - x->start) != NULL)
        x->start = b;
    if (e > x->end && (memchr(text.p + x->start, text.p[x->end], x->end - x->start)))
        x->end = e;
}

/* The signs behind the last letter of the selection, as far as the source has them there, too. */
static void
take_tail(const struct locator *l, struct str text, struct span *x)
{
    struct str s = l->selection;
    size_t from = s.n, e = x->end, vain = 0;

    while (from > 0 && (unsigned char)s.p[from - 1] < 0x80 && !isalnum((unsigned char)s.p[from - 1]))
        from--;
    if (from == s.n && s.n > 2 && utf8_first((struct str){ s.p + s.n - 3, 3 }) == 3) {
        int32_t cp = 0;

        utf8proc_iterate((const utf8proc_uint8_t *)s.p + s.n - 3, 3, &cp);
        from = counts(cp) ? s.n : s.n - 3; /* 。 and its like */
    }
    for (size_t k = 0; from < s.n && k < TAIL_MAX; from++) {
        if (space_byte(s.p[from]))
            continue;
        for (; e < text.n && k < TAIL_MAX && text.p[e] != s.p[from]; k++) {
            size_t to = skip_hidden(text, e, &vain);

            if (to == e && !strchr("*_`~", text.p[e]))
                return;
            e = to > e ? to : e + 1;
        }
        if (e >= text.n || text.p[e] != s.p[from])
            return;
        x->end = ++e;
    }
}

static void
take_head(const struct locator *l, struct str text, struct span *x)
{
    size_t n = 0;

    while (n < l->selection.n && (unsigned char)l->selection.p[n] < 0x80 &&
           !isalnum((unsigned char)l->selection.p[n]))
        n++;
    while (n > 0 && x->start > 0 && text.p[x->start - 1] == l->selection.p[n - 1]) {
        x->start--;
        n--;
    }
}

static bool
find(const struct locator *l, const struct letters *t, struct str needle, struct str text, struct span *out)
{
    struct str hay = { t->out, t->n };
    const char *p = hay.p;

    while (p && (p = memmem(p, (size_t)(hay.p + hay.n - p), needle.p, needle.n)) != NULL) {
        size_t first = (size_t)(p - hay.p), last = t->from[first + needle.n - 1],
               n = utf8_first((struct str){ text.p + last, text.n - last });
        struct span x = { t->from[first], last + (n ? n : 1) };
        bool whole = (first == 0 || t->from[first - 1] != x.start) &&
                     (first + needle.n == hay.n || t->from[first + needle.n] != last);

        if (whole && (l->letters >= SHORT_LETTERS || (is_border(text, x.start) && is_border(text, x.end)))) {
            *out = x;
            return true;
        }
        p++;
    }
    return false;
}

bool
locate(const struct locator *l, enum locate_how how, struct str text, struct span *out)
{
    struct str needle = how == LOCATE_EXACT ? l->exact : l->loose;
    struct letters t = { 0 };
    bool found = false;

    if (needle.n == 0 || text.n < needle.n / 2 || text.n > UINT32_MAX)
        return false;
    t.out = mem_new(2 * text.n + 1);
    t.from = mem_new((2 * text.n + 1) * sizeof *t.from);
    if (how == LOCATE_EXACT)
        read_exact(text, &t);
    else
        read_loose(text, &t);
    if (t.n >= needle.n && find(l, &t, needle, text, out)) {
        found = true;
        if (how == LOCATE_LOOSE) {
            take_tail(l, text, out);
            take_head(l, text, out);
            balance(text, out);
        }
    }
    mem_free(&t.from);
    mem_free(&t.out);
    return found;
}
