/* /collections: the settings that shape the answers of one body of documents. PUT replaces all of them: a setting that
 * is left out is the deployment's default again. */
#include "text/language.h"
#include "gateway/api/api.h"
#include "gateway/request/handler.h"
#include "gateway/gateway.h"
#include "gateway/request/render.h"
#include "gateway/admit/auth.h"
#include "gateway/watch/epochs.h"

static const char *const keys[] = { "prompt",         "refusal",  "model",       "top_k", "threshold",
                                    "retention_days", "language", "cache_scope", NULL };
static const struct text_rule rule_prompt = { "prompt", 0, 16000, false, true };
static const struct text_rule rule_refusal = { "refusal", 0, 500, false, true };
static const struct text_rule rule_model = { "model", 0, 100, false, true };
static const struct text_rule rule_language = { "language", 0, 35, false, true };
static const struct text_rule rule_scope = { "cache_scope", 0, 16, false, true };

/* The collection that the path names, if this principal may know it. */
static bool
path_name(struct request *r)
{
    if (!name_ok(r->arg) || !collection_allowed(r, r->arg)) {
        reply_problem(r, ERR_NOT_FOUND, NULL);
        return false;
    }
    return true;
}

static void
collection_item(struct buf *b, const void *item, void *arg)
{
    (void)arg;
    render_collection(b, item);
}

void
route_collection_list(struct request *r)
{
    struct collection_list_req req = { 0 };
    const struct collection_rep *rep;
    struct held held = { 0 };
    struct paging p;
    struct outcome a;

    if (!api_paging(r, API_LIST_LIMIT, &p))
        return;
    PAGE_INTO(&req, &p);
    if (api_restricted(r))
        req.names = r->who.key->collections;
    if (api_get(r, &held, KIND_COLLECTION_LIST, &req, &a)) {
        rep = a.msg;
        api_reply_page(r, &p, ITEMS(rep, collection_item), rep->has_more, rep->next_cursor);
    }
    held_free(&held);
}

static void
reply_one(struct request *r, const struct collection_rep *rep)
{
    struct buf b = BUF_MAX(1048576);

    if (rep->items.n != 1) {
        reply_problem(r, ERR_NOT_FOUND, NULL);
        return;
    }
    render_collection(&b, &rep->items.v[0]);
    api_reply(r, 200, &b);
}

void
route_collection_get(struct request *r)
{
    struct collection_list_req req = { .name = r->arg };
    struct held held = { 0 };
    struct outcome a;

    if (path_name(r) && api_get(r, &held, KIND_COLLECTION_LIST, &req, &a))
        reply_one(r, a.msg);
    held_free(&held);
}

/* "de", "de-AT": kept as "de". Empty: as if it were left out. */
static bool
parse_language(const json_t *o, struct str *out, struct fault *f)
{
    struct buf known = BUF_MAX(sizeof f->detail);
    struct str given = STR_NONE;
    enum language l;

    if (!field_text(o, &rule_language, &given, f))
        return false;
    if (given.n == 0)
        return true;
    if (language_parse(given, &l)) {
        *out = str_of(language_code(l));
        return true;
    }
    for (int i = 0; i < LANGUAGES; i++)
        buf_printf(&known, "%s%s", i ? ", " : "", language_code((enum language)i));
    fault_set(f, "language", "is not known; known are " STR_FMT, STR_ARG(buf_slice(&known)));
    buf_free(&known);
    return false;
}

static bool
parse_scope(const json_t *o, struct str *out, struct fault *f)
{
    struct str given = STR_NONE;

    if (!field_text(o, &rule_scope, &given, f))
        return false;
    if (given.p && !str_is(given, CACHE_SCOPE_SESSION) && !str_is(given, CACHE_SCOPE_COLLECTION) &&
        !str_is(given, CACHE_SCOPE_SEMANTIC)) {
        fault_set(f, "cache_scope",
                  "must be " CACHE_SCOPE_SESSION ", " CACHE_SCOPE_COLLECTION " or " CACHE_SCOPE_SEMANTIC);
        return false;
    }
    *out = given;
    return true;
}

static bool
parse(const json_t *o, struct collection *c, struct fault *f)
{
    return field_text(o, &rule_prompt, &c->prompt, f) && field_text(o, &rule_refusal, &c->refusal, f) &&
           field_text(o, &rule_model, &c->model, f) && field_int(o, "top_k", 1, 20, &c->top_k, f) &&
           field_num(o, "threshold", 0, 1, &c->threshold, f) &&
           field_int(o, "retention_days", 1, 36500, &c->retention_days, f) &&
           parse_language(o, &c->language, f) && parse_scope(o, &c->cache_scope, f);
}

void
route_collection_put(struct request *r)
{
    struct collection c = { .name = r->arg };
    struct held held = { 0 };
    json_t *body = NULL;
    struct fault f;
    struct outcome a;

    if (!name_ok(r->arg)) {
        reply_invalid(r, "/name", "must match [A-Za-z0-9._-]{1,64}");
        return;
    }
    if (!path_name(r) || !(body = request_json(r, keys)))
        return;
    if (!parse(body, &c, &f))
        reply_fault(r, &f);
    else if (api_get(r, &held, KIND_COLLECTION_PUT, &c, &a)) {
        epochs_settings_changed(r->gw, r->who.tenant, r->arg);
        reply_one(r, a.msg);
    }
    held_free(&held);
    json_decref(body);
}

void
route_collection_delete(struct request *r)
{
    struct collection_list_req req = { .name = r->arg };
    struct held held = { 0 };
    struct outcome a;

    if (path_name(r) && api_get(r, &held, KIND_COLLECTION_DELETE, &req, &a)) {
        epochs_moved(r->gw, r->who.tenant, r->arg, ((const struct ack *)a.msg)->seq);
        epochs_settings_changed(r->gw, r->who.tenant, r->arg);
        reply_empty(r, 204);
    }
    held_free(&held);
}

/* ---- the models of its vectors */

static void
change_model(struct request *r, bool drop)
{
    struct collection_model_req req = { .name = r->arg, .drop = drop };
    struct collection_list_req again = { .name = r->arg };
    struct held held = { 0 };
    const struct ack *rep;
    struct outcome a;

    if (path_name(r) && api_get(r, &held, KIND_COLLECTION_MODEL, &req, &a)) {
        rep = a.msg;
        if (rep->seq > 0)
            epochs_moved(r->gw, r->who.tenant, r->arg, rep->seq);
        epochs_settings_changed(r->gw, r->who.tenant, r->arg);
        if (api_get(r, &held, KIND_COLLECTION_LIST, &again, &a))
            reply_one(r, a.msg);
    }
    held_free(&held);
}

void
route_switch_back(struct request *r)
{
    change_model(r, false);
}

void
route_drop_old(struct request *r)
{
    change_model(r, true);
}
