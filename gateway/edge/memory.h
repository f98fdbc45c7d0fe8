/* The soft memory limit of this process (memory.c). Thread-safe. */
#ifndef GATEWAY_MEMORY_H
#define GATEWAY_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct memory {
    int64_t soft_bytes;           /* more than that is too much; 0: nobody limits us */
    atomic_llong looked_ms;       /* clock_ms() of the last look */
    atomic_bool tight;            /* what it said */
};

/* limit: MEMORY_LIMIT in bytes, or 0 for the cgroup's. */
void memory_init(struct memory *m, long limit);
/* Is there too little for another request? Never blocks; looks every 100 ms at most. */
bool memory_tight(struct memory *m);

#endif
