/* The number of connections of each address: counted in a table, so that a flood costs each accept
 * the same. Not locked. */
#ifndef GATEWAY_EDGE_CONN_ADDR_H
#define GATEWAY_EDGE_CONN_ADDR_H

#include <stddef.h>
#include <stdint.h>

struct addr_table;
struct addr_entry {
    uint32_t ip;             /* network order */
    long n;                  /* its connections */
    struct addr_entry *next; /* in its chain, or in the list of the free */
};

/* Room for that many addresses at once; an address lives here while it has a connection. */
struct addr_table *addr_table_new(size_t max);
void addr_table_free(struct addr_table **t);
/* One connection more, or fewer. NULL: the table is full. */
struct addr_entry *addr_enter(struct addr_table *t, uint32_t ip);
void addr_leave(struct addr_table *t, struct addr_entry *e);
long addr_count(const struct addr_table *t, uint32_t ip);

#endif
