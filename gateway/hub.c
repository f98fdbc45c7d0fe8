/* The hub behind ZeroMQ: one thread with the ROUTER socket drives the core (hub_core.h).
 *
 *   HTTP thread ── hub_ask ──► locked list + eventfd ──► hub thread ── core_ask ──► ROUTER ──► worker
 *   HTTP thread ◄── condition of its ask ◄── part/done ◄── core_frame ◄── ROUTER ◄── worker
 *
 * An ask is shared by two threads: its HTTP thread may give up first, so it is reference-counted. Replies are decoded on
 * the HTTP thread. */
#include "gateway/hub.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "gateway/hub_core_int.h"
#include "gateway/hub_zap.h"
#include "proto/zsock.h"

#define BATCH 256       /* messages taken before the core's timers are looked at */
#define UNSENT_MAX 256  /* peers found dead in one turn */
#define VIEW_MS 10      /* age of what hub_look sees */
#define PARTS_MAX 65536 /* streamed parts that may wait for their HTTP thread */

struct part {
    struct blob *payload;
    struct part *next;
};

struct ask {
    struct hub *hub;
    enum kind kind;
    atomic_int refs;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct part *parts, **parts_tail;
    size_t n_parts;
    bool done;               /* err, payload, text are set */
    enum err err;
    struct blob *payload;
    char text[401];
    int64_t retry_after_ms;
    int64_t deadline_ms;
    struct blob *request;    /* until the hub thread takes it */
    char tenant[65], trace[129];
    struct arena *arena;     /* decoded messages; HTTP thread only */
    struct blob **held;      /* payloads that decoded messages borrow from */
    size_t n_held;
    uint64_t handle;         /* hub thread only; 0: not with the core */
};

struct inbox_item {
    struct ask *ask;
    bool giveup;
    struct inbox_item *next;
};

struct hub {
    void *router;
    int event_fd;
    pthread_t thread;
    pthread_mutex_t lock;    /* inbox, view */
    struct inbox_item *inbox, **inbox_tail;
    struct hub_view view;
    atomic_bool stop;
    struct core *core;       /* hub thread only */
    struct buf head;
    uint64_t unsent[UNSENT_MAX];
    size_t n_unsent;
    int64_t view_ms;
    struct zap *zap;         /* with CURVE */
};

static const struct stat_def hub_stat_rows[] = {
#define STAT_TBL "gateway/hub_stat.tbl"
#include "common/stat_rows.h"
#undef STAT_TBL
};

/* ---- asks ---- */

static void
ask_unref(struct ask *q)
{
    if (atomic_fetch_sub(&q->refs, 1) != 1)
        return;
    while (q->parts) {
        struct part *p = q->parts;

        q->parts = p->next;
        blob_drop(&p->payload);
        mem_free(&p);
    }
    arena_free(&q->arena);
    for (size_t i = 0; i < q->n_held; i++)
        blob_drop(&q->held[i]);
    mem_free(&q->held);
    blob_drop(&q->payload);
    blob_drop(&q->request);
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->wake);
    mem_free(&q);
}

static void
ask_finish(struct ask *q, enum err e, struct blob *payload, struct str text, int64_t retry_after_ms)
{
    pthread_mutex_lock(&q->lock);
    if (!q->done) {
        q->done = true;
        q->err = e;
        q->payload = blob_hold(payload);
        q->retry_after_ms = retry_after_ms;
        snprintf(q->text, sizeof q->text, STR_FMT, STR_ARG(text));
        pthread_cond_signal(&q->wake);
    }
    pthread_mutex_unlock(&q->lock);
}

static void
inbox_put(struct hub *h, struct ask *q, bool giveup)
{
    struct inbox_item *it = mem_new(sizeof *it);
    uint64_t one = 1;
    bool was_empty;

    it->ask = q;
    it->giveup = giveup;
    atomic_fetch_add(&q->refs, 1);
    pthread_mutex_lock(&h->lock);
    was_empty = h->inbox == NULL;
    *h->inbox_tail = it;
    h->inbox_tail = &it->next;
    pthread_mutex_unlock(&h->lock);
    if (was_empty && write(h->event_fd, &one, sizeof one) < 0)
        LOG(ERROR, q->trace, M("cannot wake the hub"), KS("why", strerror(errno)));
}

