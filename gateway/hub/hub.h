/* The gateway's side of the bus, for HTTP threads: ask a service, wait for its answer or its parts.
 * The hub thread owns the ROUTER socket; requests reach it through a locked list and an eventfd, replies wake the
 * asking thread through the request's own condition. */
#ifndef GATEWAY_HUB_H
#define GATEWAY_HUB_H

#include "proto/msg.h"

struct hub;
struct ask; /* one question to a service, in flight */

struct hub_config {
    const char *bind;            /* HUB_BIND */
    bool curve;                  /* BUS_CURVE: only listed keys get in; with: */
    const char *secret_key;      /* HUB_SECRET_KEY, 64 hex digits */
    const char *allow_file;      /* HUB_ALLOW_FILE */
};

struct hub *hub_new(const struct hub_config *cfg);  /* NULL after logging why (address in use, …); starts the thread */
/* Stop serving: what is in flight and every later call ends at once with ERR_DRAINING, so that no thread still waits for
 * the bus. Calls may be made and freed until hub_free. Accepts NULL; once is enough, from one thread. */
void hub_close(struct hub *h);
void hub_free(struct hub **h);                      /* closes it first */

/* Send a request (thread-safe; encodes before returning). req is a struct of kinds[kind].req. deadline_ms is a
 * clock_ms() time. Never NULL: a failure to encode is found by ask_wait. */
struct ask *hub_ask(struct hub *h, enum kind kind, const void *req, const char *tenant, const char *trace,
                    int64_t deadline_ms);

enum ask_event { ASK_PART, ASK_DONE, ASK_IDLE };
struct answer {
    enum err err;             /* ASK_DONE: how it ended */
    const void *msg;          /* ASK_PART: the part; ASK_DONE with ERR_OK: the reply; in ask's arena */
    const char *text;         /* phrase with a failure, or "" */
    int64_t retry_after_ms;
};
/* Wait for the next part or the end, at most until the wake-up time wake_ms (ASK_IDLE then; INT64_MAX: until the
 * deadline, which always ends it with ERR_DEADLINE). Messages stay valid until ask_free. */
enum ask_event ask_wait(struct ask *q, int64_t wake_ms, struct answer *out);
/* Give up or finish; cancels what still runs. Accepts NULL, nulls it. */
void ask_free(struct ask **q);
/* Shorthand for calls without parts. */
enum err ask_once(struct hub *h, enum kind kind, const void *req, const char *tenant, const char *trace,
                  int64_t deadline_ms, struct ask **q, struct answer *out);

struct hub_view {             /* what the hub sees, for /health, /readyz and gauges */
    struct {
        long workers, capacity, outstanding, queued;
        bool overloaded;      /* more comes than its workers take, for a while now: refuse early what is new */
    } service[SERVICE_COUNT];
};
void hub_look(struct hub *h, struct hub_view *out);  /* thread-safe */
void hub_reload(struct hub *h);                      /* read the allow-list again; thread-safe */

#endif
