/* Exemplars: of each bucket of a histogram the newest observation that belongs to a trace which is kept. Made for a histogram with its first
 * one, so that without traces there are none. Thread-safe. For stat.c only. */
#ifndef COMMON_PROCESS_EXEMPLAR_H
#define COMMON_PROCESS_EXEMPLAR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exemplar {
    char trace[33];  /* hex */
    double seconds;  /* what was observed */
    int64_t when_ms; /* since the epoch; 0: there is none */
};

/* Bucket b of the n of a histogram. at: where its exemplars stand, as an address, 0: nowhere. trace: 32 hex digits. Never waits: an observation
 * that comes while another one is written is none. */
void exemplar_put(_Atomic uint64_t *at, size_t n, size_t b, const char *trace, double seconds);
/* False: the bucket has none, or it is being written. */
bool exemplar_get(const _Atomic uint64_t *at, size_t b, struct exemplar *out);
void exemplar_free(_Atomic uint64_t *at);

#endif
