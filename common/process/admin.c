/* The internal port: a very small HTTP/1.1 responder on the process's own loop, so that an answer from /healthz proves
 * that the loop turns. One request a connection, answered and closed:
 *
 *   accept ─> READ (≤ 4 KiB of request) ─> answer ─> WRITE ─> close          any state: 5 s, then closed and counted
 *
 * At most 32 connections; a newcomer takes the place of the oldest, so that idle ones cannot lock a probe out.
 * GET and HEAD of /metrics, /healthz, /readyz; 404, 405, 400 and 431 for the rest. With traces on /metrics is OpenMetrics for who asks for it. */
#include "common/process/admin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/process/accept.h"
#include "common/process/proc_stat.h"
#include "common/text/json.h"
#include "common/log.h"

#define MAX_CONNS 32
#define MAX_REQUEST 4096
#define MAX_ANSWER (8u << 20)
#define TIMEOUT_MS 5000
#define REST_MS 100

struct conn {
    struct admin *admin; /* NULL: free slot */
    int fd;
    uint64_t timer;
    int64_t since_ms;
    struct buf in, out;
    size_t sent; /* of out */
};

struct admin {
    struct proc *proc;
    int fd; /* listening */
    int port;
    uint64_t rest; /* timer: no accepting until then */
    struct conn conns[MAX_CONNS];
};

/* ---- answers */

enum path { PATH_METRICS, PATH_HEALTHZ, PATH_READYZ, PATH_OTHER };

static void
put_answer(struct buf *out, const char *status, const char *type, struct str body, bool head)
{
    buf_printf(out,
               "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
               "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
               status, type, body.n);
    if (!head)
        buf_str(out, body);
}

static void
put_plain(struct buf *out, const char *status)
{
    put_answer(out, status, "text/plain; charset=utf-8", str_of(status), false);
}

/* "a, b" becomes ,"key":["a","b"]. */
static void
put_words(struct buf *out, const char *key, struct str words)
{
    buf_printf(out, ",\"%s\":[", key);
    for (bool first = true; words.n;) {
        const char *comma = memchr(words.p, ',', words.n);
        struct str w = { words.p, comma ? (size_t)(comma - words.p) : words.n };
        size_t step = comma ? w.n + 1 : w.n;

        words = (struct str){ words.p + step, words.n - step };
        while (w.n && *w.p == ' ')
            w = (struct str){ w.p + 1, w.n - 1 };
        if (!w.n)
            continue;
        if (!first)
            buf_c(out, ',');
        buf_json(out, w);
        first = false;
    }
    buf_c(out, ']');
}

/* {"status":"ready"}, {"status":"ready","degraded":[…]} or {"status":"not ready","reasons":[…]}. */
static bool
put_ready(struct proc *p, struct buf *body)
{
    struct buf reasons = BUF_MAX(MAX_REQUEST);
    bool ready = !p->draining;

    if (p->draining)
        buf_z(&reasons, "draining");
    else if (p->svc->ready)
        ready = p->svc->ready(p, &reasons);
    buf_z(body, ready ? "{\"status\":\"ready\"" : "{\"status\":\"not ready\"");
    if (!ready || reasons.n)
        put_words(body, ready ? "degraded" : "reasons", buf_slice(&reasons));
    buf_z(body, "}\n");
    buf_free(&reasons);
    return ready;
}

static void
answer_path(struct proc *p, enum path path, bool head, bool open, struct buf *out)
{
    const char *type = path != PATH_METRICS ? "application/json"
                       : open               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                            : "text/plain; version=0.0.4; charset=utf-8";
    struct buf body = BUF_MAX(MAX_ANSWER);
    bool ok = true;

    if (path == PATH_METRICS) {
        proc_stats_sample();
        if (p->svc->sample)
            p->svc->sample(p);
        if (open)
            stat_print_openmetrics(&body);
        else
            stat_print(&body);
    } else if (path == PATH_HEALTHZ)
        buf_z(&body, "{\"status\":\"ok\"}\n");
    else
        ok = put_ready(p, &body);
    if (body.failed)
        put_plain(out, "500 Internal Server Error");
    else
        put_answer(out, ok ? "200 OK" : "503 Service Unavailable", type, buf_slice(&body), head);
    buf_free(&body);
}

