/* A ticker's thread (ticker.h): tick, sleep until the next one is due or somebody wakes it, until it is stopped. */
#include "common/process/ticker.h"

#include <signal.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/process/cond.h"

struct ticker {
    int64_t (*tick)(void *arg);
    void *arg;
    pthread_t thread;
    pthread_mutex_t lock; /* of woken and over */
    pthread_cond_t wake;
    bool woken, over; /* the next tick is due; the thread should end */
};

/* False: the end. */
static bool
rest(struct ticker *t, int64_t ms)
{
    int64_t until = clock_ms() + ms;
    bool on;

    pthread_mutex_lock(&t->lock);
    while (!t->woken && !t->over)
        if (ms < 0)
            pthread_cond_wait(&t->wake, &t->lock);
        else if (!cond_wait(&t->wake, &t->lock, until))
            break;
    on = !t->over;
    t->woken = false;
    pthread_mutex_unlock(&t->lock);
    return on;
}

static void *
run(void *arg)
{
    struct ticker *t = arg;

    while (rest(t, t->tick(t->arg)))
        ;
    return NULL;
}

static void
ticker_free(struct ticker **t)
{
    pthread_cond_destroy(&(*t)->wake);
    pthread_mutex_destroy(&(*t)->lock);
    mem_free(t);
}

struct ticker *
ticker_start(const char *what, int64_t (*tick)(void *arg), void *arg)
{
    struct ticker *t = mem_new(sizeof *t);
    sigset_t all, old;
    int rc;

    t->tick = tick;
    t->arg = arg;
    pthread_mutex_init(&t->lock, NULL);
    cond_init(&t->wake);
    (void)sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&t->thread, NULL, run, t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc == 0)
        return t;
    LOG(ERROR, NULL, M("there is no thread"), KS("for", what), KI("errno", rc));
    ticker_free(&t);
    return NULL;
}

void
ticker_wake(struct ticker *t)
{
    pthread_mutex_lock(&t->lock);
    t->woken = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
}

void
ticker_stop(struct ticker **t)
{
    if (!*t)
        return;
    pthread_mutex_lock(&(*t)->lock);
    (*t)->over = true;
    pthread_cond_signal(&(*t)->wake);
    pthread_mutex_unlock(&(*t)->lock);
    pthread_join((*t)->thread, NULL);
    ticker_free(t);
}
