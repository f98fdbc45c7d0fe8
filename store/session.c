/* Sessions: made or prolonged, read, erased with everything below them (conversations, messages, citations, stored
 * answers: foreign keys cascade). A session is known by the SHA-256 of its secret only. */
#include "store/store.h"

static void
read_row(struct tx *t, int i, struct session_rep *rep)
{
    rep->user_id = col_str(t, i, 0, 0);
    rep->created_ms = col_ms(t, i, 0, 1);
    rep->expires_ms = col_ms(t, i, 0, 2);
    rep->conversations = col_i64(t, i, 0, 3);
    rep->messages = col_i64(t, i, 0, 4);
}

static void
on_row(struct tx *t)
{
    struct session_rep rep = { 0 };
    int i = t->n - 1;

    if (tx_rows(t, i) == 0) {
        worker_fail(t->call, ERR_NOT_FOUND, 0, NULL);
        return;
    }
    read_row(t, i, &rep);
    worker_reply(t->call, &rep);
}

void
session_put(struct call *c)
{
    const struct session_req *r = c->req;
    struct str tenant = tenant_of(c);
    struct uuid key;
    struct tx *t;

    if (!session_ok(c, r->session))
        return;
    key = session_key(tenant, r->session);
    t = call_tx(c, on_row);
    TX(t, SESSION_TOUCH, p_id(&key), p_str(tenant), p_str(r->session), p_str(r->user_id),
       p_i64(r->expiry_days > 0 ? r->expiry_days : 30));
    TX(t, SESSION_GET, p_str(tenant), p_str(r->session));
    tx_run(t);
}

void
session_get(struct call *c)
{
    const struct session_req *r = c->req;
    struct tx *t;

    if (!session_ok(c, r->session))
        return;
    t = call_tx(c, on_row);
    TX(t, SESSION_GET, p_str(tenant_of(c)), p_str(r->session));
    tx_run(t);
}

static void
on_deleted(struct tx *t)
{
    struct session_rep rep = { 0 };

    if (tx_touched(t, 1) == 0) {
        worker_fail(t->call, ERR_NOT_FOUND, 0, NULL);
        return;
    }
    read_row(t, 0, &rep);
    worker_reply(t->call, &rep);
}

void
session_delete(struct call *c)
{
    const struct session_req *r = c->req;
    struct tx *t;

    if (!session_ok(c, r->session))
        return;
    t = call_tx(c, on_deleted);
    TX(t, SESSION_GET, p_str(tenant_of(c)), p_str(r->session));
    TX(t, SESSION_DELETE, p_str(tenant_of(c)), p_str(r->session));
    tx_run(t);
}
