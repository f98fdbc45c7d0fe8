/* Pure parts of the edge: strict request check, paths, routes, origins, addresses, the limiter's arithmetic.
 * No sockets, no clocks: everything here is tested with plain values. */
#ifndef GATEWAY_EDGE_H
#define GATEWAY_EDGE_H

#include "gateway/request/request.h"

#define HEAD_MAX 64

/* What the raw bytes showed that a parsed header list no longer does. */
enum head_fault { HEAD_CLEAN, HEAD_LINE_END, HEAD_SPACE_COLON, HEAD_SPACES, HEAD_HIDDEN, HEAD_LEADING };

struct head {
    const char *method, *target;  /* as sent; target without its query */
    const char *query;            /* after '?', or NULL */
    const char *version;          /* "1.1" */
    struct {
        const char *name, *value;
    } h[HEAD_MAX];
    int n;
    enum head_fault fault;
};

struct frame {
    int64_t length;               /* Content-Length; 0 when there is no body; -1: chunked */
    bool chunked;
    bool expect;                  /* Expect: 100-continue */
    bool old;                     /* HTTP/1.0 */
    bool keep;                    /* the client allows another request on this connection */
};

/* RFC 9112 without its leniency: ERR_OK, or ERR_BAD_REQUEST, ERR_HEADERS_LARGE, ERR_TRANSFER_CODING with *why. After a
 * failure nothing may be read from this connection any more. */
enum err edge_check(const struct head *h, struct frame *out, const char **why);
const char *head_get(const struct head *h, const char *name);  /* first value, or NULL */
enum method method_of(const char *name);
extern const char *const method_names[];                       /* by enum method */

/* path.c. Decode percent signs; refuses %00 %2F %5C, backslashes, controls, "..", "//", bad UTF-8. out ≥ strlen+1. */
bool path_decode(const char *raw, char *out);
/* One query parameter, decoded into out (≥ strlen(query)+1): 1 found, 0 absent, -1 malformed. */
int query_get(const char *query, const char *name, char *out);
bool query_valid(const char *query);
/* Strict traceparent (W3C Trace Context, version 00, and what a later one has in common with it). */
bool traceparent_valid(const char *s);
bool request_id_valid(const char *s);                          /* [A-Za-z0-9._-]{1,128} */

/* router.c */
enum { ADMITS = 1, STREAMS = 2, IDEMPOTENT = 4, MINTS = 8, AUDITED = 16 };
#define BODY_CHAT 262144u
#define BODY_UPLOAD SIZE_MAX      /* MAX_UPLOAD_BYTES */
struct route {
    const char *name;             /* "POST /api/v1/chat/query": label of logs and metrics */
    const char *path;
    enum method method;
    enum who who;
    size_t body;                  /* limit in bytes; 0: no body; BODY_UPLOAD */
    unsigned flags;
    void (*handler)(struct request *r);
};
extern const struct route routes[];
extern const size_t route_count;
extern const char *const route_labels[];                       /* by row, then "none", NULL */
/* The route of a method and decoded path; NULL: none. *known: some route has that path; allow ("" when unknown) gets
 * the methods, for 405 and OPTIONS. arg: what {…} matched. */
const struct route *router_find(enum method m, struct str path, struct str *arg, bool *known, char allow[64]);

/* origin.c: lists of exact origins, hosts, address blocks. */
struct origins { char **v; size_t n; };
bool origins_parse(struct origins *o, const char *list);       /* comma separated; false: one is not an origin */
void origins_free(struct origins *o);
bool origins_have(const struct origins *o, const char *origin);
bool origin_valid(struct str s);                               /* scheme://host[:port], no path, not "null" */
bool host_loopback(const char *host);                          /* of a Host header: localhost, 127.…, [::1] */
bool host_of_url(const char *host, const char *url);           /* Host header equals the URL's authority */
bool origin_same(const char *origin, const char *host, const char *public_url);

struct cidr { uint8_t a[16]; unsigned bits; };                 /* IPv4 as ::ffff:a.b.c.d */
struct cidrs { struct cidr *v; size_t n; };
bool cidrs_parse(struct cidrs *c, const char *list);
void cidrs_free(struct cidrs *c);
bool cidrs_have(const struct cidrs *c, const char *addr);
/* The client's address: the socket's, or from the right of X-Forwarded-For while those are trusted. IPv6: its /64. */
void client_addr(const char *peer, const char *forwarded, const struct cidrs *trusted, char out[64]);

/* limit.c: GCRA. One policy allows q requests at once and q in each w seconds. */
struct policy {
    const char *name;             /* session, key, hour, address */
    long q, w;                    /* requests, seconds */
    bool limited;                 /* results */
    long remaining;
    int64_t retry_ms, reset_ms;   /* until one is allowed; until the bucket is full again */
};
/* The time that one request takes of a bucket, and how much a bucket holds, µs. */
int64_t gcra_step(const struct policy *p, long scale, int64_t *tau_us);
/* tat: theoretical arrival time, µs (0: none yet). true: allowed, *tat moved on when charge. */
bool gcra(int64_t *tat_us, int64_t now_us, long scale, bool charge, struct policy *p);

#endif
