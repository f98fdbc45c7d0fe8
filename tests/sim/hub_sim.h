/* The world of hub_sim: two hubs, three workers, asks, and messages under way. Its events are
 * drawn from a seed. */
#ifndef TESTS_SIM_HUB_SIM_H
#define TESTS_SIM_HUB_SIM_H

#include <stdio.h>

#include "gateway/hub/core.h"

#define HUBS 2
#define WORKERS 3
#define ASKS 24
#define LIVES 16 /* of one worker that are told apart */
#define WIRE 128
#define TRACE 64

struct sim_ask {
    bool used, gone; /* gone: gave up, or its hub died */
    int hub;
    enum kind kind;
    uint64_t handle;
    int64_t deadline_ms;
    int answers;
    int part_attempt; /* attempt whose parts it saw; 0: none */
    int runs;         /* times a worker ran it */
    uint64_t lives;   /* of the workers that it was sent to: bit LIVES * worker + life */
};

struct held { /* a request at a worker */
    struct uuid req;
    int64_t attempt;
    int ask; /* index in asks */
    bool ran, parted;
    bool used;
};

struct sim_link {    /* one worker's registration with one hub */
    uint64_t peer;   /* routing id; changes with every registration */
    bool up;         /* the TCP connection stands */
    bool registered; /* as the hub sees it: READY arrived */
    bool drain_acked;
    long capacity;                 /* offered in READY, for each service */
    long delivered[SERVICE_COUNT]; /* requests the hub sent minus those it got back */
    long most[SERVICE_COUNT];      /* the largest capacity the hub may believe in */
    struct held held[64];
};

struct wire { /* a message under way */
    bool used, to_hub;
    int hub, worker;
    uint64_t peer;
    int cmd;
    struct buf head;
    int ask; /* what it is about; -1: nothing */
    int64_t attempt;
    bool is_answer; /* FINAL or NACK: returns a slot */
};

struct world {
    int64_t now;
    struct core *core[HUBS];
    struct sim_ask ask[ASKS];
    int n_asks;
    struct sim_link link[HUBS][WORKERS];
    bool stalled[WORKERS];
    bool alone;             /* only worker 1 ever comes */
    unsigned life[WORKERS]; /* how often it died */
    uint64_t next_peer;
    struct wire wire[WIRE];
    uint64_t returned[256]; /* answers that arrived: a second copy returns nothing */
    const char *broken;
    char trace[TRACE][96];
    unsigned n_trace;
    bool verbose;
    bool forging; /* a worker answers what another one holds */
    int acting;   /* hub whose core is running */
};
extern struct world w;

#define STEP(...) \
    do { \
        snprintf(w.trace[w.n_trace++ % TRACE], sizeof w.trace[0], __VA_ARGS__); \
        if (w.verbose) \
            printf("%7lld %s\n", (long long)w.now, w.trace[(w.n_trace - 1) % TRACE]); \
    } while (0)

extern const struct core_ops sim_ops; /* what the core does: messages under way, answers that are checked */

/* A number below n; sim_seed begins a schedule's numbers. */
uint32_t rnd(uint32_t n);
void sim_seed(uint64_t seed);
/* An invariant does not hold. */
void broke(const char *why);

void wire_free(struct wire *m);
/* A worker's message to a hub; lost when the network is full. */
void sim_send(int hub, int worker, int cmd, const void *head, int ask, int64_t attempt);
/* The connection is new: what was on its way to the old one is gone. */
void link_reset(int hub, int worker);
void sim_register(int hub, int worker);
/* A worker answers what it holds, once or twice, well or not. */
void sim_answer(int hub, int worker, struct held *x);
/* A worker receives a message. */
void sim_gets(struct wire *m);

#endif
