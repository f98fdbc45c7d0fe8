/* The heap (heap.h): the node at place i is due before those at 2i and 2i + 1; places count from 1, the array from 0. */
#include "common/heap.h"

#include "common/mem.h"

static int
before(const struct heap_node *a, const struct heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->order < b->order;
}

static void
place(struct heap *h, size_t at, struct heap_node *x)
{
    h->v[at - 1] = x;
    x->at = at;
}

static void
sift_up(struct heap *h, size_t at, struct heap_node *x)
{
    for (; at > 1 && before(x, h->v[at / 2 - 1]); at /= 2)
        place(h, at, h->v[at / 2 - 1]);
    place(h, at, x);
}

static void
sift_down(struct heap *h, size_t at, struct heap_node *x)
{
    for (size_t kid; (kid = at * 2) <= h->n; at = kid) {
        if (kid < h->n && before(h->v[kid], h->v[kid - 1]))
            kid++;
        if (!before(h->v[kid - 1], x))
            break;
        place(h, at, h->v[kid - 1]);
    }
    place(h, at, x);
}

void
heap_drop(struct heap *h, struct heap_node *x)
{
    size_t at = x->at;
    struct heap_node *last;

    if (at == 0)
        return;
    last = h->v[--h->n];
    x->at = 0;
    if (last == x)
        return;
    if (at > 1 && before(last, h->v[at / 2 - 1]))
        sift_up(h, at, last);
    else
        sift_down(h, at, last);
}

void
heap_put(struct heap *h, struct heap_node *x, int64_t key)
{
    heap_drop(h, x);
    if (h->n == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 32;
        h->v = mem_resize(h->v, h->cap * sizeof *h->v);
    }
    x->key = key;
    x->order = h->order++;
    sift_up(h, ++h->n, x);
}

void
heap_fini(struct heap *h)
{
    mem_free(&h->v);
    *h = (struct heap){ .n = 0 };
}