struct ask *
hub_ask(struct hub *h, enum kind kind, const void *req, const char *tenant, const char *trace, int64_t deadline_ms)
{
    struct ask *q = mem_new(sizeof *q);
    struct buf b = BUF_MAX(kinds[kind].max_bytes);
    pthread_condattr_t attr;
    enum err e;

    q->hub = h;
    q->kind = kind;
    atomic_init(&q->refs, 1);
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&q->wake, &attr);
    pthread_condattr_destroy(&attr);
    q->parts_tail = &q->parts;
    q->deadline_ms = deadline_ms;
    q->arena = arena_new(kinds[kind].max_bytes * 8 + (1u << 20));
    snprintf(q->tenant, sizeof q->tenant, "%s", tenant ? tenant : "");
    snprintf(q->trace, sizeof q->trace, "%s", trace ? trace : "");
    if ((e = msg_encode(kinds[kind].req(), req, &b))) {
        LOG(WARN, trace, M("a request does not fit the bus"), KS("kind", kind_names[kind]), KS("why", msg_fault()));
        buf_free(&b);
        ask_finish(q, e, NULL, str_of(msg_fault()), 0);
        return q;
    }
    q->request = blob_of_buf(&b);
    inbox_put(h, q, false);
    return q;
}

static void
hold(struct ask *q, struct blob *b)
{
    q->held = mem_resize(q->held, (q->n_held + 1) * sizeof *q->held);
    q->held[q->n_held++] = b;
}

/* Decode on the asking thread; the message borrows from the payload, which the ask keeps. */
static enum err
ask_decode(struct ask *q, const struct msg_desc *d, struct blob *payload, const void **out)
{
    struct str s = blob_slice(payload);
    void *msg;
    enum err e;

    *out = NULL;
    if (payload)
        hold(q, payload);
    if (!d)
        return ERR_OK;
    if (!(msg = arena_alloc(q->arena, d->size)))
        return ERR_BUSY;
    if ((e = msg_decode(d, s.p, s.n, q->arena, msg)) == ERR_OK)
        *out = msg;
    return e;
}

static enum ask_event
ask_ended(struct ask *q, struct answer *out)
{
    struct blob *payload = q->payload;

    q->payload = NULL;
    *out = (struct answer){ .err = q->err, .text = q->text, .retry_after_ms = q->retry_after_ms };
    pthread_mutex_unlock(&q->lock);
    if (out->err == ERR_OK && (out->err = ask_decode(q, kinds[q->kind].rep(), payload, &out->msg)))
        out->text = msg_fault();
    return ASK_DONE;
}

static enum ask_event
ask_took_part(struct ask *q, struct answer *out)
{
    struct part *p = q->parts;
    enum err e;

    q->parts = p->next;
    if (!q->parts)
        q->parts_tail = &q->parts;
    q->n_parts--;
    pthread_mutex_unlock(&q->lock);
    *out = (struct answer){ .text = "" };
    e = ask_decode(q, kinds[q->kind].part(), p->payload, &out->msg);
    mem_free(&p);
    if (e == ERR_OK)
        return ASK_PART;
    out->err = e;
    out->text = msg_fault();
    return ASK_DONE;
}

enum ask_event
ask_wait(struct ask *q, int64_t wake_ms, struct answer *out)
{
    pthread_mutex_lock(&q->lock);
    for (;;) {
        int64_t now, until = wake_ms < q->deadline_ms ? wake_ms : q->deadline_ms;
        struct timespec ts;

        if (q->parts)
            return ask_took_part(q, out);
        if (q->done)
            return ask_ended(q, out);
        if ((now = clock_ms()) >= until) {
            pthread_mutex_unlock(&q->lock);
            *out = (struct answer){ .err = now >= q->deadline_ms ? ERR_DEADLINE : ERR_OK, .text = "" };
            return out->err ? ASK_DONE : ASK_IDLE;
        }
        ts = (struct timespec){ until / 1000, (until % 1000) * 1000000 };
        pthread_cond_timedwait(&q->wake, &q->lock, &ts);
    }
}

void
ask_free(struct ask **qp)
{
    struct ask *q = *qp;
    bool running;

    *qp = NULL;
    if (!q)
        return;
    pthread_mutex_lock(&q->lock);
    running = !q->done;
    q->done = true; /* later parts and the end are dropped */
    pthread_mutex_unlock(&q->lock);
    if (running)
        inbox_put(q->hub, q, true);
    ask_unref(q);
}

