/* The pool: who gets which connection, and when there is none. The ten rules of SQLAlchemy's QueuePool:
 *   1 nothing is opened before it is needed         6 an idle connection is checked before it is given away; idle for over
 *   2 `size` idle ones are kept                        a second, it is pinged first (pre_ping)
 *   3 up to `overflow` more while they are needed    7 older than `recycle` at checkout: replaced
 *   4 those are closed when they are back (LINGER_MS) 8 one loss invalidates all that were opened before it
 *   5 waiters are served first come, first served,   9 one that comes back with a transaction open is rolled back first
 *     and give up after min(timeout, time left)     10 the connection last used is used first, so that spare ones age
 *
 * Server away: one probe at a time, 100 ms apart, doubling to 500 ms (2 s when the server lives but takes no more clients), with
 * jitter. Requests wait PATIENCE_MS for its return (polls less), later ones fail at once.
 * A transaction whose connection is lost is begun again: all of them are idempotent, so a commit in doubt is no harm. */
#include "store/pool.h"

#include <assert.h>

#include "common/clock.h"
#include "common/log.h"
#include "store/conn.h"
#include "store/stats.h"

#define WAIT_MAX 1024
#define PATIENCE_MS 1500
#define IMPATIENCE_MS 700
#define PING_AFTER_MS 1000
#define LINGER_MS 100
#define USAGE_SAID_MS 10000

struct conn_list { struct conn *head; long n; };

struct pool {
    struct loop *loop;
    struct pool_config cfg;
    struct hosts *hosts;            /* of cfg.url; NULL: libpq finds it */
    struct conn_list idle;          /* newest return first */
    struct conn_list used;          /* opening, pinged or at work */
    long coming;                    /* of used: will ask for a waiter */
    long opening;                   /* of coming: new */
    struct tx *first, *last;        /* waiters */
    long waiting;
    uint64_t generation;            /* connections born before it are not given away any more */
    bool down;                      /* no connection, and the last attempt failed */
    int64_t down_since;             /* clock_ms() */
    int64_t backoff_ms;             /* before the next attempt */
    uint64_t retry_timer;           /* runs while attempts are held back */
    uint64_t patience_timer;        /* end of the waiters' patience */
    uint64_t trim_timer;            /* runs while more than `size` are idle */
    int64_t usage_said_ms;          /* when it was last said that the pool is nearly used up; 0: never */
    bool stopped;
};

static void pump(struct pool *p);

struct loop *
pool_loop(const struct pool *p)
{
    return p->loop;
}

struct hosts *
pool_hosts(const struct pool *p)
{
    return p->hosts;
}

const struct pool_config *
pool_cfg(const struct pool *p)
{
    return &p->cfg;
}

/* ---- lists */

static void
put(struct conn_list *l, struct conn *c)
{
    c->prev = NULL;
    c->next = l->head;
    if (l->head)
        l->head->prev = c;
    l->head = c;
    l->n++;
}

static void
cut(struct conn_list *l, struct conn *c)
{
    if (c->next)
        c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        l->head = c->next;
    c->next = c->prev = NULL;
    l->n--;
}

static void
wait_add(struct pool *p, struct tx *t, bool front)
{
    t->next = front ? p->first : NULL;
    t->prev = front ? NULL : p->last;
    if (t->next)
        t->next->prev = t;
    else
        p->last = t;
    if (t->prev)
        t->prev->next = t;
    else
        p->first = t;
    p->waiting++;
}

static void
wait_cut(struct pool *p, struct tx *t)
{
    if (t->next)
        t->next->prev = t->prev;
    else
        p->last = t->prev;
    if (t->prev)
        t->prev->next = t->next;
    else
        p->first = t->next;
    t->next = t->prev = NULL;
    p->waiting--;
    loop_cancel(p->loop, &t->timer);
}

/* ---- connections */

static void
drop(struct pool *p, struct conn_list *l, struct conn *c, enum conn_close why)
{
    cut(l, c);
    stat_add_at(&store_stats, STAT_POOL_CLOSED, (size_t)why, 0, 1);
    conn_close(&c);
    (void)p;
}

static long
total(const struct pool *p)
{
    return p->idle.n + p->used.n;
}

static long
established(const struct pool *p)
{
    return total(p) - p->opening;
}

static void
open_one(struct pool *p)
{
    struct conn *c = conn_open(p);

    c->born = p->generation;
    put(&p->used, c);
    p->coming++;
    p->opening++;
}

