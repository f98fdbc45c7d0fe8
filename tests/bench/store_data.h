/* What a benchmarked turn consists of, the same for the store's driver and for the bare libpq program: sizes as in the
 * suite's own conversations (a question of 80 bytes, an answer of 600, five excerpts of 240). */
#ifndef TESTS_BENCH_STORE_DATA_H
#define TESTS_BENCH_STORE_DATA_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/text/text.h"

#define BENCH_CITATIONS 5
#define BENCH_QUESTION 80
#define BENCH_ANSWER 600
#define BENCH_EXCERPT 240
#define BENCH_PAGE 50
#define BENCH_DAYS 30
#define BENCH_TENANT "default"

/* n bytes of words, a different place each time. */
static inline struct str
bench_text(size_t n)
{
    static char words[16384];
    static const char *const some[] = { "pump", "filter", "pressure", "valve", "the", "of", "and", "manual", "replace",
                                        "every", "month", "is", "when", "shows", "fault", "code" };
    static uint64_t x = 88172645463325252ull;
    size_t at = 0;

    while (words[sizeof words - 1] == '\0' && at < sizeof words) {
        const char *w = some[(x ^= x << 13, x ^= x >> 7, x ^= x << 17) % 16];

        while (*w && at < sizeof words)
            words[at++] = *w++;
        if (at < sizeof words)
            words[at++] = ' ';
    }
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    return (struct str){ words + x % (sizeof words - n), n };
}

/* Session i of a set that is called name: the SHA-256 that the store knows it by. */
static inline void
bench_session(const char *name, uint64_t i, uint8_t out[32])
{
    sha256((const struct str[]){ str_of(name), { (const char *)&i, sizeof i } }, 2, out);
}

/* Its row's id, as the store names it. */
static inline struct uuid
bench_session_key(const uint8_t session[32])
{
    return uuid_named((const struct str[]){ STR("session"), STR(BENCH_TENANT), { (const char *)session, 32 } }, 3);
}

static inline int
bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* Percentile of n sorted values. */
static inline double
bench_percentile(const double *sorted, size_t n, double p)
{
    size_t at = n ? (size_t)ceil(p / 100 * (double)n) : 0;

    return n ? sorted[at ? at - 1 : 0] : 0;
}

#endif