enum err
ask_once(struct hub *h, enum kind kind, const void *req, const char *tenant, const char *trace, int64_t deadline_ms,
         struct ask **q, struct answer *out)
{
    *q = hub_ask(h, kind, req, tenant, trace, deadline_ms);
    while (ask_wait(*q, INT64_MAX, out) == ASK_PART)
        ;
    return out->err;
}

/* ---- the hub thread: the core's actions ---- */

static struct str
peer_id(uint64_t peer, uint8_t id[5])
{
    id[0] = 0;
    for (int i = 0; i < 4; i++)
        id[1 + i] = (uint8_t)(peer >> (24 - 8 * i));
    return (struct str){ (const char *)id, 5 };
}

static void
on_send(void *arg, uint64_t peer, int cmd, const void *head, struct blob *payload)
{
    struct hub *h = arg;
    uint8_t id[5];
    int e;

    bus_head_encode(cmd, head, &h->head);
    e = zsock_send(h->router, peer_id(peer, id), cmd, buf_slice(&h->head), payload);
    /* EHOSTUNREACH: the peer is dead. EAGAIN: it has not read 10,000 messages; the same. */
    if (e && cmd != CMD_DISCONNECT && h->n_unsent < UNSENT_MAX)
        h->unsent[h->n_unsent++] = peer;
}

static void
on_part(void *arg, void *asker, struct blob *payload)
{
    struct ask *q = asker;
    struct part *p;

    (void)arg;
    pthread_mutex_lock(&q->lock);
    if (!q->done && q->n_parts < PARTS_MAX) {
        p = mem_new(sizeof *p);
        p->payload = blob_hold(payload);
        *q->parts_tail = p;
        q->parts_tail = &p->next;
        q->n_parts++;
        pthread_cond_signal(&q->wake);
    }
    pthread_mutex_unlock(&q->lock);
}

static void
on_done(void *arg, void *asker, enum err e, struct blob *payload, struct str text, int64_t retry_after_ms)
{
    struct ask *q = asker;

    (void)arg;
    q->handle = 0;
    ask_finish(q, e, payload, text, retry_after_ms);
    ask_unref(q); /* the core's reference */
}

static void
submit(struct hub *h, struct ask *q)
{
    struct core_ask a = { q->kind, q->tenant, q->trace, q->deadline_ms, q->request, q };
    uint64_t handle;

    q->request = NULL;
    q->handle = UINT64_MAX; /* with the core; on_done may come at once and clear it */
    atomic_fetch_add(&q->refs, 1); /* the core's */
    handle = core_ask(h->core, clock_ms(), &a);
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
            ask_finish(it->ask, ERR_DRAINING, NULL, STR_NONE, 2000);
        } else if (!it->giveup) {
            submit(h, it->ask);
        } else if (it->ask->handle) {
            core_giveup(h->core, clock_ms(), it->ask->handle);
            it->ask->handle = 0;
            ask_unref(it->ask); /* the core's: done will not come */
        }
        ask_unref(it->ask);
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
        core_bad_frame(h->core, clock_ms(), from.id);
        return;
    }
    if (m.payload)
        payload = zframe_blob(m.payload);
    if (h->zap && m.cmd == CMD_READY)
        zap_user(zmq_msg_gets(&f->m[1], "User-Id"), &from.services, &from.identity);
    core_frame(h->core, clock_ms(), &from, m.cmd, m.head, payload);
    blob_drop(&payload);
}

static void
receive(struct hub *h)
{
    struct zframes f;

    for (int i = 0; i < BATCH && zsock_recv(h->router, &f) > 0; i++) {
        on_frames(h, &f);
        zframes_drop(&f);
    }
}

static void
bury_unsent(struct hub *h)
{
    while (h->n_unsent)
        core_unsent(h->core, clock_ms(), h->unsent[--h->n_unsent]);
}

