/* UTF-8: pure functions over byte strings; nothing here allocates, keeps state or blocks. */
#include "common/utf8.h"

/* The second byte's range and the length for each first byte: RFC 3629, section 4, the table UTF8-octets. */
size_t
utf8_first(struct str s)
{
    const uint8_t *b = (const uint8_t *)s.p;
    uint8_t low = 0x80, high = 0xBF;
    size_t n;

    if (s.n == 0)
        return 0;
    if (b[0] < 0x80)
        return 1;
    if (b[0] < 0xC2 || b[0] > 0xF4)
        return 0;
    n = b[0] < 0xE0 ? 2 : b[0] < 0xF0 ? 3 : 4;
    if (b[0] == 0xE0)
        low = 0xA0; /* shorter forms exist below */
    else if (b[0] == 0xED)
        high = 0x9F; /* surrogates lie above */
    else if (b[0] == 0xF0)
        low = 0x90;
    else if (b[0] == 0xF4)
        high = 0x8F; /* the last code point is U+10FFFF */
    if (s.n < n || b[1] < low || b[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((b[i] & 0xC0) != 0x80)
            return 0;
    return n;
}

/* Bytes at the start of s that are ASCII, counted eight at a time. */
static size_t
ascii_run(struct str s)
{
    size_t i = 0;
    uint64_t w;

    for (; i + sizeof w <= s.n; i += sizeof w) {
        memcpy(&w, s.p + i, sizeof w);
        if (w & UINT64_C(0x8080808080808080))
            break;
    }
    while (i < s.n && (uint8_t)s.p[i] < 0x80)
        i++;
    return i;
}

bool
utf8_valid(struct str s)
{
    size_t i = 0, n;

    while (i < s.n) {
        i += ascii_run((struct str){ s.p + i, s.n - i });
        if (i == s.n)
            break;
        n = utf8_first((struct str){ s.p + i, s.n - i });
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

size_t
utf8_count(struct str s)
{
    size_t count = 0;

    for (size_t i = 0; i < s.n; i++)
        count += ((uint8_t)s.p[i] & 0xC0) != 0x80;
    return count;
}

struct str
utf8_cut(struct str s, size_t max)
{
    size_t n = max;

    if (s.n <= max)
        return s;
    while (n > 0 && ((uint8_t)s.p[n] & 0xC0) == 0x80)
        n--;
    return (struct str){ s.p, n };
}
