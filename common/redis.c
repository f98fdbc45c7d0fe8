/* Redis: the only file that knows hiredis.
 *
 *   redis_run → breaker → a connection (idle, or new: connect, AUTH, SELECT) → write all, read all → back to the pool
 *                  └ open: -1 at once                └ any fault: connection freed, breaker told, -1
 *
 * A connection is either idle (on the list, nothing in flight) or held by one call. It goes back to the list only after
 * every reply was read; whatever else happens, it is closed, because a late reply would be taken for the answer to the
 * next question. An idle connection with anything to read (an end of file, a stray reply) is closed instead of used.
 *
 * hiredis only formats and parses: descriptors are non-blocking and waited for with poll(2), so that one deadline bounds
 * the whole call and not each read. */
#include "common/redis.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>

#include "common/breaker.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/redis_url.h"
#include "common/stat.h"
#include "common/text.h"

#define CONNECT_MS 200
#define CALL_MS 100
#define PROBE_MS 1500   /* a server that is away is asked again this often, so that it is used soon after it is back */
#define MAX_IDLE 64
#define MAX_UNREAD ((size_t)64 << 20) /* bytes of replies that one call may leave unparsed */
#define STACK_ARGS 32

enum failure {
    F_CONNECT, F_TIMEOUT, F_CLOSED, F_PROTOCOL, F_AUTH, F_SELECT, F_UNUSABLE, F_BREAKER, F_TOO_LARGE, F_NONE
};
static const char *const failure_names[] = { "connect", "timeout",  "closed",  "protocol",  "auth",
                                             "select",  "unusable", "breaker", "too_large", NULL };

#define STAT_TBL "common/redis_stat.tbl"
enum {
#include "common/stat_enum.h"
};
static const struct stat_def stat_defs[] = {
#include "common/stat_rows.h"
};
static struct stat_set stats;
static pthread_once_t stats_once = PTHREAD_ONCE_INIT;
static atomic_int breakers_open; /* over all servers of this process */

struct conn {
    redisContext *ctx;
    struct conn *next;      /* idle list */
};

struct redis {
    struct redis_url url;
    pthread_mutex_t lock;   /* of idle, n_idle, breaker */
    struct conn *idle;      /* last in, first out: the busy ones stay warm */
    size_t n_idle;
    struct breaker breaker;
    atomic_bool open;       /* the breaker does not let everything through */
    atomic_bool worked;     /* the last call did, or none was made */
    struct log_gate gate;
};

/* ---- one connection ------------------------------------------------------------------------------------------- */

static void
conn_free(struct conn **c)
{
    if (*c == NULL)
        return;
    if ((*c)->ctx)
        redisFree((*c)->ctx);
    mem_free(c);
}

/* Wait for events until the deadline; F_NONE when there are some. */
static enum failure
conn_wait(const struct conn *c, short events, int64_t deadline_ms)
{
    struct pollfd p = { .fd = c->ctx->fd, .events = events };

    for (;;) {
        int64_t left = deadline_ms - clock_ms();
        int n = left > 0 ? poll(&p, 1, (int)left) : 0;

        if (n > 0)
            return F_NONE;
        if (n == 0)
            return F_TIMEOUT;
        if (errno != EINTR)
            return F_CLOSED;
    }
}

static enum failure
failure_of(const redisContext *ctx)
{
    return ctx->err == REDIS_ERR_PROTOCOL ? F_PROTOCOL : F_CLOSED;
}

/* Send everything that was appended. Replies that arrive meanwhile stay in the kernel until they are read. */
static enum failure
conn_flush(struct conn *c, int64_t deadline_ms)
{
    int done = 0;

    while (!done) {
        enum failure f = conn_wait(c, POLLOUT, deadline_ms);

        if (f != F_NONE)
            return f;
        if (redisBufferWrite(c->ctx, &done) != REDIS_OK)
            return failure_of(c->ctx);
    }
    return F_NONE;
}

