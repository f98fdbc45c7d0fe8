/* FNV-1a with 64 bits (Fowler, Noll, Vo; public domain): where a name stands in a table in memory. Short
 * names are what it is good at; nothing that must not be guessed or forged comes from it. Its low bits are
 * good enough for a table; what wants all of them to be equally good mixes them once more. */
#ifndef COMMON_HASH_H
#define COMMON_HASH_H

#include "common/str.h"

#define HASH_START UINT64_C(14695981039346656037)

/* The hash of what h stands for with s behind it; h: HASH_START, or what this returned. */
static inline uint64_t
hash_more(uint64_t h, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)s.p[i]) * UINT64_C(1099511628211);
    return h;
}

static inline uint64_t
hash_str(struct str s)
{
    return hash_more(HASH_START, s);
}

/* Of two names: no text of one runs into the other. */
static inline uint64_t
hash_pair(struct str a, struct str b)
{
    return hash_more(hash_more(hash_str(a), STR("\xff")), b);
}

#endif
