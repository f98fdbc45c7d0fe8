/* Conversations of a session: listed, deleted with their messages, and what readers thought of an answer. Everything is
 * found by tenant, session and id together, so that somebody else's is as missing as one that never was. */
#include "store/calls/calls.h"

static size_t
read_row(struct tx *t, int i, size_t row, void *item)
{
    struct conversation *k = item;

    k->id = col_id(t, i, row, 0);
    k->created_ms = col_ms(t, i, row, 1);
    k->expires_ms = col_ms(t, i, row, 2);
    k->updated_ms = col_ms(t, i, row, 3);
    k->messages = col_i64(t, i, row, 4);
    k->title = col_str(t, i, row, 5);
    return k->title.n + 256;
}

static void
on_list(struct tx *t)
{
    const struct conversation_list_req *r = t->call->req;
    struct conversation_rep rep = { 0 };
    char cursor[PAGE_CURSOR];

    rep.items.v = page_items(t, 0, (size_t)r->limit, sizeof *rep.items.v, read_row, &rep.items.n,
                             &rep.has_more);
    if (!rep.items.v)
        return;
    if (rep.has_more)
        rep.next_cursor = page_cursor(t, rep.items.n - 1, 1, cursor);
    worker_reply(t->call, &rep);
}

void
conversation_list(struct delivery *c)
{
    const struct conversation_list_req *r = c->req;
    struct page_from from;
    struct owner who;
    struct tx *t;

    if (!page_ok(c, r->page, r->limit, r->cursor, &from) || !(t = session_tx(c, r->session, on_list, &who)))
        return;
    TX(t, CONVERSATION_LIST, p_str(who.tenant), p_id(&who.session), p_raw_time(from.time), p_id(&from.id),
       p_i64(r->limit + 1), p_i64(from.skip));
    tx_run(t);
}

void
conversation_delete(struct delivery *c)
{
    const struct conversation_ref *r = c->req;
    struct owner who;
    struct tx *t = session_tx(c, r->session, ack_one, &who);

    if (!t)
        return;
    TX(t, CONVERSATION_DELETE, p_str(who.tenant), p_id(&who.session), p_id(&r->conversation_id));
    tx_run(t);
}

void
feedback(struct delivery *c)
{
    const struct feedback_req *r = c->req;
    struct owner who;
    struct tx *t;

    if (!str_is(r->rating, "up") && !str_is(r->rating, "down")) {
        worker_fail(c, ERR_VALIDATION, 0, "a rating is up or down");
        return;
    }
    if (!(t = session_tx(c, r->session, ack_one, &who)))
        return;
    TX(t, FEEDBACK, p_str(who.tenant), p_id(&who.session), p_id(&r->message_id), p_str(r->rating),
       p_str(r->comment));
    tx_run(t);
}

/* ---- how an answer came about */

static void
on_explain(struct tx *t)
{
    struct explain_rep rep = { 0 };

    if (tx_rows(t, 0) == 0) {
        worker_fail(t->call, ERR_NOT_FOUND, 0, NULL);
        return;
    }
    rep.conversation_id = col_id(t, 0, 0, 0);
    rep.created_ms = col_ms(t, 0, 0, 1);
    rep.status = col_str(t, 0, 0, 2);
    rep.model = col_str(t, 0, 0, 3);
    rep.confidence = col_f64(t, 0, 0, 4);
    rep.grounded = col_flag(t, 0, 0, 5);
    rep.from_cache = col_flag(t, 0, 0, 6);
    rep.origin_id = col_id(t, 0, 0, 7);
    rep.origin_ms = col_ms(t, 0, 0, 8);
    rep.trace = col_str(t, 0, 0, 9);
    worker_reply(t->call, &rep);
}

void
explain(struct delivery *c)
{
    const struct explain_req *r = c->req;
    struct owner who;
    struct tx *t = session_tx(c, r->session, on_explain, &who);

    if (!t)
        return;
    TX(t, EXPLAIN, p_str(who.tenant), p_id(&who.session), p_id(&r->message_id));
    tx_run(t);
}
