/* The way to the collector: ended spans wait in a bounded list, and one thread sends them, many at once. Spans that do not fit or that the
 * collector does not take are dropped and counted. After a failure nothing is sent for a while, and no span is begun, so that a dead one costs nothing. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/process/ticker.h"
#include "common/trace/trace_int.h"

#define WAIT_MAX 4096 /* spans that wait */
#define SEND_AT 512   /* so many are sent at once, before the second is over */
#define EVERY_MS 1000
#define REST_MS 5000 /* after a failure */
#define PATIENCE_MS 3000
#define LAST_MS 1000 /* at the end */
#define BODY_MAX (16u << 20)

static const char *const trace_outcomes[] = { "sent", "dropped", NULL };
static const struct stat_def defs[] = {
#define STAT_TBL "common/trace/stat.tbl"
#include "common/process/stat_rows.h"
#undef STAT_TBL
};
struct stat_set trace_stats;

static struct {
    pthread_mutex_t lock;
    struct span *first, **tail;
    size_t n;
    atomic_bool resting; /* the collector failed a moment ago: what ends now is dropped, and nothing begins */
    int64_t rest_until_ms; /* the thread's own */
    char service[32];
    struct post *post;
    struct ticker *ticker;
} ex = { .lock = PTHREAD_MUTEX_INITIALIZER, .tail = &ex.first };

static size_t
drop_all(struct span *list)
{
    size_t n = 0;

    while (list) {
        struct span *s = list;

        list = s->next;
        span_free(&s);
        n++;
    }
    return n;
}

void
export_put(struct span *s)
{
    bool taken, wake;

    pthread_mutex_lock(&ex.lock);
    if ((taken = ex.n < WAIT_MAX && !atomic_load_explicit(&ex.resting, memory_order_relaxed))) {
        *ex.tail = s;
        ex.tail = &s->next;
        ex.n++;
    }
    wake = taken && ex.n == SEND_AT;
    pthread_mutex_unlock(&ex.lock);
    if (wake)
        ticker_wake(ex.ticker);
    if (taken)
        return;
    stat_add_at(&trace_stats, TRACE_SPANS, TRACE_DROPPED, 0, 1);
    span_free(&s);
}

static struct span *
take_all(void)
{
    struct span *list;

    pthread_mutex_lock(&ex.lock);
    list = ex.first;
    ex.first = NULL;
    ex.tail = &ex.first;
    ex.n = 0;
    pthread_mutex_unlock(&ex.lock);
    return list;
}

static bool
send_all(struct span *list, long timeout_ms)
{
    struct buf body = BUF_MAX(BODY_MAX);
    bool sent;

    otlp_write(ex.service, list, &body);
    sent = !body.failed && post_send(ex.post, buf_slice(&body), timeout_ms);
    stat_add_at(&trace_stats, TRACE_SPANS, sent ? TRACE_SENT : TRACE_DROPPED, 0, drop_all(list));
    buf_free(&body);
    return sent;
}

bool
export_rests(void)
{
    if (!atomic_load_explicit(&ex.resting, memory_order_relaxed))
        return false;
    stat_add_at(&trace_stats, TRACE_SPANS, TRACE_DROPPED, 0, 1);
    return true;
}

static int64_t
tick(void *arg)
{
    static struct log_gate gate;
    struct span *list;

    (void)arg;
    if (clock_ms() < ex.rest_until_ms)
        return ex.rest_until_ms - clock_ms();
    atomic_store_explicit(&ex.resting, false, memory_order_relaxed);
    list = take_all();
    if (!list || send_all(list, PATIENCE_MS))
        return EVERY_MS;
    if (log_gate(&gate))
        LOG(WARN, NULL, M("the collector takes no spans; they are dropped"), KI("rest_ms", REST_MS));
    atomic_store_explicit(&ex.resting, true, memory_order_relaxed);
    ex.rest_until_ms = clock_ms() + REST_MS;
    return REST_MS;
}

void
export_stats(void)
{
    stat_register(&trace_stats, defs, sizeof defs / sizeof *defs);
}

bool
export_start(const char *service, const struct opt_set *o)
{
    const char *base = opt_find_str(o, "OTEL_EXPORTER_OTLP_ENDPOINT"), *why = NULL;
    struct buf url = BUF_MAX(4096);
    size_t n = strlen(base);

    while (n > 0 && base[n - 1] == '/')
        n--;
    buf_add(&url, base, n);
    buf_z(&url, "/v1/traces");
    snprintf(ex.service, sizeof ex.service, "%s", service);
    ex.post = post_new(url.p, opt_find_str(o, "OTEL_EXPORTER_OTLP_HEADERS"), &why);
    buf_free(&url);
    if (ex.post)
        ex.ticker = ticker_start("traces", tick, NULL);
    else
        LOG(ERROR, NULL, M("there are no traces"), KS("why", why));
    return ex.ticker != NULL;
}

void
export_stop(void)
{
    struct span *list;

    ticker_stop(&ex.ticker);
    list = take_all();
    if (list && clock_ms() >= ex.rest_until_ms)
        (void)send_all(list, LAST_MS);
    else
        stat_add_at(&trace_stats, TRACE_SPANS, TRACE_DROPPED, 0, drop_all(list));
    post_free(&ex.post);
}
