/* GET /v1/models and what a model's name means:
 *
 *   docs               the caller's default collection          raw      the model server by itself, for titles and tags
 *   rag:<collection>   that one                                 aliases  MODEL_ALIASES, for clients whose names are fixed
 *   …+sources          the same, and the text ends with its sources, for clients that leave annotations out */
#include "common/clock.h"
#include "gateway/admit/auth.h"
#include "gateway/gateway.h"
#include "gateway/openai/openai.h"
#include "gateway/watch/epochs.h"

#define COLLECTIONS 200 /* named in a list */

/* The next "name=model" of a list; false at its end. */
static bool
alias_next(const char **list, struct str *name, struct str *model)
{
    const char *p = *list + strspn(*list, ", \t");
    size_t n = strcspn(p, ", \t");
    const char *eq = memchr(p, '=', n);

    *list = p + n;
    *name = (struct str){ p, eq ? (size_t)(eq - p) : n };
    *model = eq ? (struct str){ eq + 1, (size_t)(p + n - eq - 1) } : STR("");
    return n > 0;
}

/* Of docs and rag:<collection>, without "+sources" at its end; true: that stood there. */
static bool
sources_cut(struct str *model)
{
    const struct str suffix = STR("+sources");

    if (model->n <= suffix.n || memcmp(model->p + model->n - suffix.n, suffix.p, suffix.n) != 0 ||
        str_is(*model, "raw+sources"))
        return false;
    model->n -= suffix.n;
    return true;
}

static bool
name_known(struct str model)
{
    sources_cut(&model);
    return str_is(model, "docs") || str_is(model, "raw") ||
           (str_starts(model, "rag:") && name_ok((struct str){ model.p + 4, model.n - 4 }));
}

bool
model_aliases_fine(const char *list)
{
    struct str name, model;

    while (alias_next(&list, &name, &model))
        if (name.n == 0 || name.n > 128 || !name_known(model))
            return false;
    return true;
}

static struct str
alias_of(const struct request *r, struct str name)
{
    const char *list = r->gw->opt->model_aliases;
    struct str alias, model;

    while (alias_next(&list, &alias, &model))
        if (str_eq(alias, name))
            return model;
    return name;
}

static const char *
unknown(struct request *r, struct str name)
{
    const char *list = r->gw->opt->model_aliases;
    struct buf b = BUF_MAX(8192);
    struct str alias, model;
    const char *text;

    buf_printf(&b, "The model '" STR_FMT "' does not exist. Models are docs, rag:<collection> and raw",
               STR_ARG(utf8_cut(name, 200)));
    while (alias_next(&list, &alias, &model))
        buf_printf(&b, ", " STR_FMT, STR_ARG(alias));
    buf_z(&b, "; GET /v1/models lists them.");
    text = arena_dup(r->arena, buf_slice(&b));
    buf_free(&b);
    return text ? text : "The model does not exist.";
}

/* A 404 of this request is said of its model. */
static void
missing_is(struct request *r, struct str name)
{
    r->missing = (struct missing){ "model_not_found", "model", unknown(r, name) };
}

bool
model_take(struct wish *w, struct str name)
{
    struct str model = alias_of(w->r, name);

    missing_is(w->r, name);
    w->model = name;
    if (!name_known(model)) {
        reply_problem(w->r, ERR_NOT_FOUND, NULL);
        return false;
    }
    w->listed = sources_cut(&model);
    w->given.raw = str_is(model, "raw");
    if (str_starts(model, "rag:"))
        w->given.collection = (struct str){ model.p + 4, model.n - 4 };
    return true;
}

/* ---- the list */

/* Models that are no collection are as old as this process. */
static int64_t
born_ms(void)
{
    static atomic_llong since;
    long long none = 0;

    atomic_compare_exchange_strong(&since, &none, clock_wall_ms());
    return atomic_load(&since);
}

static void
render_model(struct buf *b, struct str prefix, struct str name, int64_t created_ms)
{
    struct buf id = BUF_MAX(512);

    if (b->n > 0 && b->p[b->n - 1] == '}')
        buf_c(b, ',');
    buf_str(&id, prefix);
    buf_str(&id, name);
    buf_c(b, '{');
    buf_key_str(b, "id", buf_slice(&id));
    buf_key_str(b, "object", STR("model"));
    buf_key_int(b, "created", created_ms / 1000);
    buf_key_str(b, "owned_by", STR("footnote"));
    buf_c(b, '}');
    buf_free(&id);
}

void
route_openai_models(struct request *r)
{
    struct collection_list_req req = { .page = 1, .limit = COLLECTIONS };
    const struct collection_rep *rep;
    const char *list = r->gw->opt->model_aliases;
    struct held held = { 0 };
    struct buf b = BUF_MAX(1048576);
    struct str alias, model;
    struct outcome a;

    if (api_restricted(r))
        req.names = r->who.key->collections;
    if (api_get(r, &held, KIND_COLLECTION_LIST, &req, &a)) {
        rep = a.msg;
        buf_z(&b, "{\"object\":\"list\",\"data\":[");
        render_model(&b, STR(""), STR("docs"), born_ms());
        render_model(&b, STR(""), STR("raw"), born_ms());
        for (size_t i = 0; i < rep->items.n; i++)
            render_model(&b, STR("rag:"), rep->items.v[i].name, rep->items.v[i].created_ms);
        while (alias_next(&list, &alias, &model))
            render_model(&b, STR(""), alias, born_ms());
        buf_z(&b, "]}");
        api_reply(r, 200, &b);
    }
    held_free(&held);
}

void
route_openai_model(struct request *r)
{
    const struct collection *settings = NULL;
    struct str model = alias_of(r, r->arg), name = STR_NONE;
    struct buf b = BUF_MAX(4096);
    enum err e = name_known(model) ? ERR_OK : ERR_NOT_FOUND;

    missing_is(r, utf8_valid(r->arg) ? r->arg : STR(""));
    sources_cut(&model);
    if (e == ERR_OK && str_starts(model, "rag:")) {
        name = (struct str){ model.p + 4, model.n - 4 };
        e = collection_allowed(r, name) ? collection_of(r, name, &settings) : ERR_NOT_FOUND;
    }
    if (e != ERR_OK) {
        reply_problem(r, e, NULL);
        return;
    }
    render_model(&b, STR(""), r->arg,
                 settings && settings->created_ms > 0 ? settings->created_ms : born_ms());
    api_reply(r, 200, &b);
}
