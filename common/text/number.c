/* Decimal digits (number.h): the only loop over them. */
#include "common/text/number.h"

#include <assert.h>

size_t
number_first(struct str s, int64_t max, int64_t *out)
{
    uint64_t v = 0;
    size_t n = 0;

    assert(max >= 0 && max <= NUMBER_MOST);
    for (; n < s.n && s.p[n] >= '0' && s.p[n] <= '9'; n++)
        if (v <= (uint64_t)max) /* then ten times as much is no overflow */
            v = v * 10 + (uint64_t)(s.p[n] - '0');
    *out = v <= (uint64_t)max ? (int64_t)v : max + 1;
    return n;
}

bool
number_parse(struct str s, int64_t min, int64_t max, int64_t *out)
{
    int64_t v;

    if (s.n < 1 || s.n > NUMBER_DIGITS || number_first(s, NUMBER_MOST, &v) < s.n || v < min || v > max)
        return false;
    *out = v;
    return true;
}
