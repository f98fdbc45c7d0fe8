/* Requests that wait for a worker of one service. First come, first served within a tenant, tenants in turn.
 * Requests that end begun work go before those that begin new work: an answer that was paid for is saved
 * while more comes than the workers take. */
#ifndef GATEWAY_HUB_QUEUE_H
#define GATEWAY_HUB_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hub_request;
struct tenant_queue;

struct line {
    struct tenant_queue *last; /* ring of tenants that wait; last->next is served next. NULL: empty */
    size_t n;
};

enum { LINE_ENDS, LINE_BEGINS, LINE_COUNT };
struct queue {
    struct line line[LINE_COUNT];
};

void queue_put(struct queue *q, struct hub_request *r, bool front);
void queue_remove(struct queue *q, struct hub_request *r); /* it waits there */
struct hub_request *queue_first(const struct queue *q);    /* NULL: none waits */
void queue_take(struct queue *q);                          /* that one; the turn goes to the next tenant */
size_t queue_length(const struct queue *q);
size_t queue_beside(struct queue *q, const struct hub_request *r); /* how many wait in its line */
int64_t queue_since(const struct queue *q); /* when the longest waiting came; INT64_MAX: none waits */

#endif
