/* The hub's core as a pure function: (state, event, now) → actions. No socket, clock or randomness of its own: the same
 * code runs behind ZeroMQ (hub.c), in the simulator and under the fuzzer. Rules: proto/PROTOCOL.md.
 *
 *   core_call ──► queue per service (fair between tenants) ──► attempt at a worker with credit ──► FINAL ──► done
 *                     ▲                                             │ NACK, death, attempt timer
 *                     └─────────────────────────────────────────────┘ (while attempts, time and budget last)
 *
 * Invariants (core_check): for every worker and service credit + outstanding = capacity (or outstanding > capacity after
 * a CREDIT that lowered it); every request is in exactly one of queued, out, closed; one answer a request. */
#ifndef GATEWAY_HUB_CORE_H
#define GATEWAY_HUB_CORE_H

#include "proto/bus.h"

struct core;

/* Actions. They are called from inside the core_* functions and must not call back into the core. */
struct core_ops {
    /* head is the struct of the command's header; payload is borrowed (hold it to keep it). False: the peer is known to be
     * gone, so the message went nowhere; core_unsent must follow. */
    bool (*send)(void *arg, uint64_t peer, int cmd, const void *head, struct blob *payload);
    /* One streamed part for a caller. */
    void (*part)(void *arg, void *caller, struct blob *payload);
    /* The end of a request: exactly once. payload is NULL unless e is ERR_OK. text may be absent. */
    void (*done)(void *arg, void *caller, enum err e, struct blob *payload, struct str text,
                 int64_t retry_after_ms);
};

struct core_call {
    enum kind kind;
    const char *tenant;
    const char *trace;
    int64_t deadline_ms;
    struct blob *payload; /* consumed */
    void *caller;         /* given back in part and done */
    const char *context;  /* W3C's traceparent of its span; NULL: none */
    bool once;            /* not repeated where the first attempt may have been billed */
};

/* The sender of a frame, as the transport knows it. */
struct core_peer {
    uint64_t id;       /* the hub's own routing id */
    unsigned services; /* it may offer these (bit n: service n); all ones without CURVE */
    uint64_t identity; /* the same for the same key, over connections; 0: not known, so it is never banned */
};

struct core_view { /* per service, for health and gauges */
    long workers, draining, capacity, outstanding, queued;
    int64_t since_ms; /* when the longest waiting of the queued came; INT64_MAX: none waits */
    bool ever;        /* a worker was registered at least once */
};

struct core *core_new(const struct core_ops *ops, void *arg, const uint8_t epoch[16], int64_t now);
void core_free(struct core **c); /* fails what is open with ERR_DRAINING */
/* Events. now is a monotonic time in milliseconds that never goes back. */
uint64_t core_call(struct core *c, int64_t now,
                   const struct core_call *q); /* handle for core_giveup; done may come at once */
void core_giveup(struct core *c, int64_t now, uint64_t handle); /* the caller has gone; no done any more */
void core_frame(struct core *c, int64_t now, const struct core_peer *from, int cmd, struct str head,
                struct blob *payload);
/* A message that is none: why, in words for the log. */
void core_bad_frame(struct core *c, int64_t now, uint64_t peer, const char *why);
void core_unsent(struct core *c, int64_t now, uint64_t peer); /* a send to that peer failed: it is dead */
void core_tick(struct core *c, int64_t now);
void core_leave(struct core *c, int64_t now);         /* tell all workers: the gateway leaves */
int64_t core_next(const struct core *c, int64_t now); /* when core_tick is due at the latest */
void core_look(const struct core *c, enum service_id id, struct core_view *out);
/* NULL, or which invariant is broken (static text). */
const char *core_check(const struct core *c);

#endif
