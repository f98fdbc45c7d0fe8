/* Writes to Redis besides those of the limits: answers and each session's set of keys (cache_write.c), the queue of turns (turns.c). */
#ifndef GATEWAY_ADMIT_CACHE_WRITE_H
#define GATEWAY_ADMIT_CACHE_WRITE_H

#include "gateway/admit/admit.h"

#define TURNS_STREAM "fn:turns"
#define TURNS_MAX 10000

void cache_init(void);
void turns_init(void);
/* Append a turn with its answer (a: absent when the turn holds it), together with others that come at the same time. false: Redis is away or the stream is full. */
bool turns_append_pair(struct request *r, struct str turn, struct str answer);
/* Delete an entry that turned out not to be an answer. */
void cache_drop(struct request *r, const struct cache_probe *probe);
/* The key of a session's set of answers. */
struct str cache_session_set(struct request *r, const uint8_t *session_hash);
/* Keep in this process what Redis has. made_ms: clock_wall_ms() when it was made; it lives as long as it does there. */
void cache_near(struct request *r, const uint8_t *session_hash, const struct cache_probe *probe,
                int64_t made_ms, struct str value);
/* SET with TTL, and membership in the session's set of keys; failures are counted only. Not after the session's erasure. */
void cache_store(struct request *r, const uint8_t *session_hash, const struct cache_probe *probe,
                 struct str value);
/* The entry that cache_store made goes again, here and in Redis: it was not to be kept. */
void cache_take_back(struct request *r, const uint8_t *session_hash, const struct cache_probe *probe);
/* Drop every cache entry and every resumable stream of a session (erasure). true: it had no entry, for sure, so no hit of it can wait in fn:turns either. */
bool cache_erase_session(struct request *r, const uint8_t *session_hash);
/* Append a packed turn to fn:turns. false: Redis is away or the stream is full. */
bool turns_append(struct request *r, struct str turn);

#endif