static void
invalidate(struct pool *p)
{
    struct conn *c = p->idle.head, *next;

    p->generation++;
    for (; c; c = next) {
        next = c->next;
        drop(p, &p->idle, c, CLOSE_STALE);
    }
}

/* Above 80 % it is said, so that somebody acts before requests wait; every 10 s at most. */
static void
say_usage(struct pool *p)
{
    struct pool_state s = pool_state(p);

    if (s.max < 2 || s.active * 5 <= s.max * 4 || (p->usage_said_ms && clock_ms() - p->usage_said_ms < USAGE_SAID_MS))
        return;
    p->usage_said_ms = clock_ms();
    LOG(WARN, NULL, M("the pool is over 80 % in use"), KI("active", s.active), KI("idle", s.idle), KI("overflow", s.overflow),
        KI("max", s.max), KI("waiting", s.waiting), KI("longest_wait_ms", s.longest_wait_ms));
}

static bool
may_open(const struct pool *p)
{
    return !p->stopped && p->retry_timer == 0 && total(p) < p->cfg.size + p->cfg.overflow &&
           !((p->down || p->backoff_ms > 0) && p->opening > 0);
}

/* Newest idle connection that is fit for use, or NULL. */
static struct conn *
checkout(struct pool *p)
{
    struct conn *c;

    while ((c = p->idle.head)) {
        enum conn_close why = c->born < p->generation                              ? CLOSE_STALE
                              : clock_ms() - c->opened_ms > p->cfg.recycle_ms      ? CLOSE_AGE
                              : !conn_alive(c)                                     ? CLOSE_LOST
                                                                                   : CLOSE_COUNT;

        if (why == CLOSE_COUNT) {
            cut(&p->idle, c);
            put(&p->used, c);
            return c;
        }
        drop(p, &p->idle, c, why);
    }
    return NULL;
}

/* ---- transactions */

static void
fail(struct tx *t, enum err e)
{
    t->err = e;
    tx_end(t);
}

static void
on_run_timeout(void *arg)
{
    struct tx *t = arg;
    struct pool *p = t->pool;
    struct conn *c = t->conn;

    /* statement_timeout should have ended it: the server or the way to it hangs */
    t->timer = 0;
    c->tx = NULL;
    drop(p, &p->used, c, CLOSE_TIMEOUT);
    t->conn = NULL;
    pump(p);
    fail(t, ERR_DEADLINE);
}

static void
start(struct pool *p, struct conn *c, struct tx *t)
{
    int64_t left = t->deadline_ms - clock_ms();

    wait_cut(p, t);
    t->begun_us = clock_us();
    stat_observe(&store_stats, STAT_POOL_WAIT, (double)(t->begun_us - t->queued_us) / 1e6);
    t->timer = loop_after(p->loop, left > 1 ? left : 1, on_run_timeout, t);
    t->tries++;
    conn_run(c, t);
}

/* Brings waiters and connections together; opens what is missing. */
static void
pump(struct pool *p)
{
    struct conn *c;

    while (p->waiting > p->coming && (c = checkout(p))) {
        if (p->cfg.pre_ping && clock_ms() - c->idle_ms > PING_AFTER_MS) {
            stat_inc(&store_stats, STAT_POOL_PINGS);
            p->coming++;
            conn_ping(c);
        } else {
            start(p, c, p->first);
        }
    }
    while (p->waiting > p->coming && may_open(p))
        open_one(p);
    say_usage(p);
}

static void
on_wait_timeout(void *arg)
{
    struct tx *t = arg;
    struct pool *p = t->pool;

    t->timer = 0;
    wait_cut(p, t);
    stat_inc(&store_stats, STAT_POOL_TIMEOUTS);
    fail(t, established(p) > 0 && !p->down ? ERR_STORE_BUSY : ERR_STORE_DOWN);
}

static void
enqueue(struct pool *p, struct tx *t, bool front)
{
    int64_t left = t->deadline_ms - clock_ms();

    t->queued_us = clock_us();
    wait_add(p, t, front);
    if (left > p->cfg.timeout_ms)
        left = p->cfg.timeout_ms;
    if (t->impatient && left > IMPATIENCE_MS)
        left = IMPATIENCE_MS;
    t->timer = loop_after(p->loop, left > 1 ? left : 1, on_wait_timeout, t);
}

