/* The gateway's own state: its options, and what main.c starts and stops. Rooms from request/ upwards know
 * it; edge, hub and safe do not. */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include <stdatomic.h>

#include "common/process/opt.h"
#include "common/process/proc.h"
#include "common/redis/redis.h"
#include "gateway/edge/memory.h"
#include "gateway/edge/origin.h"
#include "gateway/edge/stat.h"
#include "gateway/edge/stranger.h"
#include "gateway/hub/hub.h"

struct gateway_opt {
#define OPT OPT_FIELD
#include "gateway/opt.tbl"
#undef OPT
};

struct http;     /* edge/http.c: the server */
struct limiter;  /* admit/limit.c: buckets in this process */
struct keyring;  /* watch/keyring.c: the API keys */
struct epochs;   /* watch/epochs.c: epochs and collections */
struct health;   /* watch/health.c: last probe */
struct keeper;   /* admit/lease.c: leases of idempotency keys */
struct figures;  /* console/figures.c: the last hour */
struct failures; /* console/failures.c: the latest errors */
struct pulse;    /* admit/frames.c: signs of life for resumable streams */
struct advance;  /* admit/advance.c: limits taken in lots */
struct near;     /* admit/near.c: hot answers */
struct erasures; /* admit/erased.c: sessions that were erased lately */

struct gateway {
    const struct gateway_opt *opt;
    struct proc *proc;
    struct hub *hub;
    struct redis *cache; /* REDIS_URL */
    struct redis *state; /* REDIS_STATE_URL, or the same as cache */
    struct http *http;
    struct limiter *limiter;
    struct keyring *keys;
    struct epochs *epochs;
    struct health *health;
    struct keeper *keeper;
    struct pulse *pulse;
    struct near *near;       /* NULL: off */
    struct advance *advance; /* NULL: off */
    struct erasures *erasures;
    struct figures *figures;
    struct failures *failures;
    struct memory memory;
    struct origins allowed;     /* ALLOWED_ORIGINS */
    struct cidrs proxies;       /* TRUSTED_PROXIES */
    struct strangers strangers; /* reach of callers without a key */
    uint8_t admin_hash[32];     /* SHA-256 of ADMIN_KEY */
    bool has_admin;             /* ADMIN_KEY is set */
    atomic_bool draining;       /* new requests get 503 */
    atomic_bool cut;            /* the drain's time is over: streams end with an error event */
    atomic_long in_flight;      /* requests, refused ones included */
    atomic_long busy;           /* of these being worked on: whole, and not waiting for their client */
    atomic_long working;        /* of these with work of their own: what a drain waits for */
    atomic_long streams;        /* of these open event streams */
    atomic_long unread;         /* answers being made for a stream whose client has gone */
    atomic_long reading;        /* resumed streams that are read from Redis */
    atomic_long body_bytes;     /* memory of bodies being read or worked on */
    int64_t drain_ms;           /* clock_ms() when the drain began */
};

/* The number of requests that may be worked on at once. */
static inline long
gateway_most(const struct gateway *gw)
{
    return gw->opt->max_requests < gw->opt->http_threads ? gw->opt->max_requests : gw->opt->http_threads;
}

/* Nearly as many are worked on. New ones are refused at their heads, so that those whose bodies still come find room: for a tenth, and
 * for GATEWAY_SPARE at most. Else a gateway for 5,000 streams would have to be one for 5,556. */
#define GATEWAY_SPARE 64
static inline bool
gateway_crowded(const struct gateway *gw)
{
    long most = gateway_most(gw), busy = atomic_load(&gw->busy);

    return busy * 10 > most * 9 && busy > most - GATEWAY_SPARE;
}

#endif
