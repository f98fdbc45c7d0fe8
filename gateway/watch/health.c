/* Health, probed and never assumed: the hub's view of each service, a real call to the store (which asks Postgres), and
 * a PING and a write to Redis. A thread probes every second, while the database is not there every 100 ms, for /readyz of the
 * internal port, which sees the hub as it is; a public route that finds the last look older than half a second wakes it and
 * waits a moment for the new one, so that nobody can make us flood the bus and a store that hangs holds nobody.
 *
 *   ok        everything is there
 *   degraded  questions are answered, but something is missing (Redis: limits are local and nothing is cached; janitor)
 *   down      a question cannot be answered */
#include <pthread.h>

#include "common/clock.h"
#include "common/log.h"
#include "gateway/edge/conn.h"
#include "gateway/watch/health.h"
#include "gateway/watch/keyring.h"

#define PROBE_MS 1000
#define MISSING_MS 100        /* the same, while the database is missed */
#define OLD_MS 500
#define STORE_MS 1000         /* for the store's answer */
#define PATIENCE_MS 200       /* for a newer look; then the last one counts */

struct health {
    struct gateway *gw;
    pthread_t thread;
    pthread_mutex_t lock;         /* of what follows */
    pthread_cond_t wake;          /* for the thread: wanted, or over */
    pthread_cond_t looked;        /* last is new */
    struct look last;
    bool wanted, over;
};

static void
probe(struct health *h)
{
    struct look now = { .at_ms = 0 };
    struct ask *q = NULL;
    struct answer a;

    if (ask_once(h->gw->hub, KIND_STORE_HEALTH, NULL, "", "", clock_ms() + STORE_MS, &q, &a) == ERR_OK && a.msg != NULL) {
        now.store = true;
        now.rep = *(const struct store_health_rep *)a.msg;
        now.postgres = now.rep.postgres;
    }
    ask_free(&q);
    now.cache = h->gw->cache != NULL && redis_ping(h->gw->cache);
    now.state = h->gw->state == h->gw->cache ? now.cache : redis_ping(h->gw->state);
    hub_look(h->gw->hub, &now.bus);
    now.at_ms = clock_ms();
    pthread_mutex_lock(&h->lock);
    h->last = now;
    h->wanted = false;
    pthread_cond_broadcast(&h->looked);
    pthread_mutex_unlock(&h->lock);
}

/* Under the lock: until then, or until the condition is signalled. False: it is then. */
static bool
wait_until(struct health *h, pthread_cond_t *c, int64_t until_ms)
{
    struct timespec t = { until_ms / 1000, until_ms % 1000 * 1000000 };

    return pthread_cond_timedwait(c, &h->lock, &t) == 0 || clock_ms() < until_ms;
}

static struct look
last_look(struct health *h)
{
    struct look l;

    pthread_mutex_lock(&h->lock);
    l = h->last;
    pthread_mutex_unlock(&h->lock);
    return l;
}

struct look
health_look(struct health *h)
{
    int64_t now = clock_ms();
    struct look l;

    pthread_mutex_lock(&h->lock);
    if (now - h->last.at_ms > OLD_MS) {
        h->wanted = true;
        pthread_cond_signal(&h->wake);
        while (now - h->last.at_ms > OLD_MS && wait_until(h, &h->looked, now + PATIENCE_MS))
            ;
    }
    l = h->last;
    pthread_mutex_unlock(&h->lock);
    hub_look(h->gw->hub, &l.bus);
    return l;
}

/* False: the thread should end. */
static bool
rest(struct health *h)
{
    int64_t until = clock_ms();
    bool on;

    pthread_mutex_lock(&h->lock);
    until += h->last.postgres ? PROBE_MS : MISSING_MS;
    while (!h->wanted && !h->over && wait_until(h, &h->wake, until))
        ;
    on = !h->over;
    pthread_mutex_unlock(&h->lock);
    return on;
}

static void *
run(void *arg)
{
    struct health *h = arg;

    do
        probe(h);
    while (rest(h));
    return NULL;
}

static void
health_free(struct health **h)
{
    pthread_mutex_destroy(&(*h)->lock);
    pthread_cond_destroy(&(*h)->wake);
    pthread_cond_destroy(&(*h)->looked);
    mem_free(h);
}

struct health *
health_start(struct gateway *gw)
{
    struct health *h = mem_new(sizeof *h);
    pthread_condattr_t at;

    h->gw = gw;
    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_init(&at);
    pthread_condattr_setclock(&at, CLOCK_MONOTONIC);
    pthread_cond_init(&h->wake, &at);
    pthread_cond_init(&h->looked, &at);
    pthread_condattr_destroy(&at);
    if (pthread_create(&h->thread, NULL, run, h) == 0)
        return h;
    LOG(ERROR, NULL, M("no thread for the health probe"));
    health_free(&h);
    return NULL;
}

void
health_stop(struct health **h)
{
    if (*h == NULL)
        return;
    pthread_mutex_lock(&(*h)->lock);
    (*h)->over = true;
    pthread_cond_signal(&(*h)->wake);
    pthread_mutex_unlock(&(*h)->lock);
    pthread_join((*h)->thread, NULL);
    health_free(h);
}

static void
reason(struct buf *b, const char *text)
{
    buf_printf(b, "%s%s", b->n ? ", " : "", text);
}

bool
health_ready_by(const struct gateway *gw, const struct look *l, struct buf *reasons)
{
    static const enum service_id needed[] = { SERVICE_EMBED, SERVICE_CHAT, SERVICE_RETRIEVE, SERVICE_STORE };
    size_t before = reasons->n;

    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (l->bus.service[needed[i]].workers <= 0)
            reason(reasons, service_names[needed[i]]);
        else if (l->bus.service[needed[i]].capacity <= 0) /* a retriever that loads its index is there, and takes nothing */
            buf_printf(reasons, "%s%s: starting", reasons->n ? ", " : "", service_names[needed[i]]);
    if (!l->postgres)
        reason(reasons, "postgres");
    if (gw->opt->auth && !keyring_ready(gw->keys))
        reason(reasons, "keys");
    if (atomic_load(&gw->draining))
        reason(reasons, "draining");
    if (atomic_load(&gw->busy) * 10 > gateway_most(gw) * 9)
        reason(reasons, "saturated");
    if (conn_descriptors_scarce())
        reason(reasons, "descriptors");
    return reasons->n == before;
}

bool
health_ready(struct gateway *gw, struct buf *reasons)
{
    struct look l = last_look(gw->health);

    hub_look(gw->hub, &l.bus);
    return health_ready_by(gw, &l, reasons);
}
