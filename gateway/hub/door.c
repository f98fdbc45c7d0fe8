/* The door of the bus (door.h). libzmq closes a connection whose handshake fails: the client is silent for
 * HANDSHAKE_IVL or leaves, speaks no ZMTP or another mechanism than CURVE, or has a key that the ZAP handler does not
 * know. None of these ever becomes a message; the monitor of the ROUTER is the only place where they are
 * seen. A client that was accepted, and neither let in nor counted otherwise, spoke another protocol.
 * HANDSHAKE_FAILED_PROTOCOL is not listened to on purpose: libzmq 4.3.4 sends that event between setting
 * errno and reading it, so a changed byte within a CURVE message, which must end the connection, then stalls
 * it and later aborts the process. The monitor is czmq's: its actor passes events on by name. Its queue is
 * bounded, and libzmq's I/O thread waits when it is full: the hub thread empties it every turn. */
#include "gateway/hub/door.h"

#include "common/log.h"
#include "gateway/hub/stat.h"
#include "proto/zsock.h"

const char *const door_names[] = { "accepted", "let_in", "unfinished", "key", NULL };
static const char *const events[] = { "ACCEPTED", "HANDSHAKE_SUCCEEDED", "HANDSHAKE_FAILED_NO_DETAIL",
                                      "HANDSHAKE_FAILED_AUTH" };

zactor_t *
door_open(void *router)
{
    zactor_t *door = zactor_new(zmonitor, router);

    if (!door) {
        LOG(WARN, NULL, M("refused connections of the bus are not counted"),
            KS("why", zmq_strerror(zmq_errno())));
        return NULL;
    }
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        zstr_sendx(door, "LISTEN", events[i], NULL);
    zstr_send(door, "START");
    zsock_wait(door);
    return door;
}

static void
count_event(struct str event)
{
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (str_is(event, events[i]))
            stat_add_at(&hub_stats, HUB_DOOR, i, 0, 1);
}

void
door_count(zactor_t *door)
{
    struct zframes f;

    while (door && bus_recv(zsock_resolve(door), &f) > 0) {
        if (f.n)
            count_event((struct str){ zmq_msg_data(&f.m[0]), zmq_msg_size(&f.m[0]) });
        zframes_drop(&f);
    }
}

void
door_close(zactor_t **door)
{
    zactor_destroy(door);
}
