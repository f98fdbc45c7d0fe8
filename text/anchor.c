/* Anchors. See anchor.h. A repeated heading costs one look more than the one before it, so that a page of many that are the same
 * stays linear. */
#include "text/anchor.h"

#include <utf8proc.h>

#include "common/hash.h"
#include "common/text/text.h"

enum {                       /* flags of anchor.tbl */
       KEEP_WORD = 1 << 0,   /* letters, marks, decimal digits, connectors such as _ */
       KEEP_ALNUM = 1 << 1,  /* letters, all numbers, _ */
       KEEP_LETTER = 1 << 2, /* letters, decimal digits, _ */
       KEEP_PLAIN = 1 << 3,  /* all but ASCII's punctuation, which becomes a hyphen; no digit in front */
       KEEP_NONE = 1 << 4,   /* no anchor is made */
       DECOMPOSE = 1 << 5,   /* NFKD comes first */
       ASCII = 1 << 6,       /* the rest of the characters goes */
       LOWER_ASCII = 1 << 7, /* capitals of other scripts stay */
       ANY_SPACE = 1 << 8,   /* a hyphen for each kind of blank, not only for U+0020 */
       COLLAPSE = 1 << 9,    /* a run of hyphens is one */
       TRIM = 1 << 10,       /* no hyphen at either end */
       COUNTED = 1 << 11,    /* a number at the end of a repeated one goes on */
       IDS_TAKEN = 1 << 12   /* ids that authors give are taken for the headings behind them */
};

static const struct style {
    const char *mark;
    unsigned flags;
    const char *before, *none;
} styles[ANCHOR_STYLES] = {
#define ANCHOR(id, mark, flags, before, none) { mark, flags, before, none },
#include "text/anchor.tbl"
#undef ANCHOR
};

bool
anchor_wanted(struct str url, enum anchor_style *style, struct str *page)
{
    const char *hash = url.n > 0 ? memrchr(url.p, '#', url.n) : NULL;
    struct str mark;

    if (!hash)
        return false;
    *page = (struct str){ url.p, (size_t)(hash - url.p) };
    mark = (struct str){ hash + 1, url.n - page->n - 1 };
    if (mark.n == 0 || str_is(mark, "-")) {
        *style = mark.n == 0 ? ANCHOR_GITHUB : ANCHOR_MKDOCS;
        return page->n > 0;
    }
    if (mark.n < 3 || mark.p[0] != '{' || mark.p[mark.n - 1] != '}')
        return false;
    mark = (struct str){ mark.p + 1, mark.n - 2 };
    for (size_t i = 0; i < ANCHOR_STYLES; i++)
        if (str_is(mark, styles[i].mark)) {
            *style = (enum anchor_style)i;
            return page->n > 0;
        }
    return false;
}

/* ---- the slug of one heading */

static bool
is_mark(utf8proc_category_t k)
{
    return k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME;
}

static bool
keeps(unsigned flags, utf8proc_int32_t c)
{
    utf8proc_category_t k = utf8proc_category(c);
    bool letter = k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;

    if (c == '-' || c == '_')
        return true;
    if (flags & KEEP_WORD)
        return letter || is_mark(k) || k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL ||
               k == UTF8PROC_CATEGORY_PC;
    if (flags & KEEP_ALNUM) /* vowel signs are alphabetic, accents and viramas are not */
        return letter || (k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO) ||
               (is_mark(k) && utf8proc_get_property(c)->combining_class == 0);
    return letter || k == UTF8PROC_CATEGORY_ND;
}

static bool
is_blank(utf8proc_int32_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || utf8proc_category(c) == UTF8PROC_CATEGORY_ZS;
}

/* The character that one becomes; 0: nothing. */
static utf8proc_int32_t
become(unsigned flags, utf8proc_int32_t c)
{
    if ((flags & ASCII) && c >= 0x80)
        return 0;
    if (flags & KEEP_PLAIN) {
        if (c < 0x20 || (c >= 0x300 && c <= 0x36f))
            return 0;
        if (is_blank(c) || (c < 0x80 && !keeps(KEEP_LETTER, c)) || c == '_' ||
            (c >= 0x2018 && c <= 0x201d && c != 0x201a && c != 0x201b))
            return '-';
        return utf8proc_tolower(c);
    }
    if (c == ' ' || (flags & (ANY_SPACE | COLLAPSE) && is_blank(c)))
        return '-';
    if (!keeps(flags, c))
        return 0;
    return (flags & LOWER_ASCII) && c >= 0x80 ? c : utf8proc_tolower(c);
}

static void
put(struct buf *out, size_t from, unsigned flags, utf8proc_int32_t c)
{
    utf8proc_uint8_t z[4];

    if (c == '-' && (flags & COLLAPSE) && out->n > from && out->p[out->n - 1] == '-')
        return;
    if (c == '-' && (flags & TRIM) && out->n == from)
        return;
    if ((flags & KEEP_PLAIN) && out->n == from && c >= '0' && c <= '9')
        buf_c(out, '_');
    buf_add(out, z, (size_t)utf8proc_encode_char(c, z));
}

