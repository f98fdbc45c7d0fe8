/* Budgets of a day in tokens and dollars: what a call of a model may take is reserved before it and settled after it (budget.c). */
#ifndef GATEWAY_ADMIT_BUDGET_H
#define GATEWAY_ADMIT_BUDGET_H

#include "gateway/request/handler.h"
#include "proto/price.h"

/* A call that is paid for. */
struct paying {
    bool on;            /* false: nobody pays for it from a budget, or it costs nothing */
    int64_t in, out;    /* tokens that it may take at most */
    int64_t nanos;      /* money for them, billionths of a dollar; 0 without a price */
    struct price price; /* of its model */
};

/* Is this request paid from a budget? */
bool budget_on(struct request *r);
/* Refuse early, before anything is stored: ERR_BUDGET when nothing is left of the day. */
enum err budget_look(struct request *r, struct outcome *out);
/* Reserve what this call may take. quote: the kind that tells how much, asked with the call's own request. ERR_BUDGET and
 * ERR_UNPRICED: it must not be made; *out says why, when to come again, and is an outcome as of the call itself. Other errors: nobody
 * could be asked, and it must not be made either. */
enum err budget_hold(struct request *r, enum kind quote, const void *req, struct paying *p,
                     struct outcome *out);
/* The end of a call that was reserved; without one of these it was never made. */
void budget_paid(struct request *r, const struct paying *p, int64_t in, int64_t out);
void budget_unsure(struct request *r, const struct paying *p); /* nobody knows: all that was reserved */
/* api_call for a call that is paid for, reserved and noted: EMBED, RERANK. */
enum err budget_call(struct request *r, struct held *h, enum kind kind, const void *req, int64_t deadline_ms,
                     struct outcome *out);
/* The end of the request: its real figures take the place of what was reserved. */
void budget_settle(struct request *r);

#endif
