/* Forms that models write for marks, and people for other things: "(1)", "[S1]", "[Smith, 1]", "{1}", "¹", "①", "[1](address)",
 * "According to source 1, …". They are marks only where the words of the sentence prove the passage of that number, so these
 * functions say what stands there and what the sentence is without it. */
#include "cite/marks.h"

#include <ctype.h>
#include <strings.h>
#include <utf8proc.h>

enum { INSIDE_MAX = 60, LEAD_MAX = 60 };

static size_t
trimmed(struct str s, size_t from, size_t end)
{
    while (end > from && (s.p[end - 1] == ' ' || s.p[end - 1] == '\t'))
        end--;
    return end;
}

/* The one number in a text that is no longer than a few words; 0: none, or several. */
static long
only_number(struct str s)
{
    long n = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (!isdigit((unsigned char)s.p[i]))
            continue;
        if (n > 0)
            return 0;
        for (; i < s.n && isdigit((unsigned char)s.p[i]) && n < 10000; i++)
            n = 10 * n + (s.p[i] - '0');
    }
    return n;
}

static bool
only_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!isdigit((unsigned char)s.p[i]))
            return false;
    return s.n > 0;
}

/* "see source 1", "Sources: 1": a label, perhaps behind a word that leads to it. */
static bool
labelled(struct str s)
{
    static const char *const leads[] = { "see also ", "see ",  "cf. ", "siehe ",
                                         "vgl. ",     "voir ", "ver ", "zie " };

    for (size_t i = 0; i < sizeof leads / sizeof *leads; i++)
        if (s.n > strlen(leads[i]) && strncasecmp(s.p, leads[i], strlen(leads[i])) == 0)
            s = (struct str){ s.p + strlen(leads[i]), s.n - strlen(leads[i]) };
    return mark_label(s) > 0;
}

/* "S1", "Smith, 1", "2: Hub": one blank at most, the number first or last. "[within 1 year]" are words. */
static bool
short_name(struct str s)
{
    size_t blanks = 0;

    for (size_t i = 0; i < s.n; i++)
        blanks += s.p[i] == ' ';
    return s.n > 0 && blanks <= 1 && (isdigit((unsigned char)s.p[0]) || isdigit((unsigned char)s.p[s.n - 1]));
}

/* The bracket that opened what closes at end - 1; end: none near. */
static size_t
opened(struct str s, size_t from, size_t end, char open)
{
    char close = s.p[end - 1];
    size_t depth = 0;

    for (size_t i = end; i > from && end - i < INSIDE_MAX; i--) {
        depth += s.p[i - 1] == close;
        if (s.p[i - 1] == open && --depth == 0)
            return i - 1;
        if (s.p[i - 1] == '\n')
            break;
    }
    return end;
}

static long
bracketed(struct str s, size_t from, size_t end, size_t *start)
{
    static const char pairs[][2] = { { '(', ')' }, { '[', ']' }, { '{', '}' } };

    for (size_t k = 0; k < 3; k++) {
        if (s.p[end - 1] != pairs[k][1] || (*start = opened(s, from, end, pairs[k][0])) == end)
            continue;
        struct str in = { s.p + *start + 1, end - *start - 2 };

        if (*start > from && (isalnum((unsigned char)s.p[*start - 1]) || s.p[*start - 1] == '_'))
            return 0; /* "f(1)", "x[-1]" */
        if (k == 0 && *start > from && s.p[*start - 1] == ']')
            return bracketed(s, from, *start, start); /* a link */
        return (k == 1 && (short_name(in) || labelled(in))) || only_digits(in) || (k == 0 && labelled(in))
                   ? only_number(in)
                   : 0;
    }
    return 0;
}

/* Behind a sign, a blank or a word that no unit is called: "m²" is an area. */
static bool
stands_apart(struct str s, size_t from, size_t i)
{
    size_t b = i;

    while (b > from && (isalpha((unsigned char)s.p[b - 1]) || (unsigned char)s.p[b - 1] >= 0x80))
        b--;
    return i > from && !isdigit((unsigned char)s.p[i - 1]) && (b == i || i - b >= 4);
}

/* A number that is raised or in a circle, before byte end. */
static long
raised(struct str s, size_t from, size_t end, size_t *start)
{
    long n = 0, place = 1;

    *start = end;
    while (*start > from && place < 1000) {
        size_t b = *start - 1;
        utf8proc_int32_t c;
        long d;

        while (b > from && ((unsigned char)s.p[b] & 0xc0) == 0x80)
            b--;
        if (utf8proc_iterate((const utf8proc_uint8_t *)s.p + b, (utf8proc_ssize_t)(*start - b), &c) <= 0)
            break;
        if (n == 0 && c >= 0x2460 && c <= 0x2473) {
            *start = b;
            return c - 0x2460 + 1;
        }
        d = c == 0xb9                                     ? 1
            : c == 0xb2                                   ? 2
            : c == 0xb3                                   ? 3
            : c == 0x2070 || (c >= 0x2074 && c <= 0x2079) ? c - 0x2070
                                                          : -1;
        if (d < 0)
            break;
        n += d * place;
        place *= 10;
        *start = b;
    }
    return stands_apart(s, from, *start) ? n : 0;
}

static long
tagged(struct str s, size_t from, size_t end, size_t *start)
{
    static const char open[] = "<sup>", close[] = "</sup>";
    const char *at;

    if (end - from < sizeof close - 1 || memcmp(s.p + end - (sizeof close - 1), close, sizeof close - 1) != 0)
        return 0;
    size_t b = end > INSIDE_MAX && end - INSIDE_MAX > from ? end - INSIDE_MAX : from;

    at = memmem(s.p + b, end - b, open, sizeof open - 1);
    *start = at ? (size_t)(at - s.p) : end;
    return at && stands_apart(s, from, *start) ? only_number((struct str){ at, end - *start }) : 0;
}

bool
mark_likely(struct str s, size_t from, size_t end, struct likely *out)
{
    size_t start = end;
    long n = end > from ? bracketed(s, from, end, &start) : 0;

    if (n == 0 && end > from)
        n = tagged(s, from, end, &start);
    if (n == 0 && end > from)
        n = raised(s, from, end, &start);
    *out = (struct likely){ .n = n, .start = trimmed(s, from, start), .end = end };
    return n > 0 && n <= MARK_NUMBER_MAX && out->start > from;
}

size_t
mark_lead(struct str s)
{
    const char *comma = memchr(s.p, ',', s.n < LEAD_MAX ? s.n : LEAD_MAX);
    size_t end = comma ? (size_t)(comma - s.p) : 0;

    for (size_t i = 0; i < end; i++)
        if ((i == 0 || s.p[i - 1] == ' ') && mark_label((struct str){ s.p + i, end - i }) == end - i)
            return end + 1;
    return 0;
}
