/* Private to the guard (conn.c, conn_place.c, conn_watch.c): its table of connections. */
#ifndef GATEWAY_EDGE_CONN_INT_H
#define GATEWAY_EDGE_CONN_INT_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include "gateway/edge/conn.h"
#include "gateway/edge/conn_addr.h"
#include "gateway/edge/origin.h"
#include "gateway/edge/stat.h"
#include "common/process/ticker.h"

struct slot {
    _Atomic int phase;        /* enum conn_phase; CONN_NONE: not ours */
    _Atomic int cut;          /* the guard ended it: 1 + enum cut; 0: it did not */
    _Atomic int64_t since_ms; /* when the phase began */
    _Atomic int64_t until_ms; /* when it must be over; 0: any time */
    _Atomic int64_t moved;    /* bytes in this phase: read, or given to the kernel */
    atomic_bool fresh;        /* nothing was read from it yet */
    atomic_bool leaving;      /* counted in guard.leaving */
    struct addr_entry *addr;  /* under the lock: who it counts for; NULL: nobody */
    uint32_t ip;              /* IPv4, network order */
    uint16_t port;            /* of its client, network order */
    bool proxy;               /* of TRUSTED_PROXIES */
    /* of the watchdog, under the lock: a window of time in which a least number of bytes must move */
    int64_t seen_ms;      /* since_ms of the phase it has looked at */
    int64_t window_ms;    /* when the window began; 0: there is none */
    uint64_t window_from; /* bytes that had moved then */
    uint64_t window_to;   /* bytes that had moved when all was taken that waited then */
    bool window_in;       /* it is one of reading */
};

struct guard {
    struct guard_config cfg;
    struct slot *slots;       /* by descriptor */
    int n_slots;              /* the table's size */
    _Atomic int top;          /* highest descriptor in use so far */
    atomic_long count;        /* connections with a thread, or waiting for one */
    atomic_long closing;      /* closed by the server, answer not yet taken: no thread */
    long heads_cut;           /* under the lock: at this look of the watchdog */
    atomic_long leaving;      /* of count: those that were cut and will end soon */
    long max_fds;             /* 80 % of RLIMIT_NOFILE */
    struct addr_table *addrs; /* under the lock: connections by address */
    pthread_mutex_t
        lock; /* accept, close and cut exclude each other; nothing that can wait is called under it */
    _Atomic int listener; /* the public port's descriptor; 0: not open yet */
    struct ticker *watchdog;
    int64_t watched_ms; /* clock_ms() of the watchdog's last look */
    atomic_bool on;
};
extern struct guard guard;

enum verdict { CONN_WELCOME, CONN_BUSY, CONN_REFUSED };

/* conn_place.c; under the lock, but for place_stays */
enum verdict place_take(int fd, uint32_t ip, uint16_t port);
void place_leave(struct slot *s);   /* its thread is done with it */
void place_refuse(struct slot *s);  /* there is no thread for it */
void place_uncount(struct slot *s); /* its address holds one less */
void place_stays(struct slot *s);
void place_cut(int fd, struct slot *s, enum cut why);
bool place_idle(int fd, const struct slot *s); /* it waits for a request and none has come */
/* Let go the connection that costs the others least; idle ones only when idle so long. False: there is
 * nobody to be let go. */
bool place_make(int64_t idle_ms);
void place_empty(void);  /* every idle connection ends */
long place_scarce(void); /* how many are taken of those that are kept free: a tenth, SPARE_MAX at most */
/* conn_watch.c */
int64_t conn_watch(void *arg); /* a look of the watchdog; ms until the next one */
long conn_unsent(int fd);      /* bytes that the client's machine has no room for */

#endif