static enum failure
conn_read(struct conn *c, int64_t deadline_ms, redisReply **reply)
{
    void *got = NULL;

    for (;;) {
        enum failure f;

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

static enum failure
conn_append(struct conn *c, const struct redis_cmd *cmd)
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
static enum failure
conn_login(const struct redis *r, struct conn *c, int64_t deadline_ms)
{
    const struct str auth[] = { STR("AUTH"), str_of(r->url.user ? r->url.user : r->url.password), str_of(r->url.password) };
    const struct str select[] = { STR("SELECT"), str_of(r->url.db) };
    enum failure steps[2], f = F_NONE;
    size_t n = 0;

    if (r->url.password) {
        steps[n++] = F_AUTH;
        f = conn_append(c, &(struct redis_cmd){ auth, r->url.user ? 3 : 2 });
    }
    if (r->url.db[0] && f == F_NONE) {
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

static enum failure
conn_open(const struct redis *r, struct conn **out)
{
    const struct timeval limit = { .tv_usec = CONNECT_MS * 1000 };
    struct conn *c = mem_new(sizeof *c);
    enum failure f = F_CONNECT;

    c->ctx = r->url.path ? redisConnectUnixWithTimeout(r->url.path, limit) : redisConnectWithTimeout(r->url.host, r->url.port, limit);
    if (c->ctx && !c->ctx->err && fcntl(c->ctx->fd, F_SETFD, FD_CLOEXEC) == 0 &&
        fcntl(c->ctx->fd, F_SETFL, O_RDWR | O_NONBLOCK) == 0) {
        c->ctx->flags &= ~REDIS_BLOCK; /* a full or empty socket is for conn_wait, not an error */
        f = conn_login(r, c, clock_ms() + CALL_MS);
    }
    if (f != F_NONE)
        conn_free(&c);
    *out = c;
    return f;
}

/* ---- pool ------------------------------------------------------------------------------------------------------ */

/* Nothing may be waiting on an idle connection: neither an end of file nor somebody else's reply. */
static bool
conn_is_clean(const struct conn *c)
{
    char byte;

    return recv(c->ctx->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

static struct conn *
pool_take(struct redis *r)
{
    struct conn *c;

    pthread_mutex_lock(&r->lock);
    c = r->idle;
    if (c) {
        r->idle = c->next;
        r->n_idle--;
        c->next = NULL;
    }
    pthread_mutex_unlock(&r->lock);
    return c;
}

static enum failure
pool_get(struct redis *r, struct conn **out)
{
    struct conn *c;

    while ((c = pool_take(r)) != NULL) {
        if (conn_is_clean(c)) {
            *out = c;
            return F_NONE;
        }
        conn_free(&c);
    }
    return conn_open(r, out);
}

static void
pool_put(struct redis *r, struct conn **c)
{
    pthread_mutex_lock(&r->lock);
    if (r->n_idle < MAX_IDLE) {
        (*c)->next = r->idle;
        r->idle = *c;
        r->n_idle++;
        *c = NULL;
    }
    pthread_mutex_unlock(&r->lock);
    conn_free(c);
}

static void
pool_empty(struct redis *r)
{
    struct conn *c;

    while ((c = pool_take(r)) != NULL)
        conn_free(&c);
}

/* ---- breaker --------------------------------------------------------------------------------------------------- */

static bool
may_call(struct redis *r, bool *probe)
{
    bool may;

    pthread_mutex_lock(&r->lock);
    may = breaker_enter(&r->breaker, clock_ms(), probe);
    pthread_mutex_unlock(&r->lock);
    return may;
}

/* Tell the breaker how the call ended; when that opened or closed it, tell everybody else. */
static void
call_ended(struct redis *r, bool probe, enum failure f)
{
    bool changed, opened, first, failed = f != F_NONE;
    int64_t for_ms;

    if (!failed && !probe)
        return;
    pthread_mutex_lock(&r->lock);
    r->breaker.max_ms = f == F_AUTH ? BREAKER_OPEN_MAX_MS : PROBE_MS; /* a password does not mend itself */
    first = r->breaker.state == BREAKER_CLOSED;
    changed = breaker_leave(&r->breaker, clock_ms(), probe, failed);
    opened = r->breaker.state == BREAKER_OPEN;
    for_ms = r->breaker.open_for_ms;
    if (changed && opened != atomic_exchange(&r->open, opened))
        atomic_fetch_add(&breakers_open, opened ? 1 : -1);
    pthread_mutex_unlock(&r->lock);
    if (failed)
        pool_empty(r); /* the others belong to the same ill server */
    if (!changed)
        return;
    stat_set(&stats, REDIS_BREAKER_OPEN, atomic_load(&breakers_open));
    if (opened && first)
        LOG(WARN, NULL, M("redis is left alone for a while"), KI("ms", for_ms));
    else if (!opened)
        LOG(INFO, NULL, M("redis is back"));
}

/* ---- calls ----------------------------------------------------------------------------------------------------- */

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

/* What a reply says about the server rather than about the command. */
static enum failure
judge_reply(const redisReply *p)
{
    static const char *const unusable[] = { "LOADING", "READONLY", "MASTERDOWN", "ERR max number of clients" };

    if (p->type != REDIS_REPLY_ERROR)
        return F_NONE;
    if (reply_begins(p, "NOAUTH") || reply_begins(p, "WRONGPASS"))
        return F_AUTH;
    for (size_t i = 0; i < sizeof unusable / sizeof *unusable; i++)
        if (reply_begins(p, unusable[i]))
            return F_UNUSABLE;
    return F_NONE;
}

/* One round trip. Replies that do not fit the arena, or that say that the server cannot serve us, end the call after
 * the rest was read all the same: which of them matters more is decided at the end. */
static enum failure
exchange(struct conn *c, struct arena *a, const struct redis_cmd *cmds, size_t n, struct redis_val *out)
{
    int64_t deadline_ms = clock_ms() + CALL_MS;
    enum failure f = F_NONE, verdict = F_NONE;

    for (size_t i = 0; i < n && f == F_NONE; i++)
        f = conn_append(c, &cmds[i]);
    if (f == F_NONE)
        f = conn_flush(c, deadline_ms);
    for (size_t i = 0; i < n && f == F_NONE; i++) {
        redisReply *reply = NULL;
        enum failure said;

        f = conn_read(c, deadline_ms, &reply);
        if (f != F_NONE)
            break;
        said = judge_reply(reply);
        if (said != F_NONE)
            verdict = said;
        if (!copy_reply(a, reply, &out[i])) {
            out[i] = (struct redis_val){ .type = REDIS_ERROR, .s = STR("ERR the reply is too large") };
            stat_add_at(&stats, REDIS_FAILURES, F_TOO_LARGE, 0, 1);
        }
        freeReplyObject(reply);
    }
    return f != F_NONE ? f : verdict;
}

/* F_BREAKER is neither logged nor held against the server. */
static void
note_failure(struct redis *r, enum failure f)
{
    stat_add_at(&stats, REDIS_FAILURES, (size_t)f, 0, 1);
    atomic_store(&r->worked, false);
    if (f == F_AUTH)
        stat_inc(&stats, REDIS_AUTH_ERRORS);
    if (f != F_BREAKER && log_gate(&r->gate))
        LOG(WARN, NULL, M("redis call failed"), KS("kind", failure_names[f]),
            KS("server", r->url.path ? r->url.path : r->url.host));
}

int
redis_run(struct redis *r, struct arena *a, const struct redis_cmd *cmds, size_t n, struct redis_val *out)
{
    struct conn *c = NULL;
    enum failure f;
    bool probe;

    memset(out, 0, n * sizeof *out);
    stat_inc(&stats, REDIS_CALLS);
    if (!may_call(r, &probe)) {
        note_failure(r, F_BREAKER);
        return -1;
    }
    f = pool_get(r, &c);
    if (f == F_NONE)
        f = exchange(c, a, cmds, n, out);
    if (f == F_NONE)
        pool_put(r, &c);
    else
        conn_free(&c);
    call_ended(r, probe, f);
    if (f != F_NONE)
        note_failure(r, f);
    else
        atomic_store(&r->worked, true);
    return f == F_NONE ? 0 : -1;
}

void
redis_script_init(struct redis_script *s, const char *source)
{
    const struct str whole = str_of(source);
    uint8_t digest[20];

    s->source = source;
    sha1(&whole, 1, digest);
    hex_text(digest, sizeof digest, s->sha1);
}

int
redis_eval(struct redis *r, struct arena *a, const struct redis_script *s, const struct str *keys, size_t n_keys,
           const struct str *args, size_t n_args, struct redis_val *out)
{
    size_t argc = 3 + n_keys + n_args;
    struct str *argv = mem_new(argc * sizeof *argv);
    const struct redis_cmd cmd = { argv, argc };
    char count[24];
    int rc;

    snprintf(count, sizeof count, "%zu", n_keys);
    argv[0] = STR("EVALSHA");
    argv[1] = str_of(s->sha1);
    argv[2] = str_of(count);
    for (size_t i = 0; i < n_keys; i++)
        argv[3 + i] = keys[i];
    for (size_t i = 0; i < n_args; i++)
        argv[3 + n_keys + i] = args[i];
    rc = redis_run(r, a, &cmd, 1, out);
    if (rc == 0 && out->type == REDIS_ERROR && str_starts(out->s, "NOSCRIPT")) {
        argv[0] = STR("EVAL");
        argv[1] = str_of(s->source);
        rc = redis_run(r, a, &cmd, 1, out);
    }
    mem_free(&argv);
    return rc;
}

bool
redis_up(const struct redis *r)
{
    return atomic_load(&r->worked) && !atomic_load(&r->open);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

static void
register_stats(void)
{
    stat_register(&stats, stat_defs, sizeof stat_defs / sizeof *stat_defs);
}

void
redis_stat_register(void)
{
    pthread_once(&stats_once, register_stats);
}

struct redis *
redis_new(const char *url, const char **why)
{
    struct redis *r = mem_new(sizeof *r);
    struct sigaction pipe_action;

    redis_stat_register();
    /* hiredis writes without MSG_NOSIGNAL: a server that goes away must not take us along */
    if (sigaction(SIGPIPE, NULL, &pipe_action) == 0 && pipe_action.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
    pthread_mutex_init(&r->lock, NULL);
    atomic_init(&r->worked, true);
    *why = redis_url_parse(url, &r->url);
    if (*why)
        redis_free(&r);
    return r;
}

void
redis_free(struct redis **rp)
{
    struct redis *r = *rp;

    if (r == NULL)
        return;
    pool_empty(r);
    if (atomic_load(&r->open))
        atomic_fetch_sub(&breakers_open, 1);
    redis_url_fini(&r->url);
    pthread_mutex_destroy(&r->lock);
    mem_free(rp);
}
