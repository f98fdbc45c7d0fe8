/* bus-bare: the limit that the bus is measured against. HTTP threads give a request to one thread by a locked list and an
 * eventfd, that thread sends it by a ROUTER over TCP, an echo at a DEALER in a child process sends it back, and a condition
 * wakes the client. Plain zmq_msg, 300 bytes, no headers but a number, no deadlines, no retries, no checks. Independent of
 * the suite's code.
 *
 *   usage: bus-bare      prints its port and the worker's pid; serves until SIGTERM (bus_bench.h) */
#include <poll.h>
#include <sys/eventfd.h>
#include <zmq.h>

#include "tests/bench/bus_bench.h"

struct call {
    struct call *next;
    bool done;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    zmq_msg_t msg; /* there and back: the ask's address, then the text */
};

static char address[64];
static void *router;
static int wake_fd;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct call *list, **tail = &list;

static void
work(void)
{
    void *ctx, *dealer;
    zmq_msg_t m;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    ctx = zmq_ctx_new();
    dealer = zmq_socket(ctx, ZMQ_DEALER);
    zmq_setsockopt(dealer, ZMQ_ROUTING_ID, "w", 1);
    zmq_connect(dealer, address);
    zmq_send(dealer, "hi", 2, 0);
    for (;;) {
        zmq_msg_init(&m);
        if (zmq_msg_recv(&m, dealer, 0) < 0)
            _exit(1);
        zmq_msg_send(&m, dealer, 0);
    }
}

static bool
ask(void)
{
    static _Thread_local struct call q = { .lock = PTHREAD_MUTEX_INITIALIZER,
                                           .wake = PTHREAD_COND_INITIALIZER };
    struct call *self = &q;
    char *p;
    bool was_empty, ok;

    q.next = NULL;
    q.done = false;
    zmq_msg_init_size(&q.msg, sizeof self + BENCH_BYTES);
    p = zmq_msg_data(&q.msg);
    memcpy(p, &self, sizeof self);
    memset(p + sizeof self, 'x', BENCH_BYTES);
    pthread_mutex_lock(&lock);
    was_empty = !list;
    *tail = &q;
    tail = &q.next;
    pthread_mutex_unlock(&lock);
    if (was_empty)
        eventfd_write(wake_fd, 1);
    pthread_mutex_lock(&q.lock);
    while (!q.done)
        pthread_cond_wait(&q.wake, &q.lock);
    pthread_mutex_unlock(&q.lock);
    ok = zmq_msg_size(&q.msg) == sizeof self + BENCH_BYTES;
    zmq_msg_close(&q.msg);
    return ok;
}

static void
send_all(void)
{
    struct call *q, *next;
    eventfd_t n;

    eventfd_read(wake_fd, &n);
    pthread_mutex_lock(&lock);
    q = list;
    list = NULL;
    tail = &list;
    pthread_mutex_unlock(&lock);
    for (; q; q = next) {
        next = q->next;
        zmq_send(router, "w", 1, ZMQ_SNDMORE);
        zmq_msg_send(&q->msg, router, 0);
    }
}

static bool
take_one(void)
{
    zmq_msg_t id, m;
    struct call *q;

    zmq_msg_init(&id);
    if (zmq_msg_recv(&id, router, ZMQ_DONTWAIT) < 0)
        return false;
    zmq_msg_close(&id);
    zmq_msg_init(&m);
    zmq_msg_recv(&m, router, 0);
    if (zmq_msg_size(&m) < sizeof q)
        return true; /* the worker's greeting */
    memcpy(&q, zmq_msg_data(&m), sizeof q);
    pthread_mutex_lock(&q->lock);
    zmq_msg_init(&q->msg);
    zmq_msg_move(&q->msg, &m);
    q->done = true;
    pthread_cond_signal(&q->wake);
    pthread_mutex_unlock(&q->lock);
    return true;
}

static void *
hub(void *arg)
{
    struct pollfd p[2] = { { .events = POLLIN }, { .fd = wake_fd, .events = POLLIN } };
    size_t n = sizeof p[0].fd, m = sizeof(int);
    int events;

    (void)arg;
    zmq_getsockopt(router, ZMQ_FD, &p[0].fd, &n);
    for (;;) {
        zmq_getsockopt(router, ZMQ_EVENTS, &events, &m);
        if (!(events & ZMQ_POLLIN) && poll(p, 2, 100) == 0)
            continue;
        for (int i = 0; i < 256 && take_one(); i++)
            continue;
        if (p[1].revents & POLLIN)
            send_all();
        p[1].revents = 0;
        if (events & ZMQ_POLLIN && poll(p + 1, 1, 0) > 0)
            send_all();
    }
    return NULL;
}

int
main(void)
{
    char hello[8];
    sigset_t stop;
    pthread_t t;
    pid_t child;

    snprintf(address, sizeof address, "tcp://127.0.0.1:%d", 20000 + (int)getpid() % 12000);
    if ((child = fork()) == 0)
        work();
    bench_signals(&stop);
    router = zmq_socket(zmq_ctx_new(), ZMQ_ROUTER);
    wake_fd = eventfd(0, EFD_NONBLOCK);
    if (zmq_bind(router, address) != 0) {
        perror(address);
        kill(child, SIGKILL);
        return 2;
    }
    zmq_recv(router, hello, sizeof hello, 0);
    zmq_recv(router, hello, sizeof hello, 0);
    pthread_create(&t, NULL, hub, NULL);
    _exit(bench_serve(ask, child, &stop)); /* the hub thread has no end */
}
