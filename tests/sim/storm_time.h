/* Time and chance of hub_storm: what happens next, and random numbers. */
#ifndef TESTS_SIM_STORM_TIME_H
#define TESTS_SIM_STORM_TIME_H

#include "tests/sim/storm.h"

enum what {
    AT_CALL,
    AT_TICK,
    AT_CONNECT,
    AT_HANDSHAKE,
    AT_READY_ANSWER,
    AT_NO_ANSWER,
    AT_BEAT,
    AT_FRAME,
    AT_REQUEST,
    AT_DONE,
    AT_WORKER,
    AT_HUB
};
struct event {
    struct heap_node at; /* first */
    enum what what;
    int hub, worker, cmd;
    uint32_t turn;
    struct task *task;
    int64_t number;
    struct event *next;
};

int64_t wire_us(void); /* one way between two machines */
struct event *event_at(int64_t us, enum what what, int hub, int worker);
struct event *event_until(int64_t us); /* the next one, taken out; NULL: none is due by then */
void event_free(struct event *e);
void events_end(void);

#endif
