/* One HTTP request as the API handlers see it: already checked at the edge, routed, authenticated and (unless the route
 * has ADMITS) rate-limited. Handlers run on an HTTP thread, may wait for the bus, and answer exactly once. */
#ifndef GATEWAY_REQUEST_REQUEST_H
#define GATEWAY_REQUEST_REQUEST_H

#include "common/text/json.h"
#include "common/redis/redis.h"
#include "common/trace/trace.h"
#include "gateway/edge/http.h"
#include "gateway/hub/hub.h"
#include "gateway/request/route.h"

enum { SCOPE_CHAT = 1, SCOPE_INGEST = 2, SCOPE_ADMIN = 4 };

enum dialect { DIALECT_OWN, DIALECT_OPENAI }; /* in which errors are told */
/* The meaning of a 404 of this request, where its dialect has a name for it. */
struct missing {
    const char *code, *param, *text;
};

struct gateway; /* gateway.h: options, hub, Redis, keys, epochs */
struct idem;    /* idempotency.h */
struct budget;  /* budget.c */

struct principal {
    char tenant[65];      /* "default" unless the key says otherwise */
    unsigned scopes;      /* SCOPE_ bits */
    bool anonymous;       /* no key: a browser with a session id */
    uint8_t key_hash[32]; /* SHA-256 of the key; zero when anonymous */
    uint8_t limits
        [32]; /* whose limits count: the key's own hash, or that of the first one that it took the place of */
    /* limits, collections, origins; NULL when anonymous or AUTH=off. In the arena */
    const struct api_key *key;
};

struct request {
    struct gateway *gw;
    struct http_conn *conn;
    struct arena *arena; /* everything of this request */
    const char *id;      /* request id: X-Request-ID, or minted */
    struct span *span;   /* of the trace, or NULL */
    const struct route *route;
    enum method method;
    struct str path; /* decoded */
    enum dialect dialect;
    struct missing missing;  /* code NULL: nothing of its own */
    struct str arg;          /* the match of {id} or {name}; absent otherwise */
    struct str body;         /* whole body; absent when none */
    struct str content_type; /* without parameters, lower case; absent when none */
    struct principal who;
    char peer[64];             /* client address for limits (IPv6: its /64) */
    int64_t start_us;          /* clock_us() of arrival */
    int64_t auth_us;           /* how long it took to know who asks */
    int64_t deadline_ms;       /* clock_ms() by which the answer must be there (X-Request-Timeout-Ms) */
    bool no_cache;             /* Cache-Control: no-cache was sent */
    struct redis_budget redis; /* how long it may wait for Redis, in all */
    struct idem *idem;         /* its Idempotency-Key, or NULL */
    struct budget *budget;     /* what it is paid from, and took; NULL: not looked at yet */
    bool
        hot; /* its caller is busy: its limits were taken in lots, so that its answers are worth keeping here */
    bool judged; /* the limits decided about it, or need not */
    /* charges an answer below 500 that no limit has judged; false: it answered 429. NULL: such answers are free */
    bool (*toll)(struct request *r);
    void (*before_answer)(struct request *r, int status,
                          struct str body); /* runs once, before an answer is written; or NULL */
    int status;                             /* set by the answer */
    enum err err;       /* of the problem that was its answer, or that ended its stream; ERR_OK: none */
    struct str audited; /* its target, where the path does not say; absent: the path's own */
    struct buf headers; /* extra header lines for the answer, added with request_header_add */
};

/* Request parts. Slices live as long as the request. */
struct str request_header(const struct request *r, const char *name); /* absent: STR_NONE */
const char *request_query(const struct request *r);                   /* as sent, after '?'; NULL: none */
struct str request_param(struct request *r, const char *name); /* decoded query parameter; absent: STR_NONE */

/* Answers: exactly one of them. JSON is one write (header and body in one buffer). body is a whole JSON text. */
void reply_json(struct request *r, int status, struct str body);
void reply_bytes(struct request *r, int status, const char *content_type, struct str body);
void reply_empty(struct request *r, int status);
/* Problem object (RFC 9457) of an error; detail: a phrase for people, or NULL for the error's own text. */
void reply_problem(struct request *r, enum err e, const char *detail);
/* 422 with errors[{pointer, detail}], e.g. "/question", "must have 1 to 500 characters". */
void reply_invalid(struct request *r, const char *pointer, const char *detail);
/* A failed call to a service: its error as a problem object, with Retry-After. */
void reply_outcome(struct request *r, const struct outcome *a);
void request_header_add(struct request *r, const char *name, const char *value);
/* The same; what was said by that name before is taken back. */
void request_header_set(struct request *r, const char *name, const char *value);
void request_retry_after(struct request *r, int64_t ms);

/* Server-sent events. stream_begin sends the headers; each event is one write. false: the client has gone. */
bool stream_begin(struct request *r);
bool stream_event(struct request *r, const char *event, const char *id, struct str json);
bool stream_ping(struct request *r);
#define STREAM_PING_MS 15000 /* a stream that has told nothing for so long says that it lives */
/* A stream waits for long now, for a token or for the store, as thousands of others may: its thread gives back the memory that it does not need
 * meanwhile. Of a request that is no stream nothing. */
void stream_rest(const struct request *r);
/* The same for clients that take every event for data: without a line for browsers, event may be NULL. */
bool stream_open(struct request *r);
bool stream_data(struct request *r, const char *event, struct str json);
void stream_end(struct request *r);
/* A long answer of JSON Lines: 200, then whole lines as they come. false: the client has gone, or the drain's time is over. */
bool lines_begin(struct request *r);
bool lines_write(struct request *r, struct str lines);
void lines_end(struct request *r,
               bool whole); /* not whole: the connection is cut, so that the client can tell */

/* Has the client of a waiting request gone away? */
bool request_gone(const struct request *r);
/* The body as a JSON object with a closed set of keys; NULL after a problem was sent. keys: NULL-terminated. */
json_t *request_json(struct request *r, const char *const *keys);
json_t *request_json_any(struct request *r, size_t most); /* any keys; at most so many values */
/* The session of the request: X-Session-ID, or the given text (body field or ?session_id=). Must be a UUID version 4.
 * Fills hash as session_digest does. false after a problem was sent. */
bool request_session(struct request *r, struct str given, struct uuid *id, uint8_t hash[32]);
/* As the store knows a session: the SHA-256 of its id as text, in lower case, which no deployment changes. */
void session_digest(const struct uuid *id, uint8_t hash[32]);

#endif
