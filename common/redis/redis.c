/* Redis: calls, their connections, their breaker.
 *
 *   redis_run → breaker → a connection (idle, or new: connect, AUTH, SELECT) → write all, read all → back to the pool
 *                  └ open: -1 at once                └ any fault: connection freed, breaker told, -1
 *   prober (a thread): while the breaker is open ── PING and a write, now and then ──▶ closed again
 *
 * A connection is either idle (on the list, nothing in flight) or held by one call. It goes back to the list only after
 * every reply was read; otherwise it is closed, because a late reply would be taken for the answer to
 * the next question. An idle connection with anything to read (an end of file, a stray reply) is
 * closed instead of used.
 *
 * After any fault all idle connections go and the name is looked up anew: the server may be another one by now. */
#include "common/redis/redis.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>

#include "common/digest.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/redis/conn.h"
#include "common/process/breaker.h"
#include "common/process/stat.h"
#include "common/process/ticker.h"
#include "common/text/text.h"

#define MAX_IDLE 64
#define SCRIPT_ARGS 24 /* of a script's call without an allocation */

static const char *const failure_names[] = { "connect", "timeout",  "closed",  "protocol",  "auth",
                                             "select",  "unusable", "breaker", "too_large", "resolve",
                                             "tls",     "denied",   NULL };
/* The time that a server is left alone after a failure: at first, and at most. Passwords and certificates do
 * not mend themselves. */
static const struct {
    int64_t min_ms, max_ms;
} pauses[] = {
    [F_CONNECT] = { 250, 500 },   [F_TIMEOUT] = { 250, 1000 }, [F_CLOSED] = { 250, 250 },
    [F_PROTOCOL] = { 250, 1000 }, [F_AUTH] = { 1000, 8000 },   [F_SELECT] = { 250, 1000 },
    [F_UNUSABLE] = { 250, 250 },  [F_BREAKER] = { 250, 250 },  [F_TOO_LARGE] = { 250, 1000 },
    [F_RESOLVE] = { 250, 500 },   [F_TLS] = { 1000, 8000 },    [F_DENIED] = { 250, 250 },
    [F_NONE] = { 250, 250 },
};

#define STAT_TBL "common/redis/stat.tbl"
enum {
#include "common/process/stat_enum.h"
};
static const struct stat_def stat_defs[] = {
#include "common/process/stat_rows.h"
};
static struct stat_set stats;
static pthread_once_t stats_once = PTHREAD_ONCE_INIT;
static atomic_int breakers_open; /* over all servers of this process */

struct redis {
    struct redis_url url;
    struct resolve *names;      /* of url.host; NULL with a path */
    struct redis_tls_conf *tls; /* of rediss://, else NULL */
    pthread_mutex_t lock;       /* of idle, n_idle, breaker, prober */
    struct redis_conn *idle;    /* last in, first out: the busy ones stay warm */
    size_t n_idle;
    struct breaker breaker;
    struct ticker *prober; /* NULL: calls find out themselves */
    atomic_bool open;      /* the breaker does not let everything through */
    atomic_bool worked;    /* the last call did, or none was made */
    struct log_gate gate, denied_gate;
};

/* ---- pool */

/* Under the lock. */
static struct redis_conn *
pool_pop(struct redis *r)
{
    struct redis_conn *c = r->idle;

    if (c) {
        r->idle = c->next;
        r->n_idle--;
        c->next = NULL;
    }
    return c;
}

static struct redis_conn *
pool_take(struct redis *r)
{
    struct redis_conn *c;

    pthread_mutex_lock(&r->lock);
    c = pool_pop(r);
    pthread_mutex_unlock(&r->lock);
    return c;
}

/* *out: an idle one, or NULL; then a clean one. */
static enum redis_failure
pool_get(struct redis *r, int64_t deadline_ms, struct redis_conn **out)
{
    for (; *out != NULL; *out = pool_take(r)) {
        if (redis_conn_clean(*out))
            return F_NONE;
        redis_conn_free(out);
    }
    return redis_conn_open(&r->url, r->names, r->tls, deadline_ms, out);
}

