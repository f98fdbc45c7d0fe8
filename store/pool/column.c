/* Columns of results and times of parameters: Postgres's binary forms (network order; times in microseconds since 2000;
 * arrays: dimensions, a flag, the element's type, then per dimension length and first index, then the elements). */
#include <endian.h>

#include "store/pool/pool.h"

#define PG_EPOCH_MS 946684800000 /* 2000-01-01 */

int64_t
col_i64(const struct tx *t, int i, size_t row, int col)
{
    struct str s = col_str(t, i, row, col);
    uint64_t v = 0;

    if (s.n != 8 && s.n != 4)
        return 0;
    for (size_t k = 0; k < s.n; k++)
        v = v << 8 | (uint8_t)s.p[k];
    return s.n == 4 ? (int32_t)(uint32_t)v : (int64_t)v;
}

double
col_f64(const struct tx *t, int i, size_t row, int col)
{
    int64_t v = col_i64(t, i, row, col);
    double d;

    memcpy(&d, &v, sizeof d);
    return d;
}

bool
col_flag(const struct tx *t, int i, size_t row, int col)
{
    struct str s = col_str(t, i, row, col);

    return s.n == 1 && s.p[0] == 1;
}

struct uuid
col_id(const struct tx *t, int i, size_t row, int col)
{
    struct str s = col_str(t, i, row, col);
    struct uuid u = { { 0 } };

    if (s.n == sizeof u.b)
        memcpy(u.b, s.p, sizeof u.b);
    return u;
}

int64_t
col_raw_time(const struct tx *t, int i, size_t row, int col)
{
    return col_i64(t, i, row, col);
}

int64_t
col_ms(const struct tx *t, int i, size_t row, int col)
{
    return col_str(t, i, row, col).n == 8 ? col_i64(t, i, row, col) / 1000 + PG_EPOCH_MS : 0;
}

static uint32_t
be32(const char *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return be32toh(v);
}

struct strs
col_strs(const struct tx *t, int i, size_t row, int col, struct arena *a)
{
    struct str s = col_str(t, i, row, col);
    struct strs out = { NULL, 0 };
    size_t n, at = 20;

    if (s.n < 20 || be32(s.p) != 1)
        return out;
    n = be32(s.p + 12);
    if (n > s.n / 4 || !(out.v = arena_alloc(a, n * sizeof *out.v)))
        return out;
    for (; out.n < n && at + 4 <= s.n; out.n++) {
        uint32_t len = be32(s.p + at);

        at += 4;
        if (len == UINT32_MAX)
            len = 0;
        if (len > s.n - at)
            break;
        out.v[out.n] = (struct str){ s.p + at, len };
        at += len;
    }
    return out;
}

struct param
p_time(int64_t wall_ms)
{
    return wall_ms > 0 ? p_i64((wall_ms - PG_EPOCH_MS) * 1000) : p_str(STR_NONE);
}
