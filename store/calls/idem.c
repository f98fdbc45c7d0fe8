/* Idempotency keys of requests that are not questions, and the first step of those that are (turn.c does the rest).
 *
 *   idem.claim ─▶ free, lapsed or run out: the caller holds it, and learns the seed that every run of this key shares
 *              ─▶ answered: the stored answer        ─▶ held by another: in_progress      ─▶ another request: mismatch
 *   idem.finish ─▶ the answer is stored for 24 h, or (status 0) the key is free to run again
 *
 * A claim is repeatable by its holder; a finish of somebody who lost the lease changes nothing. */
#include "store/calls/calls.h"

static void
on_stored(struct tx *t)
{
    struct idem_claim_rep rep = { .stored = col_str(t, 0, 0, 0), .status = col_i64(t, 0, 0, 1) };

    if (tx_rows(t, 0) == 0)
        worker_fail(t->call, ERR_IN_PROGRESS, 1000, NULL); /* expired between two statements */
    else
        worker_reply(t->call, &rep);
}

static void
on_claimed(struct tx *t)
{
    const struct idem_claim_req *r = t->call->req;
    struct idem_claim_rep rep = { 0 };
    struct tx *look;

    if (!t->err) {
        rep.seed = col_id(t, 0, 0, 0);
        worker_reply(t->call, &rep);
    } else if (t->refused == 0) {
        look = call_tx(t->call, on_stored);
        TX(look, IDEM_STORED, p_str(tenant_of(t->call)), p_str(r->scope), p_str(r->key));
        tx_run(look);
    } else {
        tx_fail(t);
    }
}

void
idem_claim(struct delivery *c)
{
    const struct idem_claim_req *r = c->req;
    struct tx *t;

    if (r->hash.n != 32 || uuid_is_nil(&r->holder)) {
        worker_fail(c, ERR_VALIDATION, 0, "a claim has a SHA-256 and a holder");
        return;
    }
    t = call_tx(c, on_claimed);
    t->want_errors = true;
    TX(t, IDEM_CLAIM, p_str(tenant_of(c)), p_str(r->scope), p_str(r->key), p_str(r->hash),
       p_id(&(struct uuid){ { 0 } }), p_id(&(struct uuid){ { 0 } }), p_i64(r->lease_ms), p_id(&r->holder));
    tx_run(t);
}

void
idem_finish(struct delivery *c)
{
    const struct idem_finish_req *r = c->req;
    struct str tenant = tenant_of(c);
    struct tx *t = call_tx(c, ack_touched);
    struct uuid session = { { 0 } };

    if (r->session.n == 32)
        session = session_key(tenant, r->session);
    if (r->status > 0)
        TX(t, IDEM_DONE, p_str(tenant), p_str(r->scope), p_str(r->key), p_id(&r->holder),
           p_str(r->body.p ? r->body : STR("")), p_i64(r->status), p_id(&session));
    else
        TX(t, IDEM_FREE, p_str(tenant), p_str(r->scope), p_str(r->key), p_id(&r->holder));
    tx_run(t);
}
