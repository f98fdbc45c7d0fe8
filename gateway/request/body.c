/* The request body: whole, bounded, on time. A length that is too large is refused before a byte is read; chunked
 * bodies are counted as they come. The guard (conn.c) cuts a connection whose body takes longer than its share. All
 * bodies together may hold BODY_TOTAL bytes; over that a request is told to come again. */
#include "gateway/edge/conn.h"
#include "gateway/gateway.h"
#include "gateway/request/body.h"

#define BODY_TOTAL (512L << 20)
#define READ_STEP 65536u

/* Claim memory for a body; false: too much is in use. */
static bool
claim(struct request *r, size_t n)
{
    if (atomic_fetch_add(&r->gw->body_bytes, (long)n) + (long)n > BODY_TOTAL) {
        atomic_fetch_sub(&r->gw->body_bytes, (long)n);
        return false;
    }
    r->conn->body_charged += n;
    return true;
}

static bool
too_large(struct request *r)
{
    http_close_after(r->conn);
    reply_problem(r, ERR_TOO_LARGE, NULL);
    return false;
}

static bool
no_memory(struct request *r)
{
    http_close_after(r->conn);
    reply_problem(r, ERR_BUSY, "there is no memory for the body");
    return false;
}

/* The body ended early: the guard cut it or let the connection go, or the client left. */
static bool
cut_short(struct request *r)
{
    http_close_after(r->conn);
    if (conn_was_pushed(r->conn->fd))
        reply_problem(r, ERR_BUSY, "there are too many slow connections; this one had to make room");
    else if (conn_was_cut(r->conn->fd))
        reply_problem(r, ERR_TIMEOUT_BODY, NULL);
    else if (conn_was_let_go(r->conn->fd))
        reply_problem(r, ERR_BUSY, "this connection was idle and was just being closed");
    else
        reply_problem(r, ERR_BAD_REQUEST, "the body is shorter than announced, or its chunks are malformed");
    return false;
}

static bool
read_all(struct request *r, size_t limit)
{
    struct http_conn *c = r->conn;
    size_t want = c->frame.chunked ? limit + 1 : (size_t)c->frame.length;
    size_t room = want < READ_STEP ? want : READ_STEP;
    char *step = arena_alloc(r->arena, room);

    while (step && c->body.n < want) {
        long got = http_read(c, step, want - c->body.n < room ? want - c->body.n : room);

        if (got < 0 || (got == 0 && !c->frame.chunked) || conn_was_cut(c->fd))
            return cut_short(r);
        if (got == 0)
            break;
        buf_add(&c->body, step, (size_t)got);
        if (c->body.failed) /* the rest must not be taken for the whole */
            return no_memory(r);
    }
    if (!step)
        return no_memory(r);
    if (c->body.n > limit)
        return too_large(r);
    c->body_done = true;
    return true;
}

static int64_t
read_limit_ms(const struct request *r, size_t limit)
{
    size_t n = r->conn->frame.chunked ? limit : (size_t)r->conn->frame.length;

    return (int64_t)r->gw->opt->body_timeout * 1000 + (int64_t)(n / 262144) * 1000;
}

bool
body_read(struct request *r, size_t limit)
{
    struct http_conn *c = r->conn;
    bool good;

    if (!c->frame.chunked && c->frame.length == 0) {
        c->body_done = true;
        return true;
    }
    if (limit == 0 || c->frame.length > (int64_t)limit)
        return too_large(r);
    if (!claim(r, c->frame.chunked ? limit : (size_t)c->frame.length))
        return no_memory(r);
    if (c->frame.expect && !http_write(c, "HTTP/1.1 100 Continue\r\n\r\n", 25))
        return cut_short(r);
    conn_phase_set(c->fd, CONN_BODY, read_limit_ms(r, limit));
    good = read_all(r, limit);
    conn_phase_set(c->fd, CONN_WORK, 0);
    if (good)
        r->body = buf_slice(&c->body);
    return good;
}
