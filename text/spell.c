/* Neighbours and parts of a word. See spell.h. No dictionary is kept: the caller looks them up where the
 * words are. */
#include "text/spell.h"

#include <ctype.h>

static void
put(struct buf *out, const char *z, size_t n)
{
    buf_add(out, z, n);
    buf_c(out, '\n');
}

bool
spell_neighbours(struct str word, struct buf *out)
{
    char z[SPELL_MOST + 2], w[SPELL_MOST];

    if (word.n < SPELL_LEAST || word.n > SPELL_MOST)
        return false;
    for (size_t i = 0; i < word.n; i++) {
        if (!isalpha((unsigned char)word.p[i]))
            return false;
        w[i] = (char)tolower((unsigned char)word.p[i]);
    }
    for (size_t i = 0; i <= word.n; i++) {
        memcpy(z, w, i);
        if (i < word.n) {
            memcpy(z + i, w + i + 1, word.n - i - 1);
            put(out, z, word.n - 1);
        }
        if (i + 1 < word.n && w[i] != w[i + 1]) {
            memcpy(z, w, word.n);
            z[i] = w[i + 1];
            z[i + 1] = w[i];
            put(out, z, word.n);
        }
        memcpy(z, w, word.n);
        for (char c = 'a'; c <= 'z' && i < word.n; c++) {
            z[i] = c;
            if (c != w[i])
                put(out, z, word.n);
        }
        memcpy(z, w, i);
        memcpy(z + i + 1, w + i, word.n - i);
        for (char c = 'a'; c <= 'z'; c++) {
            z[i] = c;
            put(out, z, word.n + 1);
        }
    }
    return !out->failed;
}

bool
spell_meant(struct str typed, struct str neighbour)
{
    int letters[256] = { 0 };
    bool same = typed.n == neighbour.n;

    if (neighbour.n < SPELL_LEAST || typed.n < 2)
        return false;
    char first = (char)tolower((unsigned char)typed.p[0]), second = (char)tolower((unsigned char)typed.p[1]);

    if (typed.n <= SPELL_SHORT && neighbour.p[0] != first &&
        !(neighbour.p[0] == second && neighbour.p[1] == first))
        return false;
    if (typed.n > SPELL_LEAST || neighbour.n > SPELL_LEAST)
        return true;
    for (size_t i = 0; same && i < typed.n; i++) {
        letters[(unsigned char)tolower((unsigned char)typed.p[i])]++;
        letters[(unsigned char)neighbour.p[i]]--;
    }
    for (int i = 0; i < 256; i++)
        same = same && letters[i] == 0;
    return same;
}

/* ---- written together */

enum { LONGEST = 40 };

/* Letters that join the parts, in any of the languages. */
static const char *const joints[] = { "", "s", "es", "n", "en", "e", "er", "ens" };

static const char *const measures[] = { "dauer",  "zeit",   "zeiten",  "frist",    "fristen", "kosten",
                                        "preis",  "preise", "gebuhr",  "gebuhren", "hohe",    "lange",
                                        "anzahl", "nummer", "datum",   "termin",   "adresse", "grosse",
                                        "duur",   "tijd",   "termijn", "prijs",    "adres" };

static bool
joins_words(enum language l)
{
    return l == LANG_GERMAN || l == LANG_DUTCH || l == LANG_SWEDISH || l == LANG_NORWEGIAN ||
           l == LANG_DANISH;
}

static bool
inside_character(struct str s, size_t i)
{
    return i < s.n && ((unsigned char)s.p[i] & 0xc0) == 0x80;
}

struct str
compound_first(struct str folded, struct compound c)
{
    return (struct str){ folded.p, c.first };
}

struct str
compound_second(struct str folded, struct compound c)
{
    return (struct str){ folded.p + c.second, folded.n - c.second };
}

static bool
only_letters(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!isalpha((unsigned char)s.p[i]))
            return false;
    return true;
}

size_t
compound_splits(struct str folded, enum language l, struct compound v[COMPOUND_SPLITS])
{
    size_t n = 0, most = joins_words(l) ? sizeof joints / sizeof *joints : 1;

    if (folded.n > LONGEST || (most == 1 && !only_letters(folded)))
        return 0;
    for (size_t first = COMPOUND_PART; first + COMPOUND_PART <= folded.n; first++) {
        if (inside_character(folded, first))
            continue;
        for (size_t k = 0; k < most && n < COMPOUND_SPLITS; k++) {
            size_t len = strlen(joints[k]), second = first + len;

            if (second + COMPOUND_PART > folded.n || memcmp(folded.p + first, joints[k], len) != 0)
                continue;
            v[n] = (struct compound){ (uint8_t)first, (uint8_t)second, false };
            v[n].measure = most > 1 && str_is_any(compound_second(folded, v[n]), measures,
                                                  sizeof measures / sizeof *measures);
            n++;
        }
    }
    return n;
}

/* ---- written apart */

static size_t
letters_at(struct str s, size_t i)
{
    size_t n = 0;

    while (i + n < s.n && isalpha((unsigned char)s.p[i + n]))
        n++;
    return i + n < s.n && (isdigit((unsigned char)s.p[i + n]) || (unsigned char)s.p[i + n] >= 0x80) ? 0 : n;
}

size_t
spell_apart(struct str text, struct apart v[APART_MAX])
{
    size_t n = 0;

    for (size_t i = 0, a, b; i < text.n && n < APART_MAX; i += a ? a : 1) {
        a = i == 0 || (unsigned char)text.p[i - 1] <= ' ' ? letters_at(text, i) : 0;
        b = a >= 2 && i + a + 1 < text.n && text.p[i + a] == ' ' ? letters_at(text, i + a + 1) : 0;
        if (b < 2 || a + b > SPELL_MOST)
            continue;
        v[n] = (struct apart){ .start = i, .end = i + a + 1 + b, .n = a + b };
        for (size_t k = 0; k < a + b; k++)
            v[n].joined[k] = (char)tolower((unsigned char)text.p[k < a ? i + k : i + k + 1]);
        n++;
    }
    return n;
}
