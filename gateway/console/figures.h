/* The last hour of this gateway, for the console (figures.c): a point every ten seconds. */
#ifndef GATEWAY_CONSOLE_FIGURES_H
#define GATEWAY_CONSOLE_FIGURES_H

#include "gateway/gateway.h"

struct figures *figures_start(struct gateway *gw); /* with its thread; NULL after logging why */
void figures_stop(struct figures **f);             /* accepts NULL, and nulls it */

/* The members "gateway" (which one answers: id, host, started_at, version, build) and "at", appended to an open object. */
void figures_who(const struct figures *f, struct buf *b);

#endif
