/* Between common/redis/redis.c and the file that speaks RESP: one connection, one exchange. Not thread-safe: a connection is
 * held by one thread at a time. Every deadline is a clock_ms() that bounds the whole step, not each read of it. */
#ifndef COMMON_REDIS_CONN_H
#define COMMON_REDIS_CONN_H

#include "common/redis/redis.h"
#include "common/redis/tls.h"
#include "common/redis/url.h"
#include "common/redis/resolve.h"

enum redis_failure {
    F_CONNECT,
    F_TIMEOUT,
    F_CLOSED,
    F_PROTOCOL,
    F_AUTH,
    F_SELECT,
    F_UNUSABLE,
    F_BREAKER,
    F_TOO_LARGE,
    F_RESOLVE,
    F_TLS,
    F_DENIED,
    F_NONE
};

struct redisContext;

struct redis_conn {
    struct redisContext *ctx; /* hiredis's */
    struct redis_tls *tls;    /* NULL: plain */
    struct buf out;           /* commands that are not sent yet */
    char *in;                 /* bytes that were read: [at, n) is not parsed yet */
    size_t at, n, cap;
    int64_t limit_ms;        /* the socket's time-out as it is set; 0: none yet */
    int64_t used_ms;         /* clock_ms() of the last exchange */
    char why[160];           /* after a failure: what the server or the system says, or nothing */
    struct redis_conn *next; /* for the owner's list */
};

/* Connect, TLS, AUTH, SELECT. names: of u->host (not used for a socket's path); tls: for rediss://. *out is there after a
 * failure, too, for its why. */
enum redis_failure redis_conn_open(const struct redis_url *u, struct resolve *names,
                                   struct redis_tls_conf *tls, int64_t deadline_ms, struct redis_conn **out);
void redis_conn_free(struct redis_conn **c);
/* Nothing waits on an idle connection: neither an end of file nor somebody else's reply. */
bool redis_conn_clean(const struct redis_conn *c);
/* One round trip; out[n] from the arena. *cut counts replies that did not fit it, *refused commands that
 * our user may not run (their replies are errors, the others stand). After any failure the connection must go. */
enum redis_failure redis_conn_exchange(struct redis_conn *c, struct arena *a, const struct redis_cmd *cmds,
                                       size_t n, int64_t deadline_ms, struct redis_val *out, uint64_t *cut,
                                       uint64_t *refused);

#endif
