/* The pool's two halves: who gets which connection (pool.c), and what connections report (report.c). */
#ifndef STORE_POOL_PARTS_H
#define STORE_POOL_PARTS_H

#include "store/pool/conn.h"
#include "store/pool/lanes.h"

#define PATIENCE_MS 1500 /* requests wait so long for a server that is away */

struct conn_list {
    struct conn *head;
    long n;
};

struct pool {
    struct loop *loop;
    struct pool_config cfg;
    struct hosts *hosts;   /* of cfg.url; NULL: libpq finds it */
    struct conn_list idle; /* newest return first */
    struct conn_list used; /* opening, pinged or at work */
    long coming;           /* of used: will ask for a waiter */
    long opening;          /* of coming: new */
    struct tx_list waiters;
    struct lanes lanes;      /* those held wait, too */
    uint64_t generation;     /* connections born before it are not given away any more */
    bool down;               /* no connection, and the last attempt failed */
    int64_t down_since;      /* clock_ms() */
    int64_t backoff_ms;      /* before the next attempt */
    uint64_t retry_timer;    /* runs while attempts are held back */
    uint64_t patience_timer; /* end of the waiters' patience */
    uint64_t held_timer;     /* runs while some are held */
    uint64_t trim_timer;     /* runs while more than `size` are idle */
    int64_t usage_said_ms;   /* when it was last said that the pool is nearly used up; 0: never */
    bool stopped;
};

void conn_list_put(struct conn_list *l, struct conn *c);
void conn_list_cut(struct conn_list *l, struct conn *c);

void pool_drop(struct pool *p, struct conn_list *l, struct conn *c,
               enum conn_close why);         /* closed and gone */
long pool_established(const struct pool *p); /* connections that are not just being opened */
bool pool_may_open(const struct pool *p);
void pool_open_one(struct pool *p);
void pool_invalidate(struct pool *p);            /* none that was born before is given away any more */
void pool_pump(struct pool *p);                  /* brings waiters and connections together */
void pool_start(struct pool *p, struct conn *c); /* gives c to the first waiter and its group */

long pool_waiting(const struct pool *p);          /* the held ones, too */
void pool_wait_end(struct pool *p, struct tx *t); /* out of its list, its timer stopped */
void pool_let_on(struct pool *p);                 /* those who have a lane now go to the waiters */
void pool_fail(struct tx *t, enum err e);         /* ends t, which waits and runs nowhere any more */
void pool_rerun(struct pool *p, struct tx *t);    /* from the start, first of all waiters, by itself */
void pool_lost_tx(struct pool *p, struct tx *t);  /* its connection is gone: again, or in doubt */

#endif
