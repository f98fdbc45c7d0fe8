/* The pool: who gets which connection, and when there is none. The ten rules of SQLAlchemy's QueuePool:
 *   1 nothing is opened before it is needed         6 an idle connection is checked before it is given away; idle for over
 *   2 `size` idle ones are kept                        a second, it is pinged first (pre_ping)
 *   3 up to `overflow` more while they are needed    7 older than `recycle` at checkout: replaced
 *   4 those are closed when unused for LINGER_MS     8 one loss invalidates all that were opened before it
 *   5 waiters are served first come, first served,   9 one that comes back with a transaction open is rolled back first
 *     and give up after min(timeout, time left),    10 the connection last used is used first, so that spare ones age
 *     before the hub does: who is told why may ask again
 *
 * Server away: one probe at a time, 100 ms apart, doubling to 500 ms (2 s when the server lives but takes no more clients), with
 * jitter. Requests wait PATIENCE_MS for its return (polls less), later ones fail at once.
 * A transaction whose connection is lost is begun again: all of them are idempotent, so a commit in doubt is no harm.
 * Finished turns share transactions while many of them come (lanes.h); they wait for a lane first, then for a connection. */
#include <assert.h>

#include "common/clock.h"
#include "common/log.h"
#include "store/pool/parts.h"
#include "store/stat.h"

#define WAIT_MAX 1024
#define IMPATIENCE_MS 700
#define PING_AFTER_MS 1000
#define USAGE_SAID_MS 10000

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

void
conn_list_put(struct conn_list *l, struct conn *c)
{
    c->prev = NULL;
    c->next = l->head;
    if (l->head)
        l->head->prev = c;
    l->head = c;
    l->n++;
}

void
conn_list_cut(struct conn_list *l, struct conn *c)
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

/* Nobody's turn any more: out of the list, the timer stopped. */
void
pool_wait_end(struct pool *p, struct tx *t)
{
    tx_list_cut(t);
    loop_cancel(p->loop, &t->timer);
}

long
pool_waiting(const struct pool *p)
{
    return p->waiters.n + p->lanes.held.n;
}

/* Those who have a lane now go to the waiters. */
void
pool_let_on(struct pool *p)
{
    struct tx *t;

    while ((t = lanes_next(&p->lanes, false)))
        tx_list_add(&p->waiters, t, false);
}

/* ---- connections */

void
pool_drop(struct pool *p, struct conn_list *l, struct conn *c, enum conn_close why)
{
    conn_list_cut(l, c);
    stat_add_at(&store_stats, STAT_POOL_CLOSED, (size_t)why, 0, 1);
    conn_close(&c);
    (void)p;
}

static long
total(const struct pool *p)
{
    return p->idle.n + p->used.n;
}

long
pool_established(const struct pool *p)
{
    return total(p) - p->opening;
}

void
pool_open_one(struct pool *p)
{
    struct conn *c = conn_open(p);

    c->born = p->generation;
    conn_list_put(&p->used, c);
    p->coming++;
    p->opening++;
}

void
pool_invalidate(struct pool *p)
{
    struct conn *c = p->idle.head, *next;

    p->generation++;
    for (; c; c = next) {
        next = c->next;
        pool_drop(p, &p->idle, c, CLOSE_STALE);
    }
}

/* Above 80 % it is said, so that somebody acts before requests wait; every 10 s at most. */
static void
say_usage(struct pool *p)
{
    struct pool_state s = pool_state(p);

    if (s.max < 2 || s.active * 5 <= s.max * 4 ||
        (p->usage_said_ms && clock_ms() - p->usage_said_ms < USAGE_SAID_MS))
        return;
    p->usage_said_ms = clock_ms();
    LOG(WARN, NULL, M("the pool is over 80 % in use"), KI("active", s.active), KI("idle", s.idle),
        KI("overflow", s.overflow), KI("max", s.max), KI("waiting", s.waiting),
        KI("longest_wait_ms", s.longest_wait_ms));
}

bool
pool_may_open(const struct pool *p)
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
        enum conn_close why = c->born < p->generation                         ? CLOSE_STALE
                              : clock_ms() - c->opened_ms > p->cfg.recycle_ms ? CLOSE_AGE
                              : !conn_alive(c)                                ? CLOSE_LOST
                                                                              : CLOSE_COUNT;

        if (why == CLOSE_COUNT) {
            conn_list_cut(&p->idle, c);
            conn_list_put(&p->used, c);
            return c;
        }
        pool_drop(p, &p->idle, c, why);
    }
    return NULL;
}

/* ---- transactions */

void
pool_fail(struct tx *t, enum err e)
{
    lanes_leave(&t->pool->lanes, t);
    pool_let_on(t->pool);
    t->err = e;
    tx_end(t);
}

/* t of its group, which is not one any more: the others run again. */
static void
on_run_timeout(void *arg)
{
    struct tx *t = arg;
    struct pool *p = t->pool;
    struct conn *c = t->conn;
    struct tx *group = c->tx;

    /* statement_timeout should have ended it: the server or the way to it hangs, for the others, too */
    t->timer = 0;
    c->tx = NULL;
    pool_drop(p, &p->used, c, CLOSE_TIMEOUT);
    pool_invalidate(p);
    for (struct tx *x, *next = group; (x = next);) {
        next = x->more;
        x->more = NULL;
        if (x != t)
            pool_lost_tx(p, x);
    }
    t->conn = NULL;
    pool_pump(p);
    pool_fail(t, ERR_DEADLINE);
}

