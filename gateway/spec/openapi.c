/* GET /openapi.json: the API as OpenAPI 3.1, written from the tables (spec.h). */
#include "gateway/spec/spec.h"

#include "common/process/proc.h"
#include "gateway/api/api.h"
#include "gateway/edge/status.h"

/* ---- schemas */

static void
add_type(struct buf *b, const char *type, bool null)
{
    if (null)
        buf_printf(b, "\"type\":[\"%s\",\"null\"]", type);
    else
        buf_printf(b, "\"type\":\"%s\"", type);
}

static void
add_bounds(struct buf *b, const struct spec_field *f, const char *least, const char *most)
{
    if (f->least == 0 && f->most == 0)
        return;
    buf_printf(b, ",\"%s\":%.17g", least, f->least);
    if (f->most > 0 || f->least < 0)
        buf_printf(b, ",\"%s\":%.17g", most, f->most);
}

static void
add_enum(struct buf *b, const char *names, bool null)
{
    buf_z(b, "\"enum\":[");
    while (*names) {
        size_t n = strcspn(names, "|");

        buf_json(b, (struct str){ names, n });
        names += n + (names[n] == '|');
        if (*names)
            buf_c(b, ',');
    }
    buf_z(b, null ? ",null]" : "]");
}

static void
add_format(struct buf *b, const char *format, bool null)
{
    add_type(b, "string", null);
    buf_printf(b, ",\"format\":\"%s\"", format);
}

static void
add_string(struct buf *b, const struct spec_field *f, bool null)
{
    add_type(b, "string", null);
    add_bounds(b, f, "minLength", "maxLength");
    if (*f->of)
        buf_key_str(b, "pattern", str_of(f->of));
}

static void
add_list(struct buf *b, const struct spec_field *f, bool null)
{
    add_type(b, "array", null);
    add_bounds(b, f, "minItems", "maxItems");
    if (f->type == STRS)
        buf_z(b, ",\"items\":{\"type\":\"string\"}");
    else
        buf_printf(b, ",\"items\":{\"$ref\":\"#/components/schemas/%s\"}", f->of);
}

static void
add_ref(struct buf *b, const struct spec_field *f, bool null)
{
    if (null)
        buf_printf(b, "\"oneOf\":[{\"$ref\":\"#/components/schemas/%s\"},{\"type\":\"null\"}]", f->of);
    else
        buf_printf(b, "\"$ref\":\"#/components/schemas/%s\"", f->of);
}

/* The members of a schema, without braces. */
static void
add_schema(struct buf *b, const struct spec_field *f)
{
    bool null = f->need == NUL || f->need == OPN;

    switch (f->type) {
    case STR: add_string(b, f, null); break;
    case UUID: add_format(b, "uuid", null); break;
    case UUID4:
        add_format(b, "uuid", null);
        buf_z(
            b,
            ",\"pattern\":\"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-4[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$\"");
        break;
    case TIME: add_format(b, "date-time", null); break;
    case INT:
        add_type(b, "integer", null);
        add_bounds(b, f, "minimum", "maximum");
        break;
    case NUM:
        add_type(b, "number", null);
        add_bounds(b, f, "minimum", "maximum");
        break;
    case BOOL: add_type(b, "boolean", null); break;
    case ENUM: add_enum(b, f->of, null); break;
    case REF: add_ref(b, f, null); break;
    case LIST:
    case STRS: add_list(b, f, null); break;
    case MAP: add_type(b, "object", null); break;
    case RAW: buf_add(b, f->of + 1, strlen(f->of) - 2); break;
    case ANY: break;
    }
    if (*f->words) {
        if (b->p[b->n - 1] != '{')
            buf_c(b, ',');
        buf_z(b, "\"description\":");
        buf_json_z(b, f->words);
    }
}

static void
add_object(struct buf *b, const struct spec_object *o)
{
    size_t required = 0;

    buf_z(b, "{\"type\":\"object\",\"properties\":{");
    for (size_t i = 0; i < o->n; i++) {
        buf_printf(b, "%s\"%s\":{", i ? "," : "", o->fields[i].name);
        add_schema(b, &o->fields[i]);
        buf_c(b, '}');
    }
    buf_z(b, "},\"required\":[");
    for (size_t i = 0; i < o->n; i++)
        if (o->fields[i].need == REQ || o->fields[i].need == NUL)
            buf_printf(b, "%s\"%s\"", required++ ? "," : "", o->fields[i].name);
    buf_z(b, o->open == CLOSED ? "],\"additionalProperties\":false}" : "]}");
}

/* ---- calls */

static void
add_param(struct buf *b, const char *where, const struct spec_field *f)
{
    buf_z(b, b->p[b->n - 1] == '}' ? ",{" : "{");
    buf_key_str(b, "name", str_of(f->name));
    buf_key_str(b, "in", str_of(where));
    buf_key_bool(b, "required", f->need == REQ);
    buf_z(b, ",\"schema\":{");
    add_schema(b, f);
    buf_z(b, "}}");
}

