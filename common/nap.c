/* Sleep that another thread can end (nap.h). Times are monotonic: a clock that is set must not stretch them. */
#include "common/nap.h"

#include <errno.h>
#include <time.h>

#include "common/clock.h"

void
nap_init(struct nap *n)
{
    pthread_condattr_t at;

    n->over = false;
    pthread_mutex_init(&n->lock, NULL);
    pthread_condattr_init(&at);
    pthread_condattr_setclock(&at, CLOCK_MONOTONIC);
    pthread_cond_init(&n->wake, &at);
    pthread_condattr_destroy(&at);
}

void
nap_fini(struct nap *n)
{
    pthread_cond_destroy(&n->wake);
    pthread_mutex_destroy(&n->lock);
}

bool
nap_for(struct nap *n, int64_t ms)
{
    int64_t until = clock_ms() + ms;
    struct timespec t = { until / 1000, until % 1000 * 1000000 };
    bool on;

    pthread_mutex_lock(&n->lock);
    while (!n->over && pthread_cond_timedwait(&n->wake, &n->lock, &t) != ETIMEDOUT)
        ;
    on = !n->over;
    pthread_mutex_unlock(&n->lock);
    return on;
}

void
nap_end(struct nap *n)
{
    pthread_mutex_lock(&n->lock);
    n->over = true;
    pthread_cond_signal(&n->wake);
    pthread_mutex_unlock(&n->lock);
}
