/* A circuit breaker as a pure state machine: no clock, no lock, no log of its own. Opens after 5 failures within 1 s, for 1 s
 * (or min_ms), doubling to 8 s (or max_ms) with each probe that fails; one probe at a time. After a failure, until a call
 * succeeds, no more calls are let through at once than failures are missing: so a server that hangs has 5 to hold, whatever
 * comes meanwhile. Times are clock_ms(). Not thread-safe. */
#ifndef COMMON_BREAKER_H
#define COMMON_BREAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BREAKER_FAILURES 5
#define BREAKER_WINDOW_MS 1000
#define BREAKER_OPEN_MIN_MS 1000
#define BREAKER_OPEN_MAX_MS 8000

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_PROBING };

struct breaker {                        /* all zero: closed */
    enum breaker_state state;
    int64_t failed_ms[BREAKER_FAILURES]; /* when the last failures happened (0: none), oldest at next */
    size_t next;
    int64_t open_until_ms;
    int64_t min_ms, max_ms;             /* 0: BREAKER_OPEN_MIN_MS, …_MAX_MS; the owner may change them at any time */
    int64_t open_for_ms;                /* how long it was opened the last time; 0 when closed */
    size_t patience;                    /* failures that open it: 1 to BREAKER_FAILURES; 0: BREAKER_FAILURES */
    size_t running;                     /* let through, and not reported yet */
    bool doubt;                         /* the last call that ended failed */
};

/* May a call go out now? *probe: this call decides whether the breaker closes; it must report to breaker_leave. */
bool breaker_enter(struct breaker *b, int64_t now_ms, bool *probe);
/* Report how a call that was let through ended (each exactly once), with the probe that breaker_enter set. True: the state changed. */
bool breaker_leave(struct breaker *b, int64_t now_ms, bool probe, bool failed);

#endif
