/* The breaker's moves:  CLOSED → (5 failures) → OPEN → (time is up: one call) → PROBING → CLOSED or OPEN.
 * Calls that were under way when it opened may still report; only the probe's report counts then. A hold
 * opens it from anywhere. */
#include "common/process/breaker.h"

#include <assert.h>
#include <string.h>

static void
breaker_set(struct breaker *b, enum breaker_state to)
{
    static const bool legal[3][3] = {
        [BREAKER_CLOSED] = { [BREAKER_OPEN] = true },
        [BREAKER_OPEN] = { [BREAKER_PROBING] = true, [BREAKER_OPEN] = true },
        [BREAKER_PROBING] = { [BREAKER_OPEN] = true, [BREAKER_CLOSED] = true },
    };

    assert(legal[b->state][to]);
    b->state = to;
}

static void
breaker_open(struct breaker *b, int64_t now_ms)
{
    int64_t twice = b->open_for_ms * 2, max = b->max_ms > 0 ? b->max_ms : BREAKER_OPEN_MAX_MS;
    int64_t min = b->min_ms > 0 ? b->min_ms : BREAKER_OPEN_MIN_MS;

    b->open_for_ms = twice < min ? min : twice < max ? twice : max;
    b->open_until_ms = now_ms + b->open_for_ms;
    b->held_ms = 0;
    breaker_set(b, BREAKER_OPEN);
}

/* Failures that still count. */
static size_t
recent(const struct breaker *b, int64_t now_ms)
{
    size_t n = 0;

    for (size_t i = 0; i < BREAKER_FAILURES; i++)
        n += b->failed_ms[i] != 0 && (b->in_a_row || now_ms - b->failed_ms[i] <= BREAKER_WINDOW_MS);
    return n;
}

static size_t
patience(const struct breaker *b)
{
    return b->patience ? b->patience : BREAKER_FAILURES;
}

bool
breaker_ask(struct breaker *b, int64_t now_ms, bool *probe)
{
    *probe = b->state == BREAKER_OPEN && now_ms >= b->open_until_ms;
    if (*probe)
        breaker_set(b, BREAKER_PROBING);
    return *probe || b->state == BREAKER_CLOSED;
}

bool
breaker_good(struct breaker *b, bool probe)
{
    bool closes = probe && b->state == BREAKER_PROBING;

    if (closes || (b->in_a_row && b->state == BREAKER_CLOSED))
        memset(b->failed_ms, 0, sizeof b->failed_ms);
    if (!closes)
        return false;
    breaker_set(b, BREAKER_CLOSED);
    b->open_for_ms = b->held_ms = 0;
    return true;
}

bool
breaker_bad(struct breaker *b, int64_t now_ms, bool probe)
{
    if (b->state == BREAKER_CLOSED) {
        b->failed_ms[b->next] = now_ms; /* in place of the oldest */
        b->next = (b->next + 1) % BREAKER_FAILURES;
        if (recent(b, now_ms) < patience(b))
            return false;
    } else if (!probe || b->state != BREAKER_PROBING) {
        return false; /* a late one of the time before it opened */
    }
    breaker_open(b, now_ms);
    return true;
}

void
breaker_drop(struct breaker *b, int64_t now_ms, bool probe)
{
    if (!probe || b->state != BREAKER_PROBING)
        return;
    b->open_until_ms = now_ms + b->held_ms;
    breaker_set(b, BREAKER_OPEN);
}

void
breaker_hold(struct breaker *b, int64_t now_ms, int64_t ms)
{
    b->held_ms = ms;
    b->open_until_ms = now_ms + ms;
    breaker_set(b, BREAKER_OPEN);
}

bool
breaker_enter(struct breaker *b, int64_t now_ms, bool *probe)
{
    if (!breaker_ask(b, now_ms, probe) ||
        (!*probe && b->doubt && b->running > 0 && b->running + recent(b, now_ms) >= patience(b)))
        return false;
    b->running++;
    return true;
}

bool
breaker_leave(struct breaker *b, int64_t now_ms, bool probe, bool failed)
{
    assert(b->running > 0);
    b->running--;
    b->doubt = failed;
    return failed ? breaker_bad(b, now_ms, probe) : breaker_good(b, probe);
}