static void
publish_view(struct hub *h, int64_t now)
{
    struct hub_view v;

    if (now < h->view_ms)
        return;
    h->view_ms = now + VIEW_MS;
    for (int i = 0; i < SERVICE_COUNT; i++) {
        struct core_view cv;

        core_look(h->core, (enum service_id)i, &cv);
        v.service[i].workers = cv.workers;
        v.service[i].capacity = cv.capacity;
        v.service[i].outstanding = cv.outstanding;
        v.service[i].queued = cv.queued;
        stat_set_at(&hub_stats, HUB_WORKERS, (size_t)i, 0, (double)cv.workers);
        stat_set_at(&hub_stats, HUB_CAPACITY, (size_t)i, 0, (double)cv.capacity);
        stat_set_at(&hub_stats, HUB_OUTSTANDING, (size_t)i, 0, (double)cv.outstanding);
        stat_set_at(&hub_stats, HUB_QUEUED, (size_t)i, 0, (double)cv.queued);
    }
    pthread_mutex_lock(&h->lock);
    h->view = v;
    pthread_mutex_unlock(&h->lock);
}

static void *
hub_thread(void *arg)
{
    struct hub *h = arg;

    while (!atomic_load(&h->stop)) {
        zmq_pollitem_t items[2] = { { h->router, 0, ZMQ_POLLIN, 0 }, { NULL, h->event_fd, ZMQ_POLLIN, 0 } };
        int64_t now = clock_ms(), wait = core_next(h->core, now) - now;

        if (zmq_poll(items, 2, h->n_unsent ? 0 : (long)(wait < 250 ? wait : 250)) < 0 && zmq_errno() != EINTR)
            LOG(ERROR, NULL, M("the hub cannot poll"), KS("why", zmq_strerror(zmq_errno())));
        if (items[1].revents)
            take_inbox(h);
        if (items[0].revents)
            receive(h);
        bury_unsent(h);
        core_tick(h->core, clock_ms());
        publish_view(h, clock_ms());
    }
    take_inbox(h);
    core_leave(h->core, clock_ms());
    core_free(&h->core);
    return NULL;
}

/* ---- life ---- */

static void *
router_open(const char *bind, const struct curve_key *secret)
{
    void *s = zmq_socket(zsock_context(), ZMQ_ROUTER);
    int one = 1, linger = 200;

    if (!s)
        return NULL;
    zsock_options(s);
    zmq_setsockopt(s, ZMQ_ROUTER_MANDATORY, &one, sizeof one);
    zmq_setsockopt(s, ZMQ_LINGER, &linger, sizeof linger);
    if (secret && (zmq_setsockopt(s, ZMQ_ZAP_DOMAIN, "footnote", 8) != 0 || !curve_server(s, secret))) {
        LOG(ERROR, NULL, M("the bus cannot be encrypted: this libzmq has no CURVE"));
        zmq_close(s);
        return NULL;
    }
    if (zmq_bind(s, bind) != 0) {
        LOG(ERROR, NULL, M("the hub cannot bind: is another gateway running? Set HUB_BIND"), KS("address", bind),
            KS("why", zmq_strerror(zmq_errno())));
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
    return (h->zap = zap_start(cfg->allow_file)) != NULL && (h->router = router_open(cfg->bind, &secret)) != NULL
        && zap_self_test(cfg->bind, &public_key);
}

struct hub *
hub_new(const struct hub_config *cfg)
{
    static const struct core_ops ops = { on_send, on_part, on_done };
    struct hub *h = mem_new(sizeof *h);
    uint8_t epoch[16];

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
    h->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&h->lock, NULL);
    random_bytes(epoch, sizeof epoch);
    h->core = core_new(&ops, h, epoch, clock_ms());
    if (h->event_fd < 0 || pthread_create(&h->thread, NULL, hub_thread, h) != 0) {
        LOG(ERROR, NULL, M("the hub's thread cannot start"), KS("why", strerror(errno)));
        zmq_close(h->router);
        mem_free(&h);
    }
    return h;
}

void
hub_free(struct hub **hp)
{
    struct hub *h = *hp;
    uint64_t one = 1;

    if (!h)
        return;
    atomic_store(&h->stop, true);
    if (write(h->event_fd, &one, sizeof one) < 0)
        LOG(WARN, NULL, M("eventfd"), KS("why", strerror(errno)));
    pthread_join(h->thread, NULL);
    take_inbox(h); /* what came after the thread ended */
    zmq_close(h->router);
    zap_stop(&h->zap);
    close(h->event_fd);
    buf_free(&h->head);
    pthread_mutex_destroy(&h->lock);
    mem_free(hp);
    zsock_context_end();
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
