/* Random bytes, good enough for keys and secrets. */
#ifndef COMMON_RANDOM_H
#define COMMON_RANDOM_H

#include <stddef.h>

void random_bytes(void *out, size_t n); /* getrandom(2); dies when there are none. Thread-safe. */

#endif
