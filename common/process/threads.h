/* A fixed set of threads for work that burns CPU, behind a bounded queue. done runs in the loop's thread. */
#ifndef COMMON_PROCESS_THREADS_H
#define COMMON_PROCESS_THREADS_H

#include "common/process/loop.h"

struct pool_threads;
/* Never NULL: a thread that cannot be made ends the process, since this is called before it is ready. */
struct pool_threads *threads_new(struct loop *l, unsigned n_threads, unsigned max_queue);
void threads_free(struct pool_threads **t); /* waits for what runs; drops what waits */
/* 0, or -1 when the queue is full. work runs on a thread, then done in the loop's thread, both with arg. */
int threads_run(struct pool_threads *t, loop_fn work, loop_fn done, void *arg);

#endif
