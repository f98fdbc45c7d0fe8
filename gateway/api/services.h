/* The services as the last probe saw them, for /health and the console (health.c). */
#ifndef GATEWAY_API_SERVICES_H
#define GATEWAY_API_SERVICES_H

#include "gateway/watch/health.h"

const char *services_status(const struct look *l, bool ready); /* "ok", "degraded", "down": of all */
void services_put(
    const struct look *l,
    struct buf *out); /* the members "services" and, when there is something to say of it, "embedding" */

#endif
