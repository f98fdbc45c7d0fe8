/* Problem objects (problem.h). */
#include "gateway/request/problem.h"

/* The detail for people begins with the field that it is about; errors[].detail stands beside its pointer. */
static void
problem_detail(struct buf *out, enum err e, const char *detail, const char *pointer)
{
    const char *field = pointer != NULL && *pointer == '/' ? pointer + 1 : "";
    struct buf b = BUF_MAX(16384);

    detail = detail && *detail ? detail : err_text(e);
    buf_printf(&b, "%s%s%s", field, *field ? ": " : "", detail);
    buf_key_str(out, "detail", b.failed ? str_of(detail) : buf_slice(&b));
    buf_free(&b);
}

void
problem_json(struct request *r, enum err e, const char *detail, const char *pointer, struct buf *out)
{
    const char *name = err_name(e);

    buf_z(out, "{\"type\":\"urn:footnote:error:");
    buf_z(out, name);
    buf_z(out, "\"");
    buf_key_str(out, "title", str_of(err_text(e)));
    buf_key_int(out, "status", err_http(e));
    problem_detail(out, e, detail, pointer);
    buf_key(out, "instance");
    buf_printf(out, "\"urn:footnote:request:%s\"", r->id);
    buf_key_str(out, "code", str_of(name));
    buf_key_str(out, "request_id", str_of(r->id));
    buf_key(out, "errors");
    buf_c(out, '[');
    if (pointer != NULL) {
        buf_c(out, '{');
        buf_key_str(out, "pointer", str_of(pointer));
        buf_key_str(out, "detail", str_of(detail ? detail : ""));
        buf_c(out, '}');
    }
    buf_z(out, "]}");
}
