/* One connection to Postgres. libpq is known to this file, dial.c, result.c and url_check.c.
 *
 *   names ──▶ OPENING ──connected──▶ SETUP ──▶ IDLE ◀──▶ PING, BUSY, RESET          any of them ──lost──▶ closed
 *
 * Everything runs in pipeline mode: statements that this connection has not seen are prepared in the same round trip that
 * uses them; unprepared, each is sent whole and the settings go with every transaction, since what is said outside of one may
 * reach another server connection. At most once in 10 ms a pipeline asks the server to send each result as soon as it has it:
 * so the time of each statement is known, which the one answer to a whole pipeline does not tell (not unprepared: a pooler
 * stands between; seldom, since that costs a packet a statement). A connection is judged by PQstatus (a restart sets no
 * SQLSTATE); the first error aborts the rest of its pipeline up to the sync, and with it the transaction. Scripts (migrations)
 * leave pipeline mode for one simple query, between two that take the connection's time for a statement away and give it back: what
 * is to run by itself (VACUUM) cannot say so. */
#include "store/pool/conn.h"

#include <assert.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "common/clock.h"
#include "common/log.h"
#include "store/stat.h"

#define CONNECT_MS 2000
#define PING_MS 1000
#define NAMES_MS 1000 /* then with the addresses of before */
#define NAMES_POLL_MS 5
#define TIMED_EVERY_MS 10
#define BRIEF_MS 1500 /* for a statement of a transaction that is brief */
#define BRIEF_TEXT "1500"
#define LOCK_MS "500"      /* wait for a lock: alone */
#define LOCK_GROUP_MS "50" /* in a group, which then falls apart */

static void on_fd(void *arg, int fd, uint32_t events);

static void
watch(struct conn *c, uint32_t events)
{
    int fd = PQsocket(c->pg);

    if (c->fd >= 0 && c->fd != fd)
        loop_fd(pool_loop(c->pool), c->fd, 0, NULL, NULL);
    c->fd = fd;
    if (fd >= 0)
        loop_fd(pool_loop(c->pool), fd, events, on_fd, c);
}

static void
unwatch(struct conn *c)
{
    if (c->fd >= 0)
        loop_fd(pool_loop(c->pool), c->fd, 0, NULL, NULL);
    c->fd = -1;
}

/* First line of what libpq says; it may name hosts, so it is for the log only. */
static void
log_fault(struct conn *c, const char *what)
{
    static struct log_gate gate;
    struct str s = str_of(c->pg ? PQerrorMessage(c->pg) : "");
    const char *nl = s.n ? memchr(s.p, '\n', s.n) : NULL;

    if (nl)
        s.n = (size_t)(nl - s.p);
    if (log_gate(&gate))
        LOG(WARN, NULL, M(what), KN("detail", s), KS("sqlstate", c->sqlstate));
}

static void
lost(struct conn *c, const char *why)
{
    log_fault(c, why);
    pool_on_lost(c, why);
}

static void
on_fail(void *arg)
{
    struct conn *c = arg;

    c->timer = 0;
    lost(c, "postgres connection failed while sending");
}

/* Reports a loss from the loop, not from inside the call that found it. */
static void
lost_soon(struct conn *c)
{
    loop_cancel(pool_loop(c->pool), &c->timer);
    c->timer = loop_after(pool_loop(c->pool), 0, on_fail, c);
}

static void
on_timeout(void *arg)
{
    struct conn *c = arg;

    c->timer = 0;
    if (c->state == CONN_OPENING && pool_hosts(c->pool))
        hosts_next(pool_hosts(c->pool), c->turn);
    lost(c, "postgres does not answer");
}

static void
on_notice(void *arg, const char *text)
{
    (void)arg;
    LOG(DEBUG, NULL, M("postgres notice"), KS("text", text));
}

/* ---- sending */

static bool
expect(struct conn *c, enum conn_op op, struct tx *t, int i)
{
    assert(c->n_ops < CONN_OPS);
    c->op[c->n_ops].op = op;
    c->op[c->n_ops].tx = t;
    c->op[c->n_ops++].i = i;
    return true;
}

