/* Look-ups of names (resolve.h). A name and its running look-up share one object; the last
 * holder frees it. */
#include "common/redis/resolve.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/process/cond.h"

struct resolve {
    char *host;
    int family;
    atomic_int refs;      /* the owner, and the thread while it runs */
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t done;
    enum resolve_state state;
    struct resolve_list list; /* of the last good look-up */
};

static void
unref(struct resolve *r)
{
    if (atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->done);
    mem_free(&r->host);
    mem_free(&r);
}

struct resolve *
resolve_new(const char *host, int family)
{
    struct resolve *r = mem_new(sizeof *r);

    r->host = mem_dup(host);
    r->family = family;
    atomic_init(&r->refs, 1);
    pthread_mutex_init(&r->lock, NULL);
    cond_init(&r->done);
    return r;
}

void
resolve_free(struct resolve **r)
{
    if (*r != NULL)
        unref(*r);
    *r = NULL;
}

/* False: there is no such name, or nobody who would know. flags: AI_NUMERICHOST never asks anybody. */
static bool
look_up(const struct resolve *r, int flags, struct resolve_list *out)
{
    struct addrinfo hints = { .ai_family = r->family, .ai_socktype = SOCK_STREAM, .ai_flags = flags },
                    *list = NULL;

    out->n = 0;
    if (getaddrinfo(r->host, NULL, &hints, &list) != 0)
        return false;
    for (const struct addrinfo *a = list; a && out->n < RESOLVE_MAX; a = a->ai_next)
        if (getnameinfo(a->ai_addr, a->ai_addrlen, out->v[out->n], RESOLVE_TEXT, NULL, 0, NI_NUMERICHOST) ==
            0)
            out->n++;
    freeaddrinfo(list);
    return out->n > 0;
}

static void
settle(struct resolve *r, bool good, const struct resolve_list *found)
{
    pthread_mutex_lock(&r->lock);
    r->state = good ? RESOLVE_GOOD : RESOLVE_FAILED;
    if (good)
        r->list = *found;
    pthread_cond_broadcast(&r->done);
    pthread_mutex_unlock(&r->lock);
}

static void *
run(void *arg)
{
    struct resolve *r = arg;
    struct resolve_list found;
    bool good = look_up(r, 0, &found);

    settle(r, good, &found);
    unref(r);
    return NULL;
}

static bool
start_thread(struct resolve *r)
{
    pthread_attr_t at;
    pthread_t thread;
    sigset_t all, old;
    bool good;

    (void)sigfillset(&all);
    pthread_attr_init(&at);
    pthread_attr_setdetachstate(&at, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    good = pthread_create(&thread, &at, run, r) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&at);
    return good;
}

void
resolve_ask(struct resolve *r)
{
    struct resolve_list found;
    bool busy;

    pthread_mutex_lock(&r->lock);
    busy = r->state == RESOLVE_RUNNING;
    r->state = RESOLVE_RUNNING;
    pthread_mutex_unlock(&r->lock);
    if (busy)
        return;
    if (look_up(r, AI_NUMERICHOST, &found)) {
        settle(r, true, &found);
        return;
    }
    atomic_fetch_add(&r->refs, 1);
    if (start_thread(r))
        return;
    LOG(WARN, NULL, M("no thread to look a name up"), KS("host", r->host));
    settle(r, false, NULL);
    unref(r);
}

enum resolve_state
resolve_get(struct resolve *r, int64_t until_ms, struct resolve_list *out)
{
    enum resolve_state state;

    pthread_mutex_lock(&r->lock);
    while (r->state == RESOLVE_RUNNING && clock_ms() < until_ms)
        (void)cond_wait(&r->done, &r->lock, until_ms);
    state = r->state;
    *out = r->list;
    pthread_mutex_unlock(&r->lock);
    return state;
}
