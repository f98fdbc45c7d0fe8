/* The HTTP server's threads (pool.c): made when connections need them. */
#ifndef GATEWAY_EDGE_POOL_H
#define GATEWAY_EDGE_POOL_H

#include <stdbool.h>

/* From now on the calling thread's pthread_create() only promises a thread that is to run what the one before it runs. */
void pool_promise(void);
/* No more promises: the threads that connections needed meanwhile are made. */
void pool_open(void);
/* Threads for so many connections, and a few more: made as far as they are promised and missing. Thread-safe.
 * false: the kernel gives too few. */
bool pool_has(long connections);
/* No thread is made any longer. */
void pool_close(void);
long pool_made(void); /* promised ones that were made */
/* This thread waits for long now, as that of a stream does: what it keeps for later, and the pages of its stack that are not in use, go
 * back to the kernel. Nothing in a thread that is none of the server's. */
void pool_rest(void);

#endif
