/* Common ground of completions and responses: the members of their bodies, the session that their conversation is kept in, the
 * address of this gateway (openai.h). */
#include "common/clock.h"
#include "gateway/gateway.h"
#include "gateway/openai/openai.h"

static const struct text_rule rule_model = { "model", 1, 200, false, false };
static const struct text_rule rule_user = { "user", 0, 256, false, true };
static const struct text_rule rule_safety = { "safety_identifier", 0, 256, false, true };
static const struct text_rule rule_collection = { "collection", 1, 64, false, false };
static const struct text_rule rule_context = { "page_context", 0, 2000, false, true };

/* A fault of a member of "rag" is said of rag/…. */
static bool
inside_rag(struct fault *f)
{
    char was[sizeof f->pointer];

    memcpy(was, f->pointer, sizeof was);
    was[sizeof was - 1] = 0;
    if (strlen(was) + 5 < sizeof f->pointer) {
        memcpy(f->pointer, "/rag", 4);
        memcpy(f->pointer + 4, was, strlen(was) + 1);
    }
    return false;
}

/* It comes before the model's; a 404 is said of it then. */
static bool
take_collection(struct wish *w, const json_t *rag, struct fault *f)
{
    struct str name = STR_NONE;
    const char *text;

    if (!field_text(rag, &rule_collection, &name, f))
        return false;
    if (!name.p)
        return true;
    if (!name_ok(name)) {
        fault_set(f, "collection", "must match [A-Za-z0-9._-]{1,64}");
        return false;
    }
    text = arena_printf(w->r->arena, "The collection '" STR_FMT "' does not exist.", STR_ARG(name));
    w->r->missing = (struct missing){ "collection_not_found", "rag.collection",
                                      text ? text : "The collection does not exist." };
    w->given.collection = name;
    return true;
}

static bool
take_rag(struct wish *w, struct fault *f)
{
    const json_t *o = json_object_get(w->body, "rag");
    struct given *g = &w->given;

    if (!o || json_is_null(o))
        return true;
    if (!json_is_object(o)) {
        fault_set(f, "rag", "must be an object");
        return false;
    }
    return (take_collection(w, o, f) && field_int(o, "top_k", 1, 20, &g->top_k, f) &&
            field_object(o, "filter", 8192, w->r->arena, &g->filter, f) &&
            field_flag(o, "sources", &w->sources, f) && field_text(o, &rule_context, &g->page_context, f)) ||
           inside_rag(f);
}

/* One answer is given to a question. */
static bool
take_number(const struct wish *w, struct fault *f)
{
    const json_t *n = json_object_get(w->body, "n");

    if (!n || json_is_null(n) || (json_is_integer(n) && json_integer_value(n) == 1))
        return true;
    fault_set(f, "n", "must be 1");
    return false;
}

/* Without PUBLIC_URL the name by which the client reached us, when it is a name. */
static const char *
base_url(const struct request *r)
{
    static const char fine[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-:[]";
    const char *url = r->gw->opt->public_url, *host = request_header(r, "Host").p;
    char *made;

    if (*url)
        return url;
    if (!host || host[strspn(host, fine)] != 0)
        return "";
    made = arena_printf(r->arena, "http://%s", host);
    return made ? made : "";
}

bool
wish_read(struct request *r, struct wish *w)
{
    struct str model = STR("docs");
    struct fault f;

    *w = (struct wish){ .r = r, .base = base_url(r), .created_s = clock_wall_ms() / 1000 };
    w->body = request_json_any(r, BODY_VALUES);
    if (!w->body)
        return false;
    if (field_text(w->body, &rule_model, &model, &f)) {
        if (!model_take(w, model))
            return false;
        if (field_text(w->body, &rule_user, &w->given.user, &f) &&
            (w->given.user.n > 0 || field_text(w->body, &rule_safety, &w->given.user, &f)) &&
            field_flag(w->body, "stream", &w->stream, &f) && take_number(w, &f) && take_rag(w, &f) &&
            options_take(w, &f))
            return true;
    }
    reply_fault(r, &f);
    return false;
}

void
wish_fini(struct wish *w)
{
    json_decref(w->body);
    w->body = NULL;
}

bool
wish_settle(struct wish *w)
{
    uint8_t hash[32];

    if (request_header(w->r, "X-Session-ID").p && !w->given.raw)
        return request_session(w->r, STR_NONE, &w->given.session, hash);
    /* a model's own answers are kept apart */
    w->given.session = given_session(w->r, "dialect session", w->given.user,
                                     w->given.raw ? "\nraw\n" : "\ndocs\n", w->first);
    return true;
}
