/* The strict check of a request's head (check.c). Pure: no sockets, no clocks. */
#ifndef GATEWAY_EDGE_CHECK_H
#define GATEWAY_EDGE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/err.h"

enum method {
    METHOD_GET,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_PATCH,
    METHOD_HEAD,
    METHOD_OPTIONS,
    METHOD_OTHER
};

#define HEAD_MAX 64

/* Facts that the raw bytes showed and a parsed header list no longer does. */
enum head_fault { HEAD_CLEAN, HEAD_LINE_END, HEAD_SPACE_COLON, HEAD_SPACES, HEAD_HIDDEN, HEAD_LEADING };

struct head {
    const char *method, *target; /* as sent; target without its query */
    const char *query;           /* after '?', or NULL */
    const char *version;         /* "1.1" */
    struct {
        const char *name, *value;
    } h[HEAD_MAX];
    int n;
    enum head_fault fault;
};

struct frame {
    int64_t length; /* Content-Length; 0 when there is no body; -1: chunked */
    bool chunked;
    bool expect; /* Expect: 100-continue */
    bool old;    /* HTTP/1.0 */
    bool keep;   /* the client allows another request on this connection */
};

/* RFC 9112 without its leniency: ERR_OK, or ERR_BAD_REQUEST, ERR_HEADERS_LARGE, ERR_TRANSFER_CODING with *why. After a
 * failure nothing may be read from this connection any more. */
enum err edge_check(const struct head *h, struct frame *out, const char **why);
const char *head_get(const struct head *h, const char *name); /* first value, or NULL */
enum method method_of(const char *name);
extern const char *const method_names[]; /* by enum method */

#endif
