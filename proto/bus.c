/* Frames of the bus: blobs and the table of headers. */
#include "proto/bus.h"

#include <stdatomic.h>

const char *const cmd_names[CMD_COUNT + 1] = { "invalid", "ready",     "request",    "partial",
                                               "final",   "heartbeat", "disconnect", "cancel",
                                               "drain",   "nack",      "credit",     NULL };

static void
release_mem(struct blob *b)
{
    void *p = (void *)(uintptr_t)b->p;

    mem_free(&p);
    mem_free(&b);
}

struct blob *
blob_of_buf(struct buf *b)
{
    struct blob *o = mem_new(sizeof *o);

    atomic_init(&o->refs, 1);
    o->p = b->p;
    o->n = b->n;
    o->release = release_mem;
    *b = (struct buf){ .max = b->max };
    return o;
}

struct blob *
blob_hold(struct blob *b)
{
    if (b)
        atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

void
blob_drop(struct blob **b)
{
    struct blob *o = *b;

    *b = NULL;
    if (o && atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) == 1)
        o->release(o);
}

const struct msg_desc *
bus_head_desc(int cmd)
{
    static const struct msg_desc *(*const descs[CMD_COUNT])(void) = {
        [CMD_READY] = head_ready_desc,         [CMD_REQUEST] = head_request_desc,
        [CMD_PARTIAL] = head_part_desc,        [CMD_FINAL] = head_final_desc,
        [CMD_HEARTBEAT] = head_heartbeat_desc, [CMD_DISCONNECT] = head_disconnect_desc,
        [CMD_CANCEL] = head_cancel_desc,       [CMD_DRAIN] = head_drain_desc,
        [CMD_NACK] = head_nack_desc,           [CMD_CREDIT] = head_credit_desc,
    };

    return cmd > 0 && cmd < CMD_COUNT ? descs[cmd]() : NULL;
}