/* Under the lock: takes *c unless there are enough. */
static void
pool_put(struct redis *r, struct redis_conn **c)
{
    if (r->n_idle >= MAX_IDLE)
        return;
    (*c)->next = r->idle;
    r->idle = *c;
    r->n_idle++;
    *c = NULL;
}

static void
pool_empty(struct redis *r)
{
    struct redis_conn *c;

    while ((c = pool_take(r)) != NULL)
        redis_conn_free(&c);
}

/* ---- breaker */

/* May it call? Then *c is an idle connection, when there is one. */
static bool
may_call(struct redis *r, bool prober, bool *probe, struct redis_conn **c)
{
    bool may;

    pthread_mutex_lock(&r->lock);
    may = (prober || !r->prober || r->breaker.state == BREAKER_CLOSED) &&
          breaker_enter(&r->breaker, clock_ms(), probe);
    if (may)
        *c = pool_pop(r);
    pthread_mutex_unlock(&r->lock);
    return may;
}

/* Tell everybody that the breaker opened or closed. */
static void
breaker_changed(struct redis *r, bool first, int64_t for_ms)
{
    bool opened = for_ms > 0;

    stat_set(&stats, REDIS_BREAKER_OPEN, atomic_load(&breakers_open));
    if (opened && first)
        LOG(WARN, NULL, M("redis is left alone for a while"), KI("ms", for_ms));
    else if (!opened)
        LOG(INFO, NULL, M("redis is back"));
    if (opened && r->prober)
        ticker_wake(r->prober);
}

/* Tell the breaker how the call ended. Takes the connection back, or frees it. */
static void
call_ended(struct redis *r, bool probe, enum redis_failure f, struct redis_conn **c)
{
    bool changed, opened, first, failed = f != F_NONE;
    int64_t for_ms;

    pthread_mutex_lock(&r->lock);
    if (failed) {
        r->breaker.min_ms = pauses[f].min_ms;
        r->breaker.max_ms = pauses[f].max_ms;
    }
    first = r->breaker.state == BREAKER_CLOSED;
    changed = breaker_leave(&r->breaker, clock_ms(), probe, failed);
    opened = r->breaker.state == BREAKER_OPEN;
    for_ms = r->breaker.open_for_ms;
    if (changed && opened != atomic_exchange(&r->open, opened))
        atomic_fetch_add(&breakers_open, opened ? 1 : -1);
    if (!failed)
        pool_put(r, c);
    pthread_mutex_unlock(&r->lock);
    redis_conn_free(c);
    if (changed)
        breaker_changed(r, first, for_ms);
    if (!failed)
        return;
    pool_empty(r); /* the others belong to the same ill server */
    if (r->names && f != F_RESOLVE)
        resolve_ask(r->names);
}

/* ---- calls */

/* F_BREAKER is neither logged nor held against the server. */
static void
note_failure(struct redis *r, enum redis_failure f, const char *why)
{
    stat_add_at(&stats, REDIS_FAILURES, (size_t)f, 0, 1);
    if (f != F_BREAKER)
        atomic_store(&r->worked, false);
    if (f == F_AUTH)
        stat_inc(&stats, REDIS_AUTH_ERRORS);
    if (f != F_BREAKER && log_gate(&r->gate))
        LOG(WARN, NULL, M("redis call failed"), KS("kind", failure_names[f]),
            KS("server", r->url.path ? r->url.path : r->url.host), KS("why", why));
}

/* Commands that the ACL of our user does not allow: the server is well, its answer is an error. */
static void
note_refused(struct redis *r, uint64_t n, const char *why)
{
    stat_add_at(&stats, REDIS_FAILURES, F_DENIED, 0, n);
    if (log_gate(&r->denied_gate))
        LOG(ERROR, NULL, M("redis denies a command to our user: see the ACL in docs/operating.md"),
            KS("user", r->url.user ? r->url.user : "default"),
            KS("server", r->url.path ? r->url.path : r->url.host), KS("why", why));
}

