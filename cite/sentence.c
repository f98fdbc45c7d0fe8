/* Where sentences end. See sentence.h. Pure functions over borrowed bytes. */
#include "cite/sentence.h"

#include <string.h>
#include <strings.h>

static const char *const abbreviations[] = { "mr", "mrs", "ms", "dr", "prof", "st", "vs", "e.g", "i.e", "fig", "no",
    "inc", "ltd", "jr", "sr", "approx", "cf", "al", "u.s", "u.k", "eq", "sec", "ch", "vol", "pp", "gen", "col", "etc" };

bool
space_byte(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct span
span_trim(struct str s, struct span x)
{
    while (x.start < x.end && space_byte(s.p[x.start]))
        x.start++;
    while (x.end > x.start && space_byte(s.p[x.end - 1]))
        x.end--;
    return x;
}

static bool
letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Is the full stop at i part of an abbreviation or an initial? */
static bool
abbreviated(struct str s, size_t from, size_t i)
{
    size_t b = i;

    while (b > from && (letter(s.p[b - 1]) || s.p[b - 1] == '.'))
        b--;
    size_t n = i - b;

    if (n == 1 && s.p[b] >= 'A' && s.p[b] <= 'Z')
        return true;
    for (size_t k = 0; k < sizeof(abbreviations) / sizeof(*abbreviations); k++)
        if (strlen(abbreviations[k]) == n && strncasecmp(abbreviations[k], s.p + b, n) == 0)
            return true;
    return false;
}

/* Closing quotes, brackets and emphasis after the stop belong to the sentence. */
static size_t
closers(struct str s, size_t i)
{
    for (;;) {
        if (i < s.n && strchr(".!?\"')]*_`", s.p[i]) && s.p[i])
            i++;
        else if (i + 3 <= s.n && (memcmp(s.p + i, "\xe2\x80\x9d", 3) == 0 || memcmp(s.p + i, "\xe2\x80\x99", 3) == 0))
            i += 3;
        else
            return i;
    }
}

/* Does the line at i begin a block of its own: list item, heading, quote, table row, fence, or is it empty? */
static bool
block_line(struct str s, size_t i)
{
    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t'))
        i++;
    if (i >= s.n || s.p[i] == '\n' || strchr("#|>", s.p[i]))
        return true;
    if (i + 3 <= s.n && (memcmp(s.p + i, "```", 3) == 0 || memcmp(s.p + i, "~~~", 3) == 0))
        return true;
    if (strchr("-*+", s.p[i]))
        return i + 1 < s.n && s.p[i + 1] == ' ';
    size_t d = i;

    while (d < s.n && d < i + 3 && s.p[d] >= '0' && s.p[d] <= '9')
        d++;
    return d > i && d + 1 < s.n && (s.p[d] == '.' || s.p[d] == ')') && s.p[d + 1] == ' ';
}

static bool
cjk_stop(struct str s, size_t i)
{
    return i + 3 <= s.n && (memcmp(s.p + i, "\xe3\x80\x82", 3) == 0 || memcmp(s.p + i, "\xef\xbc\x81", 3) == 0 ||
                            memcmp(s.p + i, "\xef\xbc\x9f", 3) == 0);
}

/* End of the sentence when a stop stands at *at, else 0 and *at moves to the last byte of that run of stops and closers
 * (so that a long run is looked at once). */
static size_t
stop_end(struct str s, size_t from, size_t *at)
{
    size_t i = *at;

    if (s.p[i] != '.' && s.p[i] != '!' && s.p[i] != '?')
        return 0;
    size_t e = closers(s, i + 1);

    *at = e - 1;

    if (e < s.n && !space_byte(s.p[e]) && s.p[e] != '[')
        return 0;
    if (s.p[i] != '.')
        return e;
    size_t next = e;

    while (next < s.n && space_byte(s.p[next]))
        next++;
    if (next < s.n && s.p[next] >= 'a' && s.p[next] <= 'z')
        return 0;
    return next < s.n && abbreviated(s, from, i) ? 0 : e;
}

bool
sentence_next(struct str s, size_t *at, struct span *out)
{
    size_t i = *at;

    while (i < s.n && space_byte(s.p[i]))
        i++;
    if (i >= s.n)
        return false;
    size_t from = i;
    bool heading = s.p[i] == '#' || s.p[i] == '|';

    for (; i < s.n; i++) {
        size_t e = stop_end(s, from, &i);

        if (e || cjk_stop(s, i)) {
            i = e ? e : i + 3;
            break;
        }
        if (s.p[i] == '\n' && (heading || block_line(s, i + 1)))
            break;
    }
    *at = i;
    *out = span_trim(s, (struct span){ from, i });
    return true;
}
