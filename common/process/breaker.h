/* A circuit breaker as a pure state machine: no clock, no lock, no log of its own. Opens after 5 failures (within 1 s, or
 * in a row), for 1 s (or min_ms), doubling to 8 s (or max_ms) with each probe that fails; one probe at a time. Times are
 * clock_ms(). Not thread-safe. Two ways to use it: for calls whose end always tells something, enter and leave, which also hold
 * calls back while they are in doubt; for others, ask and then good, bad, drop or hold. */
#ifndef COMMON_PROCESS_BREAKER_H
#define COMMON_PROCESS_BREAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BREAKER_FAILURES 5
#define BREAKER_WINDOW_MS 1000
#define BREAKER_OPEN_MIN_MS 1000
#define BREAKER_OPEN_MAX_MS 8000

enum breaker_state { BREAKER_CLOSED, BREAKER_PROBING, BREAKER_OPEN }; /* as gauges show it */

struct breaker { /* all zero: closed */
    enum breaker_state state;
    bool in_a_row;                       /* failures count however old they are, until a call is good */
    int64_t failed_ms[BREAKER_FAILURES]; /* when the last failures happened (0: none), oldest at next */
    size_t next;
    int64_t open_until_ms;
    int64_t min_ms, max_ms; /* 0: BREAKER_OPEN_MIN_MS, …_MAX_MS; the owner may change them at any time */
    int64_t open_for_ms;    /* how long failures opened it the last time; 0 when closed */
    int64_t held_ms;        /* for how long breaker_hold opened it; 0: failures did */
    size_t patience;        /* failures that open it: 1 to BREAKER_FAILURES; 0: BREAKER_FAILURES */
    size_t running;         /* entered, and not left yet */
    bool doubt;             /* the last call that left failed */
};

/* May a call go out now? *probe: this call decides whether the breaker closes, and must be told of. */
bool breaker_ask(struct breaker *b, int64_t now_ms, bool *probe);
/* The outcome of a call, with the probe that breaker_ask set. True: the state changed. */
bool breaker_good(struct breaker *b, bool probe);
bool breaker_bad(struct breaker *b, int64_t now_ms, bool probe);
/* The call ended and showed nothing: another one may probe, after a hold only when that is over once more. */
void breaker_drop(struct breaker *b, int64_t now_ms, bool probe);
/* Open for so long, whatever was: what happened is not mended earlier. */
void breaker_hold(struct breaker *b, int64_t now_ms, int64_t ms);

/* breaker_ask, and: after a failure, until a call succeeds, no more calls are let through at once than failures are missing:
 * so a server that hangs has 5 to hold, whatever comes meanwhile. */
bool breaker_enter(struct breaker *b, int64_t now_ms, bool *probe);
/* How a call that entered ended, each exactly once. True: the state changed. */
bool breaker_leave(struct breaker *b, int64_t now_ms, bool probe, bool failed);

#endif
