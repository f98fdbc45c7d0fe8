/* Answers: one write each, header and body in one buffer (two writes cost 44 ms now and then, when Nagle's algorithm meets a
 * delayed acknowledgement). */
#include "common/log.h"
#include "gateway/request/head.h"
#include "gateway/request/problem.h"

#define ONE_WRITE 65536u /* a larger body goes out by itself: copying it would cost more than a write */

void
reply_bytes(struct request *r, int status, const char *content_type, struct str body)
{
    static struct log_gate gate;
    struct buf out = BUF_MAX(0);
    bool bare = r->method == METHOD_HEAD || status == 204 || status == 304;

    if (r->conn->sent) {
        if (log_gate(&gate))
            LOG(ERROR, r->id, M("a request was answered twice"), KI("status", status));
        return;
    }
    if (r->toll && !r->judged && status < 500 && !r->toll(r))
        return;
    if (r->before_answer)
        r->before_answer(r, status, body);
    buf_reserve(&out, 1536 + (body.n <= ONE_WRITE ? body.n : 0));
    reply_head(r, status, content_type, (int64_t)body.n, &out);
    if (!bare && body.n <= ONE_WRITE)
        buf_str(&out, body);
    if (http_write(r->conn, out.p, out.n) && !bare && body.n > ONE_WRITE)
        http_write(r->conn, body.p, body.n);
    buf_free(&out);
}

void
reply_json(struct request *r, int status, struct str body)
{
    reply_bytes(r, status, "application/json", body);
}

void
reply_empty(struct request *r, int status)
{
    reply_bytes(r, status, NULL, STR(""));
}

static void
send_problem(struct request *r, enum err e, const char *detail, const char *pointer)
{
    struct buf body = BUF_MAX(65536);

    problem_json(r, e, detail, pointer, &body);
    if (r->conn->stream)
        stream_event(r, r->dialect == DIALECT_OWN ? "error" : NULL, NULL, buf_slice(&body));
    else
        reply_bytes(r, problem_status(r, e), problem_type(r), buf_slice(&body));
    buf_free(&body);
}

void
reply_problem(struct request *r, enum err e, const char *detail)
{
    size_t n = detail ? strspn(detail, "abcdefghijklmnopqrstuvwxyz_") : 0;

    if (e == ERR_UNAUTHORIZED)
        request_header_add(r, "WWW-Authenticate", "Bearer");
    if (e == ERR_VALIDATION && n > 0 && n < 32 &&
        str_starts(str_of(detail + n), ": ")) { /* a service says it as "field: what" */
        char pointer[40];

        (void)snprintf(pointer, sizeof pointer, "/%.*s", (int)n, detail);
        send_problem(r, e, detail + n + 2, pointer);
        return;
    }
    send_problem(r, e, detail, NULL);
}

void
reply_invalid(struct request *r, const char *pointer, const char *detail)
{
    send_problem(r, ERR_VALIDATION, detail, pointer);
}

void
reply_outcome(struct request *r, const struct outcome *a)
{
    if (a->retry_after_ms > 0)
        request_retry_after(r, a->retry_after_ms);
    reply_problem(r, a->err == ERR_OK ? ERR_INTERNAL : a->err, a->text);
}
