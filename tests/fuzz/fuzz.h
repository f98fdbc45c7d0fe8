/* Shared by the fuzz targets: their entry, a judge, and reading of an input piece by piece. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* The property must hold; the log names the one that did not. */
#define require(property) require_at(property, #property, __FILE__, __LINE__)
static inline void
require_at(bool ok, const char *what, const char *file, int line)
{
    if (ok)
        return;
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

static inline uint8_t
take_byte(struct str *in)
{
    uint8_t b = in->n > 0 ? (uint8_t)*in->p : 0;

    if (in->n > 0)
        *in = (struct str){ in->p + 1, in->n - 1 };
    return b;
}

/* Up to the next byte c, which is passed over; the rest when there is none. */
static inline struct str
take_until(struct str *in, char c)
{
    const char *at = in->n > 0 ? memchr(in->p, c, in->n) : NULL;
    struct str got = { in->p, at ? (size_t)(at - in->p) : in->n };

    in->p += got.n + (at != NULL);
    in->n -= got.n + (at != NULL);
    return got;
}

/* A copy without a byte more, so that the sanitizer sees a read behind it. Free with mem_free. */
static inline char *
exact(struct str s)
{
    char *p = mem_new(s.n > 0 ? s.n : 1);

    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return p;
}

static inline bool
inside(struct str part, struct str whole)
{
    return !part.p || part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

#endif
