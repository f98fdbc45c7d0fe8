/* Wordings. See wording.h. Pure.
 *
 *   runs of white space        one space
 *   "What", "Install"          a capital at the beginning of a plain word goes, where the language sets it by its place in the
 *                              sentence or out of respect: not within German sentences, whose nouns have one
 *   "¿…?", "…?", "….", "… ?"   the marks of a whole question go
 *
 * A word that may be the name of a program stays as it is, since -I is not -i, IT is not it and sort! is not sort: letters that
 * stand alone, words of capitals, words with signs or digits in or about them, all other marks. */
#include "text/wording.h"

#include <utf8proc.h>

/* Where capitals tell more than the beginning of a sentence or a name. */
static const struct {
    enum language l;
    bool nouns;  /* a word within a sentence may differ by it alone */
    bool dotted; /* I is the capital of another letter than i */
} capitals[] = {
    { LANG_GERMAN, true, false },
    { LANG_TURKISH, false, true },
};

static const char *const askers[] = { "?", "？", "؟", "՞" };
static const char *const stops[] = { ".", "。", "।" };

static size_t
point(struct str s, size_t at, int32_t *c)
{
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s.p + at, (utf8proc_ssize_t)(s.n - at),
                                          c);

    if (n > 0)
        return (size_t)n;
    *c = -1;
    return 1;
}

static bool
is_space(int32_t c)
{
    utf8proc_category_t k = c < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(c);

    return (c >= 9 && c <= 13) || c == 0x85 || k == UTF8PROC_CATEGORY_ZS || k == UTF8PROC_CATEGORY_ZL ||
           k == UTF8PROC_CATEGORY_ZP;
}

static bool
is_upper(int32_t c)
{
    utf8proc_category_t k = c < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(c);

    return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LT;
}

static bool
is_letter(int32_t c)
{
    utf8proc_category_t k = c < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(c);

    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_ME;
}

static bool
is_number(int32_t c)
{
    return c >= 0 && utf8proc_category(c) >= UTF8PROC_CATEGORY_ND &&
           utf8proc_category(c) <= UTF8PROC_CATEGORY_NO;
}

static bool
is_among(int32_t c, const char *set)
{
    char z[5] = { 0 };

    return c > 0 && utf8proc_encode_char(c, (utf8proc_uint8_t *)z) > 0 && strstr(set, z) != NULL;
}

/* Letters only, the first of them a capital and at least one other that is none; marks of the sentence may stand about it. */
static bool
is_capitalised(struct str word, size_t *at, int32_t *capital)
{
    size_t i = 0, letters = 0;
    int32_t c;

    for (size_t n; i < word.n && (n = point(word, i, &c)) > 0 && is_among(c, "(¿¡"); i += n)
        ;
    *at = i;
    for (size_t n; i < word.n; i += n) {
        n = point(word, i, &c);
        if (letters > 0 && is_among(c, "'’"))
            continue;
        if (!is_letter(c) || is_upper(c) != (letters == 0))
            break;
        if (letters++ == 0)
            *capital = c;
    }
    for (size_t n; i < word.n && (n = point(word, i, &c)) > 0 && is_among(c, "?,.;:)…，。？、"); i += n)
        ;
    return i == word.n && letters > 1;
}

/* May its capital go? */
static bool
is_plain(int32_t capital, bool first, enum language l)
{
    for (size_t i = 0; i < sizeof capitals / sizeof *capitals; i++)
        if (capitals[i].l == l)
            return (first || !capitals[i].nouns) &&
                   !(capitals[i].dotted && (capital == 'I' || capital == 0x130));
    return true;
}

static void
add_word(struct str word, bool first, enum language l, struct buf *out)
{
    utf8proc_uint8_t low[4];
    int32_t c = 0;
    size_t at;

    if (!is_capitalised(word, &at, &c) || !is_plain(c, first, l)) {
        buf_str(out, word);
        return;
    }
    buf_add(out, word.p, at);
    buf_add(out, (const char *)low, (size_t)utf8proc_encode_char(utf8proc_tolower(c), low));
    at += point(word, at, &c);
    buf_add(out, word.p + at, word.n - at);
}

static bool
cut(struct str *s, const char *const *marks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t bytes = strlen(marks[i]);

        if (s->n > bytes && memcmp(s->p + s->n - bytes, marks[i], bytes) == 0) {
            s->n -= bytes;
            return true;
        }
    }
    return false;
}

/* The last code point. */
static int32_t
last(struct str s)
{
    size_t i = s.n > 0 ? s.n - 1 : 0;
    int32_t c = -1;

    while (i > 0 && ((unsigned char)s.p[i] & 0xc0) == 0x80)
        i--;
    if (i < s.n)
        point(s, i, &c);
    return c;
}

/* A mark behind a space is a word of its own, unless French has set it so. */
static struct str
without_marks(struct str s, enum language l)
{
    struct str whole = s;
    int32_t c;

    while (cut(&s, askers, sizeof askers / sizeof *askers))
        ;
    if (s.n == whole.n && cut(&s, stops, sizeof stops / sizeof *stops)) {
        c = last(s);
        return is_letter(c) || is_number(c) || c == ')' ? s : whole;
    }
    if (s.n < whole.n && last(s) == ' ')
        s = l == LANG_FRENCH && s.n > 1 ? (struct str){ s.p, s.n - 1 } : whole;
    if (s.n < whole.n && s.n > 2 && memcmp(s.p, "¿", 2) == 0)
        s = (struct str){ s.p + 2, s.n - 2 };
    return s;
}

void
wording_add(struct str text, enum language l, struct buf *out)
{
    struct buf b = BUF_MAX(131072);
    bool first = true;

    for (size_t i = 0, n = 0; i < text.n;) {
        size_t from = i;
        int32_t c;

        for (; i < text.n && (n = point(text, i, &c)) > 0 && !is_space(c); i += n)
            ;
        if (i > from) {
            if (!first)
                buf_c(&b, ' ');
            add_word((struct str){ text.p + from, i - from }, first, l, &b);
            first = false;
        }
        if (i < text.n)
            i += n;
    }
    if (b.failed)
        buf_str(out, text);
    else
        buf_str(out, without_marks(buf_slice(&b), l));
    buf_free(&b);
}
