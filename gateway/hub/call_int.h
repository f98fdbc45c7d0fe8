/* Inside the hub: the call, shared by the thread that makes it (call.c) and the hub thread (hub.c). */
#ifndef GATEWAY_HUB_CALL_INT_H
#define GATEWAY_HUB_CALL_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/trace/trace.h"
#include "gateway/hub/hub.h"
#include "proto/bus.h"

struct part {
    struct blob *payload;
    struct part *next;
};

struct call {
    struct hub *hub;
    enum kind kind;
    atomic_int refs;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct part *parts, **parts_tail;
    size_t n_parts;
    bool done;    /* err, payload, text are set */
    bool overrun; /* done for want of room for its parts: the core does not know yet */
    enum err err;
    struct blob *payload;
    char text[401];
    int64_t retry_after_ms;
    int64_t deadline_ms;
    struct blob *request; /* until the hub thread takes it */
    char tenant[65], trace[129], context[TRACE_CONTEXT];
    struct span *span;   /* until the call ends; then its maker's thread hands it over */
    struct arena *arena; /* HTTP thread only: the decoded answer, or the last part, which borrows from it */
    struct blob *part;   /* the one taken last; HTTP thread only */
    bool once;           /* hub_call_once */
    uint64_t handle;     /* hub thread only; 0: not with the core */
};

/* call.c */
void call_unref(struct call *q);
/* Its end; the first one counts. Holds the payload (may be NULL). */
void call_finish(struct call *q, enum err e, struct blob *payload, struct str text, int64_t retry_after_ms);
void call_add_part(struct call *q, struct blob *payload);
/* hub.c: a call for the hub thread, new or given up; of a closed hub it ends at once. */
void hub_put(struct hub *h, struct call *q, bool giveup);

#endif
