/* Rate limits inside this process: the generic cell rate algorithm (limit.c). */
#ifndef GATEWAY_ADMIT_LIMIT_H
#define GATEWAY_ADMIT_LIMIT_H

#include "gateway/edge/http.h"

#define LIMIT_KEY 88 /* of a bucket in Redis: "fn:rl:k:<hex>", "fn:rl:s:<hex>", "fn:rl:a:<address>" */

/* The time that one request takes of a bucket, and how much a bucket holds, µs. */
int64_t gcra_step(const struct policy *p, long scale, int64_t *tau_us);
/* tat: theoretical arrival time, µs (0: none yet). true: allowed, *tat moved on when charge. */
bool gcra(int64_t *tat_us, int64_t now_us, long scale, bool charge, struct policy *p);

struct limiter;
struct limiter *limiter_new(size_t max_active);
void limiter_free(struct limiter **l);
/* Charge (or, with charge false, look at) the bucket of (id, p); fills p's result. scale: 1, or 2 for the floor. */
bool limiter_take(struct limiter *l, uint64_t id, struct policy *p, long scale, bool charge);
uint64_t limiter_id(const struct limiter *l, struct str who, const char *policy);
bool limiter_key_enter(struct limiter *l, const uint8_t hash[32], long max);
void limiter_key_leave(struct limiter *l, const uint8_t hash[32]);

#endif
