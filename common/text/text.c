/* White space, hex and base64: pure functions over byte strings. Nothing here keeps state or blocks. */
#include "common/text/text.h"

#include <stdint.h>

#include "common/random.h"

static size_t
space_at(struct str s)
{
    static const char *const wide[] = { "\xC2\xA0", "\xE3\x80\x80",
                                        "\xEF\xBB\xBF" }; /* U+00A0, U+3000, U+FEFF */

    if (s.n > 0 && (s.p[0] == ' ' || (s.p[0] >= '\t' && s.p[0] <= '\r')))
        return 1;
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        if (str_starts(s, wide[i]))
            return strlen(wide[i]);
    return 0;
}

struct str
text_trim(struct str s)
{
    size_t n;

    while ((n = space_at(s)) > 0)
        s = (struct str){ s.p + n, s.n - n };
    for (;;) {
        for (n = 1; n <= 3 && n <= s.n; n++)
            if (space_at((struct str){ s.p + s.n - n, n }) == n)
                break;
        if (n > 3 || n > s.n)
            return s;
        s.n -= n;
    }
}

char *
hex_text(const void *p, size_t n, char *out)
{
    static const char digit[] = "0123456789abcdef";
    const uint8_t *b = p;

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digit[b[i] >> 4];
        out[2 * i + 1] = digit[b[i] & 15];
    }
    out[2 * n] = 0;
    return out;
}

char *
hex_random(size_t n, char *out)
{
    uint8_t some[32];

    for (size_t at = 0, k; at < n; at += k) {
        k = n - at < sizeof some ? n - at : sizeof some;
        random_bytes(some, k);
        hex_text(some, k, out + 2 * at);
    }
    return out;
}

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool
hex_parse(struct str s, void *out, size_t n)
{
    uint8_t *b = out;

    if (s.n != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = hex_value(s.p[2 * i]), low = hex_value(s.p[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        b[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* RFC 4648, section 4. */
static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t
base64_encode(struct str s, struct buf *out)
{
    const uint8_t *b = (const uint8_t *)s.p;
    size_t before = out->n;

    for (size_t i = 0; i < s.n; i += 3) {
        size_t left = s.n - i;
        uint32_t w = (uint32_t)b[i] << 16;
        char q[4];

        if (left > 1)
            w |= (uint32_t)b[i + 1] << 8;
        if (left > 2)
            w |= b[i + 2];
        q[0] = alphabet[w >> 18];
        q[1] = alphabet[w >> 12 & 63];
        q[2] = left > 1 ? alphabet[w >> 6 & 63] : '=';
        q[3] = left > 2 ? alphabet[w & 63] : '=';
        buf_add(out, q, sizeof q);
    }
    return out->n - before;
}

static int
base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decode one group of four. Returns the bytes it holds (1 … 3), 0 when malformed; bits that no byte uses must be 0,
 * so that a value has one spelling. */
static size_t
base64_group(const char *q, bool last, uint8_t out[3])
{
    size_t digits = last && q[3] == '=' ? (q[2] == '=' ? 2 : 3) : 4;
    uint32_t w = 0;

    for (size_t i = 0; i < 4; i++) {
        int v = i < digits ? base64_value(q[i]) : 0;

        if (v < 0)
            return 0;
        w = w << 6 | (uint32_t)v;
    }
    if ((digits == 2 && (w & 0xFFFF)) || (digits == 3 && (w & 0xFF)))
        return 0;
    out[0] = (uint8_t)(w >> 16);
    out[1] = (uint8_t)(w >> 8);
    out[2] = (uint8_t)w;
    return digits - 1;
}

bool
base64_decode(struct str s, struct buf *out)
{
    uint8_t b[3];

    if (s.n % 4 != 0)
        return false;
    for (size_t i = 0; i < s.n; i += 4) {
        size_t n = base64_group(s.p + i, i + 4 == s.n, b);

        if (n == 0)
            return false;
        buf_add(out, b, n);
    }
    return !out->failed;
}
