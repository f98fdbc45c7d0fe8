/* Answers: one write each, header and body in one buffer (two writes cost 44 ms now and then: LIBRARIES.md). Every
 * answer says who it was (X-Request-ID, traceparent), what is left of the limits, and whether a page may read it. */
#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "gateway/admit/idempotency.h"
#include "gateway/request/reply.h"

#define ONE_WRITE 65536u          /* a larger body goes out by itself: copying it would cost more than a write */

static const char exposed[] = "RateLimit-Policy, RateLimit, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, "
                              "Retry-After, retry-after-ms, x-should-retry, X-Request-ID, traceparent, X-Cache, Location, "
                              "Idempotency-Replayed";

/* A thread keeps the second's text: gmtime_r takes a lock that all threads share. */
static void
add_date(struct buf *out)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    static _Thread_local time_t last;
    static _Thread_local char text[64];
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm t;

    if (now != last) {
        gmtime_r(&now, &t);
        snprintf(text, sizeof text, "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n", days + (size_t)t.tm_wday * 3,
                 t.tm_mday, months + (size_t)t.tm_mon * 3, t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
        last = now;
    }
    buf_z(out, text);
}

static bool
has_header(const struct request *r, const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i + n < r->headers.n; i++)
        if ((i == 0 || r->headers.p[i - 1] == '\n') && r->headers.p[i + n] == ':' &&
            strncasecmp(r->headers.p + i, name, n) == 0)
            return true;
    return false;
}

static void
add_cors(const struct request *r, struct buf *out)
{
    buf_z(out, "Vary: Origin\r\n");
    if (r->conn->origin == NULL)
        return;
    buf_printf(out, "Access-Control-Allow-Origin: %s\r\nAccess-Control-Expose-Headers: %s\r\n", r->conn->origin,
               exposed);
}

/* When to come again, for 429 and 503 always. */
static void
add_retry(const struct request *r, int status, struct buf *out)
{
    int64_t ms = r->conn->retry_after_ms;

    if (ms <= 0 && (status == 429 || status == 503))
        ms = 1000;
    if (ms > 0)
        buf_printf(out, "Retry-After: %lld\r\n", (long long)((ms + 999) / 1000));
    if (status == 429)
        buf_printf(out, "retry-after-ms: %lld\r\n", (long long)ms);
    if ((status >= 400 && status < 500 && status != 408 && status != 409 && status != 429) ||
        (status == 429 && ms > 60000) || status == 501 || status == 507)
        buf_z(out, "x-should-retry: false\r\n");
}

static void
add_framing(struct http_conn *c, int status, int64_t length, struct buf *out)
{
    if (length >= 0 && status != 204 && status != 304)
        buf_printf(out, "Content-Length: %lld\r\n", (long long)length);
    else if (length < 0 && c->chunked_out)
        buf_z(out, "Transfer-Encoding: chunked\r\n");
    buf_z(out, c->close ? "Connection: close\r\n" : "Connection: keep-alive\r\n");
}

/* A body that nobody read must not be taken for the next request, nor be waited for. */
static void
settle_connection(struct http_conn *c)
{
    bool small = !c->frame.chunked && c->frame.length <= 65536 && !c->frame.expect;

    if (!c->frame.keep || c->frame.chunked || (!c->body_done && !small))
        http_close_after(c);
}

void
reply_head(struct request *r, int status, const char *content_type, int64_t length, struct buf *out)
{
    struct http_conn *c = r->conn;

    settle_connection(c);
    buf_printf(out, "HTTP/1.1 %d %s\r\n", status, status_text(status));
    add_date(out);
    if (content_type != NULL)
        buf_printf(out, "Content-Type: %s\r\n", content_type);
    if (!has_header(r, "Cache-Control"))
        buf_z(out, "Cache-Control: no-store\r\n");
    buf_printf(out, "X-Content-Type-Options: nosniff\r\nX-Request-ID: %s\r\n", r->id);
    if (c->trace_parent[0])
        buf_printf(out, "traceparent: %s\r\n", c->trace_parent);
    limit_headers(&c->limits, out);
    add_retry(r, status, out);
    add_cors(r, out);
    buf_str(out, buf_slice(&r->headers));
    add_framing(c, status, length, out);
    buf_z(out, "\r\n");
    r->status = status;
    c->sent = true;
}

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
    idem_settle(r, status, body);
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

