/* Sessions: made or prolonged, read, erased with everything below them (conversations, messages, citations, stored
 * answers: foreign keys cascade). A session is known by the SHA-256 of its secret only. An erasure is noted, also that
 * of a session that is not there: a turn that still waits in Redis must not make it again (turn.c). An
 * erasure of nothing leaves nothing behind where the caller knows that no turn can wait, so that made-up
 * sessions fill no table. */
#include "store/calls/calls.h"

#define USER_BATCH 100 /* sessions of a user in one transaction */

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
session_put(struct delivery *c)
{
    const struct session_req *r = c->req;
    struct owner who;
    struct tx *t = session_tx(c, r->session, on_row, &who);

    if (!t)
        return;
    TX(t, SESSION_TOUCH, p_id(&who.session), p_str(who.tenant), p_str(r->session), p_str(r->user_id),
       p_i64(r->expiry_days > 0 ? r->expiry_days : 30));
    TX(t, SESSION_GET, p_str(who.tenant), p_str(r->session));
    tx_run(t);
}

void
session_get(struct delivery *c)
{
    const struct session_req *r = c->req;
    struct owner who;
    struct tx *t = session_tx(c, r->session, on_row, &who);

    if (!t)
        return;
    TX(t, SESSION_GET, p_str(who.tenant), p_str(r->session));
    tx_run(t);
}

static void
on_deleted(struct tx *t)
{
    struct session_rep rep = { 0 };

    if (tx_rows(t, 0) == 0) {
        worker_fail(t->call, ERR_NOT_FOUND, 0, NULL);
        return;
    }
    read_row(t, 0, &rep);
    worker_reply(t->call, &rep);
}

void
session_delete(struct delivery *c)
{
    const struct session_req *r = c->req;
    struct owner who;
    struct tx *t = session_tx(c, r->session, on_deleted, &who);

    if (!t)
        return;
    TX(t, SESSION_GET, p_str(who.tenant), p_str(r->session));
    /* waits for a transaction that makes the session right now, which the DELETE would not see */
    TX(t, SESSION_TOUCH, p_id(&who.session), p_str(who.tenant), p_str(r->session), p_str(STR_NONE), p_i64(1));
    TX(t, ERASED_NOTE, p_str(who.tenant), p_str(r->session), p_time(r->at_ms), p_flag(r->quiet));
    TX(t, SESSION_DELETE, p_str(who.tenant), p_str(r->session));
    tx_run(t);
}

/* ---- all of a user */

static void
on_user_deleted(struct tx *t)
{
    size_t n = tx_rows(t, 0);
    struct user_delete_rep rep = { .has_more = n == USER_BATCH };

    if (!(rep.sessions.v = call_alloc(t->call, n + 1, sizeof *rep.sessions.v)))
        return;
    for (size_t row = 0; row < n; row++)
        rep.sessions.v[rep.sessions.n++].session = col_str(t, 0, row, 0);
    worker_reply(t->call, &rep);
}

void
user_delete(struct delivery *c)
{
    const struct user_delete_req *r = c->req;
    struct tx *t = call_tx(c, on_user_deleted);

    TX(t, USER_DELETE, p_str(tenant_of(c)), p_str(r->user_id), p_i64(USER_BATCH), p_time(r->at_ms));
    tx_run(t);
}
