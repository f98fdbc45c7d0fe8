/* POST /chat/query, POST /chat/selection, GET /chat/history. The question path itself is in ask/run.c. */
#include "gateway/api/api.h"
#include "gateway/ask/ask.h"
#include "gateway/request/render.h"

static void
answer(struct request *r, const char *route)
{
    struct question q;
    struct buf b = BUF_MAX(8388608);
    enum asked state = ASKED_ANSWERED;

    if (!ask_parse(r, route, &q) || !ask_admit(&q)) {
        ask_fini(&q);
        return;
    }
    if (q.stored.status != 0) {
        idem_replay(r, &q.stored);
        ask_fini(&q);
        return;
    }
    if (q.from_cache)
        ask_save_hit(&q);
    else
        state = ask_run(&q, NULL);
    if (state == ASKED_ANSWERED) {
        ask_render(&q, &b);
        api_reply(r, 200, &b);
    } else if (state == ASKED_FAILED) {
        reply_answer_error(r, &q.failure);
    } else {
        reply_problem(r, ERR_CANCELLED, NULL);
    }
    ask_fini(&q);
}

void
route_chat_query(struct request *r)
{
    answer(r, "query");
}

void
route_chat_selection(struct request *r)
{
    answer(r, "selection");
}

static void
render_history(struct request *r, struct buf *b, const struct history_rep *rep, const struct paging *p)
{
    buf_c(b, '{');
    buf_key(b, "items");
    buf_c(b, '[');
    for (size_t i = 0; i < rep->items.n; i++) {
        if (i > 0)
            buf_c(b, ',');
        safe_message(r, &rep->items.v[i]);
        render_message(b, &rep->items.v[i]);
    }
    buf_c(b, ']');
    render_paging(b, p, rep->has_more, rep->next_cursor);
    buf_c(b, '}');
}

void
route_chat_history(struct request *r)
{
    struct str conversation = request_param(r, "conversation_id");
    struct history_req req = { 0 };
    struct held held = { 0 };
    struct paging p;
    struct uuid session;
    uint8_t hash[32];
    struct answer a;
    struct buf b = BUF_MAX(67108864);

    if (conversation.p && !uuid_parse(conversation, &req.conversation_id)) {
        reply_invalid(r, "/conversation_id", "must be a UUID");
        return;
    }
    if (!request_session(r, request_param(r, "session_id"), &session, hash) || !api_paging(r, API_PAGE_LIMIT, &p))
        return;
    req.session = (struct str){ (const char *)hash, 32 };
    req.page = p.page;
    req.limit = p.limit;
    req.cursor = p.cursor;
    if (api_get(r, &held, KIND_HISTORY, &req, &a)) {
        render_history(r, &b, a.msg, &p);
        api_reply(r, 200, &b);
    }
    held_free(&held);
}
