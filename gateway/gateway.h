/* The gateway's own state and the interfaces between its edge files. The API handlers need gw->opt and gw->hub of it,
 * the rest of what they call is in request.h. */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include <stdatomic.h>

#include "common/process/opt.h"
#include "common/process/proc.h"
#include "common/redis/redis.h"
#include "common/process/stat.h"
#include "gateway/edge/edge.h"
#include "gateway/edge/memory.h"
#include "gateway/request/request.h"
#include "gateway/edge/stranger.h"

struct gateway_opt {
#define OPT OPT_FIELD
#include "gateway/opt.tbl"
#undef OPT
};

enum {
#define STAT_TBL "gateway/stat.tbl"
#include "common/process/stat_enum.h"
#undef STAT_TBL
    GW_STATS
};
extern struct stat_set gateway_stats;
extern const char *const cache_labels[];
void gateway_stats_register(void);

enum cache_outcome { CACHE_HIT, CACHE_MISS, CACHE_STALE, CACHE_COLLISION, CACHE_BAD, CACHE_BYPASS, CACHE_STORED, CACHE_FAILED };
enum { POLICY_SESSION, POLICY_KEY, POLICY_HOUR, POLICY_ADDRESS, POLICY_AUTH, POLICY_CONCURRENCY }; /* policy_labels */
enum turn_outcome { TURN_QUEUED, TURN_FULL, TURN_FAILED };

struct http;      /* http.c: the server */
struct limiter;   /* limit.c: buckets in this process */
struct keyring;   /* auth.c: the API keys */
struct feed;      /* watch/epochs.c: epochs and collections */
struct health;    /* health.c: last probe */
struct keeper;    /* admit/lease.c: leases of idempotency keys */

struct gateway {
    const struct gateway_opt *opt;
    struct proc *proc;
    struct hub *hub;
    struct redis *cache;          /* REDIS_URL */
    struct redis *state;          /* REDIS_STATE_URL, or the same as cache */
    struct http *http;
    struct limiter *limiter;
    struct keyring *keys;
    struct feed *feed;
    struct health *health;
    struct keeper *keeper;
    struct memory memory;
    struct origins allowed;       /* ALLOWED_ORIGINS */
    struct cidrs proxies;         /* TRUSTED_PROXIES */
    struct strangers strangers;   /* what callers without a key may reach */
    uint8_t admin_hash[32];       /* SHA-256 of ADMIN_KEY */
    bool has_admin;               /* ADMIN_KEY is set */
    atomic_bool draining;         /* new requests get 503 */
    atomic_bool cut;              /* the drain's time is over: streams end with an error event */
    atomic_long in_flight;        /* requests, refused ones included */
    atomic_long busy;             /* of these being worked on: whole, and not waiting for their client */
    atomic_long working;          /* of these with work of their own: what a drain waits for */
    atomic_long streams;          /* of these open event streams */
    atomic_long body_bytes;       /* memory of bodies being read or worked on */
    int64_t drain_ms;             /* clock_ms() when the drain began */
};

#define LIMIT_POLICIES 3
struct limit_state {              /* what the answer's RateLimit headers say */
    struct policy p[LIMIT_POLICIES];
    size_t n;
    int violated;                 /* index of the policy that refused, or -1 */
};

/* The private side of a request: its connection. */
struct http_conn {
    void *mg;                     /* civetweb's connection; only http.c looks inside */
    int fd;                       /* -1 when unknown */
    struct head head;             /* request line and headers */
    struct frame frame;           /* how long the body is, as checked */
    bool close;                   /* the connection ends with this answer */
    bool body_done;               /* nothing of the body is left unread */
    bool sent;                    /* an answer has begun */
    bool stream, chunked_out;     /* event stream; with chunked coding */
    bool stream_ended, told_cut;  /* its end was written; its client knows of the drain */
    bool working;                 /* counted in gw->working */
    atomic_long *busy;            /* where it is counted as being worked on, or NULL */
    bool counted_key;             /* has a slot of its key's concurrency */
    struct buf body;              /* owned body bytes */
    size_t body_charged;          /* added to gw->body_bytes */
    uint64_t sent_bytes;
    int64_t retry_after_ms;       /* 0: none */
    const char *origin;           /* Origin that may read the answer, or NULL */
    char trace_parent[56];        /* for the answer */
    struct limit_state limits;
};

/* http.c */
struct http *http_start(struct gateway *gw);                  /* NULL after logging why */
void http_stop(struct http **h);                              /* cuts what is in flight: drain first */
bool http_write(struct http_conn *c, const void *p, size_t n); /* false: the client has gone */
long http_read(struct http_conn *c, void *p, size_t n);       /* 0: end, -1: error or cut */
void http_close_after(struct http_conn *c);
long serve_max(const struct gateway *gw);                     /* requests worked on at once */
void serve(struct gateway *gw, struct http_conn *c, const char *peer); /* from head to access log; peer: its address as text */
bool body_read(struct request *r, size_t limit);              /* body.c; false after an answer was sent */
/* auth.c */
struct keyring *keyring_start(struct gateway *gw);            /* with its thread */
void keyring_stop(struct keyring **k);
double keyring_age_s(struct keyring *k);
size_t keyring_count(struct keyring *k);
void keyring_refresh(struct keyring *k);                      /* read all keys again, soon */
/* Who asks: fills r->who. false after an answer was sent. */
bool auth_check(struct request *r);
/* May a page of that origin read our answers (preflights: no key is known yet)? */
bool auth_origin_known(struct gateway *gw, const struct head *h, const char *origin);
/* limit.c */
struct limiter *limiter_new(size_t max_active);
void limiter_free(struct limiter **l);
/* Charge (or, with charge false, look at) the bucket of (id, p); fills p's result. scale: 1, or 2 for the floor. */
bool limiter_take(struct limiter *l, uint64_t id, struct policy *p, long scale, bool charge);
uint64_t limiter_id(const struct limiter *l, struct str who, const char *policy);
bool limiter_key_enter(struct limiter *l, const uint8_t hash[32], long max);
void limiter_key_leave(struct limiter *l, const uint8_t hash[32]);
void limit_headers(const struct limit_state *s, struct buf *out);
/* cache.c: charge the address only, in this process (public routes, and what answers before admit). */
bool admit_address(struct request *r, bool charge);
void admit_init(void);
/* watch/epochs.c */
struct feed *feed_start(struct gateway *gw);
void feed_stop(struct feed **f);
double feed_age_s(struct feed *f);
int64_t feed_seq(struct feed *f);
/* admit/lease.c */
struct keeper *keeper_start(struct gateway *gw);
void keeper_stop(struct keeper **k);
/* health.c */
struct health *health_start(struct gateway *gw);
void health_stop(struct health **h);
bool health_ready(struct gateway *gw, struct buf *reasons);   /* from the last probe; never blocks */
/* Has the client of a waiting request gone away? */
bool request_gone(const struct request *r);

#endif
