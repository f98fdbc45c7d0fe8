/* POST /search: ranked passages without an answer, weak ones too. When no embedding can be had for a passing reason,
 * the words alone are searched, and the answer says so. */
#include "gateway/api/api.h"
#include "gateway/request/handler.h"
#include "gateway/request/render.h"
#include "gateway/admit/auth.h"

static const char *const keys[] = { "query", "top_k", "collection", "filter", "explain", NULL };
static const struct text_rule rule_query = { "query", 1, 2000, true, true };
static const struct text_rule rule_collection = { "collection", 1, 64, false, false };

struct search {
    struct held held;
    struct search_req req;
    struct str collection;
    bool explain, degraded;
};

static bool
parse(struct request *r, const json_t *o, struct search *s)
{
    struct str collection = STR_NONE;
    struct fault f;

    s->req.top_k = 10;
    if (!field_text(o, &rule_query, &s->req.query, &f) || !field_int(o, "top_k", 1, 100, &s->req.top_k, &f) ||
        !field_text(o, &rule_collection, &collection, &f) ||
        !field_object(o, "filter", 8192, r->arena, &s->req.filter, &f) || !field_flag(o, "explain", &s->explain, &f)) {
        reply_fault(r, &f);
        return false;
    }
    if (!api_collection(r, collection, &s->collection))
        return false;
    s->req.collections = (struct strs){ &s->collection, 1 };
    s->req.all = true;
    return true;
}

/* Fill in the vector. false: answered. */
static bool
embed(struct request *r, struct search *s)
{
    struct embed_req req = { .texts = { &s->req.query, 1 } };
    const struct embed_rep *rep;
    struct answer a;
    enum err e = api_ask(r, &s->held, KIND_EMBED, &req, r->deadline_ms, &a);

    if (e == ERR_OK) {
        rep = a.msg;
        s->req.vector = rep->vectors;
        s->req.model = rep->model;
    } else if (err_retryable(e)) {
        s->degraded = true;
    } else {
        reply_answer_error(r, &a);
        return false;
    }
    return true;
}

static void
reply_hits(struct request *r, const struct search *s, const struct search_rep *rep)
{
    struct buf b = BUF_MAX(33554432);

    buf_z(&b, "{\"results\":[");
    for (size_t i = 0; i < rep->hits.n; i++) {
        if (i > 0)
            buf_c(&b, ',');
        render_hit(&b, &rep->hits.v[i], s->explain);
    }
    buf_c(&b, ']');
    buf_key_str(&b, "collection", s->collection);
    buf_key_bool(&b, "degraded", s->degraded);
    buf_c(&b, '}');
    api_reply(r, 200, &b);
}

void
route_search(struct request *r)
{
    struct search s = { 0 };
    json_t *body = request_json(r, keys);
    struct answer a;

    if (!body)
        return;
    if (parse(r, body, &s) && embed(r, &s) && api_get(r, &s.held, KIND_SEARCH, &s.req, &a))
        reply_hits(r, &s, a.msg);
    held_free(&s.held);
    json_decref(body);
}
