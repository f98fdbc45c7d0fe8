/* One connection to Postgres, never blocking. Between conn.c (libpq) and pool.c (policy). */
#ifndef STORE_POOL_CONN_H
#define STORE_POOL_CONN_H

#include "store/pool/hosts.h"
#include "store/pool/pool.h"

enum conn_state { CONN_OPENING, CONN_SETUP, CONN_IDLE, CONN_PING, CONN_RESET, CONN_BUSY, CONN_STATES };

enum conn_close { /* why a connection went */
#define CLOSE(id, label) CLOSE_##id,
#include "store/pool/close.tbl"
#undef CLOSE
                  CLOSE_COUNT
};

enum conn_op { OP_PREPARE, OP_STATEMENT, OP_OWN, OP_SYNC };
#define CONN_OPS (2 * TX_STATEMENTS * GROUP_MAX + 6)

struct conn {
    struct pool *pool;
    void *pg; /* PGconn; NULL while names are looked up */
    enum conn_state state;
    int fd;                     /* watched descriptor, -1: none */
    struct tx *tx;              /* at work on, with the rest of its group; NULL otherwise */
    struct conn *next, *prev;   /* in the pool's list */
    unsigned turn;              /* of the hosts, see hosts_next */
    uint64_t born;              /* the pool's generation when it was opened */
    int64_t opened_ms, idle_ms; /* clock_ms() of birth and of the last return */
    uint64_t timer;             /* limit of connecting and of pings */
    bool prepared[SQL_COUNT];   /* statements this connection knows */
    struct {
        enum conn_op op;
        int i;
        struct tx *tx;
    } op[CONN_OPS];   /* results that are to come; of no transaction: NULL */
    int n_ops, at;    /* how many, which is next */
    bool got;         /* the current one gave its result */
    bool failed;      /* SETUP, PING or RESET failed */
    int step;         /* of a script: before it, itself, behind it */
    bool timed;       /* every result of this pipeline is asked for by itself */
    int64_t mark_us;  /* timed: when the last result came */
    char sqlstate[6]; /* of a failure outside a transaction */
};

/* Begins to connect: the names of its hosts first. pool_on_open or pool_on_lost follows, never from inside. */
struct conn *conn_open(struct pool *p);
void conn_close(struct conn **c);
bool conn_alive(struct conn *c);             /* idle socket check: quiet and open */
void conn_ping(struct conn *c);              /* pool_on_pong or pool_on_lost follows */
bool conn_clean(const struct conn *c);       /* no transaction was left open */
void conn_reset(struct conn *c);             /* rolls it back; pool_on_pong or pool_on_lost follows */
void conn_run(struct conn *c, struct tx *t); /* with its group; pool_on_done or pool_on_lost follows */
void *conn_dial(struct conn *c);             /* PGconn that begins to connect, or NULL: no known address */

bool conn_parameter(struct str name); /* does libpq know a connection parameter of this name */
/* Its hosts, or NULL when libpq finds the server by itself (a socket by default, hostaddr=, a service file). */
struct hosts *conn_hosts(const char *conninfo);
bool conn_readable(const char *conninfo); /* can libpq read it */
/* A line "NAME: what is wrong" for each value with which libpq would never connect. */
void conn_check(const char *name, const char *conninfo, struct buf *err);
/* The role that it logs in as, and the SCRAM verifier of its password (nothing without one). */
void conn_role(const char *conninfo, struct buf *user, struct buf *verifier);

/* The pool's side. */
void pool_on_open(struct conn *c);
void pool_on_pong(struct conn *c);
void pool_on_done(struct conn *c); /* the transaction ended, its sqlstate says how; the connection is good */
void pool_on_lost(struct conn *c, const char *why);
struct hosts *pool_hosts(const struct pool *p); /* NULL: libpq's */
struct loop *pool_loop(const struct pool *p);
const struct pool_config *pool_cfg(const struct pool *p);

#endif
