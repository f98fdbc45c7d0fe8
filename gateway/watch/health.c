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
#include "common/text/json.h"
#include "common/log.h"
#include "gateway/edge/conn.h"
#include "gateway/admit/auth.h"
#include "gateway/gateway.h"

#define PROBE_MS 1000
#define MISSING_MS 100        /* the same, while the database is missed */
#define OLD_MS 500
#define STORE_MS 1000         /* for the store's answer */
#define PATIENCE_MS 200       /* for a newer look; then the last one counts */

struct look {
    struct hub_view bus;
    bool store, postgres;         /* the store answers; its database does */
    bool cache, state;            /* both Redis servers answer */
    struct store_health_rep rep;  /* of the store */
    int64_t at_ms;                /* clock_ms(); 0: never */
};

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

static struct look
fresh_look(struct health *h)
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

/* Can a question be answered? Redis may be away. */
static bool
ready_by(const struct gateway *gw, const struct look *l, struct buf *reasons)
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
    if (atomic_load(&gw->busy) * 10 > serve_max(gw) * 9)
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
    return ready_by(gw, &l, reasons);
}

void
route_healthz(struct request *r)
{
    reply_json(r, 200, STR("{\"status\":\"ok\"}"));
}

void
route_readyz(struct request *r)
{
    struct look l = fresh_look(r->gw->health);
    struct buf reasons = BUF_MAX(1024), out = BUF_MAX(4096);
    bool ready = ready_by(r->gw, &l, &reasons);

    buf_c(&out, '{');
    buf_key_str(&out, "status", str_of(ready ? "ready" : "not_ready"));
    buf_key_str(&out, "missing", buf_slice(&reasons));
    buf_key_str(&out, "redis", str_of(l.cache && l.state ? "ok" : "degraded"));
    buf_c(&out, '}');
    reply_json(r, ready ? 200 : 503, buf_slice(&out));
    buf_free(&reasons);
    buf_free(&out);
}

static void
put_services(const struct look *l, struct buf *out)
{
    buf_key(out, "services");
    buf_c(out, '{');
    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        buf_key(out, service_names[i]);
        buf_c(out, '{');
        buf_key_str(out, "status", str_of(l->bus.service[i].workers <= 0 ? "down" : l->bus.service[i].capacity <= 0 ? "starting" : "ok"));
        buf_key_int(out, "workers", l->bus.service[i].workers);
        buf_key_int(out, "capacity", l->bus.service[i].capacity);
        buf_key_int(out, "outstanding", l->bus.service[i].outstanding);
        buf_key_int(out, "queued", l->bus.service[i].queued);
        buf_c(out, '}');
    }
    buf_key(out, "postgres");
    buf_z(out, l->postgres ? "{\"status\":\"ok\"}" : "{\"status\":\"down\"}");
    buf_key(out, "redis");
    buf_z(out, l->cache && l->state ? "{\"status\":\"ok\"}" : "{\"status\":\"down\"}");
    buf_c(out, '}');
}

void
route_health(struct request *r)
{
    struct look l = fresh_look(r->gw->health);
    struct buf reasons = BUF_MAX(1024), out = BUF_MAX(16384);
    bool ready = ready_by(r->gw, &l, &reasons);
    bool whole = l.cache && l.state && l.bus.service[SERVICE_JANITOR].workers > 0;

    buf_c(&out, '{');
    buf_key_str(&out, "status", str_of(!ready ? "down" : whole ? "ok" : "degraded"));
    buf_key_str(&out, "version", str_of(footnote_version));
    buf_key_str(&out, "build", str_of(footnote_build));
    put_services(&l, &out);
    buf_c(&out, '}');
    reply_json(r, 200, buf_slice(&out));
    buf_free(&reasons);
    buf_free(&out);
}
