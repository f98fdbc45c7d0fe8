/* The hosts of DATABASE_URL and their addresses, looked up without the loop waiting for a name server. libpq
 * alone would ask it inside PQconnectPoll, and the whole store would stand still meanwhile. */
#ifndef STORE_POOL_HOSTS_H
#define STORE_POOL_HOSTS_H

#include "common/mem.h"

struct hosts;

/* The host= and port= of a conninfo, lists separated by commas. Owned by the caller; looks nothing up. */
struct hosts *hosts_new(const char *host, const char *port);
void hosts_free(struct hosts **h);
size_t hosts_count(const struct hosts *h);
void hosts_ask(struct hosts *h);         /* begin to look up; what is under way goes on */
bool hosts_ready(const struct hosts *h); /* nothing is being looked up */
/* Lists of the same length for libpq, an entry for every address, beginning with the one whose turn it is. Addresses that were
 * good before stand in for those that cannot be had now. False: none is known. *turn is for hosts_next. */
bool hosts_write(const struct hosts *h, struct buf *host, struct buf *hostaddr, struct buf *port,
                 unsigned *turn);
void hosts_next(struct hosts *h,
                unsigned turn); /* the first of that turn is of no use: begin with the next one */

#endif
