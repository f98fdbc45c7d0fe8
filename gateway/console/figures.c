/* GET /figures: how this gateway and what it calls are doing, now and in the last hour. With several gateways each tells of
 * itself and says which it is: a sum over all of them is Prometheus' matter (docs/metrics.md), which has each one's counts.
 *
 * The hour and the pool are of all tenants: who may see only one of them gets the state of the services, which /health tells
 * everybody.
 *
 * A thread takes a look every ten seconds: what has been counted since the look before, and the gauges as they are. The last
 * 360 looks are kept in a ring, so that a page that was just opened shows the hour in which things went wrong. */
#include "gateway/console/figures.h"

#include <pthread.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/process/ticker.h"
#include "gateway/admit/auth.h"
#include "gateway/api/api.h"
#include "gateway/api/services.h"
#include "gateway/ask/ask.h"
#include "gateway/console/console.h"
#include "gateway/edge/status.h"
#include "gateway/watch/epochs.h"
#include "gateway/watch/health.h"
#include "gateway/watch/keyring.h"

#define EVERY_MS 10000
#define POINTS 360

struct point {
    int64_t at_ms;                     /* wall clock: the end of its ten seconds */
    int64_t requests, refused, failed; /* answers; of these with 4xx, and with 5xx */
    int64_t questions, cached;         /* answered; of these from the query cache */
    double p50, p95, added_p95; /* seconds of a question; without the model server. -1: there was none */
    double spent_dollars, saved_dollars;   /* for the questions */
    long in_flight, streams;               /* as they were at its end, as all that follows */
    long capacity, outstanding, queued;    /* of all services */
    int64_t pool_active, pool_max, outbox; /* of the store that answered; 0 while none does */
};

/* Counts since the start. */
struct counts {
    int64_t requests, refused, failed;
    struct ask_sums asked;
};

struct figures {
    struct gateway *gw;
    struct ticker *ticker;
    char id[17], host[65];
    int64_t started_ms;   /* wall clock */
    struct counts last;   /* of the look before; the ticker's own */
    pthread_mutex_t lock; /* of what follows */
    struct point ring[POINTS];
    size_t n; /* points ever taken */
};

/* ---- a look */

static void
count_answers(struct counts *c)
{
    for (size_t i = 0; route_labels[i]; i++)
        for (size_t k = 0; status_labels[k]; k++) {
            int64_t n = (int64_t)stat_value(&gateway_stats, GW_REQUESTS, i, k);

            c->requests += n;
            c->refused += status_labels[k][0] == '4' ? n : 0;
            c->failed += status_labels[k][0] == '5' ? n : 0;
        }
}

static double
quantile_since(const uint64_t now[STAT_BUCKETS], const uint64_t before[STAT_BUCKETS], double q)
{
    uint64_t n[STAT_BUCKETS];

    for (size_t i = 0; i < STAT_BUCKETS; i++)
        n[i] = now[i] - before[i];
    return stat_quantile(n, q);
}

static void
take_counts(struct figures *f, struct point *p)
{
    struct counts now = { 0 };
    const struct ask_sums *asked = &now.asked, *before = &f->last.asked;

    count_answers(&now);
    ask_sums(&now.asked);
    p->requests = now.requests - f->last.requests;
    p->refused = now.refused - f->last.refused;
    p->failed = now.failed - f->last.failed;
    p->questions = asked->answered - before->answered;
    p->cached = asked->cached - before->cached;
    p->p50 = quantile_since(asked->took, before->took, 0.5);
    p->p95 = quantile_since(asked->took, before->took, 0.95);
    p->added_p95 = quantile_since(asked->added, before->added, 0.95);
    p->spent_dollars = asked->spent_dollars - before->spent_dollars;
    p->saved_dollars = asked->saved_dollars - before->saved_dollars;
    f->last = now;
}

static void
take_gauges(const struct gateway *gw, struct point *p)
{
    struct look l = health_look(gw->health);

    p->in_flight = atomic_load(&gw->in_flight);
    p->streams = atomic_load(&gw->streams);
    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        p->capacity += l.bus.service[i].capacity;
        p->outstanding += l.bus.service[i].outstanding;
        p->queued += l.bus.service[i].queued;
    }
    if (!l.store)
        return;
    p->pool_active = l.rep.pool_active;
    p->pool_max = l.rep.pool_max;
    p->outbox = l.rep.outbox;
}

static int64_t
look(void *arg)
{
    struct figures *f = arg;
    struct point p = { .at_ms = clock_wall_ms() };

    take_counts(f, &p);
    take_gauges(f->gw, &p);
    pthread_mutex_lock(&f->lock);
    f->ring[f->n++ % POINTS] = p;
    pthread_mutex_unlock(&f->lock);
    return EVERY_MS;
}

struct figures *
figures_start(struct gateway *gw)
{
    struct figures *f = mem_new(sizeof *f);

    f->gw = gw;
    hex_random(8, f->id);
    if (gethostname(f->host, sizeof f->host - 1) != 0)
        f->host[0] = '\0';
    f->started_ms = clock_wall_ms();
    pthread_mutex_init(&f->lock, NULL);
    f->ticker = ticker_start("the console's figures", look, f);
    if (!f->ticker)
        figures_stop(&f);
    return f;
}

