/* The API keys that this gateway knows (keyring.c), followed by number. Thread-safe. */
#ifndef GATEWAY_WATCH_KEYRING_H
#define GATEWAY_WATCH_KEYRING_H

#include "proto/msg.h"

struct gateway;
struct keyring;

struct keyring *keyring_start(struct gateway *gw); /* with its thread */
void keyring_stop(struct keyring **k);
double keyring_age_s(struct keyring *k);
size_t keyring_count(struct keyring *k);
void keyring_refresh(struct keyring *k); /* read all keys again, soon */
enum key_known { KEY_NONE, KEY_FOUND, KEY_UNSURE };
/* Is there such a key? FOUND: *out is a copy in the arena, expired or not. UNSURE: it cannot be told now. May wait for the
 * feed and for the store, see keyring.c. */
enum key_known keyring_find(struct keyring *k, const uint8_t hash[32], struct arena *a,
                            const struct api_key **out);
/* The key lets somebody in. The store is told the day, once a day; of keys that do not fit into memory it is not. */
void keyring_used(struct keyring *k, const uint8_t hash[32]);
bool keyring_has_origin(struct keyring *k, struct str origin);
bool keyring_ready(struct keyring *k); /* keys are known, or at least can be asked for */
/* The feed heard of change seq of the keys, or that the database is away; asked: clock_ms() of its question. */
void keyring_heard(struct keyring *k, int64_t seq, int64_t asked);
void keyring_away(struct keyring *k, int64_t asked);
/* Wait until the keys are known up to that change, at most so long; the same for a key that was revoked here. */
void keyring_reach(struct keyring *k, int64_t seq, int64_t ms);
void keyring_revoked(struct keyring *k, const uint8_t hash[32], int64_t seq);

#endif
