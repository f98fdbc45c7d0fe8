/* The latest requests that did not end well (failures.c), for the console. */
#ifndef GATEWAY_CONSOLE_FAILURES_H
#define GATEWAY_CONSOLE_FAILURES_H

#include "gateway/request/request.h"

struct failures;

struct failures *failures_new(void);
void failures_free(struct failures **f);
/* After the answer to a request: kept when its answer was a problem, or its stream ended with one. Thread-safe. */
void failures_note(struct failures *f, const struct request *r);

#endif
