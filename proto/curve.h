/* Keys of the bus's CURVE encryption (ZeroMQ RFC 26): 32 bytes, written as 64 hex digits. They are X25519 keys, so
 * `openssl genpkey -algorithm X25519` makes them, too. */
#ifndef PROTO_CURVE_H
#define PROTO_CURVE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/str.h"

struct curve_key {
    uint8_t b[32];
};

bool curve_parse(struct str hex, struct curve_key *out); /* 64 hex digits; false when malformed */
bool curve_public(const struct curve_key *secret,
                  struct curve_key *out);                                /* false: this libzmq has no CURVE */
bool curve_pair(struct curve_key *public_key, struct curve_key *secret); /* a fresh pair */
/* Make a socket (not yet connected or bound) a client of a server's key, or a server. */
bool curve_client(void *sock, const struct curve_key *secret, const struct curve_key *server);
bool curve_server(void *sock, const struct curve_key *secret);

#endif
