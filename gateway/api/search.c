/* POST /search: ranked passages without an answer, weak ones too. When no embedding can be had for a passing reason,
 * the words alone are searched, and the answer says so. */
#include "gateway/admit/auth.h"
#include "gateway/api/api.h"
#include "gateway/ask/passages.h"
#include "gateway/request/render.h"

static const char *const keys[] = { "query", "top_k", "collection", "filter", "explain", NULL };
static const struct text_rule rule_query = { "query", 1, 2000, true, true };
static const struct text_rule rule_collection = { "collection", 1, 64, false, false };

static bool
parse(struct request *r, const json_t *o, struct passages *p, bool *explain)
{
    struct str collection = STR_NONE;
    struct fault f;

    if (!field_text(o, &rule_query, &p->query, &f) || !field_int(o, "top_k", 1, 100, &p->top_k, &f) ||
        !field_text(o, &rule_collection, &collection, &f) ||
        !field_object(o, "filter", 8192, r->arena, &p->filter, &f) ||
        !field_flag(o, "explain", explain, &f)) {
        reply_fault(r, &f);
        return false;
    }
    return api_collection(r, collection, &p->collection);
}

static void
hit_item(struct buf *b, const void *item, void *arg)
{
    render_hit(b, item, *(const bool *)arg);
}

static void
reply_hits(struct request *r, const struct passages *p, bool explain)
{
    struct buf b = BUF_MAX(33554432);

    buf_z(&b, "{\"results\":");
    render_list(&b, &(struct list){ .v = p->found->hits.v,
                                    .n = p->found->hits.n,
                                    .size = sizeof *p->found->hits.v,
                                    .render = hit_item,
                                    .arg = &explain });
    buf_key_str(&b, "collection", p->collection);
    buf_key_bool(&b, "degraded", p->degraded);
    buf_c(&b, '}');
    api_reply(r, 200, &b);
}

void
route_search(struct request *r)
{
    struct passages p = { .top_k = 10, .all = true };
    json_t *body = request_json(r, keys);
    struct held held = { 0 };
    bool explain = false;
    struct outcome a;

    if (!body)
        return;
    if (parse(r, body, &p, &explain)) {
        if (passages_find(r, &held, &p, &a) == ERR_OK)
            reply_hits(r, &p, explain);
        else
            reply_outcome(r, &a);
    }
    held_free(&held);
    json_decref(body);
}
