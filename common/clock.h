/* Clocks. Monotonic for every timer and deadline; wall time only for people, ids and expires_at. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

int64_t clock_ms(void);      /* CLOCK_MONOTONIC, milliseconds */
int64_t clock_us(void);      /* CLOCK_MONOTONIC, microseconds */
int64_t clock_wall_ms(void); /* CLOCK_REALTIME, milliseconds since the epoch */
#define CLOCK_DAY_MS INT64_C(86400000)
/* RFC 3339 in UTC with milliseconds, e.g. 2026-11-23T09:18:52.123Z; out holds 32 bytes. */
char *clock_rfc3339(int64_t wall_ms, char out[32]);

#endif
