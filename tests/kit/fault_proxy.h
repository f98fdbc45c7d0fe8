/* Shared by the two halves of fault-proxy: fault_proxy.c (maps, commands, the loop) and fault_link.c
 * (connections and what happens to their bytes). */
#ifndef TESTS_KIT_FAULT_PROXY_H
#define TESTS_KIT_FAULT_PROXY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINKS_MAX 2048

enum { UP, DOWN };

struct faults {
    long latency_ms, bandwidth, cut; /* cut: bytes still to come, -1 none */
    bool hang, refuse, drop[2];
    double flip;
    long flip_at; /* offset, -1 any */
};

struct map {
    char name[32];
    int fd;
    struct sockaddr_in target;
    struct faults f;
    long accepted, resets, refused, bytes[2], dropped[2], flipped;
};

struct chunk {
    double due;
    size_t n, at;
    struct chunk *next;
    char data[];
};

struct pipe { /* one direction of a link */
    struct chunk *head, *tail;
    size_t held;
    long passed, left;     /* bytes read so far; until the cut, -1 none */
    double budget, filled; /* bytes that may go now; when that was reckoned */
    bool ended, closed;    /* its source said the last; told to its target */
};

struct end { /* what epoll knows: one socket of a link */
    struct link *link;
    int fd, side; /* side UP: the client's socket, read for UP, written for DOWN */
    uint32_t watched;
};

struct link {
    struct map *map;
    struct end end[2];
    struct pipe pipe[2];
    bool connected, dead;
};

extern struct link *links[LINKS_MAX];
extern int n_links, poller;
extern uint64_t rng_state;

double now_ms(void);
/* Says what failed and ends the program. */
void fail(const char *what);
/* epoll_ctl; `what` is what the event will carry. */
void watch(int fd, uint32_t events, void *what, int how);

/* Takes a connection that waits at the map's port, and connects to its target. */
void link_open(struct map *m);
void link_kill(struct link *l, bool reset);
/* Frees those that were killed. */
void links_sweep(void);
/* An event of one of its two sockets. */
void on_end(struct end *e, uint32_t events);
/* Writes what is due. */
void give(struct link *l, int d, double now);
/* Tells epoll what each end waits for now. True when the link needs to be looked at again by time. */
bool link_watch(struct link *l);

#endif
