/* ZeroMQ sockets of the bus (zsock.h). Large payloads are sent and received by reference. */
#include "proto/zsock.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define COPY_MAX 4096 /* smaller payloads are cheaper to copy than to share */

static void *context;
static void (*context_close)(void);
static pthread_mutex_t context_lock = PTHREAD_MUTEX_INITIALIZER;

void
bus_context_use(void *made, void (*end)(void))
{
    pthread_mutex_lock(&context_lock);
    assert(!context || context == made);
    context = made;
    context_close = end;
    pthread_mutex_unlock(&context_lock);
}

void *
bus_context(void)
{
    pthread_mutex_lock(&context_lock);
    if (!context)
        context = zmq_ctx_new();
    pthread_mutex_unlock(&context_lock);
    assert(context);
    return context;
}

void
bus_context_end(void)
{
    pthread_mutex_lock(&context_lock);
    if (context && context_close)
        context_close();
    else if (context)
        zmq_ctx_term(context);
    context = NULL;
    context_close = NULL;
    pthread_mutex_unlock(&context_lock);
}

static void
set_int(void *s, int opt, int v)
{
    zmq_setsockopt(s, opt, &v, sizeof v);
}

void
bus_options(void *s)
{
    int64_t max = BUS_MSG_MAX;

    set_int(s, ZMQ_LINGER, 0);
    set_int(s, ZMQ_RCVHWM, 1000);
    set_int(s, ZMQ_SNDHWM,
            10000); /* a stream's parts while the peer stalls for 2 s must not look like a lost peer */
    set_int(s, ZMQ_HANDSHAKE_IVL, 2000);
    set_int(
        s, ZMQ_BACKLOG,
        1024); /* 100 by default: a flood of strangers would fill it, and workers come back by SYN retries */
    /* Our own heartbeats judge a peer; TCP's only free the descriptors of dead ones. ZMTP's heartbeats stay off: when a peer leaves
     * while reading from it is stopped (its queue is full), libzmq's timer writes to the engine that is already out of the poller and
     * aborts the process ("!_io_error", stream_engine_base.cpp). */
    set_int(s, ZMQ_TCP_KEEPALIVE, 1);
    set_int(s, ZMQ_TCP_KEEPALIVE_IDLE, 3);
    set_int(s, ZMQ_TCP_KEEPALIVE_INTVL, 1);
    set_int(s, ZMQ_TCP_KEEPALIVE_CNT, 5);
    set_int(s, ZMQ_TCP_MAXRT, 5000);
    zmq_setsockopt(s, ZMQ_MAXMSGSIZE, &max, sizeof max);
}

int
bus_fd(void *s)
{
    int fd = -1;
    size_t n = sizeof fd;

    zmq_getsockopt(s, ZMQ_FD, &fd, &n);
    return fd;
}

int
bus_recv(void *s, struct zframes *f)
{
    int more = 1;

    f->n = 0;
    f->over = false;
    while (more) {
        zmq_msg_t m;

        zmq_msg_init(&m);
        if (zmq_msg_recv(&m, s, ZMQ_DONTWAIT) < 0) {
            int e = errno;

            zmq_msg_close(&m);
            zframes_drop(f);
            return e == EAGAIN || e == EINTR ? 0 : -1;
        }
        more = zmq_msg_more(&m);
        if (f->n < sizeof f->m / sizeof *f->m) {
            zmq_msg_init(&f->m[f->n]);
            zmq_msg_move(&f->m[f->n++], &m);
        } else {
            f->over = true;
        }
        zmq_msg_close(&m);
    }
    return 1;
}

void
zframes_drop(struct zframes *f)
{
    for (size_t i = 0; i < f->n; i++)
        zmq_msg_close(&f->m[i]);
    f->n = 0;
}

void *
bus_monitor(void *s, int events)
{
    static atomic_ulong count;
    void *monitor = zmq_socket(bus_context(), ZMQ_PAIR);
    char address[48];

    snprintf(address, sizeof address, "inproc://monitor-%lu", atomic_fetch_add(&count, 1));
    if (monitor && zmq_socket_monitor(s, address, events) == 0 && zmq_connect(monitor, address) == 0)
        return monitor;
    if (monitor)
        zmq_close(monitor);
    return NULL;
}

int
bus_event(void *monitor)
{
    struct zframes f;
    uint16_t event = 0;

    if (bus_recv(monitor, &f) <= 0)
        return 0;
    if (f.n && zmq_msg_size(&f.m[0]) >= sizeof event)
        memcpy(&event, zmq_msg_data(&f.m[0]), sizeof event);
    zframes_drop(&f);
    return event;
}

