/* Server-sent events (WHATWG HTML, section 9.2): chunked, one write an event, the connection ends with the stream. A
 * client that left is noticed before each write by looking at its socket. */
#include "gateway/edge/conn.h"
#include "gateway/edge/pool.h"
#include "gateway/gateway.h"
#include "gateway/request/head.h"
#include "gateway/request/problem.h"

#define STREAM_BUFFER 65536 /* of a client that reads slowly */

static bool
stream_write(struct request *r, struct str frame)
{
    struct buf out = BUF_MAX(0);
    bool good;

    if (r->conn->chunked_out)
        buf_printf(&out, "%zx\r\n", frame.n);
    buf_str(&out, frame);
    if (r->conn->chunked_out)
        buf_z(&out, "\r\n");
    good = !request_gone(r) && http_write(r->conn, out.p, out.n);
    buf_free(&out);
    return good;
}

static bool
begin(struct request *r, const char *content_type, const char *first)
{
    struct http_conn *c = r->conn;
    struct buf out = BUF_MAX(0);
    bool good;

    if (c->sent)
        return false;
    c->chunked_out = !c->frame.old;
    http_close_after(c);
    request_header_add(r, "X-Accel-Buffering", "no");
    reply_head(r, 200, content_type, -1, &out);
    if (c->chunked_out && *first)
        buf_printf(&out, "%zx\r\n%s\r\n", strlen(first), first);
    else
        buf_z(&out, first);
    c->stream = true;
    conn_head_rest(); /* it may stay for minutes, and its connection ends with it */
    atomic_fetch_add(&r->gw->streams, 1);
    good = http_write(c, out.p, out.n);
    buf_free(&out);
    return good;
}

static bool
begin_events(struct request *r, const char *first)
{
    request_header_add(r, "Cache-Control", "no-cache, no-transform");
    conn_buffer_limit(r->conn->fd, STREAM_BUFFER);
    return begin(r, "text/event-stream; charset=utf-8", first);
}

bool
stream_begin(struct request *r)
{
    return begin_events(r, "retry: 2000\n\n");
}

bool
stream_open(struct request *r)
{
    return begin_events(r, "");
}

static void
add_data(struct buf *out, struct str json)
{
    while (json.n > 0) {
        const char *nl = memchr(json.p, '\n', json.n);
        size_t n = nl ? (size_t)(nl - json.p) : json.n, step = nl ? n + 1 : n;

        buf_z(out, "data: ");
        buf_str(out, (struct str){ json.p, n });
        buf_c(out, '\n');
        json = (struct str){ json.p + step, json.n - step };
    }
    buf_c(out, '\n');
}

static bool
event_write(struct request *r, const char *event, const char *id, struct str json)
{
    struct buf out = BUF_MAX(0);
    bool good;

    if (event)
        buf_printf(&out, "event: %s\n", event);
    if (id)
        buf_printf(&out, "id: %s\n", id);
    add_data(&out, json);
    good = stream_write(r, buf_slice(&out));
    buf_free(&out);
    return good;
}

/* The drain's time is over: say so, once, and let the handler end as if the client had gone. */
static bool
stream_cut(struct request *r)
{
    struct buf body = BUF_MAX(65536);

    if (!atomic_load(&r->gw->cut))
        return false;
    if (!r->conn->told_cut) {
        r->conn->told_cut = true;
        problem_json(r, ERR_DRAINING, NULL, NULL, &body);
        event_write(r, r->dialect == DIALECT_OWN ? "error" : NULL, NULL, buf_slice(&body));
        buf_free(&body);
    }
    return true;
}

bool
stream_event(struct request *r, const char *event, const char *id, struct str json)
{
    return !stream_cut(r) && event_write(r, event, id, json);
}

bool
stream_data(struct request *r, const char *event, struct str json)
{
    return !stream_cut(r) && event_write(r, event, NULL, json);
}

bool
stream_ping(struct request *r)
{
    return !stream_cut(r) && stream_write(r, STR(": ping\n\n"));
}

void
stream_rest(const struct request *r)
{
    if (r->conn->stream)
        pool_rest();
}

void
stream_end(struct request *r)
{
    if (r->conn->stream && !r->conn->stream_ended) {
        r->conn->stream_ended = true;
        if (r->conn->chunked_out && !request_gone(r))
            http_write(r->conn, "0\r\n\r\n", 5);
        atomic_fetch_sub(&r->gw->streams, 1);
    }
}

/* ---- JSON Lines */

bool
lines_begin(struct request *r)
{
    return begin(r, "application/x-ndjson", "");
}

bool
lines_write(struct request *r, struct str lines)
{
    return !atomic_load(&r->gw->cut) && stream_write(r, lines);
}

void
lines_end(struct request *r, bool whole)
{
    if (!whole && r->conn->stream && !r->conn->stream_ended) {
        r->conn->stream_ended = true; /* without the last chunk */
        atomic_fetch_sub(&r->gw->streams, 1);
    }
    stream_end(r);
}

bool
request_gone(const struct request *r)
{
    return conn_gone(r->conn->fd);
}
