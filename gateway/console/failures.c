/* GET /errors: the latest failures (5xx, and streams that ended with such an error) and refusals (4xx) of this gateway: code,
 * route, time, request id, by which the logs of all services tell the rest. Two rings, so that a flood of refused requests, which
 * anybody can send, does not push out what failed. No path, no text, no key, no address is kept.
 *
 * Of a tenant its own admins see theirs; who runs the deployment sees all. */
#include "gateway/console/failures.h"

#include <pthread.h>
#include <stdio.h>

#include "common/clock.h"
#include "gateway/admit/auth.h"
#include "gateway/api/api.h"
#include "gateway/console/console.h"
#include "gateway/console/figures.h"

#define KEPT 200
#define LIMIT 50

enum ring_kind { FAILED, REFUSED, RINGS };

struct failure {
    int64_t at_ms, ms;         /* wall clock; time from arrival to answer */
    enum err err;              /* its code */
    int status;                /* as it was sent: 200 of a stream that broke off */
    const struct route *route; /* never NULL */
    char tenant[65];           /* empty: not known */
    char id[129];              /* of the request */
};

struct failures {
    pthread_mutex_t lock;
    struct {
        struct failure v[KEPT];
        size_t n; /* ever noted */
    } ring[RINGS];
};

struct failures *
failures_new(void)
{
    struct failures *f = mem_new(sizeof *f);

    pthread_mutex_init(&f->lock, NULL);
    return f;
}

void
failures_free(struct failures **f)
{
    if (!*f)
        return;
    pthread_mutex_destroy(&(*f)->lock);
    mem_free(f);
}

void
failures_note(struct failures *f, const struct request *r)
{
    enum ring_kind kind = err_http(r->err) >= 500 ? FAILED : REFUSED;
    struct failure one = { .at_ms = clock_wall_ms(), .err = r->err, .status = r->status, .route = r->route };

    if (r->err == ERR_OK || !r->route)
        return;
    one.ms = (clock_us() - r->start_us) / 1000;
    (void)snprintf(one.tenant, sizeof one.tenant, "%s", r->who.tenant);
    (void)snprintf(one.id, sizeof one.id, "%s", r->id);
    pthread_mutex_lock(&f->lock);
    f->ring[kind].v[f->ring[kind].n++ % KEPT] = one;
    pthread_mutex_unlock(&f->lock);
}

static void
failure_item(struct buf *b, const void *item, void *arg)
{
    const struct failure *x = item;

    (void)arg;
    buf_c(b, '{');
    render_key_time(b, "at", x->at_ms);
    buf_key_str(b, "code", str_of(err_name(x->err)));
    buf_key_str(b, "title", str_of(err_text(x->err)));
    buf_key_int(b, "status", x->status);
    buf_key_str(b, "route", str_of(x->route->name));
    buf_key_int(b, "ms", x->ms);
    buf_key_str(b, "tenant", *x->tenant ? str_of(x->tenant) : STR_NONE);
    buf_key_str(b, "request_id", str_of(x->id));
    buf_c(b, '}');
}

/* The newest of a ring that this caller may see, the newest first. */
static void
put_ring(const struct request *r, enum ring_kind kind, int64_t limit, struct buf *b)
{
    struct failures *f = r->gw->failures;
    struct failure *copy = mem_new(KEPT * sizeof *copy);
    bool all = console_sees_all(r);
    size_t n = 0;

    pthread_mutex_lock(&f->lock);
    size_t ever = f->ring[kind].n, kept = ever < KEPT ? ever : KEPT;

    for (size_t i = 1; i <= kept && n < (size_t)limit; i++) {
        const struct failure *x = &f->ring[kind].v[(ever - i) % KEPT];

        if (all || strcmp(x->tenant, r->who.tenant) == 0)
            copy[n++] = *x;
    }
    pthread_mutex_unlock(&f->lock);
    buf_key(b, kind == FAILED ? "failed" : "refused");
    render_list(b, &(struct list){ .v = copy, .n = n, .size = sizeof *copy, .render = failure_item });
    mem_free(&copy);
}

void
route_errors(struct request *r)
{
    struct buf b = BUF_MAX(1048576);
    int64_t limit = LIMIT;

    if (!api_number(r, "limit", 1, KEPT, &limit) || !api_whole_tenant(r))
        return;
    buf_c(&b, '{');
    figures_who(r->gw->figures, &b);
    for (enum ring_kind k = FAILED; k < RINGS; k++)
        put_ring(r, k, limit, &b);
    buf_c(&b, '}');
    api_reply(r, 200, &b);
}
