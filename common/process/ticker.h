/* Thread that does something now and then: its tick says when it is due next, and anybody may wake it earlier. */
#ifndef COMMON_PROCESS_TICKER_H
#define COMMON_PROCESS_TICKER_H

#include <stdint.h>

#define TICKER_WOKEN (-1) /* a tick's answer: not before somebody wakes it */

struct ticker;

/* Ticks at once and then again and again, each so many ms after the last one as that returned. Its purpose is said in
 * the log when there is no thread for it; NULL then. Its thread takes no signals. */
struct ticker *ticker_start(const char *what, int64_t (*tick)(void *arg), void *arg);
/* The next tick is due now: another one follows a tick that is under way. From any thread, under any lock but the tick's own. */
void ticker_wake(struct ticker *t);
/* Waits for the tick that is under way, and ends the thread. Accepts NULL, and nulls it. Not from a tick. */
void ticker_stop(struct ticker **t);

#endif
