/* Digests, their comparison, and authenticated encryption of small values that somebody else keeps for us. */
#ifndef COMMON_DIGEST_H
#define COMMON_DIGEST_H

#include "common/mem.h"

/* Each is of the concatenation of the n parts. */
void sha1(const struct str *parts, size_t n, uint8_t out[20]); /* only for what Redis computes, too */
void md5(const struct str *parts, size_t n, uint8_t out[16]);
void sha256(const struct str *parts, size_t n, uint8_t out[32]);
void hmac_sha256(struct str key, struct str data, uint8_t out[32]);
bool bytes_equal(const void *a, const void *b, size_t n); /* constant time */

/* Sealing: AES-256-GCM, NIST SP 800-38D. */
#define SEAL_EXTRA 28 /* bytes that it adds: nonce and tag */

/* Append nonce, ciphertext and tag of plain. One key seals few values: nonces are random. */
void seal(const uint8_t key[32], struct str plain, struct buf *out);
/* Append the plain text; false, and nothing appended, when it was not sealed with this key or was changed since. */
bool unseal(const uint8_t key[32], struct str sealed, struct buf *out);

#endif
