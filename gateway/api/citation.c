/* GET /citations/{id}: a passage that an answer of one's own session cites, with what stands around it in the document, and nothing else
 * of it. So readers who may not read documents can see what an answer rests on. A citation of another session, and one of a
 * collection that the caller may not ask (any more), is as good as missing. */
#include "gateway/api/api.h"
#include "gateway/request/handler.h"
#include "gateway/request/render.h"
#include "gateway/admit/auth.h"

#define AROUND 1200 /* bytes */

static void
render_citation(struct buf *b, const struct citation_rep *c)
{
    const struct citation *k = &c->citation.v[0];
    int64_t first = k->start - (int64_t)c->before.n, last = k->end + (int64_t)c->after.n;

    buf_c(b, '{');
    buf_key(b, "source");
    render_source(b, k);
    buf_key_bool(b, "stands", c->stands);
    buf_key_str(b, "before", c->stands ? c->before : STR(""));
    buf_key_str(b, "after", c->stands ? c->after : STR(""));
    buf_key_bool(b, "more_before", c->stands && first > 0);
    buf_key_bool(b, "more_after", c->stands && last < c->bytes);
    buf_c(b, '}');
}

void
route_citation(struct request *r)
{
    struct citation_req req = { .around = AROUND };
    const struct citation_rep *rep;
    struct buf b = BUF_MAX(131072);
    struct held held = { 0 };
    struct uuid session;
    uint8_t hash[32];
    struct answer a;

    if (!request_session(r, request_param(r, "session_id"), &session, hash))
        return;
    if (!uuid_parse(r->arg, &req.id)) {
        reply_problem(r, ERR_NOT_FOUND, NULL);
        return;
    }
    req.session = (struct str){ (const char *)hash, 32 };
    if (api_get(r, &held, KIND_CITATION, &req, &a)) {
        rep = a.msg;
        if (rep->citation.n != 1 || (rep->collection.n > 0 && !collection_allowed(r, rep->collection)))
            reply_problem(r, ERR_NOT_FOUND, NULL);
        else {
            render_citation(&b, rep);
            api_reply(r, 200, &b);
        }
    }
    held_free(&held);
}
