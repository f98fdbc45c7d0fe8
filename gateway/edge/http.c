/* The HTTP server: the only file that knows civetweb. It takes what the library parsed, looks at the raw bytes behind it
 * for what the library forgives (check.c judges), and gives reading and writing to the rest.
 *
 *   civetweb thread → begin_request → head_fill → the handler (serve.c) → answer → 1 (handled; the library does nothing itself)
 *
 * No document root, no forms, no websockets, no TLS, no decoding: the library has known holes there. Answers
 * that the library makes itself (unreadable requests) come through http_error and get our shape. Stopping
 * cuts replies: drain first. */
#include <civetweb.h>
#include <stdio.h>
#include <strings.h>

#include "common/log.h"
#include "gateway/edge/conn.h"
#include "gateway/edge/http.h"
#include "gateway/edge/pool.h"

#define WRITE_STEP 65536u /* larger answers go out in steps, so that the guard sees how fast they are taken */

struct http {
    struct mg_context *ctx;
    struct http_handlers to;
};

void
http_close_after(struct http_conn *c)
{
    c->close = true;
    mg_disable_connection_keep_alive(c->mg);
}

/* An empty line before a request is forgiven (RFC 9112, section 2.2); the library forgives all white space. */
static bool
only_empty_lines(const char *p, const char *end)
{
    if (!p)
        return true;
    while (end - p >= 2 && p[0] == '\r' && p[1] == '\n')
        p += 2;
    return p == end;
}

/* White space around a value is no part of it (RFC 9110, section 5.5); the library leaves what is behind. */
static void
trim_end(const char *value)
{
    size_t n = strlen(value);
    char *end;

    memcpy(&end, &value, sizeof end); /* the library's own buffer, which it gives as const */
    while (n > 0 && (end[n - 1] == ' ' || end[n - 1] == '\t'))
        end[--n] = 0;
}

/* The library cuts its words in place and leaves NULs where separators were, so the distances between the words tell
 * what stood there: "name: value" CR LF next. Anything else was forgiven by the parser. */
static enum head_fault
head_walk(const struct mg_request_info *ri)
{
    const char *uri_end = ri->query_string ? ri->query_string : ri->request_uri;
    const char *version = ri->http_version - 5;
    const char *end = ri->http_version + strlen(ri->http_version);

    if (!only_empty_lines(conn_head_start(), ri->request_method))
        return HEAD_LEADING;
    if (ri->request_uri - ri->request_method != (ptrdiff_t)strlen(ri->request_method) + 1 ||
        version - uri_end != (ptrdiff_t)strlen(uri_end) + 1)
        return HEAD_SPACES;
    for (int i = 0; i < ri->num_headers; i++) {
        const char *name = ri->http_headers[i].name, *value = ri->http_headers[i].value;
        const char *name_end = name + strlen(name);

        if (name - end != 2)
            return name - end == 1 ? HEAD_LINE_END : HEAD_HIDDEN;
        if (value > name_end + 1 && name_end[1] == 0)
            return HEAD_SPACE_COLON;
        end = value + strlen(value);
    }
    if (ri->num_headers == 0)
        return HEAD_CLEAN;
    /* After the last value: CR LF cut to NULs, then the empty line, whose LF the library cut as well. */
    if (end[1] != 0)
        return HEAD_LINE_END;
    return end[2] == '\r' && end[3] == 0 ? HEAD_CLEAN : HEAD_HIDDEN;
}

static void
head_fill(const struct mg_request_info *ri, struct head *h)
{
    h->method = ri->request_method;
    h->target = ri->request_uri;
    h->query = ri->query_string;
    h->version = ri->http_version;
    h->n = ri->num_headers < HEAD_MAX ? ri->num_headers : HEAD_MAX;
    h->fault = head_walk(ri);
    for (int i = 0; i < h->n; i++) {
        h->h[i].name = ri->http_headers[i].name;
        h->h[i].value = ri->http_headers[i].value;
        trim_end(h->h[i].value);
    }
}

static int
on_request(struct mg_connection *mg)
{
    const struct mg_request_info *ri = mg_get_request_info(mg);
    const struct http *h = ri->user_data;
    struct http_conn c = { .mg = mg, .fd = conn_current(), .limits.violated = -1 };

    head_fill(ri, &c.head);
    h->to.serve(h->to.ctx, &c, ri->remote_addr);
    return 1;
}

/* The library stopped at the method, so its headers were not parsed: find the request id in what follows the version. */
static void
find_request_id(const struct mg_request_info *ri, char id[129], struct head *h)
{
    static const char name[] = "\nX-Request-ID: ";
    const char *p = ri->http_version + strlen(ri->http_version);
    size_t n;

    for (int i = 0; i < 3 && *p == 0; i++) /* white space after the version was cut to NULs */
        p++;
    p = strncasecmp(p, name + 1, sizeof name - 2) == 0 ? p - 1 : strcasestr(p, name);
    if (!p)
        return;
    p += sizeof name - 1;
    n = strcspn(p, "\r\n");
    if (n >= 129)
        return;
    memcpy(id, p, n);
    id[n] = 0;
    h->h[0].name = "X-Request-ID";
    h->h[0].value = id;
    h->n = 1;
}

