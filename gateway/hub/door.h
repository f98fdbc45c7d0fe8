/* Who knocks at the bus's port and does not get in: the events of the ROUTER's monitor, counted. */
#ifndef GATEWAY_HUB_DOOR_H
#define GATEWAY_HUB_DOOR_H

/* A socket to poll for ZMQ_POLLIN; NULL after logging when there is none (then nothing is counted). */
void *door_open(void *router);
/* Count what came; never waits. */
void door_count(void *door);
/* No more events. Before the router is closed; NULL is fine. */
void door_close(void **door, void *router);

#endif
