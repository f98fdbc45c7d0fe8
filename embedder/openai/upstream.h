/* The model server: HTTP calls on the loop, one breaker a route, and what a reply means. */
#ifndef EMBEDDER_OPENAI_UPSTREAM_H
#define EMBEDDER_OPENAI_UPSTREAM_H

#include <jansson.h>

#include "common/process/breaker.h"
#include "embedder/embedder.h"

enum upstream_route { ROUTE_EMBED, ROUTE_CHAT, ROUTE_RERANK, ROUTE_COUNT };
enum upstream_outcome {
    OUT_OK,
    OUT_ERROR,
    OUT_BAD_REPLY,
    OUT_REFUSED,
    OUT_LIMITED,
    OUT_QUOTA,
    OUT_TIMEOUT,
    OUT_CANCELLED,
    OUT_BLOCKED
};

/* ---- upstream_map.c: pure */
/* An error reply: what it means here. body is what the server sent; none of it is ever passed on. */
struct upstream_fault {
    enum err err;
    const char *text; /* our own phrase about it, static */
    char code[64];    /* error.code, else error.type, cleaned to [A-Za-z0-9_.-]; for the log */
};
struct upstream_fault upstream_map(long status, struct str body);
bool upstream_is_page(struct str body);             /* HTML or XML: not JSON under a wrong name */
bool upstream_failed(enum err e);                   /* the server did: it counts for the breaker */
enum upstream_outcome upstream_outcome(enum err e); /* for the statistics */
/* ---- complaint.c: pure. Which of these parameters does a refusal complain about, in whatever shape? -1: none of them. */
int upstream_blames(struct str body, const char *const *names, size_t n);
bool upstream_too_large(struct str body); /* of a context, a length, a number of tokens, or anything else */
bool upstream_too_long(struct str body);  /* of an input, for certain: a 500 that says so is a refusal */
bool upstream_too_many(struct str body);  /* of the inputs of one call */
bool upstream_speaks_of_tokens(struct str body); /* so it means the length of texts, not their number */
bool upstream_names_key(struct str body);        /* the key is no good */
bool upstream_filtered(struct str body);         /* a filter of contents refused */
bool upstream_names_model(struct str body);      /* the model is not known */
bool upstream_no_money(struct str body);         /* the account has none left; waiting does not mend it */
bool upstream_asks_less(struct str body);        /* a limit of a rate that this request alone is over */
bool
upstream_about_prompt(struct str body); /* it speaks of what was sent, too, not only of the answer's limit */
/* Retry-After in ms: delta seconds, "250ms", "6m0s", "1.5s"; -1 when it is none of these. */
int64_t upstream_wait_ms(struct str value);

/* ---- fault.c: pure. Does a reply with 200 tell of an error? Slices point into it. */
struct upstream_told {
    long status;     /* of HTTP, as it says itself or as its words mean; 0: it does not say */
    struct str code; /* its code, else its type */
};
bool upstream_told(const json_t *reply, struct upstream_told *out);
/* The time that the body of a refusal asks to wait, in ms, or a second for one that is ERR_UPSTREAM_LIMITED; 0: none. */
int64_t upstream_wait_in(enum err err, struct str body);

/* May a call of a route go out now? ERR_OK (*probe: it is the one probe), or why not and when to ask again. Its breaker counts
 * failures in a row, and is held for UPSTREAM_QUOTA_MS by a billing error. */
#define UPSTREAM_QUOTA_MS 60000
enum err upstream_may(struct breaker *b, int64_t now_ms, bool *probe, int64_t *wait_ms);

/* ---- upstream_url.c: where calls go */
struct base_url {
    char *prefix; /* up to the route, without a slash at the end */
    char *query;  /* goes behind the route; "" */
    bool azure;   /* the key goes into api-key */
    bool bare;    /* there is no path: /v1 is tried first */
    bool open;    /* it may be meant with or without /v1 */
};
const char *base_url_read(const char *text, struct base_url *out); /* NULL, or what is wrong with it */
void base_url_fini(struct base_url *b);
/* The line that carries the key, in this header ("": as the base says); NULL without a key. The caller wipes and frees it. */
char *base_url_auth(const struct base_url *base, const char *key, const char *header);

/* ---- upstream_conn.c: how a call's connection is made and when it is given up */
void upstream_connection(void *easy); /* a CURL */
/* The err and text of a call that ended with this CURLcode; end->status is that of a reply that had begun. */
struct upstream_end;
void upstream_broken(int code, struct upstream_end *end);

/* ---- upstream.c: with those two the only file that knows curl */
struct transfer;
struct upstream_end {
    enum err err;           /* ERR_OK: status 200 and a complete body */
    long status;            /* 0: there was no reply */
    int64_t retry_after_ms; /* with an error; 0: none */
    const char *text;       /* with an error: a phrase users may see, static */
    struct str body;        /* of an error, or of a reply without on_data; dies with the callback */
    bool cut;               /* bytes of a 200 had come when it broke */
    bool late;              /* time ran out: the server's, or our caller's (ERR_DEADLINE) */
};
struct upstream_req {
    enum upstream_route route;
    const char *path;        /* "/embeddings" */
    struct buf *body;        /* JSON; taken over */
    int64_t deadline_ms;     /* clock_ms() */
    size_t max_body;         /* of the reply; more is ERR_UPSTREAM_REPLY */
    long idle_s;             /* seconds without a byte */
    bool limited;            /* deadline_ms is what the server is given, not what our caller has left */
    const char *trace;       /* request id for the log; copied */
    const struct span *span; /* the server is told its context (traceparent); NULL: none */
    bool (*on_data)(void *arg, const char *p,
                    size_t n); /* event stream of a 200; NULL: collect. false: abort */
    void (*on_end)(void *arg, const struct upstream_end *end);
    void *arg;
};
/* base: http(s)://host[:port][/path][?query]; key may be "". header: the one that carries it; "": as the base says. NULL after
 * logging why. */
struct upstream *upstream_new(struct loop *l, const char *base, const char *key, const char *header);
void upstream_free(struct upstream **u);
/* Starts a call. on_end comes exactly once, never from inside; the transfer is gone then. */
struct transfer *upstream_start(struct upstream *u, const struct upstream_req *r);
/* The reply so far is all that is wanted: the call ends now, as if it were whole. Not from inside of a callback. */
void upstream_enough(struct transfer *t);
/* Drops it; on_end does not come any more. */
void upstream_cancel(struct transfer **t);
void upstream_sample(struct upstream *u, enum upstream_route route); /* gauges */

/* ---- server.c: the server of this route, by the options; NULL after logging why. Who takes it leaves it. */
struct upstream *server_take(struct embedder *e, enum upstream_route route);
void server_leave(struct embedder *e, struct upstream **u);

/* ---- embed.c, chat.c: what openai.c makes a provider of */
struct chat_run;
struct embed_provider *embed_openai_new(struct embedder *e, bool besides);
void chat_openai_run(struct chat_run *r); /* r->p->impl: the upstream */
bool chat_openai_cancel(struct chat_run *r);

#endif
