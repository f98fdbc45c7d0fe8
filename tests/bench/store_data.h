/* The parts of a benchmarked turn, the same for the store's driver and for the bare libpq program: sizes as
 * in the suite's own conversations (a question of 80 bytes, an answer of 600, five excerpts of 240). */
#ifndef TESTS_BENCH_STORE_DATA_H
#define TESTS_BENCH_STORE_DATA_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/digest.h"
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
    static const char *const some[] = { "pump", "filter", "pressure", "valve", "the",   "of",
                                        "and",  "manual", "replace",  "every", "month", "is",
                                        "when", "shows",  "fault",    "code" };
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

/* A trace as gateway/ask/trace.c writes it of a question that found eight passages. */
static inline struct str
bench_trace(void)
{
    static char text[4096];
    size_t n = 0;

    if (text[0])
        return str_of(text);
    n += (size_t)snprintf(
        text, sizeof text,
        "{\"request_id\":\"9f1c2b7ad0e34c55\",\"stages_ms\":{\"auth\":0.021,\"cache\":0.312,\"begin\":1.204,\"embed\":0.731,"
        "\"search\":0.655,\"generate\":812.4,\"cite\":0.024},\"upstream_ms\":810.2,\"total_ms\":816.1,\"retrieval\":{"
        "\"collection\":\"manuals\",\"top_k\":8,\"language\":\"en\",\"by_words_only\":false,\"index_epoch\":4711,\"found\":8,"
        "\"passages\":[");
    for (int i = 1; i <= 8; i++)
        n += (size_t)snprintf(
            text + n, sizeof text - n,
            "%s{\"n\":%d,\"cited\":%s,\"score\":0.8%d12,\"vector_score\":0.7%d31,\"lexical_score\":12.4%d,\"title\":\"Pump "
            "manual\",\"document_id\":\"0192f3c4-8a77-7d31-9c55-0a1b2c3d4e%02d\",\"chunk_id\":\"0192f3c4-8a77-7d31-"
            "9c55-0a1b2c3d5f%02d\",\"start\":%d,\"end\":%d}",
            i > 1 ? "," : "", i, i < 6 ? "true" : "false", i, i, i, i, i, i * 1000, i * 1000 + 900);
    snprintf(
        text + n, sizeof text - n,
        "]},\"prompt\":{\"bytes\":7312,\"passages\":8,\"earlier_messages\":0,\"version\":\"3\"},\"marks\":{"
        "\"unsupported\":0,\"nowhere\":0,\"added\":0,\"support\":[{\"n\":1,\"share\":0.91},{\"n\":2,\"share\":0.84}]},"
        "\"cost\":{\"prompt_tokens\":900,\"completion_tokens\":150,\"dollars\":0.00121}}");
    return str_of(text);
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
    return uuid_named((const struct str[]){ STR("session"),
                                            STR(BENCH_TENANT),
                                            { (const char *)session, 32 } },
                      3);
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
