/* Nearly JSON → JSON (mend.h). A text is mended only after it was refused.
 *
 *   "\ud83d"      a half of a pair: servers that cut text by UTF-16 units send the other half in the next chunk
 *   "\xe6\x97"    bytes of a letter: servers that cut text by tokens send the last byte in the next chunk
 *
 * A string of JSON can hold neither, so each becomes a mark, a code point of the last private plane that nobody uses:
 * U+10D800 … U+10DFFF for the half of that number, U+10F780 … U+10F7FF for the byte of that number. */
#include "embedder/openai/mend.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <utf8proc.h>

#include "common/text/text.h"
#include "common/utf8.h"

#define HALVES 0x100000 /* + the half */
#define BYTES 0x10F700  /* + the byte */
#define MARK 4          /* bytes of a mark */
#define DIGITS 18       /* so many fit into a number of 64 bits */
#define UNKNOWN "\xef\xbf\xbd"

static bool
is_high(int32_t half)
{
    return half >= 0xD800 && half <= 0xDBFF;
}

static bool
is_low(int32_t half)
{
    return half >= 0xDC00 && half <= 0xDFFF;
}

static void
add_point(struct buf *b, int32_t c)
{
    utf8proc_uint8_t z[4];

    buf_add(b, z, (size_t)utf8proc_encode_char(c, z));
}

/* ---- JSON */

/* The number of the escape \uXXXX that s begins with; -1: it begins with none. */
static int32_t
unit_of(struct str s)
{
    uint8_t v[2];

    if (s.n < 6 || !str_starts(s, "\\u") || !hex_parse((struct str){ s.p + 2, 4 }, v, 2))
        return -1;
    return v[0] << 8 | v[1];
}

/* An escape; returns the bytes of s that it took. */
static size_t
mend_escape(struct str s, struct buf *out)
{
    int32_t v = unit_of(s), next = v >= 0 ? unit_of((struct str){ s.p + 6, s.n - 6 }) : -1;

    if (v < 0 && s.n > 1 && str_has_byte(STR("\"\\/bfnrt"), s.p[1])) {
        buf_add(out, s.p, 2);
        return 2;
    }
    if (v < 0) {
        buf_z(out, "\\\\");
        return 1;
    }
    if (is_high(v) && is_low(next)) {
        buf_add(out, s.p, 12);
        return 12;
    }
    if (v == 0)
        buf_z(out, UNKNOWN);
    else if (is_high(v) || is_low(v))
        add_point(out, HALVES + v);
    else
        buf_add(out, s.p, 6);
    return 6;
}

/* A letter of a string; returns the bytes of s that it took. */
static size_t
mend_letter(struct str s, struct buf *out)
{
    unsigned char c = (unsigned char)s.p[0];
    size_t n = utf8_first(s);

    if (c == '\\')
        return mend_escape(s, out);
    if (c == 0)
        buf_z(out, UNKNOWN);
    else if (c < 0x20)
        buf_printf(out, "\\u%04x", c);
    else if (n == 0)
        add_point(out, BYTES + c);
    else
        buf_add(out, s.p, n);
    return n > 0 ? n : 1;
}

/* A number, or a word, up to what ends it; returns the bytes of s that it took. */
static size_t
mend_word(struct str s, struct buf *out)
{
    static const char *const none[] = {
        "NaN", "-NaN", "Infinity", "-Infinity", "nan", "-nan", "inf", "-inf"
    };
    size_t n = 0, digits = 0;
    bool whole = true;
    char z[64];

    while (n < s.n && (isalnum((unsigned char)s.p[n]) || str_has_byte(STR("+-."), s.p[n]))) {
        whole &= isdigit((unsigned char)s.p[n]) || s.p[n] == '-';
        digits += isdigit((unsigned char)s.p[n]) != 0;
        n++;
    }
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (str_is((struct str){ s.p, n }, none[i])) {
            buf_z(out, "null");
            return n;
        }
    if (n < sizeof z && digits > 0 && !whole) {
        memcpy(z, s.p, n);
        z[n] = 0;
        if (!isfinite(strtod(z, NULL))) {
            buf_z(out, "null");
            return n;
        }
    }
    buf_add(out, s.p, n);
    if (whole && digits > DIGITS)
        buf_z(out, ".0");
    return n;
}

