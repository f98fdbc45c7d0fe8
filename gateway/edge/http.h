/* The HTTP server (http.c): connections in, requests out to the handlers that it was given, bytes back. */
#ifndef GATEWAY_EDGE_HTTP_H
#define GATEWAY_EDGE_HTTP_H

#include <stdatomic.h>

#include "common/mem.h"
#include "gateway/edge/check.h"

/* A limit and what is left of it. One policy allows q requests at once and q in each w seconds. */
struct policy {
    const char *name; /* session, key, hour, address */
    long q, w;        /* requests, seconds */
    bool limited;     /* results */
    long remaining;
    int64_t retry_ms, reset_ms; /* until one is allowed; until the bucket is full again */
};

#define LIMIT_POLICIES 4
struct limit_state { /* values of the answer's RateLimit headers */
    struct policy p[LIMIT_POLICIES];
    size_t n;
    int violated; /* index of the policy that refused, or -1 */
};

/* The private side of a request: its connection. */
struct http_conn {
    void *mg;                    /* civetweb's connection; only http.c looks inside */
    int fd;                      /* -1 when unknown */
    struct head head;            /* request line and headers */
    struct frame frame;          /* how long the body is, as checked */
    bool close;                  /* the connection ends with this answer */
    bool body_done;              /* nothing of the body is left unread */
    bool sent;                   /* an answer has begun */
    bool stream, chunked_out;    /* event stream; with chunked coding */
    bool stream_ended, told_cut; /* its end was written; its client knows of the drain */
    bool working;                /* counted in gw->working */
    atomic_long *busy;           /* where it is counted as being worked on, or NULL */
    bool counted_key;            /* has a slot of its key's concurrency */
    struct buf body;             /* owned body bytes */
    size_t body_charged;         /* added to gw->body_bytes */
    uint64_t sent_bytes;
    int64_t retry_after_ms; /* 0: none */
    const char *origin;     /* Origin that may read the answer, or NULL */
    char trace_parent[56];  /* for the answer */
    struct limit_state limits;
};

struct http_handlers { /* run on a thread of the server */
    void (*serve)(void *ctx, struct http_conn *c,
                  const char *peer); /* one request, until it is answered; peer: its address */
    void (*refused)(void *ctx, struct http_conn *c,
                    int status); /* the server cannot read it: c has what is known; answer it */
    void *ctx;
};
struct http_config {
    const char *host; /* IPv4 address */
    long port, threads;
    struct http_handlers to;
};

struct http;
struct http *http_start(const struct http_config *cfg);        /* NULL after logging why */
void http_stop(struct http **h);                               /* cuts what is in flight: drain first */
bool http_write(struct http_conn *c, const void *p, size_t n); /* false: the client has gone */
long http_read(struct http_conn *c, void *p, size_t n);        /* 0: end, -1: error or cut */
void http_close_after(struct http_conn *c);

#endif