void
figures_stop(struct figures **f)
{
    if (!*f)
        return;
    ticker_stop(&(*f)->ticker);
    pthread_mutex_destroy(&(*f)->lock);
    mem_free(f);
}

/* ---- as JSON */

void
figures_who(const struct figures *f, struct buf *b)
{
    buf_key(b, "gateway");
    buf_c(b, '{');
    buf_key_str(b, "id", str_of(f->id));
    buf_key_str(b, "host", str_of(f->host));
    render_key_time(b, "started_at", f->started_ms);
    buf_key_str(b, "version", str_of(footnote_version));
    buf_key_str(b, "build", str_of(footnote_build));
    buf_c(b, '}');
    render_key_time(b, "at", clock_wall_ms());
}

static void
key_ms(struct buf *b, const char *key, double seconds)
{
    buf_key(b, key);
    if (seconds < 0)
        buf_z(b, "null");
    else
        buf_json_num(b, (double)(int64_t)(seconds * 1e5 + 0.5) / 100);
}

static void
key_dollars(struct buf *b, const char *key, double dollars)
{
    buf_key_num(b, key, (double)(int64_t)(dollars * 1e9 + 0.5) / 1e9);
}

static void
point_item(struct buf *b, const void *item, void *arg)
{
    const struct point *p = item;

    (void)arg;
    buf_c(b, '{');
    render_key_time(b, "at", p->at_ms);
    buf_key_int(b, "requests", p->requests);
    buf_key_int(b, "refused", p->refused);
    buf_key_int(b, "failed", p->failed);
    buf_key_int(b, "questions", p->questions);
    buf_key_int(b, "cached", p->cached);
    key_ms(b, "p50_ms", p->p50);
    key_ms(b, "p95_ms", p->p95);
    key_ms(b, "added_p95_ms", p->added_p95);
    key_dollars(b, "cost_dollars", p->spent_dollars);
    key_dollars(b, "saved_dollars", p->saved_dollars);
    buf_key_int(b, "in_flight", p->in_flight);
    buf_key_int(b, "streams", p->streams);
    buf_key_int(b, "capacity", p->capacity);
    buf_key_int(b, "outstanding", p->outstanding);
    buf_key_int(b, "queued", p->queued);
    buf_key_int(b, "pool_active", p->pool_active);
    buf_key_int(b, "pool_max", p->pool_max);
    buf_key_int(b, "outbox", p->outbox);
    buf_c(b, '}');
}

/* The points after that time, the oldest first. */
static void
put_points(struct figures *f, int64_t since_ms, struct buf *b)
{
    struct point *copy = mem_new(POINTS * sizeof *copy);
    size_t n = 0;

    pthread_mutex_lock(&f->lock);
    for (size_t i = f->n > POINTS ? f->n - POINTS : 0; i < f->n; i++)
        if (f->ring[i % POINTS].at_ms > since_ms)
            copy[n++] = f->ring[i % POINTS];
    pthread_mutex_unlock(&f->lock);
    buf_key(b, "points");
    render_list(b, &(struct list){ .v = copy, .n = n, .size = sizeof *copy, .render = point_item });
    mem_free(&copy);
}

static void
put_pool(const struct look *l, struct buf *b)
{
    buf_key(b, "pool");
    if (!l || !l->store) {
        buf_z(b, "null");
        return;
    }
    buf_c(b, '{');
    buf_key_int(b, "active", l->rep.pool_active);
    buf_key_int(b, "idle", l->rep.pool_idle);
    buf_key_int(b, "max", l->rep.pool_max);
    buf_key_int(b, "outbox", l->rep.outbox);
    buf_key_int(b, "migration", l->rep.migration);
    buf_c(b, '}');
}

static void
put_now(const struct gateway *gw, bool whole, struct buf *b)
{
    struct look l = health_look(gw->health);
    struct buf missing = BUF_MAX(1024);
    bool ready = health_ready_by(gw, &l, &missing);

    buf_key_str(b, "status", str_of(services_status(&l, ready)));
    buf_key_str(b, "missing", buf_slice(&missing));
    services_put(&l, b);
    put_pool(whole ? &l : NULL, b);
    buf_key_int(b, "connections_most", gw->opt->http_threads);
    buf_key_int(b, "requests_most", gateway_most(gw));
    buf_key_num(b, "keys_age_seconds", keyring_age_s(gw->keys));
    buf_key_num(b, "feed_age_seconds", epochs_age_s(gw->epochs));
    buf_free(&missing);
}

void
route_figures(struct request *r)
{
    struct figures *f = r->gw->figures;
    struct buf b = BUF_MAX(1048576);
    int64_t since = 0;

    if (!api_number(r, "since", 0, INT64_C(9007199254740991), &since))
        return;
    bool whole = console_sees_all(r);

    buf_c(&b, '{');
    figures_who(f, &b);
    buf_key_int(&b, "every_seconds", EVERY_MS / 1000);
    buf_key_bool(&b, "whole", whole);
    put_now(r->gw, whole, &b);
    put_points(f, whole ? since : INT64_MAX, &b);
    buf_c(&b, '}');
    api_reply(r, 200, &b);
}
