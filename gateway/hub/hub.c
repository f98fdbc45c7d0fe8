/* The hub behind ZeroMQ: one thread with the ROUTER socket drives the core (core.h).
 *
 *   HTTP thread ── hub_call ──► locked list + eventfd ──► hub thread ── core_call ──► ROUTER ──► worker
 *   HTTP thread ◄── condition of its call ◄── part/done ◄── core_frame ◄── ROUTER ◄── worker
 *
 * The asking side is in call.c. */
#include "gateway/hub/hub.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/random.h"
#include "gateway/hub/state.h"
#include "gateway/hub/czmq.h"
#include "gateway/hub/door.h"
#include "gateway/hub/call_int.h"
#include "gateway/hub/zap.h"
#include "proto/zsock.h"

#define BATCH 256      /* messages taken before the core's timers are looked at */
#define UNSENT_MAX 256 /* peers found dead in one turn */
#define WAIT_MS \
    250 /* a queue whose first entry waits longer, for LONG_MS, is overloaded (as in CoDel, RFC 8289) */
#define LONG_MS 200
#define VIEW_MS 10 /* age of what hub_look sees */

struct inbox_item {
    struct call *call;
    bool giveup;
    struct inbox_item *next;
};

struct hub {
    void *router;
    int event_fd;
    bool stirred; /* the router may have a message, whatever its descriptor says: hub thread only */
    pthread_t thread;
    pthread_mutex_t lock; /* inbox, view */
    struct inbox_item *inbox, **inbox_tail;
    struct hub_view view;
    bool closed; /* under lock: the thread has ended, nobody looks into the inbox */
    atomic_bool stop;
    struct core *core; /* hub thread only */
    struct buf head;
    uint64_t unsent[UNSENT_MAX];
    size_t n_unsent;
    int64_t view_ms; /* when it is made anew at the earliest; at once when workers came or went: */
    size_t view_workers;
    int64_t over_ms[SERVICE_COUNT]; /* since when the queue's first entry waits too long; 0: it does not */
    struct zap *zap;                /* with CURVE */
    zactor_t *door;                 /* counts of the refused; hub thread only */
};

static const struct stat_def hub_stat_rows[] = {
#define STAT_TBL "gateway/hub/stat.tbl"
#include "common/process/stat_rows.h"
#undef STAT_TBL
};

/* ---- what HTTP threads leave for the hub thread */

/* Under the lock: a new item at the inbox's end. True: the hub thread must be woken for it. */
static bool
inbox_add(struct hub *h, struct call *q, bool giveup)
{
    struct inbox_item *it = mem_new(sizeof *it);
    bool was_empty = !h->inbox;

    it->call = q;
    it->giveup = giveup;
    atomic_fetch_add(&q->refs, 1);
    *h->inbox_tail = it;
    h->inbox_tail = &it->next;
    return was_empty;
}

void
hub_put(struct hub *h, struct call *q, bool giveup)
{
    uint64_t one = 1;
    bool closed, wake;

    pthread_mutex_lock(&h->lock);
    closed = h->closed;
    wake = !closed && inbox_add(h, q, giveup);
    pthread_mutex_unlock(&h->lock);
    if (wake && write(h->event_fd, &one, sizeof one) < 0)
        LOG(ERROR, q->trace, M("cannot wake the hub"), KS("why", strerror(errno)));
    if (closed && !giveup)
        call_finish(q, ERR_DRAINING, NULL, STR_NONE, 2000);
}

/* ---- the hub thread: the core's actions */

static struct str
peer_id(uint64_t peer, uint8_t id[5])
{
    id[0] = 0;
    for (int i = 0; i < 4; i++)
        id[1 + i] = (uint8_t)(peer >> (24 - 8 * i));
    return (struct str){ (const char *)id, 5 };
}

