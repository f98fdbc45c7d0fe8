/* Turns: turn.begin stores the question before anything is paid for, turn.finish the answer with its citations.
 * Each is one pipeline: one transaction, one round trip.
 *
 *   begin:  (session ▸ idempotency row ▸ the open conversation is closed) ▸ session + conversation + question
 *           ▸ (recent history ▸ does the answer still stand that is to be copied?)
 *   finish: answer + citations ▸ (stored answer)
 *           session + conversation ▸ question + answer + citations ▸ (stored answer), when the question was not stored yet
 *
 * Both are idempotent by the ids of the messages: a repeated call changes nothing.
 *
 * An expiry moves by the hour (`slack` in store/sql/turn.sql), which spares an entry in each of nine indexes.
 * Mostly a begin is one statement and a finish another one (docs/decisions/041). A question that is not stored yet takes two: the
 * second sees what an erasure has noted that the first one waited for. */
#include "common/clock.h"
#include "store/calls/calls.h"

#define HISTORY_MESSAGE 65536 /* bytes of one earlier message */
#define HISTORY_BYTES 900000  /* of all of them: the reply's limit is 1 MB */

/* ---- begin */

struct begin {
    int conversation; /* index of its result */
    int history;      /* -1: not asked for */
    int origin;       /* the same */
};

static void
on_stored(struct tx *t)
{
    struct turn_begin_rep rep = { .stored = col_str(t, 0, 0, 0),
                                  .stored_status = col_i64(t, 0, 0, 1),
                                  .conversation_id = col_id(t, 0, 0, 2) };

    if (tx_rows(t, 0) == 0)
        worker_fail(t->call, ERR_IN_PROGRESS, 1000, NULL); /* expired between two statements */
    else
        worker_reply(t->call, &rep);
}

/* refuse(0): the same request was answered before. */
static void
replay(struct delivery *c)
{
    const struct turn_begin_req *r = c->req;
    struct tx *t = call_tx(c, on_stored);

    TX(t, IDEM_STORED, p_str(tenant_of(c)), p_str(r->idem_scope.p ? r->idem_scope : STR("")),
       p_str(r->idem_key));
    tx_run(t);
}

/* Rows are newest first; the reply is oldest first and bounded. */
static bool
take_history(struct tx *t, int i, struct turn_begin_rep *rep)
{
    size_t n = tx_rows(t, i), bytes = 0, keep = 0;

    rep->history.v = arena_alloc(t->call->arena, (n ? n : 1) * sizeof *rep->history.v);
    if (!rep->history.v)
        return false;
    for (; keep < n; keep++) {
        bytes += utf8_cut(col_str(t, i, keep, 1), HISTORY_MESSAGE).n + col_str(t, i, keep, 2).n + 64;
        if (bytes > HISTORY_BYTES)
            break;
    }
    for (size_t k = 0; k < keep; k++) {
        struct turn *to = &rep->history.v[k];

        to->role = col_str(t, i, keep - 1 - k, 0);
        to->content = utf8_cut(col_str(t, i, keep - 1 - k, 1), HISTORY_MESSAGE);
        to->selection = col_str(t, i, keep - 1 - k, 2);
    }
    rep->history.n = keep;
    return true;
}

static void
on_begun(struct tx *t)
{
    struct begin *b = t->arg;
    struct delivery *c = t->call;
    struct turn_begin_rep rep = { 0 };

    if (t->err) {
        if (t->refused == 0)
            replay(c);
        else
            tx_fail(t);
        return;
    }
    fault_after_commit(store_of(c));
    rep.conversation_id = col_id(t, b->conversation, 0, 0);
    rep.stands = b->origin >= 0 && col_flag(t, b->origin, 0, 0);
    if (b->history >= 0 && !take_history(t, b->history, &rep))
        worker_fail(c, ERR_BUSY, 1000, NULL);
    else
        worker_reply(c, &rep);
}

