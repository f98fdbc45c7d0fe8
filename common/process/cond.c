/* Condition variables on the monotonic clock (cond.h). */
#include "common/process/cond.h"

#include <errno.h>
#include <time.h>

void
cond_init(pthread_cond_t *c)
{
    pthread_condattr_t at;

    pthread_condattr_init(&at);
    pthread_condattr_setclock(&at, CLOCK_MONOTONIC);
    pthread_cond_init(c, &at);
    pthread_condattr_destroy(&at);
}

bool
cond_wait(pthread_cond_t *c, pthread_mutex_t *lock, int64_t until_ms)
{
    const struct timespec t = { until_ms / 1000, until_ms % 1000 * 1000000 };

    return pthread_cond_timedwait(c, lock, &t) != ETIMEDOUT;
}
