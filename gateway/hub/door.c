/* The door of the bus (door.h). libzmq closes a connection whose handshake fails: the client is silent for
 * HANDSHAKE_IVL or leaves, speaks no ZMTP or another mechanism than CURVE, or has a key that the ZAP handler does not
 * know. None of these ever becomes a message; the monitor of the ROUTER is the only place where they are seen. What was
 * accepted and neither let in nor counted otherwise spoke another protocol.
 * HANDSHAKE_FAILED_PROTOCOL is not listened to on purpose: libzmq 4.3.4 sends that event between setting errno and reading
 * it, so a changed byte within a CURVE message, which must end the connection, then stalls it and later aborts the process.
 * The monitor's queue is bounded, and libzmq's I/O thread waits for us when it is full: the hub thread empties it every turn. */
#include "gateway/hub/door.h"

#include <string.h>

#include "common/log.h"
#include "gateway/hub/stat.h"
#include "proto/zsock.h"

#define ADDRESS "inproc://bus-door"
#define QUEUE_MAX 10000

const char *const door_names[] = { "accepted", "let_in", "unfinished", "key", NULL };
static const int events[] = { ZMQ_EVENT_ACCEPTED, ZMQ_EVENT_HANDSHAKE_SUCCEEDED, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL,
                              ZMQ_EVENT_HANDSHAKE_FAILED_AUTH };

void *
door_open(void *router)
{
    void *door = zmq_socket(zsock_context(), ZMQ_PAIR);
    int most = QUEUE_MAX, linger = 0, all = 0;

    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        all |= events[i];
    if (door && zmq_setsockopt(door, ZMQ_RCVHWM, &most, sizeof most) == 0
        && zmq_setsockopt(door, ZMQ_LINGER, &linger, sizeof linger) == 0
        && zmq_socket_monitor(router, ADDRESS, all) == 0 && zmq_connect(door, ADDRESS) == 0)
        return door;
    LOG(WARN, NULL, M("refused connections of the bus are not counted"), KS("why", zmq_strerror(zmq_errno())));
    door_close(&door, router);
    return NULL;
}

static void
count_event(uint16_t event)
{
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (events[i] == event)
            stat_add_at(&hub_stats, HUB_DOOR, i, 0, 1);
}

void
door_count(void *door)
{
    struct zframes f;

    while (door && zsock_recv(door, &f) > 0) {
        uint16_t event = 0;

        if (f.n && zmq_msg_size(&f.m[0]) >= sizeof event) {
            memcpy(&event, zmq_msg_data(&f.m[0]), sizeof event);
            count_event(event);
        }
        zframes_drop(&f);
    }
}

void
door_close(void **door, void *router)
{
    if (!*door)
        return;
    zmq_socket_monitor(router, NULL, 0);
    zmq_close(*door);
    *door = NULL;
}
