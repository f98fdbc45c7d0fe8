/* Authenticated encryption of small values that somebody else keeps for us (AES-256-GCM, NIST SP 800-38D). */
#ifndef COMMON_SEAL_H
#define COMMON_SEAL_H

#include "common/mem.h"
#include "common/text/text.h"

#define SEAL_EXTRA 28 /* bytes that sealing adds: nonce and tag */

/* Append nonce, ciphertext and tag of plain. One key seals few values: nonces are random. */
void seal(const uint8_t key[32], struct str plain, struct buf *out);
/* Append the plain text; false, and nothing appended, when it was not sealed with this key or was changed since. */
bool unseal(const uint8_t key[32], struct str sealed, struct buf *out);

#endif
