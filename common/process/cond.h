/* Condition variables whose time is clock_ms(): a wall clock that is set must not stretch a wait. */
#ifndef COMMON_PROCESS_COND_H
#define COMMON_PROCESS_COND_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

void cond_init(pthread_cond_t *c); /* ends with pthread_cond_destroy */
/* Under the lock: wait for a signal, at most until clock_ms() is until_ms. False: that time has come. May return true without a
 * signal, as pthread_cond_wait may. */
bool cond_wait(pthread_cond_t *c, pthread_mutex_t *lock, int64_t until_ms);

#endif
