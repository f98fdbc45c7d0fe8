/* The guard over client connections (conn.c): who is connected since when and in which phase. */
#ifndef GATEWAY_EDGE_CONN_H
#define GATEWAY_EDGE_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CONN_HEAD_BYTES \
    16384 /* of a request line and its headers; the server reads to a place of this size */

struct cidrs;

struct guard_config {
    long port;                          /* the public one */
    long threads;                       /* connections that can have one */
    long header_timeout, write_timeout; /* seconds */
    long min_client_rate;               /* bytes a second */
    long max_per_address;               /* connections */
    const struct cidrs *proxies;        /* those of these addresses count for nobody */
};

enum conn_phase { CONN_NONE, CONN_IDLE, CONN_HEADER, CONN_BODY, CONN_WORK, CONN_WRITE, CONN_CLOSING };

bool conn_guard_start(const struct guard_config
                          *cfg); /* before the public port listens; false after logging why */
/* Before the server stops: no new connections, and every one that waits for its next request ends, so that no thread
 * waits with it. */
void conn_guard_leave(void);
void conn_guard_stop(void);
void conn_guard_listens(void); /* the public port listens: after the server has started */

/* The public port's connections, as guard.c sees them. */
bool conn_is_public(int listener); /* is that descriptor the public port? */
bool conn_enter(int fd, uint32_t ip,
                uint16_t port); /* accepted, from that IPv4 address (network order). false: close it */
bool conn_is_ours(int fd);      /* did the public port accept it? */
bool guard_peek(int fd);        /* guard.c: is the client still there? Never waits */
void conn_received(int fd, char *p,
                   ssize_t got); /* bytes at p, which it may change: blanks for tabs in heads */
/* The server is about to close this thread's connection, whose client has that address and port. */
void conn_leave(const char *ip, uint16_t port);

/* The client connection that this thread read last, or -1. */
int conn_current(void);
/* A phase begins; limit_ms: how long it may last (0: any time). */
void conn_phase_set(int fd, enum conn_phase phase, int64_t limit_ms);
/* A write begins, which can wait for the client: returns the phase that must be set again after it. conn_wrote: so many
 * bytes of it went out. */
enum conn_phase conn_write_begin(int fd);
void conn_wrote(int fd, size_t n);
/* At most so many bytes wait for this client in the kernel; a write waits when there are more. */
void conn_buffer_limit(int fd, int bytes);
/* The place where this thread's server reads heads to: a head begins there, behind what its parser passed
 * over. NULL: unknown. */
const char *conn_head_start(void);
/* Give back the memory of that place in which nothing has come on this connection: until the next one. */
void conn_head_rest(void);
/* Bytes that have come of a head that is not whole. */
int64_t conn_head_bytes(int fd);
/* Did bytes of a head arrive that nobody has answered or cut? */
bool conn_header_pending(int fd);
/* Did the guard cut this connection for being slow? */
bool conn_was_cut(int fd);
/* Did it have to leave for others, when places were scarce? */
bool conn_was_pushed(int fd);
/* Did the guard end this connection while it was idle? A request that met it on the way is answered as the last one. */
bool conn_was_let_go(int fd);
/* Has the client closed its side for good? Never blocks. */
bool conn_gone(int fd);
/* Are nine of ten descriptors of this process in use? (The kernel gives away the lowest that is free.) */
bool conn_descriptors_scarce(void);
long conn_count(void);   /* open connections */
long conn_closing(void); /* of these: closed by the server, whose clients have not taken all */

#endif