/* Requests that the library refuses by itself: not parsable, a method it does not know, too large a head. */
static int
on_error(struct mg_connection *mg, int status, const char *text)
{
    const struct mg_request_info *ri = mg_get_request_info(mg);
    const struct http *h = mg_get_user_data(mg_get_context(mg));
    struct http_conn c = { .mg = mg, .fd = -1, .limits.violated = -1 };
    char id[129];

    (void)text;
    if (status == 400 && conn_head_bytes(conn_current()) >= CONN_HEAD_BYTES) /* full, and no end in it */
        status = 431;
    http_close_after(&c);
    conn_phase_set(conn_current(), CONN_WORK, 0);
    if (status == 400 && ri && ri->request_method && ri->request_uri && ri->http_version != NULL &&
        ri->num_headers == 0 && strncmp(ri->http_version, "1.", 2) == 0 &&
        method_of(ri->request_method) == METHOD_OTHER) {
        c.head.method = ri->request_method;
        c.head.target = ri->request_uri;
        find_request_id(ri, id, &c.head);
    }
    h->to.refused(h->to.ctx, &c, status);
    return 0;
}

/* Bytes came, but the library neither asked us nor refused: a target that is not ours, such as http://other/. */
static void
refuse_pending(const struct http *h, const struct mg_connection *mg)
{
    struct http_conn c = { .fd = -1, .limits.violated = -1 };

    memcpy(&c.mg, &mg, sizeof mg);
    c.close = true;
    h->to.refused(h->to.ctx, &c, 400);
}

/* The library is about to close it. */
static void
on_close(const struct mg_connection *mg)
{
    const struct http *h = mg_get_user_data(mg_get_context(mg));
    const struct mg_request_info *ri = mg_get_request_info(mg);

    if (conn_header_pending(conn_current()))
        refuse_pending(h, mg);
    conn_leave(ri->remote_addr, (uint16_t)ri->remote_port);
}

static int
on_message(const struct mg_connection *mg, const char *text)
{
    (void)mg;
    LOG(DEBUG, NULL, M("http library"), KS("text", text));
    return 1;
}

/* A request that waits for its client is not being worked on. */
static void
pause_work(struct http_conn *c, int by)
{
    if (c->busy)
        atomic_fetch_add(c->busy, by);
}

bool
http_write(struct http_conn *c, const void *p, size_t n)
{
    int fd = conn_current();
    enum conn_phase was = conn_write_begin(fd);
    size_t at = 0, step;

    pause_work(c, -1);
    while (at < n) {
        step = n - at < WRITE_STEP ? n - at : WRITE_STEP;
        if (mg_write(c->mg, (const char *)p + at, step) != (int)step)
            break;
        conn_wrote(fd, step);
        at += step;
    }
    pause_work(c, 1);
    conn_phase_set(fd, was, 0);
    c->sent_bytes += at;
    if (at < n) /* nor is anything else answered that it sent in advance */
        http_close_after(c);
    return at == n;
}

long
http_read(struct http_conn *c, void *p, size_t n)
{
    return mg_read(c->mg, p, n);
}

struct http *
http_start(const struct http_config *cfg)
{
    /* linger_timeout_ms -2: SO_LINGER is left alone. With any other value a thread waits in close() for a client that does
     * not read its answer; the kernel delivers it just as well without a thread. */
    static const struct mg_callbacks callbacks = { .begin_request = on_request,
                                                   .http_error = on_error,
                                                   .log_message = on_message,
                                                   .connection_close = on_close };
    char port[96], threads[16], head[16];
    const char *options[] = { "listening_ports",
                              port,
                              "num_threads",
                              threads,
                              "enable_keep_alive",
                              "yes",
                              "max_request_size",
                              head,
                              "keep_alive_timeout_ms",
                              "15000",
                              "request_timeout_ms",
                              "10000",
                              "tcp_nodelay",
                              "1",
                              "listen_backlog",
                              "1024",
                              "decode_url",
                              "no",
                              "access_control_allow_origin",
                              "",
                              "access_control_allow_methods",
                              "",
                              "access_control_allow_headers",
                              "",
                              "linger_timeout_ms",
                              "-2",
                              "static_file_max_age",
                              "0",
                              NULL };
    struct http *h = mem_new(sizeof *h);
    struct mg_callbacks cb = callbacks;

    snprintf(port, sizeof port, "%s:%ld", cfg->host, cfg->port);
    snprintf(head, sizeof head, "%d", CONN_HEAD_BYTES);
    snprintf(threads, sizeof threads, "%ld", cfg->threads);
    mg_init_library(0);
    h->to = cfg->to;
    pool_promise();
    h->ctx = mg_start(&cb, h, options);
    pool_open();
    if (!h->ctx) {
        LOG(ERROR, NULL, M("cannot listen; is the port in use?"), KS("address", port));
        mg_exit_library();
        mem_free(&h);
    }
    return h;
}

void
http_stop(struct http **h)
{
    if (!*h)
        return;
    pool_close();
    mg_stop((*h)->ctx);
    mg_exit_library();
    mem_free(h);
}