static void
add_slug(unsigned flags, struct str s, struct buf *out)
{
    size_t from = out->n;

    for (size_t i = 0; i < s.n;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s.p + i, (utf8proc_ssize_t)(s.n - i),
                                              &c);

        if (n <= 0)
            break;
        i += (size_t)n;
        c = become(flags, c);
        if (c)
            put(out, from, flags, c);
    }
    while ((flags & TRIM) && out->n > from && out->p[out->n - 1] == '-')
        out->n--;
}

/* The ASCII characters of s, without blanks at its ends. */
static struct str
ascii_only(struct str s, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] && (unsigned char)s.p[i] < 0x80 && (strchr("-_ \t", s.p[i]) || keeps(KEEP_LETTER, s.p[i])))
            buf_c(out, s.p[i]);
    return text_trim(buf_slice(out));
}

void
anchor_slug(enum anchor_style style, struct str heading, struct buf *out)
{
    const struct style *st = &styles[style];
    struct str s = text_trim(heading);
    struct buf ascii = BUF_MAX(4 * heading.n + 64);
    utf8proc_uint8_t *map = NULL;
    utf8proc_ssize_t n;
    size_t from = out->n;

    if (st->flags & KEEP_NONE)
        return;
    if (st->flags & DECOMPOSE) {
        n = utf8proc_map((const utf8proc_uint8_t *)s.p, (utf8proc_ssize_t)s.n, &map,
                         UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
        if (n >= 0)
            s = (struct str){ (const char *)map, (size_t)n };
    }
    if (st->flags & ASCII)
        s = ascii_only(s, &ascii);
    add_slug(st->flags, s, out);
    if (out->n == from)
        buf_z(out, st->none);
    mem_free(&map);
    buf_free(&ascii);
}

/* ---- the anchors of a document */

struct anchor_entry {
    struct str name; /* absent: free */
    size_t next;     /* the number that the next repetition tries */
};

static struct anchor_entry *
entry_of(const struct anchors *a, struct str name)
{
    size_t i;

    for (i = (size_t)hash_str(name) & (a->cap - 1); a->v[i].name.p && !str_eq(a->v[i].name, name);)
        i = (i + 1) & (a->cap - 1);
    return &a->v[i];
}

static bool
grow(struct anchors *a)
{
    struct anchors more = *a;

    if (2 * a->n < a->cap)
        return true;
    more.cap = a->cap ? 4 * a->cap : 64;
    more.v = arena_alloc(a->arena, more.cap * sizeof *more.v);
    if (!more.v)
        return false;
    for (size_t i = 0; i < a->cap; i++)
        if (a->v[i].name.p)
            *entry_of(&more, a->v[i].name) = a->v[i];
    *a = more;
    return true;
}

static bool
is_taken(const struct anchors *a, struct str name)
{
    return a->cap > 0 && entry_of(a, name)->name.p != NULL;
}

/* name becomes taken; its copy. */
static struct str
take(struct anchors *a, struct str name)
{
    struct str copy = { "", 0 };
    struct anchor_entry *e;

    if (!grow(a) || (name.n > 0 && !(copy = arena_str(a->arena, name)).p))
        return STR_NONE;
    e = entry_of(a, copy);
    if (!e->name.p) {
        *e = (struct anchor_entry){ .name = copy, .next = 1 };
        a->n++;
    }
    return copy;
}

/* "setup_2" → "setup", and 2 as the number that is there already. */
static struct str
without_count(struct str s, size_t *count)
{
    size_t i = s.n, n = 0;

    while (i > 0 && s.n - i < 6 && s.p[i - 1] >= '0' && s.p[i - 1] <= '9')
        i--;
    if (i == 0 || i == s.n || s.p[i - 1] != '_')
        return s;
    for (size_t k = i; k < s.n; k++)
        n = 10 * n + (size_t)(s.p[k] - '0');
    *count = n;
    return (struct str){ s.p, i - 1 };
}

static struct str
repeated(struct anchors *a, struct str slug)
{
    const struct style *st = &styles[a->style];
    struct buf b = BUF_MAX(slug.n + 32);
    size_t count = 0, n;
    struct str base = st->flags & COUNTED ? without_count(slug, &count) : slug, out;

    n = is_taken(a, slug) ? entry_of(a, slug)->next : 1;
    n = n > count ? n : count + 1;
    do {
        buf_reset(&b);
        buf_str(&b, base);
        buf_z(&b, st->before);
        buf_printf(&b, "%zu", n++);
    } while (is_taken(a, buf_slice(&b)));
    out = take(a, buf_slice(&b));
    if (is_taken(a, slug))
        entry_of(a, slug)->next = n;
    buf_free(&b);
    return out;
}

void
anchors_init(struct anchors *a, enum anchor_style style, struct arena *arena)
{
    *a = (struct anchors){ .style = style, .arena = arena };
}

struct str
anchors_next(struct anchors *a, struct str heading, struct str id)
{
    unsigned flags = styles[a->style].flags;
    struct buf slug = BUF_MAX(4 * heading.n + 64);
    struct str out;

    if (id.n > 0)
        return flags & IDS_TAKEN ? take(a, id) : arena_str(a->arena, id);
    if (flags & KEEP_NONE)
        return STR("");
    anchor_slug(a->style, heading, &slug);
    out = is_taken(a, buf_slice(&slug)) || (slug.n == 0 && (flags & COUNTED)) ? repeated(a, buf_slice(&slug))
                                                                              : take(a, buf_slice(&slug));
    buf_free(&slug);
    return out;
}
