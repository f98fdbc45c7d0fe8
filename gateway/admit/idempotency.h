/* Idempotency-Key (docs/api.md, proto/PROTOCOL.md "Idempotency at the edge"): a request that is sent again is not done again.
 *
 *   idem_begin ─▶ idem_take ─┬─ answered before ─▶ idem_replay
 *                            └─ ours ─▶ the handler ─▶ idem_settle with the answer, or idem_end without one
 *
 * Routes flagged IDEMPOTENT are claimed and replayed in serve.c, questions (ADMITS, too) in ask/parse.c after their limits and
 * before the query cache; their answer is stored in the transaction of turn.finish (idem_fill). */
#ifndef GATEWAY_ADMIT_IDEMPOTENCY_H
#define GATEWAY_ADMIT_IDEMPOTENCY_H

#include "gateway/edge/stat.h"
#include "gateway/request/request.h"

#define IDEM_LEASE_MS \
    5000 /* renewed while the request runs (lease.c): a dead gateway's keys are free after it */
#define IDEM_BODY_MAX 524288 /* larger answers are not stored: the request may run again */

struct kept { /* on the list of leases that are renewed */
    const struct idem *idem;
    const char *tenant;
    int64_t since_ms;          /* clock_ms() of the claim */
    struct kept *next, **prev; /* prev NULL: not on it */
};

struct idem {
    char key[65];     /* SHA-256 of the header's value: all that the store learns of it */
    char scope[200];  /* the caller, and the route */
    uint8_t hash[32]; /* fingerprint of the request */
    /* seals the stored answer; made from the header's value, so nobody else can read it */
    uint8_t secret[32];
    uint8_t session[32]; /* of a question: the stored answer is erased with it */
    bool has_session;
    struct uuid holder;        /* this run */
    struct uuid seed;          /* the same for every run of this key */
    enum idem_outcome outcome; /* IDEM_RUNNING: claimed, and not settled yet */
    struct kept kept;
};

struct idem_answer {           /* the stored answer */
    int status;                /* 0: nothing was */
    struct str location, body; /* in the arena */
};

/* Look at the header: none, and r->idem stays NULL. Needs the body. false: 400 was sent. */
bool idem_begin(struct request *r);
/* Claim the key for this request, which must have one. session: SHA-256 of a question's session, or NULL. *stored tells
 * whether it was answered before. false: 409, 422 or the store's failure was sent. */
bool idem_take(struct request *r, const uint8_t *session, struct idem_answer *stored);
/* The ids of an idempotent question's two messages: a rerun writes the same rows. */
void idem_ids(const struct request *r, struct uuid *question, struct uuid *answer);
static inline int64_t
idem_lease_ms(const struct request *r)
{
    return r->idem ? IDEM_LEASE_MS : 0;
}
/* Let turn.finish store this answer (status 200), too; sealed keeps the bytes. false: it is too large. */
bool idem_fill(const struct request *r, struct str body, struct turn_finish_req *t, struct buf *sealed);
/* The store has the answer, or will have it from the queue: nothing more to do. Without a key nothing happens. */
void idem_kept(struct request *r);
bool idem_running(const struct request *r); /* its key is held, and waits for an answer */
/* Before an answer is sent: store it when it is final, else let the key run again. Nothing happens unless the key is held. */
void idem_settle(struct request *r, int status, struct str body);
/* The end of the request: a key that is still held may run again. */
void idem_end(struct request *r);
/* Send the stored answer, as JSON. */
void idem_replay(struct request *r, const struct idem_answer *stored);
void idem_replayed(struct request *r); /* only its header, for streams */
bool idem_final(int status);           /* would a repetition get the same? */

#endif