static void
send_problem(struct request *r, enum err e, const char *detail, const char *pointer)
{
    struct buf body = BUF_MAX(65536);

    problem_json(r, e, detail, pointer, &body);
    if (r->conn->stream)
        stream_event(r, "error", NULL, buf_slice(&body));
    else
        reply_bytes(r, err_http(e), "application/problem+json", buf_slice(&body));
    buf_free(&body);
}

void
reply_problem(struct request *r, enum err e, const char *detail)
{
    size_t n = detail ? strspn(detail, "abcdefghijklmnopqrstuvwxyz_") : 0;

    if (e == ERR_UNAUTHORIZED)
        request_header_add(r, "WWW-Authenticate", "Bearer");
    if (e == ERR_VALIDATION && n > 0 && n < 32 && str_starts(str_of(detail + n), ": ")) { /* a service says it as "field: what" */
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
reply_answer_error(struct request *r, const struct answer *a)
{
    if (a->retry_after_ms > 0)
        request_retry_after(r, a->retry_after_ms);
    reply_problem(r, a->err == ERR_OK ? ERR_INTERNAL : a->err, a->text);
}

void
request_header_add(struct request *r, const char *name, const char *value)
{
    if (strpbrk(value, "\r\n") != NULL || r->headers.n + strlen(value) > 16384)
        return;
    buf_printf(&r->headers, "%s: %s\r\n", name, value);
}

void
request_retry_after(struct request *r, int64_t ms)
{
    r->conn->retry_after_ms = ms;
}

void
reply_preflight(struct request *r, const char *allow)
{
    request_header_add(r, "Allow", allow);
    if (r->conn->origin != NULL && head_get(&r->conn->head, "Access-Control-Request-Method") != NULL) {
        request_header_add(r, "Access-Control-Allow-Methods", allow);
        request_header_add(r, "Access-Control-Allow-Headers",
                           "Authorization, Content-Type, X-Session-ID, X-Request-ID, X-Request-Timeout-Ms, "
                           "Idempotency-Key, Cache-Control, Last-Event-ID, traceparent");
        request_header_add(r, "Access-Control-Max-Age", "600");
    }
    reply_empty(r, 204);
}

static enum err
err_of_status(int status)
{
    return status == 413 || status == 431 ? ERR_HEADERS_LARGE
           : status == 408                ? ERR_TIMEOUT_BODY
           : status == 501                ? ERR_TRANSFER_CODING
           : status == 505                ? ERR_BAD_REQUEST
           : status >= 500                ? ERR_INTERNAL
                                          : ERR_BAD_REQUEST;
}

/* A method that the library does not know: 405 or 404, as for any other wrong method. */
static void
reply_unknown_method(struct request *r)
{
    const char *target = r->conn->head.target;
    char allow[64];
    struct str arg;
    bool known;

    router_find(METHOD_OTHER, (struct str){ target, strcspn(target, "?") }, &arg, &known, allow);
    if (known)
        request_header_add(r, "Allow", allow);
    reply_problem(r, known ? ERR_METHOD : ERR_NOT_FOUND, NULL);
}

void
reply_raw_error(struct http_conn *c, int status)
{
    const char *given = head_get(&c->head, "X-Request-ID");
    struct uuid u = uuid_v7();
    char id[37];
    struct request r = { .conn = c, .method = METHOD_OTHER };

    r.id = given && request_id_valid(given) ? given : uuid_text(&u, id);
    if (c->head.method != NULL)
        reply_unknown_method(&r);
    else
        reply_problem(&r, err_of_status(status), NULL);
    stat_inc(&gateway_stats, GW_EDGE_REFUSED);
    stat_add_at(&gateway_stats, GW_REQUESTS, route_count, status_label(r.status), 1);
    LOG(INFO, r.id, M("request"), KS("route", "none"), KS("method", "OTHER"), KI("status", r.status));
    buf_free(&r.headers);
}
