/* Errors (problem.h). The OpenAI API knows four members, and 400 for what a field must be; its clients decide by the status
 * whether they try again, and by the code which exception it is. */
#include "gateway/request/problem.h"

/* The detail for people begins with the field that it is about; errors[].detail stands beside its pointer. */
static void
problem_detail(struct buf *out, const char *key, enum err e, const char *detail, const char *pointer)
{
    const char *field = pointer && *pointer == '/' ? pointer + 1 : "";
    struct buf b = BUF_MAX(16384);

    detail = detail && *detail ? detail : err_text(e);
    buf_printf(&b, "%s%s%s", field, *field ? ": " : "", detail);
    buf_key_str(out, key, b.failed ? str_of(detail) : buf_slice(&b));
    buf_free(&b);
}

int
problem_status(const struct request *r, enum err e)
{
    int status = err_http(e);

    return r->dialect == DIALECT_OPENAI && status == 422 ? 400 : status;
}

const char *
problem_type(const struct request *r)
{
    return r->dialect == DIALECT_OPENAI ? "application/json" : "application/problem+json";
}

static const char *
openai_type(int status)
{
    return status == 401   ? "authentication_error"
           : status == 403 ? "permission_error"
           : status == 429 ? "rate_limit_error"
           : status >= 500 ? "server_error"
                           : "invalid_request_error";
}

static const char *
openai_code(enum err e)
{
    return e == ERR_UNAUTHORIZED ? "invalid_api_key" : e == ERR_LIMITED ? "rate_limit_exceeded" : err_name(e);
}

/* "/messages/0/content" is messages[0].content there. */
static void
openai_param(struct buf *out, const char *pointer)
{
    struct buf b = BUF_MAX(1024);

    for (const char *p = pointer; *p == '/'; p += strcspn(p, "/")) {
        size_t n = strcspn(++p, "/");

        if (n > 0 && strspn(p, "0123456789") == n)
            buf_printf(&b, "[%.*s]", (int)n, p);
        else
            buf_printf(&b, "%s%.*s", b.n ? "." : "", (int)n, p);
    }
    buf_key_str(out, "param", b.n ? buf_slice(&b) : STR_NONE);
    buf_free(&b);
}

static void
openai_json(const struct request *r, enum err e, const char *detail, const char *pointer, struct buf *out)
{
    const struct missing *m = e == ERR_NOT_FOUND && r->missing.code ? &r->missing : NULL;

    buf_z(out, "{\"error\":{");
    if (m)
        buf_key_str(out, "message", str_of(m->text));
    else
        problem_detail(out, "message", e, detail, pointer);
    buf_key_str(out, "type", str_of(openai_type(problem_status(r, e))));
    if (m)
        buf_key_str(out, "param", str_of(m->param));
    else
        openai_param(out, pointer ? pointer : "");
    buf_key_str(out, "code", str_of(m ? m->code : openai_code(e)));
    buf_z(out, "}}");
}

void
problem_json(struct request *r, enum err e, const char *detail, const char *pointer, struct buf *out)
{
    const char *name = err_name(e);

    r->err = e;
    if (r->dialect == DIALECT_OPENAI) {
        openai_json(r, e, detail, pointer, out);
        return;
    }

    buf_z(out, "{\"type\":\"urn:footnote:error:");
    buf_z(out, name);
    buf_z(out, "\"");
    buf_key_str(out, "title", str_of(err_text(e)));
    buf_key_int(out, "status", err_http(e));
    problem_detail(out, "detail", e, detail, pointer);
    buf_key(out, "instance");
    buf_printf(out, "\"urn:footnote:request:%s\"", r->id);
    buf_key_str(out, "code", str_of(name));
    buf_key_str(out, "request_id", str_of(r->id));
    buf_key(out, "errors");
    buf_c(out, '[');
    if (pointer) {
        buf_c(out, '{');
        buf_key_str(out, "pointer", str_of(pointer));
        buf_key_str(out, "detail", str_of(detail ? detail : ""));
        buf_c(out, '}');
    }
    buf_z(out, "]}");
}