static bool
on_send(void *arg, uint64_t peer, int cmd, const void *head, struct blob *payload)
{
    struct hub *h = arg;
    uint8_t id[5];
    int e;

    bus_head_encode(cmd, head, &h->head);
    h->stirred = true;
    e = bus_send(h->router, peer_id(peer, id), cmd, buf_slice(&h->head), payload);
    /* EHOSTUNREACH: the peer is dead. EAGAIN: it has not read 10,000 messages; the same. */
    if (e && cmd != CMD_DISCONNECT && h->n_unsent < UNSENT_MAX)
        h->unsent[h->n_unsent++] = peer;
    return e == 0;
}

static void
on_part(void *arg, void *caller, struct blob *payload)
{
    (void)arg;
    call_add_part(caller, payload);
}

static void
on_done(void *arg, void *caller, enum err e, struct blob *payload, struct str text, int64_t retry_after_ms)
{
    struct call *q = caller;

    (void)arg;
    q->handle = 0;
    call_finish(q, e, payload, text, retry_after_ms);
    call_unref(q); /* the core's reference */
}

static void
submit(struct hub *h, struct call *q)
{
    struct core_call a = { q->kind, q->tenant, q->trace, q->deadline_ms, q->request, q, q->context, q->once };
    uint64_t handle;

    q->request = NULL;
    q->handle = UINT64_MAX;        /* with the core; on_done may come at once and clear it */
    atomic_fetch_add(&q->refs, 1); /* the core's */
    handle = core_call(h->core, clock_ms(), &a);
    if (q->handle)
        q->handle = handle;
}

static void
take_inbox(struct hub *h)
{
    struct inbox_item *it;
    uint64_t count;

    if (read(h->event_fd, &count, sizeof count) < 0 && errno != EAGAIN)
        LOG(ERROR, NULL, M("eventfd"), KS("why", strerror(errno)));
    pthread_mutex_lock(&h->lock);
    it = h->inbox;
    h->inbox = NULL;
    h->inbox_tail = &h->inbox;
    pthread_mutex_unlock(&h->lock);
    while (it) {
        struct inbox_item *next = it->next;

        if (!it->giveup && !h->core) {
            call_finish(it->call, ERR_DRAINING, NULL, STR_NONE, 2000);
        } else if (!it->giveup) {
            submit(h, it->call);
        } else if (it->call->handle) {
            core_giveup(h->core, clock_ms(), it->call->handle);
            it->call->handle = 0;
            call_unref(it->call); /* the core's: done will not come */
        }
        call_unref(it->call);
        mem_free(&it);
        it = next;
    }
}

static void
on_frames(struct hub *h, struct zframes *f)
{
    const uint8_t *id = f->n ? zmq_msg_data(&f->m[0]) : NULL;
    struct core_peer from = { 0, UINT32_MAX, 0 };
    struct blob *payload = NULL;
    struct zmessage m;

    /* Routing ids are the hub's own (a zero byte and a number); a peer that chose its own is a stranger. */
    if (!id || zmq_msg_size(&f->m[0]) != 5 || id[0] != 0)
        return;
    for (int i = 1; i < 5; i++)
        from.id = from.id << 8 | id[i];
    if (!zframes_check(f, 1, &m)) {
        core_bad_frame(h->core, clock_ms(), from.id, "wrong frames"); /* count, magic or size */
        return;
    }
    if (m.payload)
        payload = zframe_blob(m.payload);
    if (h->zap && m.cmd == CMD_READY)
        zap_user(zmq_msg_gets(&f->m[1], "User-Id"), &from.services, &from.identity);
    core_frame(h->core, clock_ms(), &from, m.cmd, m.head, payload);
    if (m.cmd == CMD_DRAIN)
        h->view_ms = 0; /* a worker less: to be seen at once, not when something happens next */
    blob_drop(&payload);
}

static void
receive(struct hub *h)
{
    struct zframes f;
    int got = 0;

    for (; got < BATCH && bus_recv(h->router, &f) > 0; got++) {
        on_frames(h, &f);
        zframes_drop(&f);
    }
    h->stirred = got == BATCH;
}

static void
bury_unsent(struct hub *h)
{
    while (h->n_unsent)
        core_unsent(h->core, clock_ms(), h->unsent[--h->n_unsent]);
}

