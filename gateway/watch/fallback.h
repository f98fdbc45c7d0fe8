/* The search engine, as searches last told. Thread-safe. */
#ifndef GATEWAY_WATCH_FALLBACK_H
#define GATEWAY_WATCH_FALLBACK_H

#include <stdbool.h>

void fallback_heard(bool degraded); /* of a search: was it by words only, since the engine is away */
bool fallback_on(void);             /* the last one was, a minute ago at most */

#endif
