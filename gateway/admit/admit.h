/* Between admit.c (limits and look-up) and cache.c (stores, erasure, the turn queue). */
#ifndef GATEWAY_ADMIT_H
#define GATEWAY_ADMIT_H

#include "gateway/gateway.h"

#define TURNS_STREAM "fn:turns"
#define TURNS_MAX 10000

void turns_init(void);
/* Append a turn with its answer (a: absent when the turn holds it). false: Redis is away or the stream is full. */
bool turns_append_pair(struct request *r, struct str turn, struct str answer);
/* Delete an entry that turned out not to be an answer. */
void cache_drop(struct request *r, const struct cache_probe *probe);

#endif