static int
call(struct redis *r, bool prober, int64_t limit_ms, struct arena *a, const struct redis_cmd *cmds, size_t n,
     struct redis_val *out)
{
    int64_t deadline_ms = clock_ms() + limit_ms;
    struct redis_conn *c = NULL;
    enum redis_failure f;
    uint64_t cut = 0, refused = 0;
    char why[sizeof c->why] = "";
    bool probe;

    memset(out, 0, n * sizeof *out);
    stat_inc(&stats, REDIS_CALLS);
    if (!may_call(r, prober, &probe, &c)) {
        note_failure(r, F_BREAKER, "");
        return -1;
    }
    f = pool_get(r, deadline_ms, &c);
    if (f == F_NONE)
        f = redis_conn_exchange(c, a, cmds, n, deadline_ms, out, &cut, &refused);
    if (f != F_NONE || refused > 0)
        memcpy(why, c->why, sizeof why);
    call_ended(r, probe, f, &c);
    if (cut > 0)
        stat_add_at(&stats, REDIS_FAILURES, F_TOO_LARGE, 0, cut);
    if (refused > 0)
        note_refused(r, refused, why);
    if (f != F_NONE)
        note_failure(r, f, why);
    else
        atomic_store(&r->worked, true);
    return f == F_NONE ? 0 : -1;
}

int
redis_run(struct redis *r, struct arena *a, const struct redis_cmd *cmds, size_t n, struct redis_val *out)
{
    return call(r, false, REDIS_CALL_MS, a, cmds, n, out);
}

int
redis_run_in(struct redis *r, struct redis_budget *b, struct arena *a, const struct redis_cmd *cmds, size_t n,
             struct redis_val *out)
{
    int64_t begun = clock_ms();
    int rc;

    if (!b)
        return redis_run(r, a, cmds, n, out);
    memset(out, 0, n * sizeof *out);
    if (b->over)
        return -1;
    rc = call(r, false, REDIS_REQUEST_MS - b->spent_ms, a, cmds, n, out);
    b->spent_ms += clock_ms() - begun;
    b->over = rc != 0 || b->spent_ms >= REDIS_REQUEST_MS;
    return rc;
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
redis_eval(struct redis *r, struct redis_budget *b, struct arena *a, const struct redis_script *s,
           const struct str *keys, size_t n_keys, const struct str *args, size_t n_args,
           struct redis_val *out)
{
    struct str few[SCRIPT_ARGS];
    size_t argc = 3 + n_keys + n_args;
    struct str *many = argc > SCRIPT_ARGS ? mem_new(argc * sizeof *many) : NULL, *argv = many ? many : few;
    const struct redis_cmd cmd = { argv, argc };
    char count[24] = { (char)('0' + n_keys) };
    int rc;

