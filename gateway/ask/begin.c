/* turn.begin (begin.h). The question is stored before anything is paid for, so the chat waits for it, and so does all else that a model
 * server is asked. All that costs nothing runs beside it:
 *
 *   turn.begin ────────────────────▶ known ─▶ rerank, chat …
 *   embed.free ─▶ search ────────────┘
 *       └─ it would be paid for ───▶ known ─▶ embed ─▶ search
 *
 * A question that needs what its begin brings waits for it first: a turn of a conversation, which is searched for with what was said
 * before; a copy of another session's answer; one that is paid from a budget. A begin that fails is the question's end, as if nothing
 * had run beside it. */
#include "gateway/ask/begin.h"

#include "common/clock.h"
#include "gateway/ask/relay.h"
#include "gateway/ask/select.h"

#define LOOK_MS 25 /* how often who waits for something else looks after the begin */

void
begin_start(struct question *q)
{
    struct turn_begin_req req = {
        .session = { (const char *)q->session_hash, 32 },
        .conversation_id = q->conversation_id,
        .question_id = q->question_id,
        .message_id = q->message_id,
        .question = q->text,
        .user_id = q->user,
        .page_context = q->page_context,
        .selection = q->selection,
        .fresh = q->fresh,
        .history = q->standalone || q->told ? 0 : ASK_HISTORY,
        .expiry_days = api_expiry_days(q->r),
    };
    const struct request *r = q->r;
    const struct idem *i = r->idem;
    int64_t since = clock_us();

    if (q->copied)
        req.origin_id = q->copied->message_id;
    if (i) {
        req.idem_key = str_of(i->key);
        req.idem_scope = str_of(i->scope);
        req.idem_hash = (struct str){ (const char *)i->hash, 32 };
        req.idem_holder = i->holder;
        req.idem_lease_ms = idem_lease_ms(r);
    }
    q->begin = (struct beginning){
        .call = hub_call(api_hub(r), KIND_TURN_BEGIN, &req, r->who.tenant, r->id, r->deadline_ms),
        .runs = true,
    };
    q->begin.waited_us = clock_us() - since;
}

bool
begin_aside(struct question *q, const struct ask_sink *sink)
{
    if (q->copied || q->flying.follows || q->raw || !(q->standalone || q->told) || budget_on(q->r))
        return false;
    q->begin.sink = sink;
    select_carry(q); /* what was told may have a selection, and the search wants to know */
    return true;
}

bool
begin_runs(const struct question *q)
{
    return q->begin.runs;
}

static enum asked
take(struct question *q, const struct outcome *a)
{
    static const struct outcome lost = { .err = ERR_IN_PROGRESS, .text = "", .retry_after_ms = 1000 };
    const struct turn_begin_rep *rep = a->msg;

    if (a->err)
        return ask_failed(q, a);
    q->begin.rep = rep;
    if (rep->stored.p)
        /* our lease lapsed and another run has finished: the next try gets its answer */
        return ask_failed(q, &lost);
    q->conversation_id = rep->conversation_id;
    if (!q->told)
        q->earlier = (struct turns){ rep->history.v, rep->history.n };
    select_carry(q);
    return !q->begin.sink || q->begin.sink->begun(q->begin.sink->arg) ? ASKED_ANSWERED : ASKED_GONE;
}

enum asked
begin_known(struct question *q, int64_t wake_ms)
{
    int64_t since = clock_us();
    struct outcome a;
    bool known;

    if (!q->begin.runs)
        return q->begin.state;
    known = call_wait(q->begin.call, wake_ms, &a) == CALL_DONE;
    q->begin.waited_us += clock_us() - since;
    if (!known)
        return ASKED_ANSWERED;
    q->begin.runs = false;
    ask_stage(q, STAGE_BEGIN, clock_us() - q->begin.waited_us);
    q->begin.state = take(q, &a);
    return q->begin.state;
}

enum err
begin_beside(struct question *q, enum kind kind, const void *req, int64_t deadline_ms, struct outcome *out)
{
    static const struct outcome moot = { .err = ERR_BUSY, .text = "" };
    enum asked state = begin_known(q, 0);
    struct call *call;

    *out = moot;
    if (state != ASKED_ANSWERED)
        return out->err;
    call = hub_call(api_hub(q->r), kind, req, q->r->who.tenant, q->r->id, deadline_ms);
    while (state == ASKED_ANSWERED &&
           call_wait(call, q->begin.runs ? clock_ms() + LOOK_MS : INT64_MAX, out) == CALL_IDLE)
        state = begin_known(q, 0);
    if (state == ASKED_ANSWERED) {
        held_add(&q->held, call);
    } else {
        call_free(&call);
        *out = moot;
    }
    return out->err;
}

void
begin_let_go(struct question *q)
{
    call_free(&q->begin.call);
    q->begin.rep = NULL;
}
