/* Clients that knock at the bus's port and do not get in: the events of the ROUTER's monitor, counted. */
#ifndef GATEWAY_HUB_DOOR_H
#define GATEWAY_HUB_DOOR_H

#include "gateway/hub/czmq.h"

/* NULL after logging why (then nothing is counted). */
zactor_t *door_open(void *router);
/* Count what came; never waits. */
void door_count(zactor_t *door);
/* No more events. Before the router is closed; NULL is fine. */
void door_close(zactor_t **door);

#endif