/* Does more come than the workers take? While there is no worker at all, requests wait for one: that is no overload. */
static bool
is_overloaded(struct hub *h, int64_t now, int service, const struct core_view *v)
{
    int64_t *since = &h->over_ms[service];

    if (v->workers == 0 || v->since_ms == INT64_MAX || now - v->since_ms <= WAIT_MS)
        *since = 0;
    else if (*since == 0)
        *since = now;
    return *since && now - *since >= LONG_MS;
}

static void
publish_view(struct hub *h, int64_t now)
{
    struct hub_view v;

    if (now < h->view_ms && h->core->n_workers == h->view_workers)
        return;
    h->view_ms = now + VIEW_MS;
    h->view_workers = h->core->n_workers;
    for (int i = 0; i < SERVICE_COUNT; i++) {
        struct core_view cv;

        core_look(h->core, (enum service_id)i, &cv);
        v.service[i].workers = cv.workers;
        v.service[i].capacity = cv.capacity;
        v.service[i].outstanding = cv.outstanding;
        v.service[i].queued = cv.queued;
        v.service[i].ever = cv.ever;
        v.service[i].overloaded = is_overloaded(h, now, i, &cv);
        stat_set_at(&hub_stats, HUB_WORKERS, (size_t)i, 0, (double)cv.workers);
        stat_set_at(&hub_stats, HUB_CAPACITY, (size_t)i, 0, (double)cv.capacity);
        stat_set_at(&hub_stats, HUB_OUTSTANDING, (size_t)i, 0, (double)cv.outstanding);
        stat_set_at(&hub_stats, HUB_QUEUED, (size_t)i, 0, (double)cv.queued);
    }
    pthread_mutex_lock(&h->lock);
    h->view = v;
    pthread_mutex_unlock(&h->lock);
}

static void
unbind(void *router)
{
    char endpoint[256];
    size_t n = sizeof endpoint;

    if (zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &n) != 0 || zmq_unbind(router, endpoint) != 0)
        LOG(WARN, NULL, M("the hub cannot unbind"), KS("why", zmq_strerror(zmq_errno())));
}

/* A socket is looked into when its descriptor says so, and the router also after it was sent on: sending, too, takes in what the descriptor
 * had told of. zmq_poll would look into both before and after each wait, with two system calls a look. */
static void *
hub_thread(void *arg)
{
    struct hub *h = arg;
    struct pollfd fds[3] = { { bus_fd(h->router), POLLIN, 0 },
                             { h->event_fd, POLLIN, 0 },
                             { h->door ? bus_fd(zsock_resolve(h->door)) : -1, POLLIN, 0 } };

    h->stirred = true;
    door_count(h->door);
    while (!atomic_load(&h->stop)) {
        int64_t now = clock_ms(), wait = core_next(h->core, now) - now;

        int ready = poll(fds, 3, h->n_unsent || h->stirred || wait < 0 ? 0 : (int)(wait < 250 ? wait : 250));

        h->stirred = h->stirred || ready == 0; /* nothing to do: a look costs nobody anything */
        if (ready < 0) {
            fds[0].revents = fds[1].revents = fds[2].revents = 0;
            if (errno != EINTR)
                LOG(ERROR, NULL, M("the hub cannot poll"), KS("why", strerror(errno)));
        }
        if (fds[1].revents)
            take_inbox(h);
        if (fds[0].revents || h->stirred)
            receive(h);
        if (fds[2].revents)
            door_count(h->door);
        bury_unsent(h);
        core_tick(h->core, clock_ms());
        publish_view(h, clock_ms());
    }
    door_close(&h->door);
    unbind(h->router); /* a worker that is told to go must not come back to us */
    take_inbox(h);
    core_leave(h->core, clock_ms());
    core_free(&h->core);
    pthread_mutex_lock(&h->lock);
    h->closed = true;
    pthread_mutex_unlock(&h->lock);
    take_inbox(h); /* calls that came meanwhile */
    return NULL;
}

/* ---- life */

