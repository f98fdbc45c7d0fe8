/* One connection to Redis: the only file that knows hiredis, which connects. Writing and reading RESP is done here, straight
 * from the arguments into one buffer and from the socket's bytes into the arena: hiredis makes an object of every element.
 *
 *   exchange: commands → out ── send ──▶ Redis ── read ──▶ in → walk (whole yet?) → walk again, copying → redis_val
 *                                    └ rediss://: tls.c lies in between, with the same deadlines
 *
 * Descriptors block (not under TLS), with a time-out of the socket that is set anew when another one is
 * wanted; one deadline bounds a whole step and not each read of it. After any fault the caller closes the
 * connection, because a late reply would be taken for the answer to the next question. */
#include "common/redis/conn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"

#define MAX_UNREAD ((size_t)64 << 20) /* bytes of replies that one call may leave unparsed */
#define MAX_DEPTH 7                   /* of lists in lists */
#define FIRST_IN ((size_t)16384)
#define KEPT_IN ((size_t)262144) /* a larger buffer is given back after its reply */
#define GRACE_MS \
    100 /* bytes that came while we were not running are no time-out, but a trickle does not go on for ever */
#define NEAR_MS 4 /* a time-out of the socket that is so much too long is not worth a system call */
#define FRESH_MS \
    5 /* a connection used so lately is not looked at again: it could as well be closed a moment later */

void
redis_conn_free(struct redis_conn **c)
{
    if (!*c)
        return;
    redis_tls_free(&(*c)->tls);
    if ((*c)->ctx)
        redisFree((*c)->ctx);
    buf_free(&(*c)->out);
    mem_free(&(*c)->in);
    mem_free(c);
}

