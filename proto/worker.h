/* The worker side of the bus: one DEALER connection per hub endpoint, in the service's loop. A service lists what it
 * offers, gets calls, answers each exactly once, and may call other services through the hub.
 *
 *   worker_new → (registered with the hub: READY, heartbeats) → handler(call) → worker_part* → worker_reply | worker_fail
 *
 * All functions belong to the loop's thread. */
#ifndef PROTO_WORKER_H
#define PROTO_WORKER_H

#include "common/process/loop.h"
#include "common/process/opt.h"
#include "common/trace/trace.h"
#include "proto/msg.h"

struct worker;

/* A call as this worker got it (gateway/hub/hub.h: as its caller sees it). It lives until it is answered. */
struct delivery {
    struct worker *worker;
    enum kind kind;
    const void *req; /* decoded request (struct of kinds[kind].req), in arena; NULL for a kind without one */
    struct arena *arena; /* the request's memory; freed with the call */
    int64_t deadline_ms; /* clock_ms() by which the answer must be there */
    const char *tenant;  /* "" when the caller gave none */
    const char *trace;   /* request id of the question, for logs */
    void *user;          /* the handler's own state for this call */
    void (*on_cancel)(struct delivery
                          *c); /* set by the handler: called when the caller no longer wants the answer. The
                                          handler must still answer (worker_fail(c, ERR_CANCELLED, …) will do). May be NULL */
};

struct worker_service {
    enum service_id id;
    long capacity; /* calls that may be outstanding at once; 0: registered, but gets nothing yet */
};

typedef void (*delivery_fn)(struct delivery *c);

/* Of proto/worker_opt.tbl's options: one line for each that cannot work. */
void worker_check(const char *endpoints, bool curve, const char *secret_key, const char *hub_key,
                  struct buf *err);

struct worker_config {
    const char *endpoints; /* HUB_ENDPOINTS */
    /* the process's options: BUS_CURVE and its keys are looked up; NULL: no CURVE */
    const struct opt_set *opts;
    const struct worker_service *services;
    size_t n_services;
    delivery_fn handlers[KIND_COUNT]; /* NULL: unsupported */
    void *ctx;                        /* worker_ctx(c) returns it */
    int64_t drain_ms;                 /* work in flight may take this long after worker_drain */
};

/* Starts connecting; never fails for want of a hub. NULL (with a log line) when an endpoint cannot be parsed. */
struct worker *worker_new(struct loop *l, const struct worker_config *cfg);
void worker_free(struct worker **w);
void *worker_ctx(const struct delivery *c);
/* The call's span, for what its handler knows of it; NULL: there is none. */
struct span *worker_span(const struct delivery *c);
/* Is at least one hub connected and answering? For /readyz. */
bool worker_registered(const struct worker *w);
/* Our instance, 32 hex digits: names the lease of a job. */
const char *worker_instance(const struct worker *w);

/* Answers: exactly one of reply, fail or nack for each call; c is gone afterwards.
 * rep is a struct of kinds[c->kind].rep and is copied before the function returns. */
void worker_reply(struct delivery *c, const void *rep);
/* text: what happened, for the log and for errors[] (a phrase that users may see), or NULL. retry_after_ms 0: none. */
void worker_fail(struct delivery *c, enum err e, int64_t retry_after_ms, const char *text);
/* Not begun: may be repeated anywhere, not counted as an attempt. */
void worker_nack(struct delivery *c, const char *reason);
/* One streamed part (a struct of kinds[c->kind].part). False: it did not go out, the way to the hub is full just now (or gone);
 * what it held must go with the next one, or there is a hole. */
bool worker_part(struct delivery *c, const void *part);
/* Is the hub that gave this call gone? Its answer goes nowhere, but the caller may have left word how to get it elsewhere. */
bool worker_abandoned(const struct delivery *c);

/* Calls of a worker to another service, through a hub. */
struct reply {
    enum err err;     /* ERR_OK, or why there is no answer */
    const void *rep;  /* struct of kinds[kind].rep when err is ERR_OK; else NULL */
    const char *text; /* phrase with a failure, or "" */
    int64_t retry_after_ms;
    struct arena *arena; /* rep's memory; freed after the callback unless it is set to NULL (then yours) */
};
typedef void (*reply_fn)(void *arg, struct reply *r);
/* parent: the call this one serves (its hub, tenant, trace and at most its remaining time), or NULL for own jobs (any
 * live hub; tenant and trace may be ""). The callback always comes, once, never from inside worker_call. The returned
 * id can be given to worker_call_cancel: then the callback does not come any more. */
uint64_t worker_call(struct worker *w, struct delivery *parent, enum kind kind, const void *req,
                     const char *tenant, const char *trace, int64_t timeout_ms, reply_fn fn, void *arg);
void worker_call_cancel(struct worker *w, uint64_t id);

/* Stop taking work: DRAIN to the hubs, wait for the calls in flight (then fail them as retryable), then done(arg). */
void worker_drain(struct worker *w, void (*done)(void *arg), void *arg);
/* Change a service's capacity while running (back-pressure; 0: nothing for now, requests wait in the hubs' queues). */
void worker_set_capacity(struct worker *w, enum service_id id, long capacity);

#endif
