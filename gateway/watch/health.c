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
#include "common/process/cond.h"
#include "common/process/ticker.h"
#include "gateway/edge/conn.h"
#include "gateway/watch/health.h"
#include "gateway/watch/keyring.h"

#define PROBE_MS 1000
#define MISSING_MS 100 /* the same, while the database is missed */
#define OLD_MS 500
#define STORE_MS 1000   /* for the store's answer */
#define PATIENCE_MS 200 /* for a newer look; then the last one counts */

struct health {
    struct gateway *gw;
    struct ticker *ticker;
    pthread_mutex_t lock;  /* of what follows */
    pthread_cond_t looked; /* last is new */
    struct look last;
    bool looking; /* a probe is under way: nobody needs to ask for one */
};

static int64_t
probe(void *arg)
{
    struct health *h = arg;
    struct look now = { .at_ms = 0 };
    struct call *q = NULL;
    struct outcome a;

    pthread_mutex_lock(&h->lock);
    h->looking = true;
    pthread_mutex_unlock(&h->lock);
    if (call_once(h->gw->hub, KIND_STORE_HEALTH, NULL, "", "", clock_ms() + STORE_MS, &q, &a) == ERR_OK &&
        a.msg != NULL) {
        now.store = true;
        now.rep = *(const struct store_health_rep *)a.msg;
        now.postgres = now.rep.postgres;
    }
    call_free(&q);
    now.cache = h->gw->cache && redis_ping(h->gw->cache);
    now.state = h->gw->state == h->gw->cache ? now.cache : redis_ping(h->gw->state);
    hub_look(h->gw->hub, &now.bus);
    now.at_ms = clock_ms();
    pthread_mutex_lock(&h->lock);
    h->last = now;
    h->looking = false;
    pthread_cond_broadcast(&h->looked);
    pthread_mutex_unlock(&h->lock);
    return now.postgres ? PROBE_MS : MISSING_MS;
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
        if (!h->looking)
            ticker_wake(h->ticker);
        while (now - h->last.at_ms > OLD_MS && cond_wait(&h->looked, &h->lock, now + PATIENCE_MS))
            ;
    }
    l = h->last;
    pthread_mutex_unlock(&h->lock);
    hub_look(h->gw->hub, &l.bus);
    return l;
}

static void
health_free(struct health **h)
{
    pthread_mutex_destroy(&(*h)->lock);
    pthread_cond_destroy(&(*h)->looked);
    mem_free(h);
}

struct health *
health_start(struct gateway *gw)
{
    struct health *h = mem_new(sizeof *h);

    h->gw = gw;
    pthread_mutex_init(&h->lock, NULL);
    cond_init(&h->looked);
    h->ticker = ticker_start("the health probe", probe, h);
    if (!h->ticker)
        health_free(&h);
    return h;
}

void
health_stop(struct health **h)
{
    if (!*h)
        return;
    ticker_stop(&(*h)->ticker);
    health_free(h);
}

const char *
health_postgres(const struct look *l)
{
    if (!l->store || l->bus.service[SERVICE_STORE].workers <= 0)
        return "unknown";
    return l->postgres ? "ok" : "down";
}

static void
reason(struct buf *b, const char *text)
{
    buf_printf(b, "%s%s", b->n ? ", " : "", text);
}

/* Only the store knows its database: while no store answers, it is the store that is missing. */
static void
reason_store(const struct look *l, struct buf *reasons)
{
    if (l->bus.service[SERVICE_STORE].workers <= 0)
        return; /* said already */
    if (!l->store)
        reason(reasons, "store: no answer");
    else if (!l->postgres)
        reason(reasons, "postgres");
}

bool
health_ready_by(const struct gateway *gw, const struct look *l, struct buf *reasons)
{
    static const enum service_id needed[] = { SERVICE_EMBED, SERVICE_CHAT, SERVICE_RETRIEVE, SERVICE_STORE };
    size_t before = reasons->n;

    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (l->bus.service[needed[i]].workers <= 0)
            reason(reasons, service_names[needed[i]]);
        else if (l->bus.service[needed[i]].capacity <= 0) /* a retriever that loads its index */
            buf_printf(reasons, "%s%s: starting", reasons->n ? ", " : "", service_names[needed[i]]);
    reason_store(l, reasons);
    if (gw->opt->auth && !keyring_ready(gw->keys))
        reason(reasons, "keys");
    if (atomic_load(&gw->draining))
        reason(reasons, "draining");
    if (gateway_crowded(gw))
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