/* The request line's words; false when it is not "METHOD /path HTTP/1.x". */
static bool
split_request(struct str in, struct str *method, struct str *path)
{
    const char *end = memchr(in.p, '\r', in.n), *a, *b, *q;

    a = end ? memchr(in.p, ' ', (size_t)(end - in.p)) : NULL;
    b = a ? memchr(a + 1, ' ', (size_t)(end - a - 1)) : NULL;
    if (!b || end - b != 9 || memcmp(b + 1, "HTTP/1.", 7) != 0 || a[1] != '/')
        return false;
    *method = (struct str){ in.p, (size_t)(a - in.p) };
    *path = (struct str){ a + 1, (size_t)(b - a - 1) };
    q = memchr(path->p, '?', path->n);
    if (q)
        path->n = (size_t)(q - path->p);
    return true;
}

static void
answer(struct conn *c)
{
    static const char *const paths[] = { "/metrics", "/healthz", "/readyz" };
    struct str method, path;
    size_t which = 0;
    bool head;

    if (!split_request(buf_slice(&c->in), &method, &path)) {
        put_plain(&c->out, "400 Bad Request");
        return;
    }
    while (which < PATH_OTHER && !str_is(path, paths[which]))
        which++;
    stat_add_at(&proc_stats, ADMIN_REQUESTS, which, 0, 1);
    head = str_is(method, "HEAD");
    if (which == PATH_OTHER)
        put_plain(&c->out, "404 Not Found");
    else if (!head && !str_is(method, "GET"))
        put_plain(&c->out, "405 Method Not Allowed");
    else
        answer_path(c->admin->proc, (enum path)which, head,
                    stat_keeps_exemplars() && accept_openmetrics(buf_slice(&c->in)), &c->out);
}

/* ---- connections */

static void
conn_drop(struct conn *c)
{
    struct loop *l = c->admin->proc->loop;

    loop_fd(l, c->fd, 0, NULL, NULL);
    loop_cancel(l, &c->timer);
    (void)shutdown(c->fd, SHUT_WR);
    (void)close(c->fd);
    buf_free(&c->in);
    buf_free(&c->out);
    c->admin = NULL;
}

static void
on_timeout(void *arg)
{
    stat_inc(&proc_stats, ADMIN_REFUSED);
    conn_drop(arg);
}