/* The question in the given conversation, which must be the session's, or in the session's open one. */
static int
add_question(struct tx *t, const struct turn_begin_req *r, const struct owner *who)
{
    struct uuid fresh = uuid_v7();

#define ASKED(conversation) \
    p_id(conversation), p_str(who->tenant), p_id(&who->session), p_str(r->session), p_str(r->user_id), \
        p_i64(r->expiry_days), p_id(&r->question_id), p_str(r->question), p_str(r->page_context), \
        p_str(r->selection)
    if (uuid_is_nil(&r->conversation_id))
        return TX(t, TURN_OPEN, ASKED(&fresh));
    return TX(t, TURN_JOIN, ASKED(&r->conversation_id));
#undef ASKED
}

/* The session's row comes before a key, which goes with it, and before the open conversation is closed: it is held against other
 * questions of the same session. */
static void
add_before(struct tx *t, const struct turn_begin_req *r, const struct owner *who)
{
    bool closes = r->fresh && uuid_is_nil(&r->conversation_id);

    if (r->idem_key.p || closes)
        TX(t, SESSION_TOUCH, p_id(&who->session), p_str(who->tenant), p_str(r->session), p_str(r->user_id),
           p_i64(r->expiry_days));
    if (r->idem_key.p)
        TX(t, IDEM_CLAIM, p_str(who->tenant), p_str(r->idem_scope.p ? r->idem_scope : STR("")),
           p_str(r->idem_key), p_str(r->idem_hash.p ? r->idem_hash : STR("")), p_id(&r->question_id),
           p_id(&who->session), p_i64(r->idem_lease_ms),
           p_id(uuid_is_nil(&r->idem_holder) ? &r->question_id : &r->idem_holder));
    if (closes)
        TX(t, CONVERSATION_CLOSE, p_str(who->tenant), p_id(&who->session), p_id(&r->question_id));
}

void
turn_begin(struct delivery *c)
{
    const struct turn_begin_req *r = c->req;
    struct owner who;
    struct begin *b;
    struct tx *t;

    if (!(b = arena_alloc(c->arena, sizeof *b))) {
        worker_fail(c, ERR_BUSY, 1000, NULL);
        return;
    }
    if (!(t = session_tx(c, r->session, on_begun, &who)))
        return;
    t->arg = b;
    t->want_errors = t->brief = true;
    add_before(t, r, &who);
    b->conversation = add_question(t, r, &who);
    b->history = -1;
    if (r->history > 0 && !uuid_is_nil(&r->conversation_id))
        b->history = TX(t, TURN_HISTORY, p_str(who.tenant), p_id(&who.session), p_id(&r->conversation_id),
                        p_id(&r->question_id), p_i64(r->history < 64 ? r->history : 64));
    b->origin = uuid_is_nil(&r->origin_id) ? -1
                                           : TX(t, ORIGIN_STANDS, p_str(who.tenant), p_id(&r->origin_id));
    tx_run(t);
}

/* ---- finish */

/* The fields of a citation, column by column: each becomes an array, so that all go in one statement. */
static struct param
cell(const struct turn_finish_req *r, size_t i, enum citation_column col)
{
    const struct citation *k = &r->citations.v[i];
    const struct str texts[] = { k->external_id, k->title, k->chapter, k->section, k->url, k->excerpt };
    int64_t n = k->n;
    struct uuid id = k->id;

    switch (col) {
    case CITED_N: return p_i64(n);
    case CITED_DOCUMENT: return p_id(&k->document_id);
    case CITED_CHUNK: return p_id(&k->chunk_id);
    case CITED_START: return p_i64(k->start);
    case CITED_END: return p_i64(k->end);
    case CITED_SCORE: return p_f64(k->score);
    case CITED_PAGE: return k->page > 0 ? p_i64(k->page) : p_str(STR_NONE);
    case CITED_ID:
        if (uuid_is_nil(&id))
            id = uuid_named((const struct str[]){ STR("citation"),
                                                  { (const char *)r->message_id.b, 16 },
                                                  { (const char *)&n, sizeof n } },
                            3);
        return p_id(&id);
    default: return p_str(texts[col - CITED_EXTERNAL]);
    }
}

/* One column of the citations as an array; NULL when there are none. */
static struct param
column(struct tx *t, const struct turn_finish_req *r, enum citation_column col, enum array_type type)
{
    struct buf *b;

    if (r->citations.n == 0)
        return p_str(STR_NONE);
    b = tx_buf(t);
    array_begin(b, type, r->citations.n);
    for (size_t i = 0; i < r->citations.n; i++)
        array_add(b, cell(r, i, col));
    return p_str(buf_slice(b));
}