void
pool_start(struct pool *p, struct conn *c)
{
    struct tx *t = p->waiters.first, *group;
    bool grouped;
    int64_t left;

    tx_list_cut(t);
    grouped = t->lane;
    stat_add(&store_stats, STAT_GROUPS, grouped);
    group = lanes_group(&p->lanes, t);
    for (t = group; t; t = t->more) {
        stat_add(&store_stats, STAT_GROUPED, grouped);
        loop_cancel(p->loop, &t->timer);
        left = t->deadline_ms - clock_ms();
        t->begun_us = clock_us();
        stat_observe_traced(&store_stats, STAT_POOL_WAIT, 0, 0, (double)(t->begun_us - t->queued_us) / 1e6,
                            t->call ? span_trace_id(worker_span(t->call)) : NULL);
        t->timer = loop_after(p->loop, left > 1 ? left : 1, on_run_timeout, t);
        t->tries++;
    }
    conn_run(c, group);
}

/* Brings waiters and connections together; opens what is missing. */
void
pool_pump(struct pool *p)
{
    struct conn *c;

    while (p->waiters.n > p->coming && (c = checkout(p))) {
        if (p->cfg.pre_ping && clock_ms() - c->idle_ms > PING_AFTER_MS) {
            stat_inc(&store_stats, STAT_POOL_PINGS);
            p->coming++;
            conn_ping(c);
        } else {
            pool_start(p, c);
        }
    }
    while (p->waiters.n > p->coming && pool_may_open(p))
        pool_open_one(p);
    say_usage(p);
}

static void
on_wait_timeout(void *arg)
{
    struct tx *t = arg;
    struct pool *p = t->pool;

    pool_wait_end(p, t);
    stat_inc(&store_stats, STAT_POOL_TIMEOUTS);
    pool_fail(t, pool_established(p) > 0 && !p->down ? ERR_STORE_BUSY : ERR_STORE_DOWN);
    pool_pump(p);
}

static void
on_held(void *arg)
{
    struct pool *p = arg;
    struct tx *t = p->lanes.held.first;

    p->held_timer = 0;
    if (t && clock_us() - t->queued_us >= HELD_MS * 1000) {
        tx_list_add(&p->waiters, lanes_next(&p->lanes, true), false);
        pool_pump(p);
    }
    if (p->lanes.held.first)
        p->held_timer = loop_after(p->loop, HELD_MS, on_held, p);
}

static void
enqueue(struct pool *p, struct tx *t, bool front)
{
    int64_t left = (t->wait_ms && t->wait_ms < t->deadline_ms ? t->wait_ms : t->deadline_ms) - clock_ms();

    t->queued_us = clock_us();
    if (front || lanes_take(&p->lanes, t))
        tx_list_add(&p->waiters, t, front);
    else if (p->held_timer == 0)
        p->held_timer = loop_after(p->loop, HELD_MS, on_held, p);
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
        pool_fail(t, ERR_DRAINING);
    } else if (pool_waiting(p) >= WAIT_MAX) {
        pool_fail(t, ERR_STORE_BUSY);
    } else if (p->down && (t->impatient || clock_ms() - p->down_since >= PATIENCE_MS)) {
        pool_fail(t, ERR_STORE_DOWN);
    } else {
        enqueue(p, t, false);
        pool_pump(p);
    }
}

void
pool_cancel(struct tx *t)
{
    struct pool *p = t->pool;

    t->unwanted = true;
    if (!t->in)
        return;
    pool_wait_end(p, t);
    pool_fail(t, ERR_CANCELLED);
    pool_pump(p);
}

/* A transaction that runs again runs by itself. */
void
pool_rerun(struct pool *p, struct tx *t)
{
    lanes_leave(&p->lanes, t);
    t->groups = false;
    t->more = NULL;
    tx_forget(t);
    enqueue(p, t, true);
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
    loop_cancel(p->loop, &p->held_timer);
    loop_cancel(p->loop, &p->trim_timer);
    while (pool_waiting(p) > 0) {
        struct tx *t = p->waiters.first ? p->waiters.first : p->lanes.held.first;

        pool_wait_end(p, t);
        pool_fail(t, ERR_DRAINING);
    }
    while (p->used.head) {
        struct tx *t = p->used.head->tx, *next;

        pool_drop(p, &p->used, p->used.head, CLOSE_STOP);
        for (; t; t = next) {
            next = t->more;
            loop_cancel(p->loop, &t->timer);
            pool_fail(t, ERR_STORE_IN_DOUBT);
        }
    }
    while (p->idle.head)
        pool_drop(p, &p->idle, p->idle.head, CLOSE_STOP);
    hosts_free(&p->hosts);
    mem_free(pp);
}

struct pool_state
pool_state(const struct pool *p)
{
    long over = total(p) - p->cfg.size;

    return (struct pool_state){ .active = p->used.n,
                                .idle = p->idle.n,
                                .max = p->cfg.size + p->cfg.overflow,
                                .waiting = pool_waiting(p),
                                .overflow = over > 0 ? over : 0,
                                .longest_wait_ms = p->waiters.first
                                                       ? (clock_us() - p->waiters.first->queued_us) / 1000
                                                       : 0,
                                .up = pool_established(p) > 0 && !p->down,
                                .down = p->down };
}
