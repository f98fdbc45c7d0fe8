/* The door of the bus (hub_door.h). libzmq closes a connection whose handshake fails: the client is silent for
 * HANDSHAKE_IVL or leaves, speaks no ZMTP or another mechanism than CURVE, or has a key that the ZAP handler does not
 * know. None of these ever becomes a message; the monitor of the ROUTER is the only place where they are seen.
 * The monitor's queue is bounded, and libzmq's I/O thread waits for us when it is full: the hub thread empties it every turn. */
#include "gateway/hub_door.h"

#include <string.h>

#include "common/log.h"
#include "gateway/hub_stat.h"
#include "proto/zsock.h"

#define ADDRESS "inproc://bus-door"
#define QUEUE_MAX 10000
#define REFUSALS (ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)

const char *const refusal_names[] = { "unfinished", "protocol", "key", NULL };
enum refusal { REFUSED_UNFINISHED, REFUSED_PROTOCOL, REFUSED_KEY };

void *
door_open(void *router)
{
    void *door = zmq_socket(zsock_context(), ZMQ_PAIR);
    int most = QUEUE_MAX, linger = 0;

    if (door && zmq_setsockopt(door, ZMQ_RCVHWM, &most, sizeof most) == 0
        && zmq_setsockopt(door, ZMQ_LINGER, &linger, sizeof linger) == 0
        && zmq_socket_monitor(router, ADDRESS, REFUSALS) == 0 && zmq_connect(door, ADDRESS) == 0)
        return door;
    LOG(WARN, NULL, M("refused connections of the bus are not counted"), KS("why", zmq_strerror(zmq_errno())));
    door_close(&door, router);
    return NULL;
}

static void
count_event(uint16_t event)
{
    static struct log_gate gate;
    enum refusal why = event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH       ? REFUSED_KEY
                       : event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL ? REFUSED_PROTOCOL
                                                                      : REFUSED_UNFINISHED;

    stat_add_at(&hub_stats, HUB_REFUSED, why, 0, 1);
    if (log_gate(&gate))
        LOG(WARN, NULL, M("a connection to the bus was refused"), KS("why", refusal_names[why]));
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
