/* Between auth.c, which decides, and keyring.c, which knows the keys. */
#ifndef GATEWAY_AUTH_H
#define GATEWAY_AUTH_H

#include "gateway/gateway.h"

/* Compares with every key in constant time; a copy in the arena, or NULL. */
const struct api_key *keyring_find(struct keyring *k, const uint8_t hash[32], struct arena *a);
bool keyring_has_origin(struct keyring *k, struct str origin);
bool keyring_loaded(struct keyring *k);   /* the keys were read at least once */

#endif
