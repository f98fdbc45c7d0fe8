/* Conversations of one's own session, and what one thought of an answer. The session is named by X-Session-ID (or the body,
 * or the query of the old widget); a conversation or message that is not that session's is as good as missing. */
#include "gateway/api/api.h"
#include "gateway/request/handler.h"
#include "gateway/request/render.h"
#include "gateway/admit/cache_write.h"

static const struct text_rule rule_session = { "session_id", 1, 64, false, false };
static const struct text_rule rule_rating = { "rating", 1, 16, true, false };
static const struct text_rule rule_comment = { "comment", 0, 2000, false, true };

static void
conversation_item(struct buf *b, const void *item, void *arg)
{
    (void)arg;
    render_conversation(b, item);
}

void
route_conversation_list(struct request *r)
{
    struct conversation_list_req req = { 0 };
    const struct conversation_rep *rep;
    struct held held = { 0 };
    struct paging p;
    struct uuid session;
    uint8_t hash[32];
    struct outcome a;

    if (!request_session(r, request_param(r, "session_id"), &session, hash) ||
        !api_paging(r, API_PAGE_LIMIT, &p))
        return;
    req.session = (struct str){ (const char *)hash, 32 };
    PAGE_INTO(&req, &p);
    if (api_get(r, &held, KIND_CONVERSATION_LIST, &req, &a)) {
        rep = a.msg;
        api_reply_page(r, &p, ITEMS(rep, conversation_item), rep->has_more, rep->next_cursor);
    }
    held_free(&held);
}

/* Cached answers of the session go with it: they may be of this conversation. */
void
route_conversation_delete(struct request *r)
{
    struct conversation_ref req = { 0 };
    struct held held = { 0 };
    uint8_t hash[32];
    struct outcome a;

    if (!api_path_own(r, &req.conversation_id, hash))
        return;
    req.session = (struct str){ (const char *)hash, 32 };
    if (api_get(r, &held, KIND_CONVERSATION_DELETE, &req, &a)) {
        cache_erase_session(r, hash);
        reply_empty(r, 204);
    }
    held_free(&held);
}

/* ---- feedback */

static bool
parse(struct request *r, const json_t *o, struct str *session, struct feedback_req *req)
{
    struct fault f;

    if (!field_text(o, &rule_session, session, &f) || !field_text(o, &rule_rating, &req->rating, &f) ||
        !field_text(o, &rule_comment, &req->comment, &f)) {
        reply_fault(r, &f);
        return false;
    }
    if (!str_is(req->rating, "up") && !str_is(req->rating, "down")) {
        reply_invalid(r, "/rating", "must be up or down");
        return false;
    }
    if (req->comment.n == 0)
        req->comment = STR_NONE;
    return true;
}

void
route_feedback(struct request *r)
{
    static const char *const keys[] = { "session_id", "rating", "comment", NULL };
    json_t *body = request_json(r, keys);
    struct str session = STR_NONE;
    struct feedback_req req = { 0 };
    struct held held = { 0 };
    struct uuid id;
    uint8_t hash[32];
    struct outcome a;

    if (!body)
        return;
    if (parse(r, body, &session, &req) && request_session(r, session, &id, hash)) {
        req.session = (struct str){ (const char *)hash, 32 };
        if (!uuid_parse(r->arg, &req.message_id))
            reply_problem(r, ERR_NOT_FOUND, NULL);
        else if (api_get(r, &held, KIND_FEEDBACK, &req, &a))
            reply_empty(r, 204);
    }
    held_free(&held);
    json_decref(body);
}
