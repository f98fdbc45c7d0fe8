/* Inside the hub's core: requests and queues (core.c), workers and their frames (worker.c). */
#ifndef GATEWAY_HUB_STATE_H
#define GATEWAY_HUB_STATE_H

#include "common/heap.h"
#include "gateway/hub/blame.h"
#include "gateway/hub/core.h"
#include "gateway/hub/peers.h"
#include "gateway/hub/queue.h"
#include "gateway/hub/stat.h"

#define ATTEMPT_MAX 8       /* dispatches of one request, NACKs included */
#define START_GRACE_MS 2000 /* a fresh hub lets requests wait for the first workers */
#define MADE_MAX 4096       /* requests a worker may have open */
#define BAD_FRAMES_MAX 3    /* in a minute; then it is told to go */
#define GONE_MAX 64         /* and bans that are remembered */
#define BAN_MS 60000
#define FAILURES_MAX 5 /* in a row; then a worker is put aside, for */
#define ASIDE_MS 5000  /* times how often */

enum request_state { REQ_NEW, REQ_QUEUED, REQ_OUT, REQ_HELD, REQ_CLOSED, REQ_STATES };
struct hub_request;
struct hub_worker;

struct attempt {
    struct hub_worker *worker; /* NULL: answered, refused or its worker is gone */
    struct hub_request *req;
    int64_t due_ms;               /* its own timer */
    bool unsent;                  /* the worker was gone already: it never saw the request */
    struct attempt *next, **prev; /* the worker's list */
};

struct hub_request {
    struct heap_node timer; /* first: request_timer.c finds the request by it */
    uint64_t handle;        /* slot and generation: the last eight bytes of the id on the wire */
    enum request_state state;
    enum kind kind;
    char tenant[65], trace[129], context[65];
    int64_t deadline_ms;
    int64_t queue_ms;                           /* QUEUED until then at most */
    struct blob *payload;                       /* dropped when nobody gets it again */
    void *caller;                               /* local origin; or: */
    struct hub_worker *origin;                  /* the worker that asked, NULL for local ones */
    struct uuid origin_req;                     /* its own id for it */
    struct hub_request *made_next, **made_prev; /* the origin's list */
    struct attempt at[ATTEMPT_MAX];
    int n_at;                /* used slots of at */
    int live;                /* of these still at a worker */
    int counted;             /* attempts in the sense of the retry table */
    int moves;               /* workers that were lost while they had it */
    struct strike strike[2]; /* two different workers, and it is poison */
    int n_strikes;
    bool once;                  /* no retry where a model may have been paid */
    bool parted;                /* the first part went out: no retry any more */
    struct hub_request *q_next; /* queue.c */
};

#define BUDGET_SECONDS 10
struct budget { /* requests and retries of the last ten seconds */
    int64_t second[BUDGET_SECONDS];
    unsigned requests[BUDGET_SECONDS], retries[BUDGET_SECONDS];
};

struct service_queue {
    struct queue waiting;
    bool ever; /* a worker was registered once */
    struct budget budget;
};

struct worker_share {
    bool offered;
    long capacity, outstanding;
    int failures;     /* in a row */
    int aside;        /* times put aside since it last did well */
    int64_t aside_ms; /* gets nothing until then */
};

struct hub_worker {
    uint64_t peer;
    uint8_t instance[16]; /* this registration */
    uint8_t life[16];     /* the same for all its registrations; of a build that tells none: the instance */
    bool lives;           /* it told one, so it can be known again */
    struct worker_share share[SERVICE_COUNT];
    bool draining;
    int64_t heard_ms, sent_ms, used_ms;
    uint64_t identity;        /* owner of the key; 0: not known */
    struct attempt *out;      /* attempts it holds */
    struct hub_request *made; /* requests it made */
    int n_made;
    struct hub_worker *next, **prev;
    struct hub_worker *beside; /* the next one of its place in core.peers */
};

struct core {
    struct core_ops ops;
    void *arg;
    uint8_t epoch[16];
    int64_t start_ms;
    struct hub_request **slots;
    uint32_t n_slots, cap_slots;
    uint32_t *free_slots, n_free, *generation;
    struct heap timers; /* of requests */
    struct service_queue queue[SERVICE_COUNT];
    struct hub_worker *workers;
    size_t n_workers;
    struct hub_worker *peers[WORKERS_MAX]; /* found by their ids: every message asks */
    uint64_t gone[GONE_MAX]; /* peers lately lost: a late READY of theirs does not bring them back */
    size_t n_gone;
    struct ban bans[GONE_MAX];
    size_t n_bans;
    int64_t scan_ms,
        pardon_ms; /* next look at workers; until then no loss is a strike: the hub stood still */
};

/* core.c */
struct request_names { /* of its head; each may be absent */
    struct str tenant, trace, context;
};
struct hub_request *request_new(struct core *c, int64_t now, enum kind kind,
                                const struct request_names *names, int64_t deadline_ms, struct blob *payload);
void request_set(struct hub_request *r, enum request_state to); /* asserts that the move is legal */
/* Into its service's queue, and out as far as there is credit; or its end, when it cannot be served in time. */
void request_submit(struct core *c, int64_t now, struct hub_request *r);
/* Its end: its caller is told once, its attempts are cancelled. r may be freed. */
void request_close(struct core *c, struct hub_request *r, enum err e, struct blob *payload, struct str text,
                   int64_t retry_after_ms);
void request_giveup(struct core *c, struct hub_request *r);              /* nobody waits any more */
struct hub_request *request_find(struct core *c, const struct uuid *id); /* by `req`; NULL: none, or over */
/* An attempt came back without an answer. counted: it uses up one of the attempts. */
void attempt_failed(struct core *c, int64_t now, struct hub_request *r, bool counted, bool budget, enum err e,
                    struct str text, int64_t retry_after_ms);
void attempt_return(struct core *c, struct attempt *a); /* credit back; may free the request when closed */
void dispatch(struct core *c, int64_t now, enum service_id id);
void core_awake(struct core *c, int64_t now); /* before anything else: much time may have passed */

/* request_timer.c */
void timer_set(struct core *c, struct hub_request *r, int64_t when); /* INT64_MAX: none */
struct hub_request *timer_due(struct core *c, int64_t now);          /* NULL: none is due */

/* worker.c */
/* worker_pick: NULL when none has credit. worker_judge: an attempt of w ended, well or not; w may be NULL. */
struct hub_worker *worker_pick(struct core *c, int64_t now, enum service_id id, const struct hub_request *r);
void worker_judge(struct core *c, int64_t now, struct hub_worker *w, enum service_id id, bool failed);
void worker_lost(struct core *c, int64_t now, struct hub_worker *w, enum loss how); /* frees w */
/* False: the peer is gone, and core_unsent follows. */
bool worker_send(struct core *c, int64_t now, struct hub_worker *w, int cmd, const void *head,
                 struct blob *b);
void workers_tick(struct core *c, int64_t now);

#endif
