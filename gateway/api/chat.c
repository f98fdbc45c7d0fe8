/* POST /chat/query, POST /chat/selection, GET /chat/history. The question path itself is in ask/run.c. */
#include "gateway/api/api.h"
#include "gateway/ask/ask.h"
#include "gateway/ask/safe.h"
#include "gateway/request/render.h"

static void
answer(struct request *r, const char *route)
{
    struct question q;

    if (ask_parse(r, route, &q) && ask_admit(&q))
        ask_reply(&q);
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

struct telling {
    struct request *r;
    struct viewer viewer;
};

/* The copy shares the texts, which are the reply's. */
static void
message_item(struct buf *b, const void *item, void *arg)
{
    const struct telling *t = arg;
    struct message m = *(const struct message *)item;

    safe_message(t->r, &m);
    render_message(b, &m, &t->viewer);
}

void
route_chat_history(struct request *r)
{
    struct str conversation = request_param(r, "conversation_id");
    struct history_req req = { 0 };
    const struct history_rep *rep;
    struct held held = { 0 };
    struct paging p;
    struct list items;
    struct uuid session;
    struct telling telling;
    uint8_t hash[32];
    struct outcome a;

    if (conversation.p && !uuid_parse(conversation, &req.conversation_id)) {
        reply_invalid(r, "/conversation_id", "must be a UUID");
        return;
    }
    if (!request_session(r, request_param(r, "session_id"), &session, hash) ||
        !api_paging(r, API_PAGE_LIMIT, &p))
        return;
    req.session = (struct str){ (const char *)hash, 32 };
    PAGE_INTO(&req, &p);
    if (api_get(r, &held, KIND_HISTORY, &req, &a)) {
        rep = a.msg;
        telling = (struct telling){ r, viewer_of(r, hash) };
        items = *ITEMS(rep, message_item);
        items.arg = &telling;
        api_reply_page(r, &p, &items, rep->has_more, rep->next_cursor);
    }
    held_free(&held);
}
