/* The hub's queues (queue.h): for each service two lines, each a ring of tenants. */
#include "gateway/hub/queue.h"

#include <stdio.h>

#include "gateway/hub/state.h"

struct tenant_queue {
    char tenant[65];
    struct hub_request *head, **tail;
    struct tenant_queue *next;
};

/* Questions that were begun are saved and their citations made before others are begun. */
static struct line *
line_of(struct queue *q, const struct hub_request *r)
{
    bool ends = r->kind == KIND_TURN_FINISH || r->kind == KIND_IDEM_FINISH || r->kind == KIND_CITE;

    return &q->line[ends ? LINE_ENDS : LINE_BEGINS];
}

static struct tenant_queue *
tenant_find(const struct line *l, const char *tenant)
{
    struct tenant_queue *t = l->last;

    if (!t)
        return NULL;
    do {
        if (strcmp(t->tenant, tenant) == 0)
            return t;
        t = t->next;
    } while (t != l->last);
    return NULL;
}

static struct tenant_queue *
tenant_add(struct line *l, const char *tenant)
{
    struct tenant_queue *t = mem_new(sizeof *t);

    snprintf(t->tenant, sizeof t->tenant, "%s", tenant);
    t->tail = &t->head;
    t->next = l->last ? l->last->next : t;
    if (l->last)
        l->last->next = t;
    l->last = t;
    return t;
}

static void
tenant_drop(struct line *l, struct tenant_queue *before)
{
    struct tenant_queue *t = before->next;

    before->next = t->next;
    if (l->last == t)
        l->last = t == before ? NULL : before;
    mem_free(&t);
}

void
queue_put(struct queue *q, struct hub_request *r, bool front)
{
    struct line *l = line_of(q, r);
    struct tenant_queue *t = tenant_find(l, r->tenant);

    if (!t)
        t = tenant_add(l, r->tenant);
    if (front) {
        r->q_next = t->head;
        t->head = r;
        if (t->tail == &t->head)
            t->tail = &r->q_next;
    } else {
        r->q_next = NULL;
        *t->tail = r;
        t->tail = &r->q_next;
    }
    l->n++;
}

void
queue_remove(struct queue *q, struct hub_request *r)
{
    struct line *l = line_of(q, r);
    struct tenant_queue *before = l->last;

    while (strcmp(before->next->tenant, r->tenant) != 0)
        before = before->next;
    for (struct hub_request **p = &before->next->head; *p; p = &(*p)->q_next)
        if (*p == r) {
            *p = r->q_next;
            if (!*p)
                before->next->tail = p;
            l->n--;
            break;
        }
    if (!before->next->head)
        tenant_drop(l, before);
}

static const struct line *
line_first(const struct queue *q)
{
    const struct line *l = q->line;

    while (l < &q->line[LINE_COUNT - 1] && !l->last)
        l++;
    return l;
}

struct hub_request *
queue_first(const struct queue *q)
{
    const struct line *l = line_first(q);

    return l->last ? l->last->next->head : NULL;
}

void
queue_take(struct queue *q)
{
    struct line *l = &q->line[line_first(q) - q->line];
    struct tenant_queue *t = l->last->next;

    t->head = t->head->q_next;
    l->n--;
    if (!t->head)
        tenant_drop(l, l->last);
    else
        l->last = t;
}

size_t
queue_length(const struct queue *q)
{
    size_t n = 0;

    for (int i = 0; i < LINE_COUNT; i++)
        n += q->line[i].n;
    return n;
}

size_t
queue_beside(struct queue *q, const struct hub_request *r)
{
    return line_of(q, r)->n;
}

int64_t
queue_since(const struct queue *q)
{
    int64_t since = INT64_MAX;

    for (const struct line *l = q->line; l < &q->line[LINE_COUNT]; l++) {
        const struct tenant_queue *t = l->last;

        for (bool first = true; t && (first || t != l->last); first = false, t = t->next)
            if (t->head->queue_ms - BUS_QUEUE_MS < since)
                since = t->head->queue_ms - BUS_QUEUE_MS;
    }
    return since;
}
