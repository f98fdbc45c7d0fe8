/* The world of hub_storm: many hubs (the real core), and workers that follow proto/worker_conn.c: how they connect, register, share
 * what they can do between hubs, and come back. */
#ifndef TESTS_SIM_STORM_H
#define TESTS_SIM_STORM_H

#include "common/heap.h"
#include "gateway/hub/core.h"

#define GATEWAYS_MAX 64
#define WORKERS_MOST 1024
#define TENANTS 10

/* Costs, µs; each can be given (docs/sizing.md). */
struct costs {
    int64_t wire;      /* one way between two machines, at least; up to twice as much */
    int64_t frame;     /* a hub's thread, for a message in or out */
    int64_t handshake; /* a hub's I/O thread, for a connection with CURVE */
    int64_t work;      /* a call at a worker, mean of an exponential distribution */
};

enum link_state { LINK_DOWN, LINK_CONNECTING, LINK_ASKED, LINK_REGISTERED };
struct link { /* one worker's connection with one hub */
    enum link_state state;
    bool pipe;        /* messages go through */
    uint32_t turn;    /* counts connections: what belongs to an older one is stale */
    int64_t since_us; /* of its state */
    int64_t backoff_ms;
    uint8_t life[16];
};

struct task {            /* a request at a worker, or on its way */
    struct heap_node at; /* first */
    int hub, worker;
    uint32_t turn;
    struct uuid req;
    int64_t attempt;
    struct task *next; /* in the worker's queue */
};

struct hub {
    struct core *core;
    int64_t free_us, door_us; /* its thread and its I/O thread are busy until then */
    double rate;              /* calls a second */
    uint32_t pace;            /* counts changes of it */
    bool up;
    uint64_t unsent[WORKERS_MOST];
    size_t n_unsent;
};

struct station { /* a worker */
    bool up;
    int registered, running;
    unsigned life;
    int64_t free_us;
    struct task *first, *last; /* wait inside of it */
    long queued, done;         /* done: in this stage */
};

struct call { /* that somebody made at a hub */
    int hub, tenant, stage;
    int64_t begun_us;
    bool ended;
    struct call *next; /* of the free ones */
};

#define STAGES 8
struct stage {                             /* outcomes of the calls that began in it */
    long made, good, failed, died, poison; /* died: with their gateway */
    long of_hub[GATEWAYS_MAX], good_of_hub[GATEWAYS_MAX], of_tenant[TENANTS], good_of_tenant[TENANTS];
};

struct storm {
    int gateways, workers;
    long threads, capacity; /* of a worker: calls at once, and calls that it offers */
    struct costs cost;
    int64_t now_us;
    struct hub hub[GATEWAYS_MAX];
    struct link link[GATEWAYS_MAX][WORKERS_MOST];
    struct station station[WORKERS_MOST];
    struct stage stage[STAGES];
    int at;             /* stage */
    bool lopsided;      /* one tenant asks nine times out of ten */
    long open;          /* calls without an end */
    long twice;         /* ends of one call beyond the first */
    long registered;    /* links */
    long refused_ready; /* READYs that got no answer in time */
    long most_inside;   /* of calls at one worker, at work or waiting */
    const char *broken;
};
extern struct storm s;

uint32_t rnd(uint32_t n); /* below n */
double rnd_exp(double mean);
void storm_seed(uint64_t seed);
void world_start(void);
void world_stop(void);
void world_run(int64_t us);          /* time passes */
void rate_set(int hub, double rate); /* calls a second from now on */

/* Storms. */
void cut_links(void);         /* every connection closes at once */
void kill_workers(int every); /* each so-manieth dies; back after half a second to a second */
void kill_hubs(int every);    /* the same of gateways; back after a second */

#endif