/* OPENING → SETUP → IDLE ⇄ PING, RESET, BUSY. One that is lost is freed, whatever it does. */
static void
conn_set(struct conn *c, enum conn_state to)
{
    static const bool legal[CONN_STATES][CONN_STATES] = {
        [CONN_OPENING] = { [CONN_SETUP] = true },
        [CONN_SETUP] = { [CONN_SETUP] = true, [CONN_IDLE] = true },
        [CONN_IDLE] = { [CONN_PING] = true, [CONN_RESET] = true, [CONN_BUSY] = true },
        [CONN_PING] = { [CONN_IDLE] = true },
        [CONN_RESET] = { [CONN_IDLE] = true },
        [CONN_BUSY] = { [CONN_IDLE] = true },
    };

    assert(legal[c->state][to]);
    c->state = to;
}

static void
ops_begin(struct conn *c, enum conn_state s)
{
    conn_set(c, s);
    c->n_ops = c->at = 0;
    c->got = c->failed = false;
}

static void
flush(struct conn *c)
{
    int rc = PQflush(c->pg);

    if (rc < 0)
        lost_soon(c);
    else
        watch(c, rc ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static bool
send_statement(struct conn *c, enum sql_id id, struct tx *t, int i, const struct param *p, int n)
{
    const char *values[TX_PARAMS];
    int lengths[TX_PARAMS], formats[TX_PARAMS];

    for (int k = 0; k < n; k++) {
        values[k] = p[k].p ? p[k].p : p[k].n ? p[k].be : NULL;
        lengths[k] = (int)p[k].n;
        formats[k] = 1;
    }
    if (pool_cfg(c->pool)->unprepared) {
        if (!PQsendQueryParams(c->pg, sqls[id].text, n, NULL, values, lengths, formats, 1))
            return false;
        return expect(c, OP_STATEMENT, t, i);
    }
    if (!c->prepared[id]) {
        if (!PQsendPrepare(c->pg, sqls[id].name, sqls[id].text, 0, NULL))
            return false;
        expect(c, OP_PREPARE, NULL, (int)id);
        c->prepared[id] = true; /* a later use in this pipeline finds it */
    }
    if (!PQsendQueryPrepared(c->pg, sqls[id].name, n, values, lengths, formats, 1) ||
        (c->timed && !PQsendFlushRequest(c->pg)))
        return false;
    return expect(c, OP_STATEMENT, t, i);
}

static void
time_begin(struct conn *c)
{
    static int64_t last_ms; /* over all connections: what the timing costs stays bounded */
    int64_t now_ms = clock_ms();

    c->timed = now_ms - last_ms >= TIMED_EVERY_MS && !pool_cfg(c->pool)->unprepared;
    if (c->timed)
        last_ms = now_ms;
    c->mark_us = clock_us();
}

/* The result of a statement came, or (statement SQL_COUNT) that of the commit. */
static void
time_take(struct conn *c, size_t statement)
{
    int64_t now_us = clock_us();

    stat_observe_at(&store_stats, STAT_STORE_STATEMENT, statement, 0, (double)(now_us - c->mark_us) / 1e6);
    c->mark_us = now_us;
}

/* A brief transaction that runs alone and has time enough goes by what its connection was told. */
static bool
send_settings(struct conn *c, int64_t deadline_ms, const struct tx *t)
{
    char ms[24];
    int64_t left = deadline_ms - clock_ms() - 30;
    const struct pool_config *cfg = pool_cfg(c->pool);
    bool group = t->more != NULL;
    struct param settings[3];

    if (t->brief && !group && left >= BRIEF_MS && !cfg->unprepared)
        return true;
    snprintf(ms, sizeof ms, "%lld", (long long)(left < 10 ? 10 : left));
    settings[0] = p_z(ms);
    settings[1] = p_z(group ? LOCK_GROUP_MS : LOCK_MS);
    settings[2] = p_z(cfg->schema);
    return send_statement(c, cfg->unprepared ? SQL_SETTINGS : SQL_TIMEOUT, NULL, -1, settings,
                          cfg->unprepared ? 3 : 2);
}

/* The group of t: one transaction, with the deadline of the one that has the least time. */
static bool
send_pipeline(struct conn *c, struct tx *t)
{
    int64_t deadline_ms = t->deadline_ms;

    for (const struct tx *x = t->more; x; x = x->more)
        if (x->deadline_ms < deadline_ms)
            deadline_ms = x->deadline_ms;
    time_begin(c);
    if (!send_settings(c, deadline_ms, t))
        return false;
    for (; t; t = t->more)
        for (int i = 0; i < t->n; i++)
            if (!send_statement(c, t->stmt[i].id, t, i, t->param + t->stmt[i].at, t->stmt[i].n))
                return false;
    return PQpipelineSync(c->pg) && expect(c, OP_SYNC, NULL, 0);
}

static bool
send_script(struct conn *c, int step)
{
    static const char *const around[] = { "SET statement_timeout = 0", NULL,
                                          "SET statement_timeout = " BRIEF_TEXT };

    c->step = step;
    return PQsendQuery(c->pg, around[step] ? around[step] : c->tx->script);
}

void
conn_run(struct conn *c, struct tx *t)
{
    bool ok;

    ops_begin(c, CONN_BUSY);
    c->tx = t;
    for (struct tx *x = t; x; x = x->more) {
        x->conn = c;
        x->sent = true;
    }
    if (t->script)
        ok = PQexitPipelineMode(c->pg) && send_script(c, pool_cfg(c->pool)->unprepared ? 1 : 0);
    else
        ok = send_pipeline(c, t);
    if (ok)
        flush(c);
    else
        lost_soon(c);
}

/* One statement that is no transaction's. */
static void
send_own(struct conn *c, enum conn_state s, const char *sql, const char *arg)
{
    ops_begin(c, s);
    if (PQsendQueryParams(c->pg, sql, arg ? 1 : 0, NULL, &arg, NULL, NULL, 0) && expect(c, OP_OWN, NULL, 0) &&
        PQpipelineSync(c->pg) && expect(c, OP_SYNC, NULL, 0))
        flush(c);
    else
        lost_soon(c);
}

void
conn_ping(struct conn *c)
{
    c->timer = loop_after(pool_loop(c->pool), PING_MS, on_timeout, c);
    send_own(c, CONN_PING, "", NULL);
}

bool
conn_clean(const struct conn *c)
{
    PGTransactionStatusType s = PQtransactionStatus(c->pg);

    return s != PQTRANS_INTRANS && s != PQTRANS_INERROR;
}

void
conn_reset(struct conn *c)
{
    c->timer = loop_after(pool_loop(c->pool), PING_MS, on_timeout, c);
    send_own(c, CONN_RESET, "ROLLBACK", NULL);
}

/* Originals are packed by lz4 where the server has it: a tenth of the time of its own method. A statement is planned once for all
 * parameters: the server would plan it five times for those at hand first, on each connection, and copies megabytes of vectors
 * for that. No sequential scans: a plan is kept as long as its connection, so one that was made while a table was small would go on
 * reading it whole when it has grown (every statement has its index, see store_explain). jit would take the price that this
 * puts on what has no other way for a long query. The server looks after 10 s of silence whether we are there, and ends a
 * session that nobody has answered for 25 s: when the network between us fails it hears no end of our connection, and by its own
 * settings it would keep the session, and what that has locked, for two hours. */
static void
setup(struct conn *c)
{
    static const char sql[] =
        "SELECT set_config('search_path', $1, false), set_config('lock_timeout', '" LOCK_MS "', false),"
        " set_config('statement_timeout', '" BRIEF_TEXT "', false),"
        " set_config('idle_in_transaction_session_timeout', '5000', false),"
        " set_config('enable_seqscan', 'off', false), set_config('jit', 'off', false),"
        " set_config('plan_cache_mode', 'force_generic_plan', false),"
        " (SELECT set_config(name, 'lz4', false) FROM pg_settings"
        "  WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)),"
        " set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),"
        " set_config('tcp_keepalives_count', '3', false),"
        " (SELECT set_config(name, '25000', false) FROM pg_settings WHERE name = 'tcp_user_timeout')";
    const struct pool_config *cfg = pool_cfg(c->pool);

    conn_set(c, CONN_SETUP);
    if (PQsetnonblocking(c->pg, 1) != 0 || !PQenterPipelineMode(c->pg))
        lost_soon(c);
    else if (cfg->unprepared)
        send_own(c, CONN_SETUP, "", NULL);
    else
        send_own(c, CONN_SETUP, sql, cfg->schema);
}

/* ---- receiving */

/* Prepared, and yet unknown or known already: another server connection than before. */
static void
say_mixed_up(const char *sqlstate)
{
    static struct log_gate gate;

    if (log_gate(&gate))
        LOG(ERROR, NULL,
            M("the database mixes up prepared statements: a PgBouncer in transaction mode needs DATABASE_PREPARED=off"),
            KS("sqlstate", sqlstate));
}

static void
note_error(struct conn *c, const PGresult *r)
{
    const char *s = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    char *to = c->tx ? c->tx->sqlstate : c->sqlstate;

    c->failed = true;
    if (to[0] == '\0')
        snprintf(to, 6, "%s", s ? s : "XX000");
    if (strcmp(to, "26000") == 0 || strcmp(to, "42P05") == 0)
        say_mixed_up(to);
    if (c->tx && strncmp(to, "FN", 2) != 0) {
        static struct log_gate gate;
        const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);

        if (log_gate(&gate))
            LOG(WARN, c->tx->call ? c->tx->call->trace : NULL, M("statement failed"),
                KS("statement", c->at < c->n_ops && c->op[c->at].tx
                                    ? sqls[c->op[c->at].tx->stmt[c->op[c->at].i].id].name
                                    : "other"),
                KS("sqlstate", to), KS("text", text ? text : ""));
    }
}

/* One result of a pipeline; consumes it. */
static void
take(struct conn *c, PGresult *r)
{
    ExecStatusType s = PQresultStatus(r);
    enum conn_op op = c->op[c->at].op;
    struct tx *t = c->op[c->at].tx;
    int i = c->op[c->at].i;

    c->got = true;
    if (c->timed && c->state == CONN_BUSY && !c->failed && (op == OP_SYNC || op == OP_STATEMENT))
        time_take(c, op == OP_SYNC ? SQL_COUNT : t ? t->stmt[i].id : SQL_TIMEOUT);
    if (s == PGRES_PIPELINE_SYNC) {
        c->at++;
        c->got = false;
    } else if (s == PGRES_PIPELINE_ABORTED || s == PGRES_FATAL_ERROR || s == PGRES_BAD_RESPONSE) {
        if (s != PGRES_PIPELINE_ABORTED)
            note_error(c, r);
        c->failed = true;
        if (op == OP_PREPARE)
            c->prepared[i] = false;
    } else if (op == OP_PREPARE) {
        c->prepared[i] = true;
    } else if (op == OP_STATEMENT && t && c->tx) {
        t->result[i] = r;
        r = NULL;
    }
    PQclear(r);
}

static void
finish(struct conn *c)
{
    enum conn_state was;

    loop_cancel(pool_loop(c->pool), &c->timer);
    if (c->failed && c->state != CONN_BUSY) {
        lost(c, "postgres refused a new connection's settings");
        return;
    }
    was = c->state;
    conn_set(c, CONN_IDLE);
    if (was == CONN_SETUP)
        pool_on_open(c);
    else if (was == CONN_BUSY)
        pool_on_done(c);
    else
        pool_on_pong(c);
}

static void
read_pipeline(struct conn *c)
{
    while (c->at < c->n_ops && !PQisBusy(c->pg)) {
        PGresult *r = PQgetResult(c->pg);

        if (PQstatus(c->pg) == CONNECTION_BAD) {
            if (r)
                note_error(c, r);
            PQclear(r);
            lost(c, "postgres connection was lost");
            return;
        }
        if (r) {
            take(c, r);
        } else {
            if (!c->got)
                return;
            c->got = false;
            c->at++;
        }
    }
    if (c->at == c->n_ops)
        finish(c);
}

/* One query of a script has ended, well or not. */
static void
script_on(struct conn *c)
{
    bool over = c->step == 2 || pool_cfg(c->pool)->unprepared;

    if (over && PQenterPipelineMode(c->pg))
        finish(c);
    else if (!over && send_script(c, c->step + 1))
        flush(c);
    else
        lost(c, "postgres connection is unusable");
}

static void
read_script(struct conn *c)
{
    PGresult *r;

    while (!PQisBusy(c->pg)) {
        r = PQgetResult(c->pg);
        if (PQstatus(c->pg) == CONNECTION_BAD) {
            PQclear(r);
            lost(c, "postgres connection was lost");
            return;
        }
        if (!r) {
            script_on(c);
            return;
        }
        if (PQresultStatus(r) == PGRES_FATAL_ERROR)
            note_error(c, r);
        if (c->step != 1) {
            PQclear(r);
            continue;
        }
        PQclear(c->tx->result[0]);
        c->tx->result[0] = r;
    }
}

static void
connecting(struct conn *c)
{
    /* libpq may have several sockets, one after the other: forget the old one before it is closed */
    unwatch(c);
    switch (PQconnectPoll(c->pg)) {
    case PGRES_POLLING_READING: watch(c, EPOLLIN); break;
    case PGRES_POLLING_WRITING: watch(c, EPOLLOUT); break;
    case PGRES_POLLING_OK: setup(c); break;
    default: lost(c, "postgres cannot be reached");
    }
}

static void
on_fd(void *arg, int fd, uint32_t events)
{
    struct conn *c = arg;

    (void)fd;
    if (c->state == CONN_OPENING) {
        connecting(c);
        return;
    }
    if ((events & EPOLLOUT) && c->state != CONN_IDLE)
        flush(c);
    if (!(events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
        return;
    if (!PQconsumeInput(c->pg) || c->state == CONN_IDLE) {
        lost(c,
             c->state == CONN_IDLE ? "postgres closed an idle connection" : "postgres connection was lost");
        return;
    }
    if (c->tx && c->tx->script)
        read_script(c);
    else
        read_pipeline(c);
}

/* ---- birth and death */

static void
on_names(void *arg)
{
    struct conn *c = arg;
    const struct hosts *h = pool_hosts(c->pool);

    c->timer = 0;
    if (h && !hosts_ready(h) && clock_ms() - c->opened_ms < NAMES_MS) {
        c->timer = loop_after(pool_loop(c->pool), NAMES_POLL_MS, on_names, c);
        return;
    }
    c->pg = conn_dial(c);
    if (!c->pg) {
        lost(c, "postgres has no known address");
    } else if (PQstatus(c->pg) == CONNECTION_BAD) {
        lost(c, "postgres cannot be reached");
    } else {
        PQsetNoticeProcessor(c->pg, on_notice, NULL);
        c->timer = loop_after(pool_loop(c->pool), h && hosts_count(h) > 1 ? CONNECT_MS / 2 : CONNECT_MS,
                              on_timeout, c);
        connecting(c);
    }
}

struct conn *
conn_open(struct pool *p)
{
    struct conn *c = mem_new(sizeof *c);

    c->pool = p;
    c->fd = -1;
    c->opened_ms = c->idle_ms = clock_ms();
    if (pool_hosts(p))
        hosts_ask(pool_hosts(p));
    c->timer = loop_after(pool_loop(p), 0, on_names, c);
    return c;
}

void
conn_close(struct conn **c)
{
    if (!*c)
        return;
    loop_cancel(pool_loop((*c)->pool), &(*c)->timer);
    unwatch(*c);
    PQfinish((*c)->pg);
    mem_free(c);
}

bool
conn_alive(struct conn *c)
{
    struct pollfd f = { .fd = c->fd, .events = POLLIN };

    return PQstatus(c->pg) == CONNECTION_OK && c->fd >= 0 && poll(&f, 1, 0) == 0;
}