static void
mend_json(struct str s, struct buf *out)
{
    bool quoted = false;
    size_t i = 0;

    while (i < s.n) {
        struct str rest = { s.p + i, s.n - i };

        if (s.p[i] == '"') {
            quoted = !quoted;
            buf_c(out, s.p[i++]);
        } else if (quoted) {
            i += mend_letter(rest, out);
        } else if (isalnum((unsigned char)s.p[i]) || s.p[i] == '-') {
            i += mend_word(rest, out);
        } else {
            if ((unsigned char)s.p[i] < 0x80 && s.p[i] != 0) /* no other byte means anything here */
                buf_c(out, s.p[i]);
            i++;
        }
    }
}

json_t *
server_json(struct str s)
{
    enum json_fault fault;
    const char *detail;
    json_t *root = json_read(s, &fault, &detail);
    struct buf b = BUF_MAX(2 * s.n + 64);

    if (root || s.n == 0 || fault == JSON_TOO_DEEP)
        return root;
    mend_json(s, &b);
    if (!b.failed)
        root = json_loadb(b.p ? b.p : "", b.n, 0, NULL);
    buf_free(&b);
    return root;
}

/* ---- letters */

/* The code point of the mark that s begins with; 0: it begins with none. */
static int32_t
mark_of(struct str s)
{
    int32_t c; /* -1: s begins with no letter */

    (void)utf8proc_iterate((const utf8proc_uint8_t *)s.p, (utf8proc_ssize_t)s.n, &c);
    return (c >= HALVES + 0xD800 && c <= HALVES + 0xDFFF) || (c >= BYTES + 0x80 && c <= BYTES + 0xFF) ? c : 0;
}

/* Bytes of the letter that this one begins; 1: it begins none. */
static size_t
letter_len(unsigned char first)
{
    return first >= 0xC2 && first <= 0xDF   ? 2
           : first >= 0xE0 && first <= 0xEF ? 3
           : first >= 0xF0 && first <= 0xF4 ? 4
                                            : 1;
}

/* The letter that begins with the mark at the beginning of s. Returns the bytes of s that it took; 0: more must come. */
static size_t
join_one(struct str s, struct buf *out)
{
    int32_t c = mark_of(s), next;
    char letter[4];
    size_t want, have = 0;

    if (c < BYTES) {
        next = mark_of((struct str){ s.p + MARK, s.n - MARK });
        if (is_high(c - HALVES) && s.n == MARK)
            return 0;
        if (is_high(c - HALVES) && is_low(next - HALVES)) {
            add_point(out, 0x10000 + ((c - HALVES - 0xD800) << 10) + (next - HALVES - 0xDC00));
            return 2 * MARK;
        }
        buf_z(out, UNKNOWN);
        return MARK;
    }
    want = letter_len((unsigned char)(c - BYTES));
    while (have < want && (next = mark_of((struct str){ s.p + have * MARK, s.n - have * MARK })) >= BYTES)
        letter[have++] = (char)(next - BYTES);
    if (have < want && have * MARK == s.n)
        return 0;
    if (have == want && utf8_first((struct str){ letter, want }) == want) {
        buf_add(out, letter, want);
        return want * MARK;
    }
    buf_z(out, UNKNOWN);
    return MARK;
}

static void
join_all(struct mend *m, struct str s, struct buf *out)
{
    size_t n;

    for (m->n = 0; s.n > 0; s = (struct str){ s.p + n, s.n - n }) {
        const char *next = memchr(s.p + 1, '\xf4', s.n - 1);

        if (mark_of(s) == 0) {
            n = next ? (size_t)(next - s.p) : s.n;
            buf_add(out, s.p, n);
        } else if ((n = join_one(s, out)) == 0) {
            assert(s.n <= sizeof m->held);
            memcpy(m->held, s.p, s.n);
            m->n = s.n;
            return;
        }
    }
}

void
mend_join(struct mend *m, struct str piece, struct buf *out)
{
    struct buf all = BUF_MAX(piece.n + sizeof m->held + 1);

    buf_add(&all, m->held, m->n);
    buf_str(&all, piece);
    join_all(m, buf_slice(&all), out);
    buf_free(&all);
}

void
mend_end(struct mend *m, struct buf *out)
{
    if (m->n > 0)
        buf_z(out, UNKNOWN);
    m->n = 0;
}
