/* Redis, blocking with short time-outs, thread-safe: a pool of connections to one server, a breaker, pipelines.
 * Any error frees its connection (a context that timed out would return the previous question's answer). All data go
 * as argv, never through a format. Values come back copied into the caller's arena and are data from outside: check them.
 *
 * Breaker: open after 5 failures within 1 s, for 1 s, doubling to 8 s, one probe. While open calls fail at once. */
#ifndef COMMON_REDIS_H
#define COMMON_REDIS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/mem.h"
#include "common/str.h"

struct redis;

enum redis_type { REDIS_NIL, REDIS_STR, REDIS_INT, REDIS_LIST, REDIS_ERROR, REDIS_STATUS };

struct redis_val {
    enum redis_type type;
    struct str s;             /* REDIS_STR, REDIS_ERROR, REDIS_STATUS */
    int64_t i;                /* REDIS_INT */
    struct redis_val *v;      /* REDIS_LIST */
    size_t n;                 /* REDIS_LIST */
};

struct redis_cmd {
    const struct str *argv;   /* command name and arguments */
    size_t argc;
};

/* A Lua script: sent by EVALSHA, once by EVAL after NOSCRIPT. */
struct redis_script {
    const char *source;
    char sha1[41];            /* filled by redis_script_init */
};

/* Adds common/redis_stat.tbl to /metrics; the first redis_new does it. Harmless when called again. */
void redis_stat_register(void);
/* Does not connect: the first call does, and Redis may come and go.
 * url: redis://[user:password@]host:port[/db] or unix:///path. NULL with *why set (static text) when it cannot be parsed. */
struct redis *redis_new(const char *url, const char **why);
void redis_free(struct redis **r);
/* Run n commands in one round trip (at most 100 ms, connect at most 200 ms); out[n] is filled from the arena.
 * 0: every reply was read (a reply may still be REDIS_ERROR); -1: no connection, time-out or breaker open. */
int redis_run(struct redis *r, struct arena *a, const struct redis_cmd *cmds, size_t n, struct redis_val *out);
void redis_script_init(struct redis_script *s, const char *source);
/* One script as a single round trip; keys then args. Same returns. */
int redis_eval(struct redis *r, struct arena *a, const struct redis_script *s, const struct str *keys, size_t n_keys,
               const struct str *args, size_t n_args, struct redis_val *out);
bool redis_up(const struct redis *r);   /* the breaker is closed and the last call worked (or none was made yet) */

#endif
