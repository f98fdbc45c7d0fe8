/* UUIDs (RFC 9562). Version 7 for our own ids (ordered by time, so that indexes grow at their end), version 4
 * for secrets, version 8 for ids that derive from what they name. */
#include "common/text/uuid.h"

#include <stdatomic.h>
#include <time.h>

#include "common/digest.h"
#include "common/random.h"
#include "common/text/text.h"

bool
uuid_is_nil(const struct uuid *u)
{
    static const struct uuid nil;

    return memcmp(u, &nil, sizeof nil) == 0;
}

bool
uuid_eq(const struct uuid *a, const struct uuid *b)
{
    return bytes_equal(a->b, b->b, sizeof a->b);
}

/* Bytes before each group of 8-4-4-4-12 digits. */
static const size_t group_start[] = { 0, 4, 6, 8, 10, 16 };

bool
uuid_parse(struct str s, struct uuid *out)
{
    struct uuid u;
    size_t at = 0;

    if (s.n != 36)
        return false;
    for (size_t g = 0; g < 5; g++) {
        size_t n = group_start[g + 1] - group_start[g];

        if (g > 0 && s.p[at++] != '-')
            return false;
        if (!hex_parse((struct str){ s.p + at, 2 * n }, u.b + group_start[g], n))
            return false;
        at += 2 * n;
    }
    *out = u;
    return true;
}

int
uuid_version(const struct uuid *u)
{
    return u->b[6] >> 4;
}

char *
uuid_text(const struct uuid *u, char out[37])
{
    size_t at = 0;

    for (size_t g = 0; g < 5; g++) {
        size_t n = group_start[g + 1] - group_start[g];

        if (g > 0)
            out[at++] = '-';
        hex_text(u->b + group_start[g], n, out + at);
        at += 2 * n;
    }
    return out;
}

static void
uuid_mark(struct uuid *u, unsigned version)
{
    u->b[6] = (uint8_t)((u->b[6] & 0x0F) | version << 4);
    u->b[8] = (uint8_t)((u->b[8] & 0x3F) | 0x80);
}

/* Milliseconds << 12 | fraction of the millisecond (RFC 9562, section 6.2, method 3), always more than the time
 * before; after the clock was set back by more than 10 s it follows the clock again. */
static uint64_t
next_tick(void)
{
    static _Atomic uint64_t last;
    struct timespec t;
    uint64_t now, was, next;

    clock_gettime(CLOCK_REALTIME, &t);
    now = ((uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000) << 12;
    now |= (uint64_t)t.tv_nsec % 1000000 * 4096 / 1000000;
    was = atomic_load_explicit(&last, memory_order_relaxed);
    do
        next = now > was || was - now > (UINT64_C(10000) << 12) ? now : was + 1;
    while (!atomic_compare_exchange_weak(&last, &was, next));
    return next;
}

struct uuid
uuid_v7(void)
{
    uint64_t tick = next_tick();
    struct uuid u;

    for (size_t i = 0; i < 6; i++)
        u.b[i] = (uint8_t)(tick >> (52 - 8 * i));
    u.b[6] = (uint8_t)(tick >> 8 & 0x0F);
    u.b[7] = (uint8_t)tick;
    random_bytes(u.b + 8, 8);
    uuid_mark(&u, 7);
    return u;
}

struct uuid
uuid_v4(void)
{
    struct uuid u;

    random_bytes(u.b, sizeof u.b);
    uuid_mark(&u, 4);
    return u;
}

/* A chain of digests, each over the one before, the part's length and the part: ("ab", "c") is not ("a", "bc"). */
struct uuid
uuid_named(const struct str *parts, size_t n)
{
    uint8_t state[32] = { 0 }, next[32], length[8];
    struct uuid u;

    for (size_t i = 0; i < n; i++) {
        const struct str link[] = { { (const char *)state, sizeof state },
                                    { (const char *)length, sizeof length },
                                    parts[i] };

        for (size_t k = 0; k < sizeof length; k++)
            length[k] = (uint8_t)((uint64_t)parts[i].n >> (56 - 8 * k));
        sha256(link, 3, next);
        memcpy(state, next, sizeof state);
    }
    memcpy(u.b, state, sizeof u.b);
    uuid_mark(&u, 8);
    return u;
}
