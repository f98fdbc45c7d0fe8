/* keyring.c, which knows the keys, to auth.c, which decides, and to those who tell it of changes. */
#ifndef GATEWAY_AUTH_H
#define GATEWAY_AUTH_H

#include "gateway/gateway.h"

enum key_known { KEY_NONE, KEY_FOUND, KEY_UNSURE };
/* Is there such a key? FOUND: *out is a copy in the arena, expired or not. UNSURE: it cannot be told now. May wait for the
 * feed and for the store, see keyring.c. */
enum key_known keyring_find(struct keyring *k, const uint8_t hash[32], struct arena *a, const struct api_key **out);
bool keyring_has_origin(struct keyring *k, struct str origin);
bool keyring_ready(struct keyring *k);    /* keys are known, or at least can be asked for */
/* The feed heard of change seq of the keys, or that the database is away; asked: clock_ms() of its question. */
void keyring_heard(struct keyring *k, int64_t seq, int64_t asked);
void keyring_away(struct keyring *k, int64_t asked);
/* Wait until the keys are known up to that change, at most so long; the same for a key that was revoked here. */
void keyring_reach(struct keyring *k, int64_t seq, int64_t ms);
void keyring_revoked(struct keyring *k, const uint8_t hash[32], int64_t seq);

#endif
