/* The memory of this process: its soft limit, and what malloc keeps (memory.c). Thread-safe but for memory_tune. */
#ifndef GATEWAY_EDGE_MEMORY_H
#define GATEWAY_EDGE_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct memory {
    int64_t soft_bytes;     /* more than that is too much; 0: nobody limits us */
    atomic_llong looked_ms; /* clock_ms() of the last look */
    atomic_bool tight;      /* its verdict */
};

/* First of all in main: malloc keeps less for each thread from now on. The program may begin anew, with the same process id and arguments. */
void memory_tune(char **argv);
/* limit: MEMORY_LIMIT in bytes, or 0 for the cgroup's. */
void memory_init(struct memory *m, long limit);
/* Is there too little for another request? Never blocks; looks every 100 ms at most. */
bool memory_tight(struct memory *m);

#endif
