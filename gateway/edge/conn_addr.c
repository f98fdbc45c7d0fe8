/* Connections by address: chains in a table twice as large as the number of connections there can be. The place of an
 * address depends on a secret of this process, so that nobody can choose addresses that share a chain. */
#include "gateway/edge/conn_addr.h"

#include "common/random.h"
#include "common/text/text.h"
#include "common/mem.h"

struct addr_table {
    struct addr_entry **chain;
    struct addr_entry *pool, *idle; /* all entries; those that had an address before */
    size_t mask, used, max;         /* of the pool: ever used, all */
    uint64_t secret;
};

struct addr_table *
addr_table_new(size_t max)
{
    struct addr_table *t = mem_new(sizeof *t);
    size_t n = 16;

    while (n < max * 2)
        n *= 2;
    t->mask = n - 1;
    t->chain = mem_new(n * sizeof(struct addr_entry *));
    t->pool = mem_new((max ? max : 1) * sizeof *t->pool);
    t->max = max;
    random_bytes(&t->secret, sizeof t->secret);
    t->secret |= 1;
    return t;
}

void
addr_table_free(struct addr_table **t)
{
    if (!*t)
        return;
    mem_free(&(*t)->chain);
    mem_free(&(*t)->pool);
    mem_free(t);
}

static struct addr_entry **
chain_of(const struct addr_table *t, uint32_t ip)
{
    return &t->chain[(((uint64_t)ip + 1) * t->secret >> 32) & t->mask];
}

static struct addr_entry *
find(const struct addr_table *t, uint32_t ip)
{
    struct addr_entry *e = *chain_of(t, ip);

    while (e && e->ip != ip)
        e = e->next;
    return e;
}

static struct addr_entry *
take(struct addr_table *t)
{
    struct addr_entry *e = t->idle;

    if (e)
        t->idle = e->next;
    else if (t->used < t->max)
        e = &t->pool[t->used++];
    return e;
}

struct addr_entry *
addr_enter(struct addr_table *t, uint32_t ip)
{
    struct addr_entry *e = find(t, ip), **chain = chain_of(t, ip);

    if (!e && (e = take(t)) != NULL) {
        *e = (struct addr_entry){ ip, 0, *chain };
        *chain = e;
    }
    if (e)
        e->n++;
    return e;
}

void
addr_leave(struct addr_table *t, struct addr_entry *e)
{
    struct addr_entry **p = chain_of(t, e->ip);

    if (--e->n > 0)
        return;
    while (*p != e)
        p = &(*p)->next;
    *p = e->next;
    e->next = t->idle;
    t->idle = e;
}

long
addr_count(const struct addr_table *t, uint32_t ip)
{
    const struct addr_entry *e = find(t, ip);

    return e ? e->n : 0;
}