/* The parameters of an answer and its citations, which ANSWER_ADD and TURN_ADD begin with. */
#define ANSWER(t, r, who, at) \
    p_id(&(r)->message_id), p_str((who)->tenant), p_id(&(who)->session), p_id(&(r)->conversation_id), \
        p_id(&(r)->question_id), p_str((r)->answer), p_str((r)->status), p_str((r)->model), \
        p_f64((r)->confidence), p_flag((r)->grounded), p_flag((r)->from_cache), p_i64((r)->prompt_tokens), \
        p_i64((r)->completion_tokens), p_time(at), p_i64((r)->expiry_days), p_str((r)->trace), \
        p_id(&(r)->origin_id), p_time((r)->origin_ms), p_str((r)->finish), \
        column(t, r, CITED_ID, ARRAY_UUID), column(t, r, CITED_N, ARRAY_INT8), \
        column(t, r, CITED_DOCUMENT, ARRAY_UUID), column(t, r, CITED_CHUNK, ARRAY_UUID), \
        column(t, r, CITED_EXTERNAL, ARRAY_TEXT), column(t, r, CITED_TITLE, ARRAY_TEXT), \
        column(t, r, CITED_CHAPTER, ARRAY_TEXT), column(t, r, CITED_SECTION, ARRAY_TEXT), \
        column(t, r, CITED_URL, ARRAY_TEXT), column(t, r, CITED_EXCERPT, ARRAY_TEXT), \
        column(t, r, CITED_START, ARRAY_INT8), column(t, r, CITED_END, ARRAY_INT8), \
        column(t, r, CITED_SCORE, ARRAY_FLOAT8), column(t, r, CITED_PAGE, ARRAY_INT8)

/* The conversation: the given one, which must be the session's, or the session's open one; the session with it. */
static void
add_place(struct tx *t, const struct turn_finish_req *r, const struct owner *who)
{
    struct uuid fresh = uuid_v7();

#define PLACE(conversation) \
    p_id(conversation), p_str(who->tenant), p_id(&who->session), p_str(r->session), p_str(STR_NONE), \
        p_i64(r->expiry_days)
    if (uuid_is_nil(&r->conversation_id))
        TX(t, CONVERSATION_OPEN, PLACE(&fresh));
    else
        TX(t, CONVERSATION_TOUCH, PLACE(&r->conversation_id));
#undef PLACE
}

void
turn_finish_add(struct tx *t, const struct turn_finish_req *r, const struct owner *who)
{
    int64_t at = r->created_ms ? r->created_ms : clock_wall_ms();

    if (r->question
            .p) { /* not stored yet: all that turn.begin would have written; the answer comes after its question */
        add_place(t, r, who);
        TX(t, TURN_ADD, ANSWER(t, r, who, at + 1), p_str(r->question), p_time(at), p_str(r->session),
           p_time(r->begun_ms ? r->begun_ms : at), p_str(r->selection));
    } else {
        TX(t, ANSWER_ADD, ANSWER(t, r, who, r->created_ms));
    }
    if (r->idem_key.p)
        TX(t, IDEM_DONE, p_str(who->tenant), p_str(r->idem_scope.p ? r->idem_scope : STR("")),
           p_str(r->idem_key), p_id(uuid_is_nil(&r->idem_holder) ? &r->question_id : &r->idem_holder),
           p_str(r->idem_body.p ? r->idem_body : STR("")), p_i64(r->idem_status), p_id(&who->session));
}

static void
on_finished(struct tx *t)
{
    fault_after_commit(store_of(t->call));
    ack_ok(t);
}

void
turn_finish(struct delivery *c)
{
    const struct turn_finish_req *r = c->req;
    struct owner who;
    struct tx *t = session_tx(c, r->session, on_finished, &who);

    if (!t)
        return;
    t->groups = t->brief = true;
    t->lock = who.session;
    turn_finish_add(t, r, &who);
    tx_run(t);
}
