/* Inside the hub: the ask, shared by the thread that asks (call.c) and the hub thread (hub.c). */
#ifndef GATEWAY_HUB_INT_H
#define GATEWAY_HUB_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "gateway/hub/hub.h"
#include "proto/bus.h"

struct part {
    struct blob *payload;
    struct part *next;
};

struct ask {
    struct hub *hub;
    enum kind kind;
    atomic_int refs;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct part *parts, **parts_tail;
    size_t n_parts;
    bool done;               /* err, payload, text are set */
    bool overrun;            /* done for want of room for its parts: the core does not know yet */
    enum err err;
    struct blob *payload;
    char text[401];
    int64_t retry_after_ms;
    int64_t deadline_ms;
    struct blob *request;    /* until the hub thread takes it */
    char tenant[65], trace[129];
    struct arena *arena;     /* decoded messages; HTTP thread only */
    struct blob **held;      /* payloads that decoded messages borrow from */
    size_t n_held;
    uint64_t handle;         /* hub thread only; 0: not with the core */
};

/* call.c */
void ask_unref(struct ask *q);
/* Its end; the first one counts. Holds the payload (may be NULL). */
void ask_finish(struct ask *q, enum err e, struct blob *payload, struct str text, int64_t retry_after_ms);
void ask_add_part(struct ask *q, struct blob *payload);
/* hub.c: an ask for the hub thread, new or given up; of a closed hub it ends at once. */
void hub_put(struct hub *h, struct ask *q, bool giveup);

#endif
