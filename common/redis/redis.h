/* Redis, blocking with short time-outs, thread-safe: a pool of connections to one server, a breaker, pipelines.
 * Any error frees its connection (a context that timed out would return the previous question's answer). All data go
 * as argv, never through a format. Values come back copied into the caller's arena and are data from outside: check them.
 *
 * Breaker: open after 5 failures within 1 s, and while it is in doubt no more calls wait at once than it takes to open it.
 * While it is open calls fail at once; a thread of its own looks after 250 ms whether the server is back (up to 1 s when it
 * hangs, 8 s when it refuses our password), so that no call of others pays for finding out. */
#ifndef COMMON_REDIS_REDIS_H
#define COMMON_REDIS_REDIS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/mem.h"
#include "common/str.h"

#define REDIS_CALL_MS 100   /* a call: connecting, logging in, and every reply of it */
#define REDIS_REQUEST_MS 40 /* for all calls of a request that somebody waits for */

struct redis;

/* Of rediss://; a name that is "" is not set. */
struct redis_tls_files {
    /* REDIS_CA_FILE: authorities that may have signed the server's certificate; "": the system's */
    const char *ca;
    const char *cert, *key; /* REDIS_CERT_FILE, REDIS_KEY_FILE: who we are, where the server asks for it */
};

/* The time that the calls of one request have waited, at most REDIS_REQUEST_MS. After one that
 * failed there is no other. */
struct redis_budget { /* all zero: nothing is spent */
    int64_t spent_ms;
    bool over;
};

enum redis_type { REDIS_NIL, REDIS_STR, REDIS_INT, REDIS_LIST, REDIS_ERROR, REDIS_STATUS };

struct redis_val {
    enum redis_type type;
    struct str s;        /* REDIS_STR, REDIS_ERROR, REDIS_STATUS */
    int64_t i;           /* REDIS_INT */
    struct redis_val *v; /* REDIS_LIST */
    size_t n;            /* REDIS_LIST */
};

struct redis_cmd {
    const struct str *argv; /* command name and arguments */
    size_t argc;
};

/* A Lua script: sent by EVALSHA, once by EVAL after NOSCRIPT. */
struct redis_script {
    const char *source;
    char sha1[41]; /* filled by redis_script_init */
};

/* Adds common/redis/stat.tbl to /metrics; the first redis_new does it. Harmless when called again. */
void redis_stat_register(void);
/* From a struct of options that has common/redis/opt.tbl's fields. */
#define REDIS_TLS_FILES(o) \
    &(const struct redis_tls_files) \
    { \
        (o)->redis_ca_file, (o)->redis_cert_file, (o)->redis_key_file \
    }

/* Does not connect: the first call does, and Redis may come and go. Starts the thread that looks for it.
 * url: redis[s]://[user:password@]host:port[/db] or unix:///path; tls: NULL when there are no such files. NULL, with a phrase
 * in why, when the URL cannot be parsed or a file is not what it should be. */
struct redis *redis_new(const char *url, const struct redis_tls_files *tls, struct buf *why);
/* The same, without making anything: a line "NAME: what is wrong" in err, or nothing. */
void redis_check(const char *name, const char *url, const struct redis_tls_files *tls, struct buf *err);
void redis_free(struct redis **r);
/* Leave the server alone after so many failures within a second (1 to 5; 5 unless set): 1 where a call holds up others. */
void redis_patience(struct redis *r, size_t failures);
/* Run n commands in one round trip (at most REDIS_CALL_MS, or what b has left of it; NULL: no budget); out[n] is filled from
 * the arena. 0: every reply was read (a reply may still be REDIS_ERROR); -1: no connection, time-out, breaker open, a server
 * that cannot serve (loading, read-only, of a cluster), or the budget is over. */
int redis_run_in(struct redis *r, struct redis_budget *b, struct arena *a, const struct redis_cmd *cmds,
                 size_t n, struct redis_val *out);
int redis_run(struct redis *r, struct arena *a, const struct redis_cmd *cmds, size_t n,
              struct redis_val *out);
void redis_script_init(struct redis_script *s, const char *source);
/* One script as a single round trip; keys then args. Same returns. */
int redis_eval(struct redis *r, struct redis_budget *b, struct arena *a, const struct redis_script *s,
               const struct str *keys, size_t n_keys, const struct str *args, size_t n_args,
               struct redis_val *out);
/* Does it answer and take writes? Writes fn:probe, for a second. */
bool redis_ping(struct redis *r);
bool
redis_up(const struct redis *r); /* the breaker is closed and the last call worked (or none was made yet) */

#endif