void
pool_submit(struct pool *p, struct tx *t)
{
    if (p->stopped) {
        fail(t, ERR_DRAINING);
    } else if (p->waiting >= WAIT_MAX) {
        fail(t, ERR_STORE_BUSY);
    } else if (p->down && (t->impatient || clock_ms() - p->down_since >= PATIENCE_MS)) {
        fail(t, ERR_STORE_DOWN);
    } else {
        enqueue(p, t, false);
        pump(p);
    }
}

void
pool_cancel(struct tx *t)
{
    if (t->conn || !(t->prev || t->next || t->pool->first == t))
        return;
    wait_cut(t->pool, t);
    fail(t, ERR_CANCELLED);
}

/* Begin it again? Not when its time is nearly over. */
static bool
again(struct pool *p, struct tx *t)
{
    if (p->stopped || t->tries >= TX_TRIES || t->deadline_ms - clock_ms() < 50)
        return false;
    stat_inc(&store_stats, STAT_STORE_RETRIES);
    tx_forget(t);
    enqueue(p, t, true);
    return true;
}

/* ---- what connections report */

static void
on_patience(void *arg)
{
    struct pool *p = arg;
    long n = p->waiting; /* those that come now are refused by pool_submit */

    p->patience_timer = 0;
    while (p->down && n-- > 0 && p->first) {
        struct tx *t = p->first;

        wait_cut(p, t);
        fail(t, ERR_STORE_DOWN);
    }
}

static void
on_retry(void *arg)
{
    struct pool *p = arg;

    p->retry_timer = 0;
    pump(p);
    if (p->down && p->opening == 0 && may_open(p))
        open_one(p);
}

static void
back_off(struct pool *p)
{
    int64_t cap = established(p) > 0 ? 2000 : 500; /* it lives, but takes no more clients */
    uint8_t r;

    if (established(p) == 0 && !p->down) {
        p->down = true;
        p->down_since = clock_ms();
        p->patience_timer = loop_after(p->loop, PATIENCE_MS, on_patience, p);
        LOG(ERROR, NULL, M("postgres is away"));
    }
    if (p->retry_timer) /* several were refused together */
        return;
    p->backoff_ms = p->backoff_ms ? 2 * p->backoff_ms : 100;
    if (p->backoff_ms > cap)
        p->backoff_ms = cap;
    random_bytes(&r, 1);
    p->retry_timer = loop_after(p->loop, p->backoff_ms * (192 + r / 2) / 256, on_retry, p);
}

/* Overflow goes when nobody has taken it since it came back. At once would be too soon: under load one commit frees many
 * connections, whose next users are a moment away, and a new connection costs as much as ten transactions. */
static void
on_trim(void *arg)
{
    struct pool *p = arg;
    struct conn *c = p->idle.head, *next;
    long n = 0;

    p->trim_timer = 0;
    for (; c; c = next) {
        next = c->next;
        if (++n > p->cfg.size && clock_ms() - c->idle_ms >= LINGER_MS)
            drop(p, &p->idle, c, CLOSE_OVERFLOW);
    }
    if (p->idle.n > p->cfg.size)
        p->trim_timer = loop_after(p->loop, LINGER_MS, on_trim, p);
}

/* A connection without a transaction: to the first waiter, or to rest. */
static void
give(struct pool *p, struct conn *c)
{
    if (c->born < p->generation || p->stopped) {
        drop(p, &p->used, c, p->stopped ? CLOSE_STOP : CLOSE_STALE);
    } else if (p->first) {
        start(p, c, p->first);
    } else {
        c->idle_ms = clock_ms();
        cut(&p->used, c);
        put(&p->idle, c);
        if (p->idle.n > p->cfg.size && p->trim_timer == 0)
            p->trim_timer = loop_after(p->loop, LINGER_MS, on_trim, p);
    }
    pump(p);
}

/* After a transaction: one that was left open is rolled back before anybody else gets the connection. */
static void
give_back(struct pool *p, struct conn *c)
{
    if (conn_clean(c)) {
        give(p, c);
        return;
    }
    stat_inc(&store_stats, STAT_POOL_RESETS);
    p->coming++;
    conn_reset(c);
}

void
pool_on_open(struct conn *c)
{
    struct pool *p = c->pool;

    p->coming--;
    p->opening--;
    p->backoff_ms = 0;
    stat_inc(&store_stats, STAT_POOL_OPENED);
    if (p->down) {
        p->down = false;
        loop_cancel(p->loop, &p->patience_timer);
        LOG(INFO, NULL, M("postgres is back"), KI("away_ms", clock_ms() - p->down_since));
    }
    give(p, c);
}

