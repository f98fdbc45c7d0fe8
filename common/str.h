/* Borrowed byte strings: pointer and length, never NUL-terminated by contract, never owned. */
#ifndef COMMON_STR_H
#define COMMON_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p; /* first byte; NULL means absent */
    size_t n;      /* length in bytes */
};

#define STR(lit) ((struct str){ (lit), sizeof(lit) - 1 })
#define STR_NONE ((struct str){ NULL, 0 })
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)(s).n, (s).p ? (s).p : ""

static inline struct str
str_of(const char *z)
{
    return (struct str){ z, z ? strlen(z) : 0 };
}

static inline bool
str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool
str_is(struct str a, const char *z)
{
    return str_eq(a, str_of(z));
}

static inline bool
str_starts(struct str a, const char *z)
{
    size_t n = strlen(z);

    return a.n >= n && memcmp(a.p, z, n) == 0;
}

/* v in decimal digits, at most 20, which end before end: where they begin. What snprintf does at ten times the price. */
static inline char *
digits_before(char *end, uint64_t v)
{
    do
        *--end = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    return end;
}

#endif
