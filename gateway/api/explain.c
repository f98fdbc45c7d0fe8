/* GET /messages/{id}/explain: how an answer of one's own session came about, as it was stored with it (trace.c). The session is
 * named as on the other routes of messages; an answer that is not that session's is as good as missing. */
#include "gateway/api/api.h"
#include "gateway/request/handler.h"
#include "gateway/request/render.h"

/* The cache, and the age of the answer in it; null for an answer that was made. */
static void
render_cache(struct buf *b, const struct explain_rep *e)
{
    double age = e->origin_ms > 0 && e->created_ms > e->origin_ms
                     ? (double)(e->created_ms - e->origin_ms) / 1000
                     : 0;

    buf_key(b, "cache");
    if (!e->from_cache) {
        buf_z(b, "null");
        return;
    }
    buf_c(b, '{');
    buf_key_str(b, "name", STR("query"));
    render_key_uuid(b, "message_id", &e->origin_id);
    render_key_time(b, "answered_at", e->origin_ms);
    buf_key_num(b, "age_seconds", age);
    buf_c(b, '}');
}

static void
render_explain(struct buf *b, const struct uuid *id, const struct explain_rep *e)
{
    buf_c(b, '{');
    render_key_uuid(b, "message_id", id);
    render_key_uuid(b, "conversation_id", &e->conversation_id);
    render_key_time(b, "created_at", e->created_ms);
    buf_key_str(b, "status", e->status);
    buf_key_str(b, "model", e->model);
    buf_key_bool(b, "grounded", e->grounded);
    buf_key_num(b, "confidence", e->confidence);
    buf_key_str(b, "cached", e->from_cache ? STR("query") : STR("none"));
    render_cache(b, e);
    buf_key(b, "trace");
    buf_str(b, e->trace.n > 0 ? e->trace : STR("null")); /* the store keeps jsonb: always a whole value */
    buf_c(b, '}');
}

void
route_explain(struct request *r)
{
    struct explain_req req = { 0 };
    struct held held = { 0 };
    struct buf b = BUF_MAX(131072);
    uint8_t hash[32];
    struct outcome a;

    if (!api_path_own(r, &req.message_id, hash))
        return;
    req.session = (struct str){ (const char *)hash, 32 };
    if (api_get(r, &held, KIND_EXPLAIN, &req, &a)) {
        render_explain(&b, &req.message_id, a.msg);
        api_reply(r, 200, &b);
    }
    held_free(&held);
}
