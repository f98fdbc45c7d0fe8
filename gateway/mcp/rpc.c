/* POST /mcp: JSON-RPC 2.0 over HTTP (mcp.h). A failure before a message is understood has an HTTP status of
 * its own; a method's answer is 200. A message without an id is a notification: 202, and nothing is said. */
#include "gateway/mcp/mcp.h"

#include "common/process/proc.h"
#include "gateway/admit/admit.h"
#include "gateway/api/api.h"

#define BATCH_MAX 16
#define OUT_BYTES 67108864
#define OUT_ROOM 2097152 /* of it for ids, which the body had, and for errors */
#define VALUES_MAX 8192

static const char *const versions[] = { "2025-11-25", "2025-06-18", "2025-03-26", NULL }; /* newest first */

static const struct {
    const char *name;
    void (*handler)(struct rpc *c);
    bool admits;
} methods[] = {
#define METHOD(name, handler, admits) { name, handler, admits },
#include "gateway/mcp/method.tbl"
#undef METHOD
};

void
rpc_fail(struct rpc *c, int code, const char *text)
{
    c->code = code;
    c->text = text;
}

void
rpc_fail_call(struct rpc *c, const struct outcome *a)
{
    const char *text = arena_dup(c->r->arena, str_of(outcome_text(a))); /* the call's own ends with it */

    rpc_fail(c, a->err == ERR_VALIDATION ? RPC_PARAMS : RPC_INTERNAL, text ? text : err_text(ERR_INTERNAL));
}

bool
rpc_admit(struct rpc *c)
{
    c->charged = c->charged || admit(c->r, NULL, NULL, NULL);
    return c->charged;
}

bool
rpc_cursor(struct rpc *c, bool paged, struct str *cursor)
{
    const json_t *v = json_object_get(c->params, "cursor");

    *cursor = json_str(c->params, "cursor");
    if (!v || json_is_null(v) || (paged && cursor->n > 0 && cursor->n <= 256))
        return true;
    rpc_fail(c, RPC_PARAMS, "cursor must be a nextCursor of an earlier answer");
    return false;
}

static const char *
version_known(struct str version)
{
    for (size_t i = 0; versions[i]; i++)
        if (str_is(version, versions[i]))
            return versions[i];
    return NULL;
}

/* A revision that we do not know is answered with our newest: the client decides. */
void
mcp_initialize(struct rpc *c)
{
    const char *version = version_known(json_str(c->params, "protocolVersion"));

    buf_c(c->out, '{');
    buf_key_str(c->out, "protocolVersion", str_of(version ? version : versions[0]));
    buf_z(
        c->out,
        ",\"capabilities\":{\"tools\":{},\"resources\":{}},\"serverInfo\":{\"name\":\"footnote\",\"title\":\"Footnote\"");
    buf_key_str(c->out, "version", str_of(footnote_version));
    buf_z(c->out, "}");
    buf_key_str(
        c->out, "instructions",
        STR("Answers from documents, with citations. ask answers a question; search finds documents, fetch reads "
            "one. Cite what is given with its address."));
    buf_c(c->out, '}');
}

void
mcp_ping(struct rpc *c)
{
    buf_z(c->out, "{}");
}

/* ---- one message */

/* An answer's beginning. Of what has no id that can be told, null. */
static void
render_id(struct buf *out, const json_t *id)
{
    buf_z(out, "{\"jsonrpc\":\"2.0\",\"id\":");
    if (json_is_string(id) || json_is_integer(id))
        buf_json_value(out, id, false);
    else
        buf_z(out, "null");
}

static void
render_error(struct buf *out, const json_t *id, int code, const char *text)
{
    render_id(out, id);
    buf_printf(out, ",\"error\":{\"code\":%d", code);
    buf_key_str(out, "message", str_of(text));
    buf_z(out, "}}");
}

/* The reason that it is no request; NULL: nothing. */
static const char *
fault_of(const json_t *m, const json_t *id, const json_t *params)
{
    if (!json_is_object(m))
        return "a message must be an object";
    if (!str_is(json_str(m, "jsonrpc"), "2.0"))
        return "jsonrpc must be \"2.0\"";
    if (!json_str(m, "method").p)
        return "method must be a string";
    if (!json_is_string(id) && !json_is_integer(id))
        return "id must be a string or a whole number";
    return params && !json_is_object(params) ? "params must be an object" : NULL;
}

static void
rpc_dispatch(struct rpc *c, struct str method)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (str_is(method, methods[i].name)) {
            if (methods[i].admits || rpc_admit(c))
                methods[i].handler(c);
            return;
        }
    if (rpc_admit(c))
        rpc_fail(c, RPC_METHOD, "method not found");
}

static void
render_answer(struct buf *out, const json_t *id, const struct rpc *c)
{
    if (c->code) {
        render_error(out, id, c->code, c->text);
        return;
    }
    render_id(out, id);
    buf_z(out, ",\"result\":");
    buf_str(out, buf_slice(c->out));
    buf_c(out, '}');
}