static void
on_writable(struct conn *c)
{
    ssize_t k = send(c->fd, c->out.p + c->sent, c->out.n - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (k < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (k > 0)
        c->sent += (size_t)k;
    if (k < 0 || c->sent == c->out.n)
        conn_drop(c);
}

static void
on_readable(struct conn *c)
{
    char part[1024];
    ssize_t k = recv(c->fd, part, sizeof part, MSG_DONTWAIT);

    if (k < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (k <= 0) {
        conn_drop(c);
        return;
    }
    buf_add(&c->in, part, (size_t)k);
    if (c->in.failed)
        put_plain(&c->out, "431 Request Header Fields Too Large");
    else if (str_has(buf_slice(&c->in), "\r\n\r\n"))
        answer(c);
}

static void
on_conn(void *arg, int fd, uint32_t events)
{
    struct conn *c = arg;

    (void)events;
    if (!c->out.n)
        on_readable(c);
    if (c->admin && c->out.n) {
        loop_fd(c->admin->proc->loop, fd, EPOLLOUT, on_conn, c);
        on_writable(c);
    }
}

/* A free slot, or that of the oldest connection. */
static struct conn *
take_conn(struct admin *a)
{
    struct conn *oldest = &a->conns[0];

    for (size_t i = 0; i < MAX_CONNS; i++) {
        if (!a->conns[i].admin)
            return &a->conns[i];
        if (a->conns[i].since_ms < oldest->since_ms)
            oldest = &a->conns[i];
    }
    stat_inc(&proc_stats, ADMIN_REFUSED);
    conn_drop(oldest);
    return oldest;
}

static void on_accept(void *arg, int fd, uint32_t events);

static void
on_rested(void *arg)
{
    struct admin *a = arg;

    a->rest = 0;
    loop_fd(a->proc->loop, a->fd, EPOLLIN, on_accept, a);
}

static void
on_accept(void *arg, int fd, uint32_t events)
{
    struct admin *a = arg;
    struct conn *c;
    int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    (void)events;
    if (peer < 0) {
        /* out of descriptors: the listener would stay readable and the loop would spin */
        if (errno == EMFILE || errno == ENFILE) {
            loop_fd(a->proc->loop, fd, 0, NULL, NULL);
            a->rest = loop_after(a->proc->loop, REST_MS, on_rested, a);
        }
        return;
    }
    c = take_conn(a);
    *c = (struct conn){ .admin = a,
                        .fd = peer,
                        .since_ms = clock_ms(),
                        .in = BUF_MAX(MAX_REQUEST),
                        .out = BUF_MAX(MAX_ANSWER + 1024) };
    c->timer = loop_after(a->proc->loop, TIMEOUT_MS, on_timeout, c);
    loop_fd(a->proc->loop, peer, EPOLLIN, on_conn, c);
}

/* ---- listening */

static int
listen_on(const struct addrinfo *ai)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1, saved;

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, MAX_CONNS) == 0)
        return fd;
    saved = errno;
    (void)close(fd);
    errno = saved;
    return -1;
}

static int
port_of(int fd)
{
    struct sockaddr_storage at = { 0 };
    socklen_t n = sizeof at;

    if (getsockname(fd, (struct sockaddr *)&at, &n) != 0)
        return 0;
    return ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                          : ((struct sockaddr_in *)&at)->sin_port);
}

static struct addrinfo *
look_up(const char *host, long port, int flags, const char **why)
{
    struct addrinfo hint = { .ai_socktype = SOCK_STREAM, .ai_flags = flags };
    struct addrinfo *found = NULL;
    char text[16];
    int rc;

    (void)snprintf(text, sizeof text, "%ld", port);
    rc = getaddrinfo(host, text, &hint, &found);
    *why = rc ? gai_strerror(rc) : "";
    return rc ? NULL : found;
}

struct admin *
admin_new(struct proc *p, const char *host, long port)
{
    struct admin *a;
    const char *why;
    struct addrinfo *at = look_up(host, port, AI_PASSIVE, &why);
    int fd = -1;

    if (at && (fd = listen_on(at)) < 0)
        why = strerror(errno);
    if (at)
        freeaddrinfo(at);
    if (fd < 0) {
        LOG(ERROR, NULL, M("cannot open the internal port"), KS("metrics_host", host),
            KI("metrics_port", port), KS("why", why));
        return NULL;
    }
    a = mem_new(sizeof *a);
    a->proc = p;
    a->fd = fd;
    a->port = port_of(fd);
    loop_fd(p->loop, fd, EPOLLIN, on_accept, a);
    return a;
}

void
admin_free(struct admin **ap)
{
    struct admin *a = *ap;

    if (!a)
        return;
    loop_cancel(a->proc->loop, &a->rest);
    loop_fd(a->proc->loop, a->fd, 0, NULL, NULL);
    (void)close(a->fd);
    for (size_t i = 0; i < MAX_CONNS; i++)
        if (a->conns[i].admin)
            conn_drop(&a->conns[i]);
    mem_free(ap);
}

int
admin_port(const struct admin *a)
{
    return a->port;
}