/* These always have a fourth frame, if an empty one, and the others never: so the command tells that a frame is gone. */
static bool
has_payload(int cmd)
{
    return cmd == CMD_REQUEST || cmd == CMD_PARTIAL || cmd == CMD_FINAL;
}

bool
zframes_check(struct zframes *f, size_t skip, struct zmessage *out)
{
    zmq_msg_t *m = f->m + skip;
    const uint8_t *cmd;

    if (f->over || f->n < skip + 3 || f->n > skip + 4)
        return false;
    if (zmq_msg_size(&m[0]) != 4 || memcmp(zmq_msg_data(&m[0]), BUS_MAGIC, 4) != 0 ||
        zmq_msg_size(&m[1]) != 1)
        return false;
    cmd = zmq_msg_data(&m[1]);
    out->cmd = *cmd;
    out->head = (struct str){ zmq_msg_data(&m[2]), zmq_msg_size(&m[2]) };
    out->payload = f->n == skip + 4 ? &m[3] : NULL;
    if (out->cmd < CMD_COUNT && has_payload(out->cmd) != (out->payload != NULL))
        return false;
    return out->cmd > 0 && out->head.n <= BUS_HEAD_MAX;
}

struct zblob {
    struct blob b;
    zmq_msg_t m; /* owns the bytes */
};

static void
release_zblob(struct blob *b)
{
    struct zblob *z = (struct zblob *)(void *)b;

    zmq_msg_close(&z->m);
    mem_free(&z);
}

static void
release_copy(struct blob *b)
{
    mem_free(&b);
}

/* libzmq gives out what it received in the buffer of 8 KB that came from the socket: as long as one small message is kept, all
 * of its buffer is. */
static struct blob *
copy_of(zmq_msg_t *m)
{
    size_t n = zmq_msg_size(m);
    struct blob *b = mem_new(sizeof *b + n);

    b->refs = 1;
    b->p = memcpy(b + 1, zmq_msg_data(m), n);
    b->n = n;
    b->release = release_copy;
    return b;
}

struct blob *
zframe_blob(zmq_msg_t *m)
{
    struct zblob *z;

    if (zmq_msg_size(m) <= COPY_MAX)
        return copy_of(m);
    z = mem_new(sizeof *z);
    z->b.refs = 1;
    zmq_msg_init(&z->m);
    zmq_msg_move(&z->m, m);
    z->b.p = zmq_msg_data(&z->m);
    z->b.n = zmq_msg_size(&z->m);
    z->b.release = release_zblob;
    return &z->b;
}

static void
free_shared(void *data, void *hint)
{
    struct blob *b = hint;

    (void)data;
    blob_drop(&b);
}

static int
send_bytes(void *s, const void *p, size_t n, int flags)
{
    return zmq_send(s, p, n, flags | ZMQ_DONTWAIT) < 0 ? errno : 0;
}

static int
send_blob(void *s, struct blob *b)
{
    zmq_msg_t m;

    if (b->n <= COPY_MAX)
        return send_bytes(s, b->p, b->n, 0);
    zmq_msg_init_data(&m, (void *)(uintptr_t)b->p, b->n, free_shared, blob_hold(b));
    if (zmq_msg_send(&m, s, ZMQ_DONTWAIT) < 0) {
        int e = errno;

        zmq_msg_close(&m);
        return e;
    }
    return 0;
}

int
bus_send(void *s, struct str peer, int cmd, struct str head, struct blob *payload)
{
    uint8_t c = (uint8_t)cmd;
    int e = 0;

    /* The first frame decides (EAGAIN, EHOSTUNREACH); later frames of the same message always go. */
    if (peer.n && (e = send_bytes(s, peer.p, peer.n, ZMQ_SNDMORE)))
        return e;
    if ((e = send_bytes(s, BUS_MAGIC, 4, ZMQ_SNDMORE)) || (e = send_bytes(s, &c, 1, ZMQ_SNDMORE)))
        return e;
    if ((e = send_bytes(s, head.p, head.n, has_payload(cmd) ? ZMQ_SNDMORE : 0)) || !has_payload(cmd))
        return e;
    return payload ? send_blob(s, payload) : send_bytes(s, "", 0, 0);
}

void
bus_head_encode(int cmd, const void *head, struct buf *out)
{
    enum err e;

    buf_reset(out);
    e = msg_encode(bus_head_desc(cmd), head, out);
    assert(e == ERR_OK && out->n <= BUS_HEAD_MAX);
}