/* Its answer is appended to out, after a comma when something stands there; nothing for a notification.
 * batched: it was charged. False: the HTTP request was answered. */
static bool
message(struct request *r, const json_t *m, bool batched, struct buf *out)
{
    const json_t *id = json_object_get(m, "id"), *params = json_object_get(m, "params");
    struct str method = json_str(m, "method");
    struct buf result = BUF_MAX(33554432);
    struct rpc c = { .r = r, .out = &result, .charged = batched };
    bool answer = json_object_get(m, "result") || json_object_get(m, "error") != NULL;
    const char *fault;

    c.params = json_is_null(params) ? NULL : params;
    fault = fault_of(m, id, c.params);
    if (json_is_object(m) && str_is(json_str(m, "jsonrpc"), "2.0") && !id && method.p)
        return rpc_admit(&c); /* a notification */
    if (json_is_object(m) && answer && !method.p)
        return rpc_admit(&c); /* an answer to what we never asked */
    if (!fault && batched && str_is(method, "initialize"))
        fault = "initialize must not be part of a batch";
    if (!fault)
        rpc_dispatch(&c, method);
    else if (rpc_admit(&c))
        rpc_fail(&c, RPC_REQUEST, fault);
    if (!r->conn->sent) {
        if (out->n > 1)
            buf_c(out, ',');
        if (!c.code && result.failed)
            rpc_fail(&c, RPC_INTERNAL, "the answer is too large");
        else if (!c.code && out->n + result.n > OUT_BYTES - OUT_ROOM)
            rpc_fail(&c, RPC_INTERNAL, "the answers of this batch are too large together");
        render_answer(out, id, &c);
    }
    held_free(&c.held);
    buf_free(&result);
    return !r->conn->sent;
}

/* ---- one request */

static void
refuse(struct request *r, int status, int code, const char *text)
{
    struct buf b = BUF_MAX(4096);

    render_error(&b, NULL, code, text ? text : "");
    api_reply(r, status, &b);
}

/* Which revision the client speaks; absent: the one before the header was there. NULL: refused. */
static const char *
version_of(struct request *r, bool initializes)
{
    struct str said = request_header(r, "MCP-Protocol-Version");
    const char *known = said.p ? version_known(said) : "2025-03-26";

    if (!known && !initializes)
        refuse(
            r, 400, RPC_REQUEST,
            "this revision in MCP-Protocol-Version is not supported: 2025-11-25, 2025-06-18 and 2025-03-26 are");
    return known ? known : initializes ? versions[0] : NULL;
}

/* Pages of other sites must not speak for their readers, whatever key they found. */
static bool
origin_fine(struct request *r)
{
    if (!request_header(r, "Origin").p || r->conn->origin)
        return true;
    reply_problem(r, ERR_FORBIDDEN, "this origin is not in ALLOWED_ORIGINS");
    return false;
}

/* Before the first of them is served: a refusal in the middle would lose the answers that are there. */
static bool
charge_all(struct request *r, size_t n)
{
    while (n > 0 && admit(r, NULL, NULL, NULL))
        n--;
    return n == 0;
}

static void
batch(struct request *r, const json_t *list, const char *version)
{
    size_t n = json_array_size(list);
    struct buf out = BUF_MAX(OUT_BYTES);

    if (strcmp(version, "2025-03-26") != 0) {
        refuse(r, 400, RPC_REQUEST, "batches are not part of this revision");
        return;
    }
    if (n < 1 || n > BATCH_MAX) {
        refuse(r, 400, RPC_REQUEST, "a batch must have 1 to 16 messages");
        return;
    }
    if (!charge_all(r, n))
        return;
    buf_c(&out, '[');
    for (size_t i = 0; i < n; i++)
        if (!message(r, json_array_get(list, i), true, &out)) {
            buf_free(&out);
            return;
        }
    buf_c(&out, ']');
    if (out.n == 2)
        reply_empty(r, 202);
    else
        api_reply(r, 200, &out);
    buf_free(&out);
}

static void
single(struct request *r, const json_t *m)
{
    struct buf out = BUF_MAX(OUT_BYTES);

    if (message(r, m, false, &out)) {
        if (out.n == 0)
            reply_empty(r, 202);
        else
            api_reply(r, 200, &out);
    }
    buf_free(&out);
}

void
route_mcp(struct request *r)
{
    enum json_fault fault;
    const char *why = "empty", *version;
    json_t *m;

    if (!origin_fine(r))
        return;
    if (r->content_type.p && !str_is(r->content_type, "application/json")) {
        reply_problem(r, ERR_MEDIA_TYPE, "the body must be application/json");
        return;
    }
    m = r->body.n > 0 ? json_read_most(r->body, VALUES_MAX, &fault, &why) : NULL;
    if (!m) {
        refuse(r, 400, RPC_PARSE, arena_printf(r->arena, "the body cannot be read as JSON: %s", why));
        return;
    }
    version = version_of(r, str_is(json_str(m, "method"), "initialize"));
    if (version && json_is_array(m))
        batch(r, m, version);
    else if (version)
        single(r, m);
    json_decref(m);
}
