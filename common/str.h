/* Borrowed byte strings: pointer and length, never NUL-terminated by contract, never owned. */
#ifndef COMMON_STR_H
#define COMMON_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

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

/* Is it one of the n words of v, none of which is empty? Nearly all begin otherwise: their lengths need not be found out. */
static inline bool
str_is_any(struct str a, const char *const *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (a.n > 0 && a.p[0] == v[i][0] && str_is(a, v[i]))
            return true;
    return false;
}

static inline bool
str_starts(struct str a, const char *z)
{
    size_t n = strlen(z);

    return a.n >= n && memcmp(a.p, z, n) == 0;
}

static inline bool
str_ends(struct str a, const char *z)
{
    size_t n = strlen(z);

    return a.n >= n && memcmp(a.p + a.n - n, z, n) == 0;
}

static inline bool
str_has(struct str s, const char *z)
{
    return s.n > 0 && memmem(s.p, s.n, z, strlen(z)) != NULL;
}

static inline bool
str_has_byte(struct str s, char c)
{
    return s.n > 0 && memchr(s.p, c, s.n) != NULL;
}

/* ASCII letters alike in either case. */
static inline bool
str_is_anycase(struct str a, const char *z)
{
    return a.n == strlen(z) && strncasecmp(a.p, z, a.n) == 0;
}

/* Without the blanks and tabs at both ends, as headers of HTTP and lists of options may have them. */
static inline struct str
str_unblank(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = (struct str){ s.p + 1, s.n - 1 };
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* A copy of s at *at, which moves behind it; absent stays absent. There is room for it. */
static inline struct str
str_put(char **at, struct str s)
{
    struct str out = { s.p ? *at : NULL, s.n };

    if (s.n > 0)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return out;
}

/* Writes v in decimal digits, at most 20, which end before end; returns where they begin. snprintf
 * costs ten times as much. */
static inline char *
digits_before(char *end, uint64_t v)
{
    do
        *--end = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    return end;
}

#endif
