/* Workers by the ids of their connections: every message asks for its sender. */
#ifndef GATEWAY_HUB_PEERS_H
#define GATEWAY_HUB_PEERS_H

#include <stdint.h>

#define WORKERS_MAX 1024 /* of one hub */

struct core;
struct hub_worker;

struct hub_worker *peers_find(const struct core *c, uint64_t peer); /* NULL: it is none of ours */
void peers_put(struct core *c, struct hub_worker *w);
void peers_drop(struct core *c, struct hub_worker *w); /* it is there */

#endif
