/* The keys that this gateway knows, found by hash, and the origins that they are bound to. Not for several threads at once:
 * keyring.c holds its lock around every call. */
#ifndef GATEWAY_WATCH_KEYTABLE_H
#define GATEWAY_WATCH_KEYTABLE_H

#include "proto/msg.h"

struct keytable;

struct keytable *keytable_new(size_t max_bytes);
void keytable_free(struct keytable **t);
/* A key's last change, unless a later one is known: the key is copied, or forgotten when it is gone. false: no room for it. */
bool keytable_put(struct keytable *t, const struct api_key *k);
void keytable_drop(struct keytable *t, const uint8_t hash[32]);
/* From now on a key that is not put again is old; keytable_sweep drops keys that are old, or expired
 * before that wall clock. */
void keytable_age(struct keytable *t);
void keytable_sweep(struct keytable *t, bool old, int64_t expired_ms);
/* A key was used on that day (counted from 1970). True: for the first time on it. These three may run beside each other and beside
 * finding. */
bool keytable_use(const struct keytable *t, const uint8_t hash[32], int day);
/* Hashes of keys that were used on a day that was not told: at most n of one day, which it returns; 0: there are none. */
int keytable_untold(const struct keytable *t, uint8_t (*out)[32], size_t *n);
void keytable_told(const struct keytable *t, const uint8_t hash[32], int day);
/* Borrowed until the next call that writes; NULL: there is none. The bytes are compared in constant time; which slot is
 * looked into depends on a SHA-256, which tells nothing about the key. */
const struct api_key *keytable_find(const struct keytable *t, const uint8_t hash[32]);
bool keytable_has_origin(const struct keytable *t, struct str origin);
size_t keytable_count(const struct keytable *t);
/* A copy in an arena; false: it is malformed (no tenant, a short hash), or too large. */
bool key_copy(struct arena *a, const struct api_key *from, struct api_key *to);

#endif
