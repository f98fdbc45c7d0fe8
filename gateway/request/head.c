/* The head of an answer: it says who was asked (X-Request-ID, traceparent), what is left of the limits, and whether a page may
 * read it. */
#include "gateway/request/head.h"

#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "common/clock.h"
#include "gateway/edge/status.h"

static const char exposed[] =
    "RateLimit-Policy, RateLimit, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, "
    "Retry-After, retry-after-ms, x-should-retry, X-Request-ID, traceparent, X-Cache, Location, "
    "Idempotency-Replayed, X-Key-Expires-At";

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
        snprintf(text, sizeof text, "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n",
                 days + (size_t)t.tm_wday * 3, t.tm_mday, months + (size_t)t.tm_mon * 3, t.tm_year + 1900,
                 t.tm_hour, t.tm_min, t.tm_sec);
        last = now;
    }
    buf_z(out, text);
}

/* Where its line begins; NULL: there is none. */
static char *
header_line(const struct request *r, const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i + n < r->headers.n; i++)
        if ((i == 0 || r->headers.p[i - 1] == '\n') && r->headers.p[i + n] == ':' &&
            strncasecmp(r->headers.p + i, name, n) == 0)
            return r->headers.p + i;
    return NULL;
}

static void
add_cors(const struct request *r, struct buf *out)
{
    buf_z(out, "Vary: Origin\r\n");
    if (!r->conn->origin)
        return;
    buf_printf(out, "Access-Control-Allow-Origin: %s\r\nAccess-Control-Expose-Headers: %s\r\n",
               r->conn->origin, exposed);
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

static int64_t
seconds_up(int64_t ms)
{
    return (ms + 999) / 1000;
}

/* RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers), and the older X-RateLimit-*. */
void
limit_headers(const struct limit_state *s, struct buf *out)
{
    const struct policy *p;

    if (s->n == 0)
        return;
    p = &s->p[s->violated >= 0 ? s->violated : 0];
    buf_z(out, "RateLimit-Policy: ");
    for (size_t i = 0; i < s->n; i++)
        buf_printf(out, "%s\"%s\";q=%ld;w=%ld", i ? ", " : "", s->p[i].name, s->p[i].q, s->p[i].w);
    buf_printf(out, "\r\nRateLimit: \"%s\";r=%ld;t=%lld\r\n", p->name, p->remaining,
               (long long)seconds_up(p->reset_ms));
    buf_printf(out, "X-RateLimit-Limit: %ld\r\nX-RateLimit-Remaining: %ld\r\nX-RateLimit-Reset: %lld\r\n",
               p->q, p->remaining, (long long)seconds_up(clock_wall_ms() + p->reset_ms));
}

void
reply_head(struct request *r, int status, const char *content_type, int64_t length, struct buf *out)
{
    struct http_conn *c = r->conn;

    settle_connection(c);
    buf_printf(out, "HTTP/1.1 %d %s\r\n", status, status_text(status));
    add_date(out);
    if (content_type)
        buf_printf(out, "Content-Type: %s\r\n", content_type);
    if (!header_line(r, "Cache-Control"))
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
request_header_add(struct request *r, const char *name, const char *value)
{
    if (strpbrk(value, "\r\n") || r->headers.n + strlen(value) > 16384)
        return;
    buf_printf(&r->headers, "%s: %s\r\n", name, value);
}

void
request_header_set(struct request *r, const char *name, const char *value)
{
    char *line = header_line(r, name), *end = r->headers.p + r->headers.n;
    char *next = line ? memchr(line, '\n', (size_t)(end - line)) : NULL;

    if (next) {
        memmove(line, next + 1, (size_t)(end - next - 1));
        r->headers.n -= (size_t)(next + 1 - line);
    }
    request_header_add(r, name, value);
}

void
request_retry_after(struct request *r, int64_t ms)
{
    r->conn->retry_after_ms = ms;
}
