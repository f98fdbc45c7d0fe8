/* Inflections that the stemmers do not know. See inflect.h. */
#include "text/inflect.h"

#include <string.h>

enum { BEGINNING = 6 }; /* letters of a stem */

/* Sorted by the first word. */
static const struct {
    const char *form, *base;
} irregular[] = {
#define IRREGULAR(form, base) { form, base },
#include "text/inflect.tbl"
#undef IRREGULAR
};

static struct str
english_before(struct str s)
{
    size_t lo = 0, hi = sizeof irregular / sizeof *irregular;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = strncmp(irregular[mid].form, s.p, s.n);

        if (order == 0 && irregular[mid].form[s.n] != '\0')
            order = 1;
        if (order == 0)
            return str_of(irregular[mid].base);
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return s;
}

/* Folding took the dot's difference: the vowel before tells which i or u a suffix has ("aynasi" is "aynası"). */
static struct str
turkish_before(struct str s, char z[FOLD_MAX])
{
    size_t n = 0;
    char vowel = 0;

    for (size_t i = 0; i < s.n && n + 3 < FOLD_MAX; i++) {
        bool back = vowel && strchr("aou", vowel) != NULL, front = vowel && !back;
        char c = s.p[i];

        if (c == 'i' && back) {
            memcpy(z + n, "\xc4\xb1", 2);
            n += 2;
        } else if (c == 'u' && front) {
            memcpy(z + n, "\xc3\xbc", 2);
            n += 2;
        } else {
            z[n++] = c;
        }
        if (strchr("aeou", c) && c)
            vowel = c == 'u' && front ? 'e' : c;
        else if (c == 'i')
            vowel = back ? 'a' : 'e';
    }
    z[n] = '\0';
    return (struct str){ z, n };
}

struct str
inflect_before(enum language l, struct str folded, char z[FOLD_MAX])
{
    if (l == LANG_ENGLISH)
        return english_before(folded);
    return l == LANG_TURKISH ? turkish_before(folded, z) : folded;
}

/* The first letters of a stem: languages whose words bend at the end more than their stemmer knows, or that have none. */
static struct str
beginning(struct str s, enum language l)
{
    static const uint64_t bending = UINT64_C(1) << LANG_UKRAINIAN | UINT64_C(1) << LANG_POLISH |
                                    UINT64_C(1) << LANG_CZECH | UINT64_C(1) << LANG_BULGARIAN |
                                    UINT64_C(1) << LANG_GREEK | UINT64_C(1) << LANG_TURKISH |
                                    UINT64_C(1) << LANG_FINNISH | UINT64_C(1) << LANG_HUNGARIAN;
    size_t n = 0;

    if (!(bending >> l & 1))
        return s;
    for (int letters = 0; n < s.n && letters < BEGINNING; letters++)
        for (n++; n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80; n++)
            ;
    return (struct str){ s.p, n };
}

/* The stemmer leaves "aynas" of "aynası" and takes "kap" from "kapı": a last narrow vowel goes, and the s that it leaned on. */
static struct str
turkish_after(struct str s)
{
    if (s.n > 4 && (str_ends(s, "\xc4\xb1") || str_ends(s, "\xc3\xbc")))
        s.n -= 2;
    else if (s.n > 3 && strchr("iu", s.p[s.n - 1]))
        s.n--;
    if (s.n > 4 && s.p[s.n - 1] == 's' && strchr("aeou\xb1i", s.p[s.n - 2]))
        s.n--;
    return s;
}

struct str
inflect_after(enum language l, struct str stem)
{
    if (l == LANG_GERMAN && stem.n >= 8 && str_starts(stem, "ge") && stem.p[stem.n - 1] == 't')
        return (struct str){ stem.p + 2, stem.n - 2 }; /* "gereinigt" is of "reinigt" */
    if (l == LANG_FRENCH && stem.n >= 6 && str_ends(stem, "ent") && !str_ends(stem, "ment"))
        return (struct str){ stem.p, stem.n - 3 }; /* "coûtent" is of "coûte" */
    return beginning(l == LANG_TURKISH ? turkish_after(stem) : stem, l);
}
