/* tools/list and tools/call. A tool's result is there twice, as the protocol has it: as an object for
 * programs, and as text for models; ChatGPT's connectors read the object from the text. */
#include "gateway/mcp/mcp.h"

#include <assert.h>
#include <math.h>

#include "gateway/admit/auth.h"

static const struct {
    const char *name, *title, *description;
    void (*handler)(struct tool *t);
    bool admits;
} tools[] = {
#define TOOL(name, handler, admits, title, description) { name, title, description, handler, admits },
#define ARG(tool, name, type, need, least, most, words)
#include "gateway/mcp/tool.tbl"
#undef TOOL
#undef ARG
};
#define TOOLS (sizeof tools / sizeof *tools)

enum arg_type { ARG_STR, ARG_INT };
enum arg_need { ARG_OPT, ARG_REQ };
static const struct arg {
    const char *tool, *name;
    enum arg_type type;
    enum arg_need need;
    int64_t least, most;
    const char *words;
} args[] = {
#define TOOL(name, handler, admits, title, description)
#define ARG(tool, name, type, need, least, most, words) \
    { tool, name, ARG_##type, ARG_##need, least, most, words },
#include "gateway/mcp/tool.tbl"
#undef TOOL
#undef ARG
};
#define ARGS (sizeof args / sizeof *args)

static bool
is_of(const struct arg *a, const char *tool)
{
    return strcmp(a->tool, tool) == 0;
}

static const struct arg *
arg_find(const char *tool, const char *name)
{
    for (size_t i = 0; i < ARGS; i++)
        if (is_of(&args[i], tool) && strcmp(args[i].name, name) == 0)
            return &args[i];
    return NULL;
}

static void
fail(struct tool *t, const char *text)
{
    t->failed = true;
    t->text = str_of(text ? text : "something went wrong");
}

/* A copy: the text may be the call's, which ends before the answer is written. */
void
tool_fail_call(struct tool *t, const struct outcome *a)
{
    fail(t, arena_dup(t->c->r->arena, str_of(outcome_text(a))));
}

static bool
fail_fault(struct tool *t, const struct fault *f)
{
    fail(t, arena_printf(t->c->r->arena, "%s %s", f->pointer + 1, f->detail));
    return false;
}

bool
tool_text(struct tool *t, const char *arg, struct str *out)
{
    const struct arg *a = arg_find(t->name, arg);
    struct text_rule rule = { .key = arg, .trim = true };
    struct fault f;

    assert(a && a->type == ARG_STR);
    rule.min = (size_t)a->least;
    rule.max = (size_t)a->most;
    rule.required = a->need == ARG_REQ;
    return field_text(t->args, &rule, out, &f) || fail_fault(t, &f);
}

/* 10.0 is a whole number, too, as JSON Schema says: models write such. */
bool
tool_number(struct tool *t, const char *arg, int64_t *out)
{
    const struct arg *a = arg_find(t->name, arg);
    const json_t *v = json_object_get(t->args, arg);
    double real = json_is_real(v) ? json_real_value(v) : NAN;
    struct fault f;

    assert(a && a->type == ARG_INT);
    if (real == floor(real) && real >= (double)a->least && real <= (double)a->most) {
        *out = (int64_t)real;
        return true;
    }
    return field_int(t->args, arg, a->least, a->most, out, &f) || fail_fault(t, &f);
}

bool
tool_collection(struct tool *t, struct str *name)
{
    *name = STR_NONE;
    if (!tool_text(t, "collection", name))
        return false;
    return !name->p ||
           tool_settle(t, name_ok(*name) && collection_allowed(t->c->r, *name) ? ERR_OK : ERR_NOT_FOUND);
}

bool
tool_settle(struct tool *t, enum err e)
{
    if (e != ERR_OK)
        fail(t, e == ERR_NOT_FOUND ? "there is no such collection" : err_text(e));
    return e == ERR_OK;
}

/* ---- the list */

static void
render_arg(struct buf *b, const struct arg *a)
{
    bool text = a->type == ARG_STR;

    buf_key(b, a->name);
    buf_c(b, '{');
    buf_key_str(b, "type", text ? STR("string") : STR("integer"));
    buf_key_str(b, "description", str_of(a->words));
    buf_key_int(b, text ? "minLength" : "minimum", a->least);
    buf_key_int(b, text ? "maxLength" : "maximum", a->most);
    buf_c(b, '}');
}

static void
render_schema(struct buf *b, const char *tool)
{
    const char *between = "";

    buf_z(b, "{\"type\":\"object\",\"properties\":{");
    for (size_t i = 0; i < ARGS; i++)
        if (is_of(&args[i], tool))
            render_arg(b, &args[i]);
    buf_z(b, "},\"required\":[");
    for (size_t i = 0; i < ARGS; i++)
        if (is_of(&args[i], tool) && args[i].need == ARG_REQ) {
            buf_z(b, between);
            buf_json_z(b, args[i].name);
            between = ",";
        }
    buf_z(b, "],\"additionalProperties\":false}");
}

void
mcp_tools_list(struct rpc *c)
{
    struct str cursor;

    if (!rpc_cursor(c, false, &cursor))
        return;
    buf_z(c->out, "{\"tools\":[");
    for (size_t i = 0; i < TOOLS; i++) {
        buf_z(c->out, i ? ",{" : "{");
        buf_key_str(c->out, "name", str_of(tools[i].name));
        buf_key_str(c->out, "title", str_of(tools[i].title));
        buf_key_str(c->out, "description", str_of(tools[i].description));
        buf_key(c->out, "inputSchema");
        render_schema(c->out, tools[i].name);
        buf_z(c->out, ",\"annotations\":{\"readOnlyHint\":true,\"openWorldHint\":false}}");
    }
    buf_z(c->out, "]}");
}

/* ---- a call */

/* An argument that the tool does not know is one that its caller means: nothing is done without it. */
static bool
args_known(struct tool *t, json_t *given)
{
    const char *key, *between = " ";
    struct buf b = BUF_MAX(4096);
    json_t *v;

    json_object_foreach (given, key, v) {
        if (arg_find(t->name, key))
            continue;
        buf_printf(&b, "%.100s is no argument of %s, which takes", key, t->name);
        for (size_t i = 0; i < ARGS; i++)
            if (is_of(&args[i], t->name)) {
                buf_printf(&b, "%s%s", between, args[i].name);
                between = ", ";
            }
        fail(t, arena_dup(t->c->r->arena, buf_slice(&b)));
        buf_free(&b);
        return false;
    }
    return true;
}

static void
render_result(struct rpc *c, const struct tool *t)
{
    buf_z(c->out, "{\"content\":[{\"type\":\"text\"");
    buf_key_str(c->out, "text", t->text.p ? t->text : buf_slice(&t->out));
    buf_z(c->out, "}]");
    if (!t->failed) {
        buf_key(c->out, "structuredContent");
        buf_str(c->out, buf_slice(&t->out));
    }
    buf_key_bool(c->out, "isError", t->failed);
    buf_c(c->out, '}');
}

void
mcp_tools_call(struct rpc *c)
{
    struct str name = json_str(c->params, "name");
    json_t *given = json_object_get(c->params, "arguments"), *none = json_object();
    struct tool t = { .c = c, .out = BUF_MAX(16777216) };
    size_t i = 0;

    if (!given || json_is_null(given))
        given = none;
    t.args = given;
    while (i < TOOLS && !str_is(name, tools[i].name))
        i++;
    if (i == TOOLS || !json_is_object(given)) {
        if (rpc_admit(c))
            rpc_fail(c, RPC_PARAMS, i == TOOLS ? "there is no such tool" : "arguments must be an object");
    } else if (tools[i].admits || rpc_admit(c)) {
        t.name = tools[i].name;
        if (args_known(&t, given))
            tools[i].handler(&t);
        if (!c->r->conn->sent && t.out.failed)
            fail(&t, "the answer is too large");
        if (!c->r->conn->sent && rpc_admit(c))
            render_result(c, &t);
    }
    buf_free(&t.out);
    json_decref(none);
}
