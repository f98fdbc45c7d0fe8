/* See pace.h. */
#include "embedder/openai/pace.h"

enum { FIRST_SIZE = 8, FIRST_CALLS = 2, MOST_CALLS = 16, QUICK_MS = 1000, TRY_MORE = 100 };

static size_t
at_least_one(size_t n)
{
    return n > 0 ? n : 1;
}

static size_t
less(size_t a, size_t b)
{
    return a < b ? a : b;
}

void
pace_init(struct pace *p, size_t most, int64_t limit_ms)
{
    *p = (struct pace){
        .most = most, .size_cap = most, .calls = FIRST_CALLS, .calls_cap = MOST_CALLS, .limit_ms = limit_ms
    };
    p->size = less(FIRST_SIZE, most);
}

void
pace_good(struct pace *p, size_t texts, int64_t ms)
{
    if (ms > p->limit_ms / 2) {
        p->size = less(p->size, at_least_one(texts / 2));
        p->calls = at_least_one(p->calls - 1);
        return;
    }
    if (ms >= QUICK_MS || ms > p->limit_ms / 8)
        return;
    if (texts >= p->size)
        p->size = less(2 * p->size, p->size_cap);
    p->calls = less(p->calls + 1, p->calls_cap);
    if (p->tight && ++p->good >= TRY_MORE) { /* it may have been somebody else's calls */
        p->good = 0;
        p->calls_cap = less(p->calls_cap + 1, MOST_CALLS);
    }
}

void
pace_late(struct pace *p, size_t texts)
{
    p->size = less(p->size, at_least_one(texts / 2));
    p->calls = at_least_one(p->calls / 2);
}

void
pace_too_many_texts(struct pace *p, size_t texts)
{
    size_t fewer = 1;

    /* limits are powers of two as a rule; half of what was left of a work would miss them */
    while (2 * fewer < texts)
        fewer *= 2;
    p->size_cap = less(p->size_cap, fewer);
    p->size = less(p->size, p->size_cap);
}

void
pace_not_the_number(struct pace *p)
{
    p->size_cap = p->most;
    p->size = less(FIRST_SIZE, p->most);
}

void
pace_too_many_calls(struct pace *p, size_t at_once)
{
    p->tight = true;
    p->good = 0;
    p->calls_cap = at_least_one(less(p->calls_cap, at_once - 1));
    p->calls = less(p->calls, p->calls_cap);
}
