/* GET /citations/{id}: a passage that an answer of one's own session cites, with what stands around it in
 * the document, and nothing else of it. So readers who may not read documents can see what an answer
 * rests on. A citation of another session, and one of a collection that the caller may not ask (any
 * more), is as good as missing. */
#include "gateway/api/api.h"
#include "gateway/request/handler.h"
#include "gateway/request/render.h"
#include "gateway/admit/auth.h"

/* A store of the release before says only whether it stands. */
static struct str
state_of(const struct citation_rep *c)
{
    return c->state.n > 0 ? c->state : c->stands ? STR("verified") : STR("gone");
}

static void
render_citation(struct buf *b, const struct citation_rep *c, const struct viewer *viewer)
{
    const struct citation *k = &c->citation.v[0];
    bool there = !str_is(state_of(c), "gone");
    int64_t at = c->state.n > 0 ? c->at : k->start, end = at + (int64_t)k->excerpt.n;

    buf_c(b, '{');
    buf_key(b, "source");
    render_source(b, k, viewer);
    buf_key_str(b, "state", state_of(c));
    buf_key_bool(b, "stands", c->stands);
    buf_key(b, "start");
    buf_printf(b, there ? "%lld" : "null", (long long)at);
    buf_key(b, "end");
    buf_printf(b, there ? "%lld" : "null", (long long)end);
    buf_key_str(b, "before", there ? c->before : STR(""));
    buf_key_str(b, "after", there ? c->after : STR(""));
    buf_key_bool(b, "more_before", there && at > (int64_t)c->before.n);
    buf_key_bool(b, "more_after", there && end + (int64_t)c->after.n < c->bytes);
    buf_c(b, '}');
}

void
route_citation(struct request *r)
{
    struct citation_req req = { .around = API_AROUND };
    const struct citation_rep *rep;
    struct buf b = BUF_MAX(131072);
    struct held held = { 0 };
    struct viewer viewer;
    uint8_t hash[32];
    struct outcome a;

    if (!api_path_own(r, &req.id, hash))
        return;
    req.session = (struct str){ (const char *)hash, 32 };
    if (api_get(r, &held, KIND_CITATION, &req, &a)) {
        rep = a.msg;
        if (rep->citation.n != 1 || (rep->collection.n > 0 && !collection_allowed(r, rep->collection)))
            reply_problem(r, ERR_NOT_FOUND, NULL);
        else {
            viewer = viewer_of(r, hash);
            render_citation(&b, rep, &viewer);
            api_reply(r, 200, &b);
        }
    }
    held_free(&held);
}
