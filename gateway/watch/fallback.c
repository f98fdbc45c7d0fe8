/* See fallback.h. A gateway knows of the engine what the answers of retrievers say. */
#include "gateway/watch/fallback.h"

#include <stdatomic.h>
#include <stdint.h>

#include "common/clock.h"

#define HEARD_MS 60000

static _Atomic int64_t last_ms; /* of the last search, if it was degraded; 0: it was not */

void
fallback_heard(bool degraded)
{
    atomic_store(&last_ms, degraded ? clock_ms() : 0);
}

bool
fallback_on(void)
{
    int64_t at = atomic_load(&last_ms);

    return at && clock_ms() - at < HEARD_MS;
}
