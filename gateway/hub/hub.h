/* The gateway's side of the bus, for HTTP threads: call a service, wait for its outcome or its parts.
 * The hub thread owns the ROUTER socket; requests reach it through a locked list and an eventfd, replies wake the
 * calling thread through the request's own condition. */
#ifndef GATEWAY_HUB_HUB_H
#define GATEWAY_HUB_HUB_H

#include "proto/msg.h"

struct hub;
struct
    call; /* one call of a service, in flight: as its caller sees it (proto/worker.h: as its worker does) */

struct hub_config {
    const char *bind;       /* HUB_BIND */
    bool curve;             /* BUS_CURVE: only listed keys get in; with: */
    const char *secret_key; /* HUB_SECRET_KEY, 64 hex digits */
    const char *allow_file; /* HUB_ALLOW_FILE */
};

struct hub *
hub_new(const struct hub_config *cfg); /* NULL after logging why (address in use, …); starts the thread */
/* Stop serving: what is in flight and every later call ends at once with ERR_DRAINING, so that no thread still waits for
 * the bus. Calls may be made and freed until hub_free. Accepts NULL; once is enough, from one thread. */
void hub_close(struct hub *h);
void hub_free(struct hub **h); /* closes it first */

/* Send a request (thread-safe; encodes before returning). req is a struct of kinds[kind].req. deadline_ms is a
 * clock_ms() time. Never NULL: a failure to encode is found by call_wait. */
struct call *hub_call(struct hub *h, enum kind kind, const void *req, const char *tenant, const char *trace,
                      int64_t deadline_ms);
/* The same for a call whose reservation covers one attempt: it is not repeated where a model may have been paid. */
struct call *hub_call_once(struct hub *h, enum kind kind, const void *req, const char *tenant,
                           const char *trace, int64_t deadline_ms);

enum call_event { CALL_PART, CALL_DONE, CALL_IDLE };
struct outcome {
    enum err err; /* CALL_DONE: how it ended */
    const void *
        msg; /* CALL_PART: the part, until the next call_wait; CALL_DONE with ERR_OK: the reply, until call_free */
    const char *text; /* phrase with a failure, or "" */
    int64_t retry_after_ms;
};
/* Wait for the next part or the end, at most until the wake-up time wake_ms (CALL_IDLE then; INT64_MAX: until the
 * deadline, which always ends it with ERR_DEADLINE). */
enum call_event call_wait(struct call *q, int64_t wake_ms, struct outcome *out);
/* Give up or finish; cancels what still runs. Accepts NULL, nulls it. */
void call_free(struct call **q);
/* Shorthand for calls without parts. */
enum err call_once(struct hub *h, enum kind kind, const void *req, const char *tenant, const char *trace,
                   int64_t deadline_ms, struct call **q, struct outcome *out);

struct hub_view { /* the hub's view, for /health, /readyz and gauges */
    struct {
        long workers, capacity, outstanding, queued;
        bool ever;       /* a worker was registered at least once */
        bool overloaded; /* more comes than its workers take, for a while now: refuse early what is new */
    } service[SERVICE_COUNT];
};
void hub_look(struct hub *h, struct hub_view *out); /* thread-safe */
void hub_reload(struct hub *h);                     /* read the allow-list again; thread-safe */

#endif
