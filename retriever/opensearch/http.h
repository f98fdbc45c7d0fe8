/* Calls of an OpenSearch cluster: HTTP with JSON, one after another on each connection, any number of connections beside each other.
 * Blocks; belongs to threads that may wait. */
#ifndef RETRIEVER_OPENSEARCH_HTTP_H
#define RETRIEVER_OPENSEARCH_HTTP_H

#include <jansson.h>

#include "retriever/retriever.h"

struct cluster;      /* its nodes, each with a breaker; thread-safe */
struct cluster_conn; /* one thread's; keeps its connections to the nodes open */

/* Appends what is wrong with the options, a line each. */
void cluster_check(const struct retriever_opt *o, struct buf *err);
struct cluster *cluster_new(const struct retriever_opt *o);
void cluster_free(struct cluster **c);
size_t cluster_nodes_down(struct cluster *c); /* that are not asked at present */
size_t cluster_nodes(const struct cluster *c);

struct cluster_conn *cluster_conn_new(struct cluster *c);
void cluster_conn_free(struct cluster_conn **x);

struct cluster_call {
    const char *method;       /* "GET" … */
    const char *path;         /* "/index/_search" */
    struct str body;          /* JSON, or lines of it; absent: none */
    int64_t deadline_ms;      /* clock_ms(); OPENSEARCH_TIMEOUT holds besides */
    const atomic_bool *ended; /* nobody waits any more; NULL: somebody does */
};
/* Every call can be repeated without harm: a node that took one and fell silent leaves it to another one.
 * ERR_OK: the cluster answered, with whatever status: *status, and *out, which the caller frees (NULL: the body is no
 * JSON). ERR_NO_WORKER: no node did. ERR_DEADLINE, ERR_CANCELLED. */
enum err cluster_ask(struct cluster_conn *x, const struct cluster_call *call, long *status, json_t **out);

#endif
