/* One connection to Redis: the only file that knows hiredis.
 *
 * hiredis only formats and parses: descriptors are non-blocking and waited for with poll(2), so that one deadline bounds
 * a whole step and not each read. Whatever goes wrong, the caller closes the connection, because a late reply would be
 * taken for the answer to the next question. */
#include "common/redis_conn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>

#include "common/clock.h"

#define MAX_UNREAD ((size_t)64 << 20) /* bytes of replies that one call may leave unparsed */
#define STACK_ARGS 32
#define GRACE_MS 100 /* what came while we were not running is no time-out, but a trickle does not go on for ever */

void
redis_conn_free(struct redis_conn **c)
{
    if (*c == NULL)
        return;
    if ((*c)->ctx)
        redisFree((*c)->ctx);
    mem_free(c);
}

bool
redis_conn_clean(const struct redis_conn *c)
{
    const redisContext *ctx = c->ctx;
    char byte;

    return recv(ctx->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* Wait for events until the deadline; F_NONE when there are some. */
static enum redis_failure
conn_wait(const struct redis_conn *c, short events, int64_t deadline_ms)
{
    struct pollfd p = { .fd = c->ctx->fd, .events = events };

    for (;;) {
        int64_t left = deadline_ms - clock_ms();
        int n = left > -GRACE_MS ? poll(&p, 1, left > 0 ? (int)left : 0) : 0;

        if (n > 0)
            return F_NONE;
        if (n == 0)
            return F_TIMEOUT;
        if (errno != EINTR)
            return F_CLOSED;
    }
}

static enum redis_failure
failure_of(const redisContext *ctx)
{
    return ctx->err == REDIS_ERR_PROTOCOL ? F_PROTOCOL : F_CLOSED;
}

/* Send everything that was appended; there nearly always is room. Replies that arrive meanwhile stay in the kernel until they
 * are read. */
static enum redis_failure
conn_flush(struct redis_conn *c, int64_t deadline_ms)
{
    int done = 0;

    while (redisBufferWrite(c->ctx, &done) == REDIS_OK) {
        enum redis_failure f;

        if (done)
            return F_NONE;
        f = conn_wait(c, POLLOUT, deadline_ms);
        if (f != F_NONE)
            return f;
    }
    return failure_of(c->ctx);
}

static enum redis_failure
conn_read(struct redis_conn *c, int64_t deadline_ms, redisReply **reply)
{
    void *got = NULL;

    for (;;) {
        enum redis_failure f;

        if (redisGetReplyFromReader(c->ctx, &got) != REDIS_OK)
            return failure_of(c->ctx);
        if (got != NULL) {
            *reply = got;
            return F_NONE;
        }
        if (c->ctx->reader->len > MAX_UNREAD)
            return F_TOO_LARGE;
        f = conn_wait(c, POLLIN, deadline_ms);
        if (f != F_NONE)
            return f;
        if (redisBufferRead(c->ctx) != REDIS_OK)
            return failure_of(c->ctx);
    }
}

static enum redis_failure
conn_append(struct redis_conn *c, const struct redis_cmd *cmd)
{
    const char *few[STACK_ARGS], **argv = few;
    size_t few_n[STACK_ARGS], *argn = few_n;
    int rc;

    assert(cmd->argc > 0 && cmd->argc <= INT_MAX);
    if (cmd->argc > STACK_ARGS) {
        argv = mem_new(cmd->argc * sizeof *argv);
        argn = mem_new(cmd->argc * sizeof *argn);
    }
    for (size_t i = 0; i < cmd->argc; i++) {
        argv[i] = cmd->argv[i].p ? cmd->argv[i].p : "";
        argn[i] = cmd->argv[i].n;
    }
    rc = redisAppendCommandArgv(c->ctx, (int)cmd->argc, argv, argn);
    if (argv != few) {
        mem_free(&argv);
        mem_free(&argn);
    }
    return rc == REDIS_OK ? F_NONE : F_TOO_LARGE;
}

static bool
reply_begins(const redisReply *p, const char *word)
{
    return p->type == REDIS_REPLY_ERROR && str_starts((struct str){ p->str, p->len }, word);
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
        redisReply *reply = NULL;

        f = conn_read(c, deadline_ms, &reply);
        if (f == F_NONE && reply->type == REDIS_REPLY_ERROR)
            f = reply_begins(reply, "NOAUTH") ? F_AUTH : steps[i];
        if (reply)
            freeReplyObject(reply);
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
    c->ctx = address ? redisConnectWithTimeout(address, u->port, limit) : redisConnectUnixWithTimeout(u->path, limit);
    if (c->ctx && !c->ctx->err && fcntl(c->ctx->fd, F_SETFD, FD_CLOEXEC) == 0 &&
        fcntl(c->ctx->fd, F_SETFL, O_RDWR | O_NONBLOCK) == 0) {
        c->ctx->flags &= ~REDIS_BLOCK; /* a full or empty socket is for conn_wait, not an error */
        return F_NONE;
    }
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
redis_conn_open(const struct redis_url *u, struct resolve *names, int64_t deadline_ms, struct redis_conn **out)
{
    struct redis_conn *c = mem_new(sizeof *c);
    enum redis_failure f = u->path ? conn_connect(u, NULL, deadline_ms, c) : conn_connect_name(u, names, deadline_ms, c);

    if (f == F_NONE)
        f = conn_login(u, c, deadline_ms);
    if (f != F_NONE)
        redis_conn_free(&c);
    *out = c;
    return f;
}

/* Copy a reply into the arena; nesting is bounded by hiredis (7 levels). False when it does not fit. */
static bool
copy_reply(struct arena *a, const redisReply *p, struct redis_val *out)
{
    *out = (struct redis_val){ .type = REDIS_NIL };
    switch (p->type) {
    case REDIS_REPLY_STRING: out->type = REDIS_STR; break;
    case REDIS_REPLY_STATUS: out->type = REDIS_STATUS; break;
    case REDIS_REPLY_ERROR: out->type = REDIS_ERROR; break;
    case REDIS_REPLY_INTEGER: *out = (struct redis_val){ .type = REDIS_INT, .i = p->integer }; return true;
    case REDIS_REPLY_ARRAY: out->type = REDIS_LIST; break;
    default: return true;
    }
    if (out->type != REDIS_LIST) {
        out->s = arena_str(a, (struct str){ p->str, p->len });
        return out->s.p != NULL;
    }
    out->n = p->elements;
    if (out->n == 0)
        return true;
    if (out->n > SIZE_MAX / sizeof *out->v || (out->v = arena_alloc(a, out->n * sizeof *out->v)) == NULL)
        return false;
    for (size_t i = 0; i < out->n; i++)
        if (!copy_reply(a, p->element[i], &out->v[i]))
            return false;
    return true;
}

/* What a reply says about the server rather than about the command. Of a cluster we know nothing. */
static enum redis_failure
judge_reply(const redisReply *p)
{
    static const char *const unusable[] = { "LOADING", "READONLY", "MASTERDOWN", "MOVED", "ASK", "CLUSTERDOWN", "CROSSSLOT",
                                            "ERR max number of clients" };

    if (p->type != REDIS_REPLY_ERROR)
        return F_NONE;
    if (reply_begins(p, "NOAUTH") || reply_begins(p, "WRONGPASS"))
        return F_AUTH;
    for (size_t i = 0; i < sizeof unusable / sizeof *unusable; i++)
        if (reply_begins(p, unusable[i]))
            return F_UNUSABLE;
    return F_NONE;
}

/* Replies that do not fit the arena, or that say that the server cannot serve us, end the call after the rest was read all
 * the same: which of them matters more is decided at the end. */
enum redis_failure
redis_conn_exchange(struct redis_conn *c, struct arena *a, const struct redis_cmd *cmds, size_t n, int64_t deadline_ms,
                    struct redis_val *out, uint64_t *cut)
{
    enum redis_failure f = F_NONE, verdict = F_NONE;

    for (size_t i = 0; i < n && f == F_NONE; i++)
        f = conn_append(c, &cmds[i]);
    if (f == F_NONE)
        f = conn_flush(c, deadline_ms);
    for (size_t i = 0; i < n && f == F_NONE; i++) {
        redisReply *reply = NULL;
        enum redis_failure said;

        f = conn_read(c, deadline_ms, &reply);
        if (f != F_NONE)
            break;
        said = judge_reply(reply);
        if (said != F_NONE)
            verdict = said;
        if (!copy_reply(a, reply, &out[i])) {
            out[i] = (struct redis_val){ .type = REDIS_ERROR, .s = STR("ERR the reply is too large") };
            (*cut)++;
        }
        freeReplyObject(reply);
    }
    return f != F_NONE ? f : verdict;
}
