/* Binary heap of things that are due: the smallest key first, of equal ones the one that was put first. Each of them holds a
 * node, and is found again, moved and taken out by it. Not thread-safe. */
#ifndef COMMON_HEAP_H
#define COMMON_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_node { /* all zero: not in a heap */
    int64_t key;
    uint64_t order; /* counted up by the heap with each put */
    size_t at;      /* place in the heap, from 1; 0: not in it */
};

struct heap {             /* all zero: empty */
    struct heap_node **v; /* borrowed */
    size_t n, cap;
    uint64_t order; /* of the next put */
};

void heap_put(struct heap *h, struct heap_node *x, int64_t key); /* or move, when it is in it */
void heap_drop(struct heap *h, struct heap_node *x);             /* nothing, when it is not */
void heap_fini(struct heap *h);                                  /* its own memory */
static inline struct heap_node *
heap_first(const struct heap *h) /* NULL: empty */
{
    return h->n ? h->v[0] : NULL;
}

#endif
