/* Forms of an English word that are the same word to a question (alike_int.h): plurals, -ing, words that mean the same, and what fingers
 * do: two letters exchanged, one doubled, and of long words a vowel. Word stems (inflect.h, libstemmer) would not do: to them
 * "important" is "import" and "university" is "universe", which is good for a search and a wrong answer here. Pure. */
#include "text/alike_int.h"

#include <string.h>

static const char *const groups[] = {
#define ALIKE_GROUP(words) words,
#include "text/alike.tbl"
};
static const char *const twins[] = {
#define ALIKE_TWINS(words) words,
#include "text/alike.tbl"
};
static const char *const uninflected[] = {
#define ALIKE_UNINFLECTED(word) word,
#include "text/alike.tbl"
};

enum {
    DOUBLED = 6,
    SWAPPED = 5,
    VOWEL = 8,
    LETTER = 10
}; /* letters of a word from which on such a slip is seen as one */

static bool
is_vowel(char c)
{
    return c != '\0' && strchr("aeiouy", c) != NULL;
}

static bool
has_vowel(const char *z, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_vowel(z[i]))
            return true;
    return false;
}

static bool
bends(const char *z)
{
    for (size_t i = 0; i < sizeof uninflected / sizeof *uninflected; i++)
        if (strcmp(z, uninflected[i]) == 0)
            return false;
    return true;
}

static bool
ends(const char *z, size_t n, const char *with)
{
    size_t k = strlen(with);

    return n > k && memcmp(z + n - k, with, k) == 0;
}

/* Is many the plural of one, or its form of the third person? */
static bool
plural(const char *many, const char *one)
{
    size_t m = strlen(many), n = strlen(one);

    if (n < 2 || ends(many, m, "ss") || ends(many, m, "us") || ends(many, m, "is") || !bends(many))
        return false;
    if (m == n + 1 && many[n] == 's' && memcmp(many, one, n) == 0)
        return one[n - 1] != 's' && !(one[n - 1] == 'y' && n > 1 && !is_vowel(one[n - 2]));
    if (m == n + 2 && ends(many, m, "es") && memcmp(many, one, n) == 0)
        return ends(one, n, "s") || ends(one, n, "x") || ends(one, n, "z") || ends(one, n, "ch") ||
               ends(one, n, "sh") || ends(one, n, "o");
    return m == n + 2 && ends(many, m, "ies") && one[n - 1] == 'y' && memcmp(many, one, n - 1) == 0;
}

static bool
doing(const char *ing, const char *one)
{
    size_t m = strlen(ing), n = strlen(one), base = m > 3 ? m - 3 : 0;

    if (base < 3 || !ends(ing, m, "ing") || !has_vowel(ing, base) || !bends(ing))
        return false;
    if (n == base)
        return memcmp(ing, one, n) == 0;
    if (n == base + 1)
        return one[n - 1] == 'e' && memcmp(ing, one, base) == 0;
    return n + 1 == base && n > 2 && ing[base - 1] == ing[base - 2] && memcmp(ing, one, n) == 0;
}

bool
alike_inflected(const char *a, const char *b)
{
    return plural(a, b) || plural(b, a) || doing(a, b) || doing(b, a);
}

int
alike_group(const char *word)
{
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        for (const char *at = groups[i]; *at;) {
            char one[ALIKE_WORD_MAX];
            size_t n = strcspn(at, " ");

            memcpy(one, at, n);
            one[n] = '\0';
            if (strcmp(one, word) == 0 || alike_inflected(one, word))
                return (int)i;
            at += n + (at[n] == ' ');
        }
    return -1;
}

bool
alike_is_number(int group)
{
    return group >= 0 && groups[group][0] >= '0' && groups[group][0] <= '9';
}

/* ---- slips */

static bool
are_twins(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);

    for (size_t i = 0; i < sizeof twins / sizeof *twins; i++) {
        const char *t = twins[i];

        if (strlen(t) == n + m + 1 &&
            ((memcmp(t, a, n) == 0 && t[n] == ' ' && memcmp(t + n + 1, b, m) == 0) ||
             (memcmp(t, b, m) == 0 && t[m] == ' ' && memcmp(t + m + 1, a, n) == 0)))
            return true;
    }
    return false;
}

/* One of the letters of the longer word is missing in the other one. */
static bool
left_out(const char *longer, const char *shorter, size_t n)
{
    size_t at = 0;

    while (at + 1 < n && longer[at] == shorter[at])
        at++;
    if (at == 0 || strcmp(longer + at + 1, shorter + at) != 0)
        return false;
    if (longer[at] == longer[at - 1] || longer[at] == longer[at + 1])
        return n >= DOUBLED;
    return at + 1 < n && n >= (is_vowel(longer[at]) ? VOWEL : LETTER);
}

static bool
exchanged(const char *a, const char *b, size_t n)
{
    size_t at = 0;

    while (at < n && a[at] == b[at])
        at++;
    if (at + 1 < n && a[at] == b[at + 1] && a[at + 1] == b[at] && strcmp(a + at + 2, b + at + 2) == 0)
        return n >= SWAPPED;
    return at > 0 && at + 1 < n && n >= VOWEL && is_vowel(a[at]) && is_vowel(b[at]) &&
           strcmp(a + at + 1, b + at + 1) == 0;
}

bool
alike_mistyped(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    bool slip = n == m       ? exchanged(a, b, n)
                : n == m + 1 ? left_out(a, b, n)
                : m == n + 1 ? left_out(b, a, m)
                             : false;

    return slip && !are_twins(a, b);
}
