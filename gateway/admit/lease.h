/* Leases of idempotency keys, renewed while their requests run (lease.c). */
#ifndef GATEWAY_ADMIT_LEASE_H
#define GATEWAY_ADMIT_LEASE_H

#include "gateway/gateway.h"
#include "gateway/request/request.h"

struct keeper *keeper_start(struct gateway *gw);
void keeper_stop(struct keeper **k);
/* Renew the lease of the request's key from now on, and no longer (harmless when it is not renewed). */
void idem_keep(struct request *r);
void idem_unkeep(struct request *r);

#endif
