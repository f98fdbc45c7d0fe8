/* The reports of connections: one is open, alive, done or lost; and the fate of the transactions on it. Keeps
 * the attempts at a server that is away apart.
 *
 * Overflow stays while it is needed; SQLAlchemy closes it on return. Near the limit of the machine that opens and closes 25
 * connections a second, each worth 40 ms of processor time: load of 240 questions/s fell to 106 answers/s and stayed there. A
 * connection that nobody has used for LINGER_MS is closed; the same load then has 235 answers/s. */
#include "common/clock.h"
#include "common/log.h"
#include "common/random.h"
#include "store/pool/parts.h"
#include "store/stat.h"

#define LINGER_MS 3000

/* Begin it again? Not when its time is nearly over, or nobody waits for it: the hub takes a worker that holds on to a cancelled call
 * for stuck. */
static bool
again(struct pool *p, struct tx *t)
{
    if (p->stopped || t->unwanted || t->tries >= TX_TRIES || t->deadline_ms - clock_ms() < 50)
        return false;
    stat_inc(&store_stats, STAT_STORE_RETRIES);
    pool_rerun(p, t);
    return true;
}

static void
on_patience(void *arg)
{
    struct pool *p = arg;
    long n = pool_waiting(p); /* those that come now are refused by pool_submit */

    p->patience_timer = 0;
    while (p->down && n-- > 0 && p->waiters.first) {
        struct tx *t = p->waiters.first;

        pool_wait_end(p, t);
        pool_fail(t, ERR_STORE_DOWN);
    }
}

static void
on_retry(void *arg)
{
    struct pool *p = arg;

    p->retry_timer = 0;
    pool_pump(p);
    if (p->down && p->opening == 0 && pool_may_open(p))
        pool_open_one(p);
}

static void
back_off(struct pool *p)
{
    int64_t cap = pool_established(p) > 0 ? 2000 : 500; /* it lives, but takes no more clients */
    uint8_t r;

    if (pool_established(p) == 0 && !p->down) {
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
 * connections, whose next users are a moment away, and a new connection costs as much as ten transactions: with 100 ms here,
 * half of two busy processors was spent on opening them again. */
static void
on_trim(void *arg)
{
    struct pool *p = arg;
    struct conn *c = p->idle.head, *next;
    long n = 0, before = p->idle.n;

    p->trim_timer = 0;
    for (; c; c = next) {
        next = c->next;
        if (++n > p->cfg.size && clock_ms() - c->idle_ms >= LINGER_MS)
            pool_drop(p, &p->idle, c, CLOSE_OVERFLOW);
    }
    if (p->idle.n > p->cfg.size)
        p->trim_timer = loop_after(p->loop, LINGER_MS, on_trim, p);
    else if (p->idle.n < before)
        mem_trim(); /* the burst is over: what it took goes back to the system */
}

/* A connection without a transaction: to the first waiter, or to rest. */
static void
give(struct pool *p, struct conn *c)
{
    if (c->born < p->generation || p->stopped) {
        pool_drop(p, &p->used, c, p->stopped ? CLOSE_STOP : CLOSE_STALE);
    } else if (p->waiters.first) {
        pool_start(p, c);
    } else {
        c->idle_ms = clock_ms();
        conn_list_cut(&p->used, c);
        conn_list_put(&p->idle, c);
        if (p->idle.n > p->cfg.size && p->trim_timer == 0)
            p->trim_timer = loop_after(p->loop, LINGER_MS, on_trim, p);
    }
    pool_pump(p);
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

void
pool_lost_tx(struct pool *p, struct tx *t)
{
    loop_cancel(p->loop, &t->timer);
    if (again(p, t)) {
        pool_pump(p);
        return;
    }
    pool_pump(p);
    pool_fail(t, t->sent ? ERR_STORE_IN_DOUBT : ERR_STORE_DOWN);
}

static void
lost_group(struct pool *p, struct tx *t)
{
    for (struct tx *next; t; t = next) {
        next = t->more;
        pool_lost_tx(p, t);
    }
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
    pool_drop(p, s == CONN_IDLE ? &p->idle : &p->used, c,
              s == CONN_OPENING || s == CONN_SETUP ? CLOSE_REFUSED : CLOSE_LOST);
    if (s == CONN_OPENING || s == CONN_SETUP)
        back_off(p);
    if (s == CONN_PING || s == CONN_BUSY || s == CONN_RESET)
        pool_invalidate(p);
    if (t)
        lost_group(p, t);
    else
        pool_pump(p);
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

    stat_observe_traced(&store_stats, STAT_STORE_TX, k, 0, (double)(clock_us() - t->begun_us) / 1e6,
                        t->call ? span_trace_id(worker_span(t->call)) : NULL);
}

/* A group that failed: which of it was the cause shows when each runs by itself. */
static void
split(struct pool *p, struct tx *t)
{
    for (struct tx *next; t; t = next) {
        next = t->more;
        loop_cancel(p->loop, &t->timer);
        t->tries--;
        pool_rerun(p, t);
    }
}

static void
end(struct tx *t)
{
    for (struct tx *next; t; t = next) {
        next = t->more;
        observe(t);
        tx_end(t);
    }
}

void
pool_on_done(struct conn *c)
{
    struct pool *p = c->pool;
    struct tx *t = c->tx;
    const char *s = t->sqlstate;
    unsigned turn = c->turn;

    c->tx = NULL;
    if (starts(s, "57P") || starts(s, "25006") || starts(s, "08") || starts(s, "0A000") ||
        starts(s, "26000")) {
        /* shut down, not the primary any more, or its prepared statements are stale */
        pool_drop(p, &p->used, c, CLOSE_LOST);
        if (!starts(s, "0A") && !starts(s, "26000"))
            pool_invalidate(p);
        if (starts(s, "25006") && p->hosts)
            hosts_next(p->hosts, turn);
        lost_group(p, t);
        return;
    }
    if (s[0] && t->more) {
        split(p, t);
        give_back(p, c);
        return;
    }
    loop_cancel(p->loop, &t->timer);
    if (starts(s, "40") && again(p, t)) {
        give_back(p, c);
        return;
    }
    t->err = s[0] ? tx_map(s, &t->refused) : ERR_OK;
    for (struct tx *x = t; x; x = x->more) {
        loop_cancel(p->loop, &x->timer);
        x->conn = NULL;
        lanes_leave(&p->lanes, x);
    }
    pool_let_on(p);
    give_back(p, c);
    end(t);
}