static void
add_params(struct buf *b, const struct spec_call *c)
{
    struct spec_field arg = { c->arg, STR, REQ, 1, 0, "", "" };

    if (c->n_params == 0 && !c->arg)
        return;
    buf_z(b, ",\"parameters\":[");
    if (c->arg)
        add_param(b, "path", &arg);
    for (size_t i = 0; i < c->n_params; i++)
        add_param(b, c->params[i].where, &c->params[i].field);
    buf_c(b, ']');
}

static void
add_content(struct buf *b, const char *type, const char *object)
{
    buf_printf(b, "\"%s\":{", type);
    if (*object)
        buf_printf(b, "\"schema\":{\"$ref\":\"#/components/schemas/%s\"}", object);
    buf_c(b, '}');
}

/* All answers of one status stand together. */
static void
add_answer(struct buf *b, const struct spec_call *c, size_t first)
{
    int status = c->answers[first].status;
    size_t types = 0;

    for (size_t i = 0; i < first; i++)
        if (c->answers[i].status == status)
            return;
    buf_printf(b, "%s\"%d\":{\"description\":\"%s\"", b->p[b->n - 1] == '}' ? "," : "", status,
               status_text(status));
    for (size_t i = first; i < c->n_answers; i++) {
        if (c->answers[i].status != status || !*c->answers[i].type)
            continue;
        buf_z(b, types++ ? "," : ",\"content\":{");
        add_content(b, c->answers[i].type, c->answers[i].object);
    }
    buf_z(b, types ? "}}" : "}");
}

static void
add_answers(struct buf *b, const struct spec_call *c)
{
    bool openai = (c->flags & OPENAI) != 0;

    buf_z(b, ",\"responses\":{");
    for (size_t i = 0; i < c->n_answers; i++)
        add_answer(b, c, i);
    for (size_t i = 0; c->errors[i]; i++) {
        buf_printf(b, ",\"%d\":{\"description\":\"%s\",\"content\":{", c->errors[i],
                   status_text(c->errors[i]));
        if (openai)
            add_content(b, "application/json", "OpenAIError");
        else
            add_content(b, "application/problem+json", "Problem");
        if (c->flags & RPC) {
            buf_c(b, ',');
            add_content(b, "application/json", "RpcAnswer");
        }
        buf_z(b, "}}");
    }
    buf_c(b, '}');
}

static void
add_call(struct buf *b, const struct spec_call *c)
{
    buf_c(b, '"');
    for (const char *p = c->method; *p; p++)
        buf_c(b, (char)(*p + 32));
    buf_z(b, "\":{\"tags\":[");
    buf_json_z(b, c->tag);
    buf_z(b, "],\"summary\":");
    buf_json_z(b, c->summary);
    buf_printf(b, ",\"security\":[%s{\"key\":[]}]",
               c->who == WHO_PUBLIC    ? "{},"
               : c->who == WHO_SESSION ? "{},"
                                       : "");
    add_params(b, c);
    if (*c->object) {
        buf_printf(b, ",\"requestBody\":{\"required\":true,\"content\":{");
        add_content(b, c->takes, c->object);
        buf_z(b, "}}");
    }
    add_answers(b, c);
    buf_c(b, '}');
}

static void
add_paths(struct buf *b)
{
    size_t n;
    const struct spec_call *c = spec_calls(&n);

    for (size_t i = 0; i < n; i++) {
        bool before = false;

        for (size_t k = 0; k < i; k++)
            before = before || strcmp(c[k].path, c[i].path) == 0;
        if (before)
            continue;
        buf_printf(b, "%s\"%s\":{", i ? "," : "", c[i].path);
        for (size_t k = i; k < n; k++) {
            if (strcmp(c[k].path, c[i].path) != 0)
                continue;
            if (k > i)
                buf_c(b, ',');
            add_call(b, &c[k]);
        }
        buf_c(b, '}');
    }
}

void
route_openapi(struct request *r)
{
    struct buf b = BUF_MAX(4194304);
    size_t n;
    const struct spec_object *o = spec_objects(&n);

    buf_z(
        &b,
        "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Footnote\",\"summary\":\"Answers from documents, with citations\"");
    buf_key_str(&b, "version", str_of(footnote_version));
    buf_z(&b, "},\"paths\":{");
    add_paths(&b);
    buf_z(
        &b,
        "},\"components\":{\"securitySchemes\":{\"key\":{\"type\":\"http\",\"scheme\":\"bearer\"}},\"schemas\":{");
    for (size_t i = 0; i < n; i++) {
        buf_printf(&b, "%s\"%s\":", i ? "," : "", o[i].name);
        add_object(&b, &o[i]);
    }
    buf_z(&b, "}}}");
    api_reply(r, 200, &b);
}
