/* Leases of idempotency keys, renewed while their requests run (lease.c). */
#ifndef GATEWAY_LEASE_H
#define GATEWAY_LEASE_H

#include "gateway/gateway.h"

struct keeper *keeper_start(struct gateway *gw);
void keeper_stop(struct keeper **k);

#endif
