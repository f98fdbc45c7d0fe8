/* Health, probed and never assumed: the hub's view of each service, a real call to the store (which asks Postgres), and
 * a PING to Redis. A thread probes every second for /readyz of the internal port; the public routes probe again when the
 * last look is older than half a second, one at a time, so that nobody can make us flood the bus.
 *
 *   ok        everything is there
 *   degraded  questions are answered, but something is missing (Redis: limits are local and nothing is cached; janitor)
 *   down      a question cannot be answered */
#include <pthread.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "gateway/gateway.h"
#include "gateway/nap.h"

#define PROBE_MS 1000
#define OLD_MS 500

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
    struct nap nap;               /* of the thread */
    pthread_mutex_t probing;      /* one probe at a time */
    pthread_mutex_t lock;         /* of last */
    struct look last;
};

static bool
ping(struct redis *r)
{
    struct str argv = STR("PING");
    struct redis_cmd cmd = { &argv, 1 };
    struct arena *a = arena_new(4096);
    struct redis_val v;
    bool good = r != NULL && redis_run(r, a, &cmd, 1, &v) == 0 && v.type == REDIS_STATUS;

    arena_free(&a);
    return good;
}

static void
probe(struct health *h)
{
    struct look now = { .at_ms = 0 };
    struct ask *q = NULL;
    struct answer a;

    if (ask_once(h->gw->hub, KIND_STORE_HEALTH, NULL, "", "", clock_ms() + 1000, &q, &a) == ERR_OK && a.msg != NULL) {
        now.store = true;
        now.rep = *(const struct store_health_rep *)a.msg;
        now.postgres = now.rep.postgres;
    }
    ask_free(&q);
    now.cache = ping(h->gw->cache);
    now.state = h->gw->state == h->gw->cache ? now.cache : ping(h->gw->state);
    hub_look(h->gw->hub, &now.bus);
    now.at_ms = clock_ms();
    pthread_mutex_lock(&h->lock);
    h->last = now;
    pthread_mutex_unlock(&h->lock);
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
    pthread_mutex_lock(&h->probing);
    if (clock_ms() - last_look(h).at_ms > OLD_MS)
        probe(h);
    pthread_mutex_unlock(&h->probing);
    return last_look(h);
}

static void *
run(void *arg)
{
    struct health *h = arg;

    do {
        pthread_mutex_lock(&h->probing);
        probe(h);
        pthread_mutex_unlock(&h->probing);
    } while (nap_for(&h->nap, PROBE_MS));
    return NULL;
}

struct health *
health_start(struct gateway *gw)
{
    struct health *h = mem_new(sizeof *h);

    h->gw = gw;
    pthread_mutex_init(&h->probing, NULL);
    pthread_mutex_init(&h->lock, NULL);
    nap_init(&h->nap);
    if (pthread_create(&h->thread, NULL, run, h) == 0)
        return h;
    LOG(ERROR, NULL, M("no thread for the health probe"));
    mem_free(&h);
    return NULL;
}

void
health_stop(struct health **h)
{
    if (*h == NULL)
        return;
    nap_end(&(*h)->nap);
    pthread_join((*h)->thread, NULL);
    nap_fini(&(*h)->nap);
    pthread_mutex_destroy(&(*h)->probing);
    pthread_mutex_destroy(&(*h)->lock);
    mem_free(h);
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
    if (!l->postgres)
        reason(reasons, "postgres");
    if (atomic_load(&gw->draining))
        reason(reasons, "draining");
    if (atomic_load(&gw->in_flight) * 10 > gw->opt->http_threads * 9)
        reason(reasons, "saturated");
    return reasons->n == before;
}

bool
health_ready(struct gateway *gw, struct buf *reasons)
{
    struct look l = last_look(gw->health);

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
        buf_key_str(out, "status", str_of(l->bus.service[i].workers > 0 ? "ok" : "down"));
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
