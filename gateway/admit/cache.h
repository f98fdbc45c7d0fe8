/* What is written to Redis besides the limits (cache.c): answers, each session's set of keys, the queue of turns. */
#ifndef GATEWAY_CACHE_H
#define GATEWAY_CACHE_H

#include "gateway/admit/admit.h"

#define TURNS_STREAM "fn:turns"
#define TURNS_MAX 10000

void turns_init(void);
/* Append a turn with its answer (a: absent when the turn holds it). false: Redis is away or the stream is full. */
bool turns_append_pair(struct request *r, struct str turn, struct str answer);
/* Delete an entry that turned out not to be an answer. */
void cache_drop(struct request *r, const struct cache_probe *probe);
/* SET with TTL, and membership in the session's set of keys; failures are counted only. */
void cache_store(struct request *r, const uint8_t *session_hash, const struct cache_probe *probe, struct str value);
/* Drop every cache entry of a session (erasure). true: it had none, for sure, so no hit of it can wait in fn:turns either. */
bool cache_erase_session(struct request *r, const uint8_t *session_hash);
/* Append a packed turn to fn:turns. false: Redis is away or the stream is full. */
bool turns_append(struct request *r, struct str turn);

#endif