    if (n_keys > 9)
        snprintf(count, sizeof count, "%zu", n_keys);
    argv[0] = STR("EVALSHA");
    argv[1] = str_of(s->sha1);
    argv[2] = str_of(count);
    for (size_t i = 0; i < n_keys; i++)
        argv[3 + i] = keys[i];
    for (size_t i = 0; i < n_args; i++)
        argv[3 + n_keys + i] = args[i];
    rc = redis_run_in(r, b, a, &cmd, 1, out);
    if (rc == 0 && out->type == REDIS_ERROR && str_starts(out->s, "NOSCRIPT")) {
        argv[0] = STR("EVAL");
        argv[1] = str_of(s->source);
        rc = redis_run_in(r, b, a, &cmd, 1, out);
    }
    mem_free(&many);
    return rc;
}

bool
redis_up(const struct redis *r)
{
    return atomic_load(&r->worked) && !atomic_load(&r->open);
}

/* A replica answers a PING as well as its master does: only a write tells. One that is full is not away. */
static bool
ping(struct redis *r, bool prober)
{
    const struct str ask[] = { STR("PING") },
                     put[] = { STR("SET"), STR("fn:probe"), STR("1"), STR("PX"), STR("1000") };
    const struct redis_cmd cmds[] = { { ask, 1 }, { put, 5 } };
    struct arena *a = arena_new(4096);
    struct redis_val v[2];
    bool good = call(r, prober, REDIS_CALL_MS, a, cmds, 2, v) == 0 && v[0].type == REDIS_STATUS;

    arena_free(&a);
    return good;
}

bool
redis_ping(struct redis *r)
{
    return ping(r, false);
}

/* ---- the prober */

static int64_t
probe_tick(void *arg)
{
    struct redis *r = arg;
    int64_t left;
    bool open;

    pthread_mutex_lock(&r->lock);
    open = r->breaker.state != BREAKER_CLOSED;
    left = r->breaker.open_until_ms - clock_ms();
    pthread_mutex_unlock(&r->lock);
    if (!open)
        return TICKER_WOKEN;
    if (left > 0)
        return left;
    ping(r, true);
    return 0;
}

/* Under the lock: the first tick may be there before the pointer to its thread. */
static void
prober_start(struct redis *r)
{
    pthread_mutex_lock(&r->lock);
    r->prober = ticker_start("the probe of Redis", probe_tick, r);
    pthread_mutex_unlock(&r->lock);
}

/* ---- life */

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

/* The address and, for rediss://, the files. False with a phrase in why. */
static bool
read_config(const char *url, const struct redis_tls_files *files, struct redis_url *u,
            struct redis_tls_conf **tls, struct buf *why)
{
    static const struct redis_tls_files none = { "", "", "" };
    const char *wrong = redis_url_parse(url, u);

    if (wrong)
        buf_z(why, wrong);
    else if (u->tls)
        *tls = redis_tls_conf_new(files ? files : &none, why);
    return !wrong && (!u->tls || *tls != NULL);
}

struct redis *
redis_new(const char *url, const struct redis_tls_files *tls, struct buf *why)
{
    struct redis *r = mem_new(sizeof *r);
    struct sigaction pipe_action;

    redis_stat_register();
    /* hiredis and OpenSSL write without MSG_NOSIGNAL: a server that goes away must not take us along */
    if (sigaction(SIGPIPE, NULL, &pipe_action) == 0 && pipe_action.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
    pthread_mutex_init(&r->lock, NULL);
    atomic_init(&r->worked, true);
    prober_start(r);
    if (!read_config(url, tls, &r->url, &r->tls, why))
        redis_free(&r);
    else if (r->url.host)
        r->names = resolve_new(r->url.host, AF_UNSPEC);
    return r;
}

void
redis_check(const char *name, const char *url, const struct redis_tls_files *tls, struct buf *err)
{
    struct redis_url u = { 0 };
    struct redis_tls_conf *conf = NULL;
    struct buf why = BUF_MAX(1024);

    if (*url && !read_config(url, tls, &u, &conf, &why)) {
        /* the phrase of a file begins with the name of its option */
        if (!str_starts(buf_slice(&why), "REDIS_"))
            buf_printf(err, "%s: ", name);
        buf_printf(err, STR_FMT "\n", STR_ARG(buf_slice(&why)));
    }
    redis_tls_conf_free(&conf);
    redis_url_fini(&u);
    buf_free(&why);
}

void
redis_patience(struct redis *r, size_t failures)
{
    pthread_mutex_lock(&r->lock);
    r->breaker.patience = failures;
    pthread_mutex_unlock(&r->lock);
}

void
redis_free(struct redis **rp)
{
    struct redis *r = *rp;

    if (!r)
        return;
    ticker_stop(&r->prober);
    pool_empty(r);
    if (atomic_load(&r->open))
        atomic_fetch_sub(&breakers_open, 1);
    resolve_free(&r->names);
    redis_tls_conf_free(&r->tls);
    redis_url_fini(&r->url);
    pthread_mutex_destroy(&r->lock);
    mem_free(rp);
}