static void *
router_open(const char *bind, const struct curve_key *secret)
{
    void *s = zmq_socket(bus_context(), ZMQ_ROUTER);
    int one = 1, linger = 200;

    if (!s)
        return NULL;
    bus_options(s);
    zmq_setsockopt(s, ZMQ_ROUTER_MANDATORY, &one, sizeof one);
    zmq_setsockopt(s, ZMQ_LINGER, &linger, sizeof linger);
    if (secret && (zmq_setsockopt(s, ZMQ_ZAP_DOMAIN, "footnote", 8) != 0 || !curve_server(s, secret))) {
        LOG(ERROR, NULL, M("the bus cannot be encrypted: this libzmq has no CURVE"));
        zmq_close(s);
        return NULL;
    }
    if (zmq_bind(s, bind) != 0) {
        LOG(ERROR, NULL, M("the hub cannot bind: is another gateway running? Set HUB_BIND"),
            KS("address", bind), KS("why", zmq_strerror(zmq_errno())));
        zmq_close(s);
        return NULL;
    }
    return s;
}

/* With CURVE: the key check first, then the socket, then the proof that strangers stay out. */
static bool
hub_open(struct hub *h, const struct hub_config *cfg)
{
    struct curve_key secret, public_key;

    if (!cfg->curve)
        return (h->router = router_open(cfg->bind, NULL)) != NULL;
    if (!curve_parse(str_of(cfg->secret_key), &secret) || !curve_public(&secret, &public_key)) {
        LOG(ERROR, NULL, M("BUS_CURVE=on needs HUB_SECRET_KEY, 64 hex digits (make secrets)"));
        return false;
    }
    return (h->zap = zap_start(cfg->allow_file)) != NULL &&
           (h->router = router_open(cfg->bind, &secret)) != NULL && zap_self_test(cfg->bind, &public_key);
}

struct hub *
hub_new(const struct hub_config *cfg)
{
    static const struct core_ops ops = { on_send, on_part, on_done };
    struct hub *h = mem_new(sizeof *h);
    uint8_t epoch[16];

    czmq_begin();
    stat_register(&hub_stats, hub_stat_rows, sizeof hub_stat_rows / sizeof *hub_stat_rows);
    h->head = BUF_MAX(BUS_HEAD_MAX);
    h->inbox_tail = &h->inbox;
    h->event_fd = -1;
    if (!hub_open(h, cfg)) {
        if (h->router)
            zmq_close(h->router);
        zap_stop(&h->zap);
        mem_free(&h);
        return NULL;
    }
    h->door = door_open(h->router);
    h->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&h->lock, NULL);
    random_bytes(epoch, sizeof epoch);
    h->core = core_new(&ops, h, epoch, clock_ms());
    if (h->event_fd < 0 || pthread_create(&h->thread, NULL, hub_thread, h) != 0) {
        LOG(ERROR, NULL, M("the hub's thread cannot start"), KS("why", strerror(errno)));
        door_close(&h->door);
        zmq_close(h->router);
        mem_free(&h);
    }
    return h;
}

void
hub_close(struct hub *h)
{
    uint64_t one = 1;

    if (!h || atomic_exchange(&h->stop, true))
        return;
    if (write(h->event_fd, &one, sizeof one) < 0)
        LOG(WARN, NULL, M("eventfd"), KS("why", strerror(errno)));
    pthread_join(h->thread, NULL);
}

void
hub_free(struct hub **hp)
{
    struct hub *h = *hp;

    if (!h)
        return;
    hub_close(h);
    zmq_close(h->router);
    zap_stop(&h->zap);
    close(h->event_fd);
    buf_free(&h->head);
    pthread_mutex_destroy(&h->lock);
    mem_free(hp);
    bus_context_end();
}

void
hub_reload(struct hub *h)
{
    if (h->zap)
        zap_reload(h->zap);
}

void
hub_look(struct hub *h, struct hub_view *out)
{
    pthread_mutex_lock(&h->lock);
    *out = h->view;
    pthread_mutex_unlock(&h->lock);
}
