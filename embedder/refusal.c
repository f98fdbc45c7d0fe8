/* Refusals in an answer. See refusal.h. Pure functions over borrowed bytes. */
#include "embedder/refusal.h"

#include <ctype.h>
#include <string.h>
#include <utf8proc.h>

#include "common/mem.h"
#include "common/utf8.h"
#include "text/sentence.h"

enum { PLAIN_MAX = 600, NEAR = 48, BRACKET_MAX = 24 };

enum kind { REGRET, BEGINS, INVERTED, NAMES, SILENT, CONTRAST };
static const struct {
    enum kind kind;
    const char *words;
} rows[] = {
#define REFUSAL(kind, words) { kind, words },
#include "embedder/refusal.tbl"
#undef REFUSAL
};
enum { ROWS = sizeof rows / sizeof *rows };

/* ---- marks */

/* Behind "[12]" at i; i: there is none. */
static size_t
mark_at(struct str s, size_t i)
{
    size_t k = i + 1;

    if (i >= s.n || s.p[i] != '[')
        return i;
    while (k < s.n && (isdigit((unsigned char)s.p[k]) || strchr(",; ", s.p[k])))
        k++;
    return k > i + 1 && k < s.n && s.p[k] == ']' && isdigit((unsigned char)s.p[i + 1]) ? k + 1 : i;
}

/* Does a bracket with a digit in it begin at i: "[Source 1]", "[^1]", "(source 1)", "\xe3\x80\x901\xe3\x80\x91"? The citations know which are marks. */
static bool
bracket_at(struct str s, size_t i)
{
    static const char *const opening[] = { "[", "(source ", "(Source ", "\xe3\x80\x90", "\xef\xbc\xbb" };
    struct str in = { s.p + i, s.n < i + BRACKET_MAX ? s.n - i : BRACKET_MAX };
    bool opens = false;

    for (size_t k = 0; k < sizeof opening / sizeof *opening; k++)
        opens = opens || str_starts(in, opening[k]);
    for (size_t k = 1; opens && k < in.n && !strchr("])\n", in.p[k]); k++)
        if (isdigit((unsigned char)in.p[k]))
            return true;
    return false;
}

static bool
has_mark(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (bracket_at(s, i))
            return true;
    return false;
}

/* ---- the given text */

/* The next letter or digit at or behind *i, small; *i goes behind it. Marks are passed over. 0: there is none. */
static int32_t
next_letter(struct str s, size_t *i)
{
    while (*i < s.n) {
        utf8proc_int32_t c = 0;
        size_t mark = mark_at(s, *i), n = utf8_first((struct str){ s.p + *i, s.n - *i });

        if (mark > *i) {
            *i = mark;
            continue;
        }
        if (n == 0)
            return 0;
        (void)utf8proc_iterate((const utf8proc_uint8_t *)s.p + *i, (utf8proc_ssize_t)n, &c);
        utf8proc_category_t k = utf8proc_category(c);

        *i += n;
        if (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_NO)
            return utf8proc_tolower(c);
    }
    return 0;
}

bool
refusal_is(struct str answer, struct str refusal)
{
    size_t i = 0, k = 0, at;
    int32_t want = next_letter(refusal, &k);

    if (want == 0)
        return false;
    for (; want != 0; want = next_letter(refusal, &k))
        if (next_letter(answer, &i) != want)
            return false;
    at = i;
    return next_letter(answer, &at) == 0 || !has_mark(answer);
}

/* ---- words of its own */

/* The sentence in small letters, with straight quotes, without marks and emphasis, blanks at both ends. */
static void
plain_text(struct str s, struct buf *out)
{
    buf_c(out, ' ');
    for (size_t i = 0, n; i < s.n; i += n) {
        struct str rest = { s.p + i, s.n - i };
        utf8proc_int32_t c = 0;
        utf8proc_uint8_t low[4];

        n = mark_at(s, i) - i;
        if (n > 0)
            continue;
        n = utf8_first(rest);
        n = n ? n : 1;
        if (str_starts(rest, "\xe2\x80\x99") || str_starts(rest, "\xe2\x80\x98"))
            buf_c(out, '\'');
        else if (space_byte(s.p[i]))
            buf_c(out, ' ');
        else if (!strchr("*_\"", s.p[i]) &&
                 utf8proc_iterate((const utf8proc_uint8_t *)rest.p, (utf8proc_ssize_t)n, &c) > 0)
            buf_add(out, (char *)low, (size_t)utf8proc_encode_char(utf8proc_tolower(c), low));
    }
    buf_c(out, ' ');
}

static bool
has_any(struct str s, enum kind kind)
{
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].kind == kind && str_has(s, rows[i].words))
            return true;
    return false;
}

/* The bytes near the place [from, to), on one side of it, up to a comma. */
static struct str
near_to(struct str s, size_t from, size_t to, bool behind)
{
    size_t b = behind ? to : from, e = b;

    while (behind && e < s.n && e - b < NEAR && s.p[e] != ',')
        e++;
    while (!behind && b > 0 && e - b < NEAR && s.p[b - 1] != ',')
        b--;
    return (struct str){ s.p + b, e - b };
}

/* "The passages do not mention …", "… is not stated in the documents". */
static bool
names_silence(struct str s)
{
    for (size_t i = 0; i < ROWS; i++) {
        const char *at = rows[i].kind == NAMES ? memmem(s.p, s.n, rows[i].words, strlen(rows[i].words))
                                               : NULL;
        size_t from = at ? (size_t)(at - s.p) : 0, to = from + strlen(rows[i].words);

        if (at &&
            (has_any(near_to(s, from, to, true), SILENT) || has_any(near_to(s, from, to, false), SILENT)))
            return true;
    }
    return false;
}

/* Behind words of that kind at i; i: there are none. */
static size_t
behind_words(struct str s, size_t i, enum kind kind)
{
    for (size_t k = 0; k < ROWS; k++)
        if (rows[k].kind == kind && str_starts((struct str){ s.p + i, s.n - i }, rows[k].words))
            return i + strlen(rows[k].words);
    return i;
}

/* further: a sentence before it denies, so that "they" are named. */
static bool
denies(struct str sentence, bool further)
{
    struct buf b = BUF_MAX(2 * PLAIN_MAX + 16);
    bool is = false;

    if (sentence.n <= PLAIN_MAX) {
        plain_text(sentence, &b);
        struct str s = buf_slice(&b);
        size_t regret = behind_words(s, 1, REGRET), at = behind_words(s, regret, BEGINS);

        if (at == regret && regret > 1)
            at = behind_words(s, regret, INVERTED);
        is = (at > regret || names_silence(s) || (further && has_any(s, SILENT))) &&
             !has_any((struct str){ s.p + at, s.n - at }, CONTRAST);
    }
    buf_free(&b);
    return is;
}

bool
refusal_said(struct str answer)
{
    struct span x;
    size_t at = 0;

    if (!sentence_next(answer, &at, &x) ||
        !denies((struct str){ answer.p + x.start, x.end - x.start }, false))
        return false;
    while (sentence_next(answer, &at, &x)) {
        struct str s = { answer.p + x.start, x.end - x.start };
        size_t from = 0;

        if (next_letter(s, &from) != 0 && has_mark(s) && !denies(s, true))
            return false;
    }
    return true;
}
