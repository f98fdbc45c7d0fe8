/* Folding of words. See fold.h. Pure; allocates nothing. */
#include "text/fold.h"

#include <string.h>
#include <utf8proc.h>

#include "common/text/text.h"

enum { RAW_MAX = 128, POINTS = 768 }; /* no code point decomposes into more than 18 */

/* Letters that Unicode does not decompose and that people type without their stroke or dot. */
static const struct {
    int32_t from;
    char to;
} plain[] = {
    { 0x111, 'd' }, { 0x127, 'h' }, { 0x131, 'i' }, { 0x142, 'l' },
    { 0x167, 't' }, { 0xf8, 'o' },  { 0xf0, 'd' },
};

/* Zeros of the decimal digits of scripts whose digits are typed in both forms. */
static const int32_t zeros[] = { 0x660, 0x6f0, 0x966, 0x9e6, 0xbe6, 0xe50, 0xed0, 0x1040, 0x17e0 };

static size_t
fold_ascii(struct str raw, char out[FOLD_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < raw.n && n < FOLD_MAX - 1; i++) {
        char c = raw.p[i];

        if (c != ',')
            out[n++] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    out[n] = '\0';
    return n;
}

static bool
strips_marks(enum script s)
{
    return s == SCRIPT_LATIN || s == SCRIPT_GREEK || s == SCRIPT_HEBREW || s == SCRIPT_ARABIC ||
           s == SCRIPT_NONE;
}

static int32_t
folded(int32_t c)
{
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (plain[i].from == c)
            return plain[i].to;
    for (size_t i = 0; i < sizeof zeros / sizeof *zeros; i++)
        if (c >= zeros[i] && c < zeros[i] + 10)
            return '0' + c - zeros[i];
    if (c == 0x451)
        return 0x435; /* ё is mostly printed as е */
    if (c == 0x649 || c == 0x6cc)
        return 0x64a; /* final and Persian yeh */
    if (c == 0x6a9)
        return 0x643; /* Persian kaf */
    return c;
}

/* Points of raw, folded; a stress mark, a tatweel and a thousands separator are none. */
static size_t
fold_points(struct str raw, int32_t *v)
{
    int32_t first = 0;
    size_t n = 0;

    raw = utf8_cut(raw, RAW_MAX); /* a longer word counts by its beginning */
    utf8proc_iterate((const utf8proc_uint8_t *)raw.p, (utf8proc_ssize_t)raw.n, &first);

    utf8proc_option_t opt = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD |
                            UTF8PROC_IGNORE;

    if (strips_marks(script_of(first)))
        opt |= UTF8PROC_STRIPMARK;
    utf8proc_ssize_t got = utf8proc_decompose((const utf8proc_uint8_t *)raw.p, (utf8proc_ssize_t)raw.n, v,
                                              POINTS, opt);

    if (got <= 0 || got > POINTS)
        return 0;
    got = utf8proc_normalize_utf32(v, got, opt);
    for (utf8proc_ssize_t i = 0; i < got; i++)
        if (v[i] != 0x301 && v[i] != 0x640 && v[i] != ',')
            v[n++] = folded(v[i]);
    return n;
}

size_t
fold_word(struct str raw, char out[FOLD_MAX])
{
    int32_t v[POINTS + 1];
    size_t n = 0, points;
    bool ascii = true;

    for (size_t i = 0; i < raw.n && ascii; i++)
        ascii = (unsigned char)raw.p[i] < 0x80;
    if (ascii)
        return fold_ascii(raw, out);
    points = fold_points(raw, v);
    for (size_t i = 0; i < points; i++) {
        utf8proc_uint8_t z[4];
        size_t k = (size_t)utf8proc_encode_char(v[i], z);

        if (n + k > FOLD_MAX - 1)
            break;
        memcpy(out + n, z, k);
        n += k;
    }
    out[n] = '\0';
    return n;
}