bool
redis_conn_clean(const struct redis_conn *c)
{
    char byte;

    if (c->at != c->n)
        return false;
    if (clock_ms() - c->used_ms < FRESH_MS)
        return true;
    if (c->tls)
        return redis_tls_quiet(c->tls);
    return recv(c->ctx->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* Why the server, or we, did not go on. Shown in the log. */
static void
conn_why(struct redis_conn *c, struct str s)
{
    snprintf(c->why, sizeof c->why, STR_FMT, STR_ARG(s));
}

static enum redis_failure
tls_failure(struct redis_conn *c, enum tls_end end)
{
    if (end == TLS_WRONG && c->tls)
        conn_why(c, str_of(redis_tls_why(c->tls)));
    return end == TLS_OK ? F_NONE : end == TLS_TIMEOUT ? F_TIMEOUT : end == TLS_CLOSED ? F_CLOSED : F_TLS;
}

/* The time that the next call of the kernel may wait. F_TIMEOUT: not at all. */
static enum redis_failure
conn_limit(struct redis_conn *c, int64_t deadline_ms)
{
    int64_t left = deadline_ms - clock_ms(), wait = left < 1 ? 1 : left;
    const struct timeval t = { .tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000 };

    if (left <= -GRACE_MS)
        return F_TIMEOUT;
    if (c->limit_ms >= wait && c->limit_ms <= wait + NEAR_MS)
        return F_NONE;
    if (setsockopt(c->ctx->fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) != 0)
        return F_CLOSED;
    c->limit_ms = wait;
    return F_NONE;
}

/* The kernel took or gave nothing. F_NONE: try again. */
static enum redis_failure
conn_nothing(int64_t deadline_ms)
{
    if (errno == EINTR)
        return F_NONE;
    if (errno != EAGAIN && errno != EWOULDBLOCK)
        return F_CLOSED;
    return clock_ms() >= deadline_ms ? F_TIMEOUT : F_NONE;
}

/* Waits until the socket takes more: it nearly always does at once. */
static enum redis_failure
conn_room(const struct redis_conn *c, int64_t deadline_ms)
{
    struct pollfd p = { .fd = c->ctx->fd, .events = POLLOUT };
    int64_t left = deadline_ms - clock_ms();
    int n = poll(&p, 1, left > 0 ? (int)left : 0);

    return n > 0 || (n < 0 && errno == EINTR) ? F_NONE : n == 0 ? F_TIMEOUT : F_CLOSED;
}

/* Send everything that was appended. Replies that arrive meanwhile stay in the kernel until they are read. */
static enum redis_failure
conn_flush(struct redis_conn *c, int64_t deadline_ms)
{
    enum redis_failure f = F_NONE;

    if (c->tls)
        f = tls_failure(c, redis_tls_write(c->tls, c->out.p, c->out.n, deadline_ms));
    for (size_t done = 0; !c->tls && done < c->out.n && f == F_NONE;) {
        ssize_t k;

        k = send(c->ctx->fd, c->out.p + done, c->out.n - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (k > 0)
            done += (size_t)k;
        else if ((f = conn_nothing(deadline_ms)) == F_NONE)
            f = conn_room(c, deadline_ms);
    }
    if (c->out.cap > KEPT_IN)
        buf_free(&c->out);
    buf_reset(&c->out);
    return f;
}

/* At least one more byte into the buffer. */
static enum redis_failure
conn_fill(struct redis_conn *c, int64_t deadline_ms)
{
    if (c->n == c->cap) {
        c->cap = c->cap ? c->cap * 2 : FIRST_IN;
        c->in = mem_resize(c->in, c->cap);
    }
    if (c->tls) {
        size_t got = 0;
        enum redis_failure f = tls_failure(c, redis_tls_read(c->tls, c->in + c->n, c->cap - c->n, deadline_ms,
                                                             &got));

        c->n += got;
        return f;
    }
    for (;;) {
        enum redis_failure f = conn_limit(c, deadline_ms);
        ssize_t k;

        if (f != F_NONE)
            return f;
        k = read(c->ctx->fd, c->in + c->n, c->cap - c->n);
        if (k > 0) {
            c->n += (size_t)k;
            return F_NONE;
        }
        if (k == 0)
            return F_CLOSED;
        if ((f = conn_nothing(deadline_ms)) != F_NONE)
            return f;
    }
}

/* ---- RESP2 */

struct walk {
    const char *p; /* next byte, and behind the last that is there */
    const char *end;
    struct arena *a; /* NULL: only looks whether a whole reply is there */
    bool full;       /* something did not fit the arena */
};
enum walked { WHOLE, MORE, WRONG };

/* The line's text; p goes behind it. */
static enum walked
walk_line(struct walk *w, struct str *line)
{
    const char *cr = memchr(w->p, '\r', (size_t)(w->end - w->p));

    if (!cr || cr + 1 == w->end)
        return MORE;
    *line = (struct str){ w->p, (size_t)(cr - w->p) };
    w->p = cr + 2;
    return cr[1] == '\n' ? WHOLE : WRONG;
}

static bool
whole_number(struct str s, int64_t *out)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    int64_t v = 0;

    if (s.n == (size_t)negative)
        return false;
    for (size_t i = negative; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_sub_overflow(v, s.p[i] - '0', &v)) /* below 0 there is one more */
            return false;
    *out = v;
    return negative || !__builtin_sub_overflow(0, v, out);
}

static void
walk_keep(struct walk *w, struct redis_val *out, enum redis_type type, struct str s)
{
    if (!w->a)
        return;
    out->type = type;
    out->s = arena_str(w->a, s);
    w->full |= !out->s.p;
}

static enum walked
walk_bulk(struct walk *w, struct redis_val *out, int64_t n)
{
    if ((uint64_t)n > MAX_UNREAD)
        return WRONG;
    if (w->end - w->p < n + 2)
        return MORE;
    if (w->p[n] != '\r' || w->p[n + 1] != '\n')
        return WRONG;
    walk_keep(w, out, REDIS_STR, (struct str){ w->p, (size_t)n });
    w->p += n + 2;
    return WHOLE;
}

static enum walked walk_reply(struct walk *w, struct redis_val *out, int depth);

static enum walked
walk_list(struct walk *w, struct redis_val *out, int64_t n, int depth)
{
    enum walked how = WHOLE;

    if (depth == MAX_DEPTH || (uint64_t)n > MAX_UNREAD / sizeof *out->v)
        return WRONG;
    if (w->a) {
        out->type = REDIS_LIST;
        out->v = n > 0 ? arena_alloc(w->a, (size_t)n * sizeof *out->v) : NULL;
        w->full |= n > 0 && !out->v;
        if (w->full)
            w->a = NULL; /* the rest is only read over */
        else
            out->n = (size_t)n;
    }
    for (int64_t i = 0; i < n && how == WHOLE; i++)
        how = walk_reply(w, w->a ? &out->v[i] : NULL, depth + 1);
    return how;
}

static enum walked
walk_reply(struct walk *w, struct redis_val *out, int depth)
{
    char type = w->p < w->end ? *w->p++ : 0;
    struct str line;
    int64_t v = 0;
    enum walked how;

    if (type == 0)
        return MORE;
    if (!strchr("+-:$*", type))
        return WRONG;
    if ((how = walk_line(w, &line)) != WHOLE)
        return how;
    if (type == '+' || type == '-') {
        walk_keep(w, out, type == '+' ? REDIS_STATUS : REDIS_ERROR, line);
        return WHOLE;
    }
    if (!whole_number(line, &v))
        return WRONG;
    if (out)
        *out = (struct redis_val){ .type = type == ':' ? REDIS_INT : REDIS_NIL, .i = v };
    if (type == ':')
        return WHOLE;
    if (v < 0)
        return v == -1 ? WHOLE : WRONG;
    return type == '$' ? walk_bulk(w, out, v) : walk_list(w, out, v, depth);
}

/* One reply, copied into the arena. */
static enum redis_failure
conn_read(struct redis_conn *c, int64_t deadline_ms, struct arena *a, struct redis_val *out, uint64_t *cut)
{
    for (;;) {
        enum walked how = MORE;
        enum redis_failure f;

        if (c->at < c->n) /* a new connection has no buffer yet */
            how = walk_reply(&(struct walk){ .p = c->in + c->at, .end = c->in + c->n }, NULL, 0);
        if (how == WRONG)
            return F_PROTOCOL;
        if (how == WHOLE)
            break;
        if (c->n - c->at > MAX_UNREAD)
            return F_TOO_LARGE;
        if ((f = conn_fill(c, deadline_ms)) != F_NONE)
            return f;
    }
    {
        struct walk w = { c->in + c->at, c->in + c->n, a, false };

        *out = (struct redis_val){ .type = REDIS_NIL };
        (void)walk_reply(&w, out, 0);
        c->at = (size_t)(w.p - c->in);
        if (w.full) {
            *out = (struct redis_val){ .type = REDIS_ERROR, .s = STR("ERR the reply is too large") };
            (*cut)++;
        }
    }
    return F_NONE;
}

/* "$5\r\n" */
static void
put_size(struct buf *b, char type, size_t n)
{
    char t[32], *end = t + sizeof t - 2, *p = digits_before(end, n);

    *--p = type;
    memcpy(end, "\r\n", 2);
    buf_add(b, p, (size_t)(end + 2 - p));
}

static enum redis_failure
conn_append(struct redis_conn *c, const struct redis_cmd *cmd)
{
    assert(cmd->argc > 0);
    put_size(&c->out, '*', cmd->argc);
    for (size_t i = 0; i < cmd->argc; i++) {
        put_size(&c->out, '$', cmd->argv[i].p ? cmd->argv[i].n : 0);
        if (cmd->argv[i].p)
            buf_str(&c->out, cmd->argv[i]);
        buf_add(&c->out, "\r\n", 2);
    }
    return c->out.failed ? F_TOO_LARGE : F_NONE;
}

static bool
reply_begins(const struct redis_val *v, const char *word)
{
    return v->type == REDIS_ERROR && v->s.p && str_starts(v->s, word);
}

/* AUTH and SELECT in one trip, before anything else goes over the connection. */
static enum redis_failure
conn_login(const struct redis_url *u, struct redis_conn *c, int64_t deadline_ms)
{
    const struct str auth[] = { STR("AUTH"), str_of(u->user ? u->user : u->password), str_of(u->password) };
    const struct str select[] = { STR("SELECT"), str_of(u->db) };
    enum redis_failure steps[2], f = F_NONE;
    size_t n = 0;

    if (u->password) {
        steps[n++] = F_AUTH;
        f = conn_append(c, &(struct redis_cmd){ auth, u->user ? 3 : 2 });
    }
    if (u->db[0] && f == F_NONE) {
        steps[n++] = F_SELECT;
        f = conn_append(c, &(struct redis_cmd){ select, 2 });
    }
    if (f == F_NONE && n > 0)
        f = conn_flush(c, deadline_ms);
    for (size_t i = 0; i < n && f == F_NONE; i++) {
        struct arena *a = arena_new(4096);
        struct redis_val v;
        uint64_t cut = 0;

        f = conn_read(c, deadline_ms, a, &v, &cut);
        if (f == F_NONE && v.type == REDIS_ERROR) {
            conn_why(c, v.s);
            f = reply_begins(&v, "NOAUTH") ? F_AUTH : steps[i];
        }
        arena_free(&a);
    }
    return f;
}

/* Connected to that address (NULL: the socket's path), or F_CONNECT. */
static enum redis_failure
conn_connect(const struct redis_url *u, const char *address, int64_t deadline_ms, struct redis_conn *c)
{
    int64_t left = deadline_ms - clock_ms();
    const struct timeval limit = { .tv_sec = left / 1000, .tv_usec = left % 1000 * 1000 };

    if (left <= 0)
        return F_TIMEOUT;
    c->ctx = address ? redisConnectWithTimeout(address, u->port, limit)
                     : redisConnectUnixWithTimeout(u->path, limit);
    if (c->ctx && !c->ctx->err && fcntl(c->ctx->fd, F_SETFD, FD_CLOEXEC) == 0)
        return F_NONE;
    if (c->ctx && c->ctx->err)
        conn_why(c, str_of(c->ctx->errstr));
    if (c->ctx)
        redisFree(c->ctx);
    c->ctx = NULL;
    return F_CONNECT;
}

/* The first of the name's addresses that takes us. A name that cannot be looked up in time keeps its last addresses. */
static enum redis_failure
conn_connect_name(const struct redis_url *u, struct resolve *names, int64_t deadline_ms, struct redis_conn *c)
{
    enum redis_failure f = F_RESOLVE;
    struct resolve_list list;
    enum resolve_state known = resolve_get(names, 0, &list);

    if (known == RESOLVE_NONE || known == RESOLVE_FAILED)
        resolve_ask(names);
    resolve_get(names, list.n > 0 ? (clock_ms() + deadline_ms) / 2 : deadline_ms, &list);
    for (size_t i = 0; i < list.n && f != F_NONE && f != F_TIMEOUT; i++)
        f = conn_connect(u, list.v[i], deadline_ms, c);
    return f;
}

enum redis_failure
redis_conn_open(const struct redis_url *u, struct resolve *names, struct redis_tls_conf *tls,
                int64_t deadline_ms, struct redis_conn **out)
{
    struct redis_conn *c = mem_new(sizeof *c);
    enum redis_failure f;

    c->out = BUF_MAX(MAX_UNREAD);
    *out = c;
    f = u->path ? conn_connect(u, NULL, deadline_ms, c) : conn_connect_name(u, names, deadline_ms, c);
    if (f == F_NONE && u->tls)
        f = tls_failure(c, redis_tls_open(tls, c->ctx->fd, u->host, deadline_ms, &c->tls, c->why,
                                          sizeof c->why));
    return f == F_NONE ? conn_login(u, c, deadline_ms) : f;
}

/* The failure that a reply tells of the server, rather than of the command. We know nothing of clusters. */
static enum redis_failure
judge_reply(const struct redis_val *v)
{
    static const char *const unusable[] = { "LOADING",    "READONLY",
                                            "MASTERDOWN", "MOVED",
                                            "ASK",        "CLUSTERDOWN",
                                            "CROSSSLOT",  "ERR max number of clients" };

    if (v->type != REDIS_ERROR)
        return F_NONE;
    if (reply_begins(v, "NOAUTH") || reply_begins(v, "WRONGPASS"))
        return F_AUTH;
    if (reply_begins(v, "NOPERM") || reply_begins(v, "ERR ACL failure"))
        return F_DENIED;
    for (size_t i = 0; i < sizeof unusable / sizeof *unusable; i++)
        if (reply_begins(v, unusable[i]))
            return F_UNUSABLE;
    return F_NONE;
}

/* Replies that do not fit the arena, or that say that the server cannot serve us, end the call after the rest was read all
 * the same: which of them matters more is decided at the end. */
enum redis_failure
redis_conn_exchange(struct redis_conn *c, struct arena *a, const struct redis_cmd *cmds, size_t n,
                    int64_t deadline_ms, struct redis_val *out, uint64_t *cut, uint64_t *refused)
{
    enum redis_failure f = F_NONE, verdict = F_NONE;

    for (size_t i = 0; i < n && f == F_NONE; i++)
        f = conn_append(c, &cmds[i]);
    if (f == F_NONE)
        f = conn_flush(c, deadline_ms);
    for (size_t i = 0; i < n && f == F_NONE; i++) {
        enum redis_failure said;

        f = conn_read(c, deadline_ms, a, &out[i], cut);
        if (f != F_NONE)
            break;
        said = judge_reply(&out[i]);
        if (said == F_NONE)
            continue;
        conn_why(c, out[i].s);
        if (said != F_DENIED)
            verdict = said;
        else
            (*refused)++;
    }
    if (c->at == c->n) {
        c->at = c->n = 0;
        if (c->cap > KEPT_IN) {
            mem_free(&c->in);
            c->cap = 0;
        }
    }
    c->used_ms = clock_ms();
    return f != F_NONE ? f : verdict;
}
