/* POST /v1/embeddings: texts → vectors of the deployment's model, whatever name is asked for; the answer
 * says which it was. Both official clients ask for base64 and decode it: little-endian float32, as the
 * vectors are in memory. */
#include <math.h>

#include "gateway/admit/budget.h"
#include "gateway/openai/openai.h"

#define TEXTS_MAX 2048
#define TEXT_BYTES 262144
#define ANSWER_BYTES 134217728
#define EMBED_TOKENS_REFUSED TOKENS_REFUSED " (LangChain: check_embedding_ctx_length=False)"

struct texts {
    struct embed_req req;
    bool base64;
};

static bool
take_text(const json_t *v, size_t i, struct str *out, struct fault *f)
{
    if (json_is_integer(v) || json_is_array(v)) {
        fault_set(f, "input", EMBED_TOKENS_REFUSED);
        return false;
    }
    if (!json_is_string(v) || json_string_length(v) == 0 || json_string_length(v) > TEXT_BYTES) {
        fault_set(f, "input", "text %zu must be a string of 1 to %d bytes", i, TEXT_BYTES);
        return false;
    }
    *out = (struct str){ json_string_value(v), json_string_length(v) };
    return true;
}

static bool
take_input(struct request *r, const json_t *input, struct texts *t, struct fault *f)
{
    size_t n = json_is_array(input) ? json_array_size(input) : 1;
    struct str *v = arena_alloc(r->arena, (n + 1) * sizeof *v);

    if (!input || json_is_null(input) || json_is_object(input) || n < 1 || n > TEXTS_MAX || !v) {
        fault_set(f, "input", "must be a string or a list of 1 to %d strings", TEXTS_MAX);
        return false;
    }
    for (size_t i = 0; i < n; i++)
        if (!take_text(json_is_array(input) ? json_array_get(input, i) : input, i, &v[i], f))
            return false;
    t->req.texts = (struct strs){ v, n };
    return true;
}

static bool
take(struct request *r, const json_t *o, struct texts *t, struct fault *f)
{
    static const struct text_rule format = { "encoding_format", 1, 20, false, false },
                                  kind = { "input_type", 1, 20, false, false };
    struct str as = STR("float"), type = STR("document");

    if (!field_text(o, &format, &as, f) || !field_text(o, &kind, &type, f) ||
        !field_int(o, "dimensions", 1, 4096, &t->req.dims, f))
        return false;
    t->base64 = str_is(as, "base64");
    t->req.documents = !str_is(type, "query");
    if (!t->base64 && !str_is(as, "float"))
        fault_set(f, "encoding_format", "must be float or base64");
    else if (t->req.documents && !str_is(type, "document"))
        fault_set(f, "input_type", "must be document or query");
    else
        return take_input(r, json_object_get(o, "input"), t, f);
    return false;
}

static void
render_vector(struct buf *b, const char *floats, size_t dims, bool base64)
{
    if (base64) {
        buf_c(b, '"');
        base64_encode((struct str){ floats, dims * sizeof(float) }, b);
        buf_c(b, '"');
        return;
    }
    buf_c(b, '[');
    for (size_t i = 0; i < dims; i++) {
        float v;

        memcpy(&v, floats + i * sizeof v, sizeof v);
        buf_printf(b, "%s%.9g", i ? "," : "", isfinite(v) ? (double)v : 0.0);
    }
    buf_c(b, ']');
}

static void
reply(struct request *r, const struct texts *t, const struct embed_rep *rep)
{
    struct buf b = BUF_MAX(ANSWER_BYTES);
    size_t dims = (size_t)rep->dims, step = dims * sizeof(float);

    if (rep->dims < 1 || rep->vectors.n != t->req.texts.n * step) {
        reply_problem(r, ERR_UPSTREAM_REPLY, NULL);
        return;
    }
    buf_z(&b, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < t->req.texts.n; i++) {
        buf_printf(&b, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", i ? "," : "", i);
        render_vector(&b, rep->vectors.p + i * step, dims, t->base64);
        buf_c(&b, '}');
    }
    buf_c(&b, ']');
    buf_key_str(&b, "model", rep->model);
    buf_key(&b, "usage");
    buf_printf(&b, "{\"prompt_tokens\":%lld,\"total_tokens\":%lld}}", (long long)rep->tokens,
               (long long)rep->tokens);
    api_reply(r, 200, &b);
}

/* More values than the texts of a body can be. */
static bool
is_tokens(const struct request *r)
{
    return r->body.n > 2 * (size_t)BODY_VALUES && json_values(r->body) > BODY_VALUES;
}

/* The embedder has names of its own for the members. */
static void
reply_refused(struct request *r, const struct outcome *a)
{
    static const struct {
        const char *theirs, *ours;
    } members[] = { { "dims: ", "/dimensions" }, { "texts: ", "/input" } };

    for (size_t i = 0; a->err == ERR_VALIDATION && a->text && i < sizeof members / sizeof *members; i++)
        if (str_starts(str_of(a->text), members[i].theirs)) {
            reply_invalid(r, members[i].ours, a->text + strlen(members[i].theirs));
            return;
        }
    reply_outcome(r, a);
}

void
route_openai_embeddings(struct request *r)
{
    json_t *body = NULL;
    struct held held = { 0 };
    struct texts t = { 0 };
    struct outcome a;
    struct fault f;

    if (is_tokens(r)) {
        reply_invalid(r, "/input", EMBED_TOKENS_REFUSED);
        return;
    }
    body = request_json_any(r, BODY_VALUES);
    if (!body)
        return;
    if (!take(r, body, &t, &f))
        reply_fault(r, &f);
    else if (budget_call(r, &held, KIND_EMBED, &t.req, r->deadline_ms, &a) != ERR_OK)
        reply_refused(r, &a);
    else
        reply(r, &t, a.msg);
    held_free(&held);
    json_decref(body);
}
