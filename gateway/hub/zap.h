/* Admission to the bus: the ZAP handler (ZeroMQ RFC 27) of a hub with CURVE. A CURVE server without one lets
 * any key in. The allow-list is a file: one worker key a line, its public key in 64 hex digits, then the
 * services it may offer:
 *     3f0c…9a  embed,chat   # the embedders */
#ifndef GATEWAY_HUB_ZAP_H
#define GATEWAY_HUB_ZAP_H

#include "common/mem.h"
#include "proto/curve.h"

struct zap;

/* Read the list and start the handler's thread, before the hub binds. NULL after logging which line is wrong. */
struct zap *zap_start(const char *allow_file);
/* The fault that the list would have at a start; another check tells of a file that cannot be opened. */
void zap_check(const char *allow_file, struct buf *err);
void zap_stop(struct zap **z);
/* Read the list again; keeps the old one when the new is bad. */
void zap_reload(struct zap *z);
/* The meaning of a peer's User-Id: the services it may offer (bit n: service n) and who it is (never 0). */
void zap_user(const char *user_id, unsigned *services, uint64_t *identity);
/* Prove that a random key is refused at this address. False after logging that it is not. */
bool zap_self_test(const char *bind, const struct curve_key *server_public);

#endif
