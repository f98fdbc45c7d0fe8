/* Inside the worker side of the bus: connections (worker_conn.c) and calls (worker.c). */
#ifndef PROTO_WORKER_INT_H
#define PROTO_WORKER_INT_H

#include "common/process/stat.h"
#include "proto/curve.h"
#include "proto/worker.h"
#include "proto/zsock.h"

enum {
#define STAT_TBL "proto/bus_stat.tbl"
#include "common/process/stat_enum.h"
#undef STAT_TBL
};
extern struct stat_set bus_stats;

#define CONN_MAX 64      /* hubs at most */
#define ENDPOINT_MAX 128 /* length of tcp://address:port */

enum conn_state { CONN_WAITING, CONN_CONNECTING, CONN_ASKED, CONN_REGISTERED, CONN_STATES };

/* One hub. State: WAITING (no socket, back-off) → CONNECTING → ASKED (READY sent) → REGISTERED → WAITING … */
struct conn {
    struct worker *w;
    char endpoint[ENDPOINT_MAX];
    enum conn_state state;
    void *sock;            /* NULL while WAITING */
    void *monitor;         /* says when its connection begins and ends */
    int fd, monitor_fd;    /* ZMQ_FD of either */
    bool stirred, news;    /* sock, monitor: there may be something in it */
    bool up;               /* the connection stands */
    bool ended;            /* it stood once and broke: libzmq would connect again, we begin anew */
    uint8_t life[16];      /* for READY; by it the hub knows us again after our connection broke */
    uint8_t hub_epoch[16]; /* of the hub that answered */
    int64_t heard_ms;      /* last message */
    int64_t sent_ms;       /* last message */
    uint64_t retry;        /* timer: WAITING until then */
    int64_t backoff_ms;
    int64_t since_ms; /* REGISTERED since */
    bool drain_acked; /* the hub knows that we drain */
    /* a full socket refused a FINAL or NACK: only a new registration frees its slot at the hub */
    bool answer_lost;
    bool listed; /* still among the resolved addresses */
};

/* A call we were given: struct delivery is its public part. */
struct incoming {
    struct delivery pub; /* first: handlers hold &in->pub */
    struct conn *conn;   /* NULL: that hub is gone, the answer goes nowhere */
    struct uuid req;
    int64_t attempt;
    int64_t start_us;
    int64_t parts;        /* sequence number of the next part */
    struct blob *payload; /* pub.req borrows from it */
    char tenant[65], trace[129];
    struct span *span;
    struct incoming *next, **prev;
};

/* A call we made. */
struct outgoing {
    uint64_t id;
    struct conn *conn; /* NULL: failed, the callback is due */
    struct uuid req;
    enum kind kind;
    enum err err; /* when failed before sending */
    uint64_t timer;
    reply_fn fn;
    void *arg;
    struct worker *w;
    struct span *span;
    struct outgoing *next, **prev;
};

struct worker {
    struct loop *loop;
    struct worker_config cfg;
    struct worker_service services[8];
    struct conn *conns[CONN_MAX];
    size_t n_conns;
    uint8_t instance[16];  /* for READY; new for every registration */
    char instance_hex[33]; /* the first one: names leases */
    struct incoming *in;   /* calls in work */
    struct outgoing *out;  /* calls made */
    uint64_t next_id;
    uint64_t tick; /* timer */
    uint64_t done_total[SERVICE_COUNT];
    long inflight[SERVICE_COUNT];
    bool curve; /* encrypt; with: */
    struct curve_key secret, hub_key;
    struct resolver *resolver;
    int64_t resolve_ms; /* next resolution */
    bool draining;
    bool drained;
    int64_t drain_end_ms;
    void (*drain_done)(void *arg);
    void *drain_arg;
    struct buf head; /* scratch for headers */
};

/* worker_conn.c */
bool conns_init(struct worker *w); /* false: an endpoint cannot be parsed */
void conns_fini(struct worker *w);
void conn_tick(struct conn *c, int64_t now);
void conn_lose(struct conn *c,
               const char *why); /* close, fail its outgoing calls, detach its incoming ones */
bool conn_send(struct conn *c, int cmd, const void *head, struct blob *payload);
bool conns_hook(void *arg);         /* loop hook: receive */
void conns_share(struct worker *w); /* divide capacity among the live hubs (CREDIT) */
long conns_registered(const struct worker *w);
void resolve_tick(struct worker *w, int64_t now);

/* worker_call.c */
void worker_on_final(struct conn *c, const void *head, struct zmessage *m);
void worker_calls_lost(struct conn *c);

/* worker.c: messages from a hub */
void worker_on_message(struct conn *c, struct zmessage *m);
void worker_on_conn_lost(struct conn *c);
long worker_share(const struct worker *w, const struct conn *c, size_t service);

#endif
