/* ZeroMQ sockets of the bus: whole messages in and out. Only the bus's own files include this header.
 * Worker side (DEALER): [magic][cmd][head][payload?]. Hub side (ROUTER): the peer's routing id in front.
 *
 * Each command has its exact number of frames: REQUEST, PARTIAL and FINAL four (a FINAL that failed: an empty payload), all
 * others three. CURVE seals what is in a frame and that more follow, but libzmq (4.3.4 and 4.3.5 with libsodium:
 * curve_encoding_t::decode sets flags on the message that the decoder had made) also believes the flags outside the seal: a bit
 * changed there makes a frame a command of libzmq's own, which it drops without a word. With a number that could be three
 * or four, a request whose header was gone passed for one without a payload, and its payload for a header. */
#ifndef PROTO_ZSOCK_H
#define PROTO_ZSOCK_H

#include <zmq.h>

#include "proto/bus.h"

struct zframes {
    zmq_msg_t m[BUS_FRAMES_MAX + 1]; /* frames as received; the first is the routing id on a ROUTER */
    size_t n;                        /* how many are held */
    bool over;                       /* there were more, dropped */
};

/* A checked message: borrowed from its zframes. */
struct zmessage {
    int cmd;            /* known command */
    struct str head;    /* msgpack, not yet decoded */
    zmq_msg_t *payload; /* NULL: the command has none */
};

void *bus_context(void); /* one per process, made at first use, unless another was given before */
void bus_context_use(void *made, void (*end)(void)); /* that one; end it by end */
void bus_context_end(void);
/* Options every bus socket has: linger, limits, heartbeats (proto/PROTOCOL.md, liveness). */
void bus_options(void *s);
/* The descriptor that becomes readable when there may be a message. It tells of what comes, not of what is there: it is to be believed only after
 * bus_recv has found none, and no longer after the next bus_send. */
int bus_fd(void *s);
/* Receive one message without waiting: 1 got it, 0 none, -1 error. Release with zframes_drop. */
int bus_recv(void *s, struct zframes *f);
void zframes_drop(struct zframes *f);
/* A PAIR that says which of these events (ZMQ_EVENT_...) happen to a socket. Before the socket connects; NULL: it failed. */
void *bus_monitor(void *s, int events);
/* The next event of a monitor without waiting; 0: none. */
int bus_event(void *monitor);
/* Check the command's frame count, magic, command and header size. skip: 1 on a ROUTER, 0 on a DEALER. */
bool zframes_check(struct zframes *f, size_t skip, struct zmessage *out);
/* Take a frame's bytes as a blob without copying. */
struct blob *zframe_blob(zmq_msg_t *m);
/* Send without waiting; peer absent on a DEALER. 0, or an errno (EAGAIN, EHOSTUNREACH). */
int bus_send(void *s, struct str peer, int cmd, struct str head, struct blob *payload);
/* Encode a header of cmd into out (reset first). The tables bound every field, so only our own faults fail. */
void bus_head_encode(int cmd, const void *head, struct buf *out);

#endif