void
pool_on_pong(struct conn *c)
{
    c->pool->coming--;
    give(c->pool, c);
}

static void
lost_tx(struct pool *p, struct tx *t)
{
    loop_cancel(p->loop, &t->timer);
    if (again(p, t)) {
        pump(p);
        return;
    }
    pump(p);
    fail(t, t->sent ? ERR_STORE_IN_DOUBT : ERR_STORE_DOWN);
}

void
pool_on_lost(struct conn *c, const char *why)
{
    struct pool *p = c->pool;
    enum conn_state s = c->state;
    struct tx *t = c->tx;

    (void)why;
    c->tx = NULL;
    if (s == CONN_OPENING || s == CONN_SETUP || s == CONN_PING || s == CONN_RESET)
        p->coming--;
    if (s == CONN_OPENING || s == CONN_SETUP)
        p->opening--;
    drop(p, s == CONN_IDLE ? &p->idle : &p->used, c, s == CONN_OPENING || s == CONN_SETUP ? CLOSE_REFUSED : CLOSE_LOST);
    if (s == CONN_OPENING || s == CONN_SETUP)
        back_off(p);
    if (s == CONN_PING || s == CONN_BUSY || s == CONN_RESET)
        invalidate(p);
    if (t)
        lost_tx(p, t);
    else
        pump(p);
}

static bool
starts(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

static void
observe(const struct tx *t)
{
    size_t k = t->call ? (size_t)t->call->kind : KIND_COUNT;

    stat_observe_at(&store_stats, STAT_STORE_TX, k, 0, (double)(clock_us() - t->begun_us) / 1e6);
}

void
pool_on_done(struct conn *c)
{
    struct pool *p = c->pool;
    struct tx *t = c->tx;
    const char *s = t->sqlstate;
    unsigned turn = c->turn;

    c->tx = NULL;
    loop_cancel(p->loop, &t->timer);
    if (starts(s, "57P") || starts(s, "25006") || starts(s, "08") || starts(s, "0A000") || starts(s, "26000")) {
        /* shut down, not the primary any more, or its prepared statements are stale */
        drop(p, &p->used, c, CLOSE_LOST);
        if (!starts(s, "0A") && !starts(s, "26000"))
            invalidate(p);
        if (starts(s, "25006") && p->hosts)
            hosts_next(p->hosts, turn);
        lost_tx(p, t);
        return;
    }
    if (starts(s, "40") && again(p, t)) {
        give_back(p, c);
        return;
    }
    t->conn = NULL;
    t->err = s[0] ? tx_map(s, &t->refused) : ERR_OK;
    observe(t);
    give_back(p, c);
    tx_end(t);
}

/* ---- life */

struct pool *
pool_new(struct loop *l, const struct pool_config *cfg)
{
    struct pool *p = mem_new(sizeof *p);

    p->loop = l;
    p->cfg = *cfg;
    p->hosts = conn_hosts(cfg->url);
    return p;
}

void
pool_free(struct pool **pp)
{
    struct pool *p = *pp;

    if (!p)
        return;
    p->stopped = true;
    loop_cancel(p->loop, &p->retry_timer);
    loop_cancel(p->loop, &p->patience_timer);
    loop_cancel(p->loop, &p->trim_timer);
    while (p->first) {
        struct tx *t = p->first;

        wait_cut(p, t);
        fail(t, ERR_DRAINING);
    }
    while (p->used.head) {
        struct tx *t = p->used.head->tx;

        drop(p, &p->used, p->used.head, CLOSE_STOP);
        if (t) {
            loop_cancel(p->loop, &t->timer);
            fail(t, ERR_STORE_IN_DOUBT);
        }
    }
    while (p->idle.head)
        drop(p, &p->idle, p->idle.head, CLOSE_STOP);
    hosts_free(&p->hosts);
    mem_free(pp);
}

struct pool_state
pool_state(const struct pool *p)
{
    long over = total(p) - p->cfg.size;

    return (struct pool_state){ .active = p->used.n, .idle = p->idle.n, .max = p->cfg.size + p->cfg.overflow,
                                .waiting = p->waiting, .overflow = over > 0 ? over : 0,
                                .longest_wait_ms = p->first ? (clock_us() - p->first->queued_us) / 1000 : 0,
                                .up = established(p) > 0 && !p->down, .down = p->down };
}
