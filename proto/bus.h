/* The bus's frames: [ "FN01" ] [ command ] [ header ] [ payload ] (proto/PROTOCOL.md). Constants, headers and blobs; the
 * sockets themselves are in zsock.c. */
#ifndef PROTO_BUS_H
#define PROTO_BUS_H

#include "proto/msg.h"

#define BUS_MAGIC "FN01"
#define BUS_HEAD_MAX 1024
#define BUS_FRAMES_MAX 8
#define BUS_MSG_MAX 67200000   /* largest payload kind and a little */
#define BUS_OBJECTS_MAX 400000 /* msgpack values in one message */

#define BUS_HEARTBEAT_MS 1000
#define BUS_PROBE_MS 250       /* hub → workers that hold work */
#define BUS_EXPIRE_MS 3000     /* a worker that was silent for so long is dead */
#define BUS_HUB_SILENT_MS 5000 /* a hub that was silent for so long is left */
#define BUS_QUEUE_MS 2000      /* longest wait in a hub's queue */
#define BUS_MARGIN_MS 5        /* the receiver's deadline is this much earlier */
#define BUS_LEAST_MS 20        /* less time than this is not worth a hop */

enum bus_cmd {
    CMD_READY = 1,
    CMD_REQUEST,
    CMD_PARTIAL,
    CMD_FINAL,
    CMD_HEARTBEAT,
    CMD_DISCONNECT,
    CMD_CANCEL,
    CMD_DRAIN,
    CMD_NACK,
    CMD_CREDIT,
    CMD_COUNT
};
extern const char *const cmd_names[CMD_COUNT + 1]; /* by number; NULL-terminated */

#define MSG_TBL "proto/head.tbl"
#include "proto/msg_decl.h"

/* Bytes shared by reference: a payload that is queued, sent, perhaps sent again. The count is atomic. */
struct blob {
    _Atomic int refs;
    const char *p;                   /* bytes */
    size_t n;                        /* length */
    void (*release)(struct blob *b); /* frees it; set by who made it */
};
struct blob *blob_of_buf(struct buf *b); /* takes the buffer's memory; b is empty afterwards */
struct blob *blob_hold(struct blob *b);  /* NULL is fine */
void blob_drop(struct blob **b);         /* NULL is fine */
static inline struct str
blob_slice(const struct blob *b)
{
    return b ? (struct str){ b->p, b->n } : STR("");
}

/* Size the header of cmd must decode to; NULL for an unknown command. */
const struct msg_desc *bus_head_desc(int cmd);

#endif
