/* A worker's connections to the hubs: resolving, connecting, registering, heartbeats, losing them.
 * A socket is looked into when its descriptor says so, and after it was sent on: sending, too, takes in what the descriptor had told of. Each look
 * in vain costs two system calls, and most turns of the loop are other people's.
 * A monitor on the socket says when its connection breaks, so a hub's death is seen at once; a silent hub is left after
 * 5 s; a changed hub_epoch means a restarted gateway. No ZMQ_IMMEDIATE: with it libzmq 4.3 ends the socket's pipe when the
 * connection breaks, and aborts the process if that happens between two frames of a message. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/process/proc.h"
#include "common/random.h"
#include "common/redis/resolve.h"
#include "proto/worker_int.h"

#define BACKOFF_MIN_MS \
    10 /* a hub that is restarted is back soon; doubles with each failure, plus up to half as much */
#define BACKOFF_MAX_MS 250
#define STOOD_MS 200 /* a connection that stood as long was no failure */
#define RESOLVE_MS 5000
#define BATCH 64 /* messages taken from one hub before the loop turns */

static int64_t
jitter(int64_t upto)
{
    uint32_t r;

    random_bytes(&r, sizeof r);
    return (int64_t)(r % (uint32_t)(upto + 1));
}

static void
on_zmq_fd(void *arg, int fd, uint32_t events)
{
    struct conn *c = arg;

    (void)events;
    *(fd == c->fd ? &c->stirred : &c->news) = true; /* the hook receives */
}

/* Does the connection stand that the socket was made for? */
static bool
conn_stands(struct conn *c)
{
    int event;

    while (c->monitor && c->news) {
        event = bus_event(c->monitor);
        c->news = event != 0;
        c->ended = c->ended || (c->up && event == ZMQ_EVENT_DISCONNECTED);
        c->up = event ? event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED : c->up;
    }
    return c->up && !c->ended;
}

/* Wakes the loop when the socket has something; its descriptor. */
static int
watch_socket(struct conn *c, void *sock)
{
    int fd = bus_fd(sock);

    loop_fd(c->w->loop, fd, EPOLLIN, on_zmq_fd, c);
    return fd;
}

/* Every connection goes the same way, and from each step back to the beginning. */
static void
conn_set(struct conn *c, enum conn_state to)
{
    static const bool legal[CONN_STATES][CONN_STATES] = {
        [CONN_WAITING] = { [CONN_WAITING] = true, [CONN_CONNECTING] = true },
        [CONN_CONNECTING] = { [CONN_WAITING] = true, [CONN_ASKED] = true },
        [CONN_ASKED] = { [CONN_WAITING] = true, [CONN_REGISTERED] = true },
        [CONN_REGISTERED] = { [CONN_WAITING] = true },
    };

    assert(legal[c->state][to]);
    c->state = to;
}

static void on_retry(void *arg);

static void
conn_wait(struct conn *c, int64_t ms)
{
    conn_set(c, CONN_WAITING);
    c->retry = loop_after(c->w->loop, ms, on_retry, c);
}

static void
conn_free(struct conn *c, int linger_ms)
{
    zmq_setsockopt(c->sock, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    zmq_socket_monitor(c->sock, NULL, 0);
    zmq_close(c->sock);
    if (c->monitor)
        zmq_close(c->monitor);
    c->sock = c->monitor = NULL;
    c->up = c->ended = false;
}

static void
conn_begin(struct conn *c)
{
    int ivl = BACKOFF_MIN_MS, ivl_max = BACKOFF_MAX_MS;

    c->sock = zmq_socket(bus_context(), ZMQ_DEALER);
    if (!c->sock) {
        conn_wait(c, BACKOFF_MAX_MS);
        return;
    }
    bus_options(c->sock);
    if (c->w->curve && !curve_client(c->sock, &c->w->secret, &c->w->hub_key))
        LOG(ERROR, NULL, M("the bus cannot be encrypted"), KS("endpoint", c->endpoint));
    zmq_setsockopt(c->sock, ZMQ_RECONNECT_IVL, &ivl, sizeof ivl);
    zmq_setsockopt(c->sock, ZMQ_RECONNECT_IVL_MAX, &ivl_max, sizeof ivl_max);
    c->monitor = bus_monitor(c->sock, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED);
    if (!c->monitor || zmq_connect(c->sock, c->endpoint) != 0) {
        LOG(WARN, NULL, M("cannot connect to a hub"), KS("endpoint", c->endpoint),
            KS("why", zmq_strerror(zmq_errno())));
        conn_free(c, 0);
        conn_wait(c, BACKOFF_MAX_MS);
        return;
    }
    c->fd = watch_socket(c, c->sock);
    c->monitor_fd = watch_socket(c, c->monitor);
    c->stirred = c->news = true;
    conn_set(c, CONN_CONNECTING);
    c->heard_ms = clock_ms();
}

static void
on_retry(void *arg)
{
    struct conn *c = arg;

    c->retry = 0;
    if (!c->w->draining)
        conn_begin(c);
}

static void
conn_end(struct conn *c, int linger_ms)
{
    loop_cancel(c->w->loop, &c->retry);
    if (!c->sock)
        return;
    loop_fd(c->w->loop, c->fd, 0, NULL, NULL);
    loop_fd(c->w->loop, c->monitor_fd, 0, NULL, NULL);
    conn_free(c, linger_ms);
}

void
conn_lose(struct conn *c, const char *why)
{
    bool was = c->state == CONN_REGISTERED;

    conn_end(c, 0);
    if (was && clock_ms() - c->since_ms >= STOOD_MS)
        c->backoff_ms = 0;
    c->backoff_ms = c->backoff_ms ? c->backoff_ms * 2 : BACKOFF_MIN_MS;
    if (c->backoff_ms > BACKOFF_MAX_MS)
        c->backoff_ms = BACKOFF_MAX_MS;
    conn_wait(c, c->backoff_ms + jitter(c->backoff_ms / 2));
    if (!was)
        return;
    stat_inc(&bus_stats, BUS_LOST_HUBS);
    LOG(INFO, NULL, M("hub lost"), KS("endpoint", c->endpoint), KS("why", why));
    worker_on_conn_lost(c);
    conns_share(c->w);
}

bool
conn_send(struct conn *c, int cmd, const void *head, struct blob *payload)
{
    int e;

    bus_head_encode(cmd, head, &c->w->head);
    c->stirred = true;
    e = c->sock ? bus_send(c->sock, STR_NONE, cmd, buf_slice(&c->w->head), payload) : ENOTCONN;
    if (e) {
        stat_inc(&bus_stats, BUS_UNSENT);
        return false;
    }
    c->sent_ms = clock_ms();
    return true;
}

long
worker_share(const struct worker *w, const struct conn *c, size_t service)
{
    long live = 0, index = 0, cap = w->services[service].capacity, share;

    for (size_t i = 0; i < w->n_conns; i++) {
        if (w->conns[i] == c)
            index = live;
        if (w->conns[i]->state == CONN_REGISTERED || w->conns[i] == c)
            live++;
    }
    share = cap / live + (index < cap % live ? 1 : 0);
    return share > 0 || cap == 0 ? share : 1;
}

static void
conn_register(struct conn *c)
{
    struct worker *w = c->w;
    struct offer offers[8];
    struct head_ready h = { .instance = { (const char *)w->instance, 16 },
                            .version_min = 1,
                            .version_max = 1,
                            .life = { (const char *)c->life, sizeof c->life } };

    random_bytes(w->instance, sizeof w->instance);
    for (size_t i = 0; i < w->cfg.n_services; i++)
        offers[i] = (struct offer){ str_of(service_names[w->services[i].id]), worker_share(w, c, i) };
    h.services.v = offers;
    h.services.n = w->cfg.n_services;
    h.build = str_of(footnote_build);
    if (conn_send(c, CMD_READY, &h, NULL)) {
        conn_set(c, CONN_ASKED);
        c->heard_ms = clock_ms();
    }
}

static void
conn_heartbeat(struct conn *c, int64_t now)
{
    struct worker *w = c->w;
    struct load loads[8];
    struct head_heartbeat h = { 0 };

    for (size_t i = 0; i < w->cfg.n_services; i++) {
        enum service_id id = w->services[i].id;
        long free_now = w->services[i].capacity - w->inflight[id];

        loads[i] = (struct load){ .name = str_of(service_names[id]),
                                  .free = free_now > 0 ? free_now : 0,
                                  .inflight = w->inflight[id],
                                  .done_total = (int64_t)w->done_total[id] };
        for (const struct incoming *in = w->in; in; in = in->next)
            if (kinds[in->pub.kind].service == id && now - in->start_us / 1000 > loads[i].oldest_ms)
                loads[i].oldest_ms = now - in->start_us / 1000;
    }
    h.services.v = loads;
    h.services.n = w->cfg.n_services;
    conn_send(c, CMD_HEARTBEAT, &h, NULL);
}

void
conn_tick(struct conn *c, int64_t now)
{
    switch (c->state) {
    case CONN_STATES:
    case CONN_WAITING: break; /* on_retry */
    case CONN_CONNECTING:
        if (conn_stands(c))
            conn_register(c);
        else if (c->ended ||
                 now - c->heard_ms >
                     BUS_HUB_SILENT_MS) /* libzmq does not connect again after a garbled handshake */
            conn_lose(c, "no connection");
        break;
    case CONN_ASKED:
        if (!conn_stands(c))
            conn_lose(c, "connection closed");
        else if (now - c->heard_ms > 1000)
            conn_lose(c, "no answer to READY");
        break;
    case CONN_REGISTERED:
        if (!conn_stands(c))
            conn_lose(c, "connection closed");
        else if (now - c->heard_ms > BUS_HUB_SILENT_MS)
            conn_lose(c, "silent");
        else if (now - c->sent_ms >= BUS_HEARTBEAT_MS - 100 + jitter(100))
            conn_heartbeat(c, now);
        break;
    }
}

/* A gateway that came back behind the same connection has another epoch: everything begun with the old one is void. */
static bool
conn_same_hub(struct conn *c, const struct zmessage *m)
{
    struct arena *a;
    struct head_heartbeat h;
    bool same = true;

    if (m->cmd != CMD_HEARTBEAT)
        return c->state == CONN_REGISTERED;
    a = arena_new(4096);
    if (msg_decode(head_heartbeat_desc(), m->head.p, m->head.n, a, &h) || h.hub_epoch.n != 16) {
        stat_inc(&bus_stats, BUS_BAD_FRAMES);
    } else if (c->state == CONN_ASKED) {
        memcpy(c->hub_epoch, h.hub_epoch.p, 16);
        conn_set(c, CONN_REGISTERED);
        c->since_ms = clock_ms();
        c->drain_acked = c->answer_lost = false;
        stat_inc(&bus_stats, BUS_REGISTRATIONS);
        LOG(INFO, NULL, M("registered with a hub"), KS("endpoint", c->endpoint));
        conns_share(c->w);
    } else {
        same = memcmp(c->hub_epoch, h.hub_epoch.p, 16) == 0;
    }
    arena_free(&a);
    return same;
}

static void
conn_on_frames(struct conn *c, struct zframes *f)
{
    struct zmessage m;

    if (!zframes_check(f, 0, &m)) {
        stat_inc(&bus_stats, BUS_BAD_FRAMES);
        return;
    }
    c->heard_ms = clock_ms();
    if (m.cmd == CMD_DISCONNECT) {
        conn_lose(c, "told to disconnect");
    } else if (!conn_same_hub(c, &m)) {
        if (c->state == CONN_REGISTERED)
            conn_lose(c, "the gateway was restarted");
    } else if (m.cmd != CMD_HEARTBEAT) {
        worker_on_message(c, &m);
    }
}

static bool
conn_receive(struct conn *c)
{
    struct zframes f;
    bool lost = false;
    int got = 0;

    if (!c->stirred && !c->news)
        return false;
    while (c->stirred && c->sock && got < BATCH && bus_recv(c->sock, &f) > 0) {
        conn_on_frames(c, &f);
        zframes_drop(&f);
        got++;
    }
    c->stirred = got == BATCH;
    if (c->state == CONN_CONNECTING && conn_stands(c))
        conn_register(c);
    else if ((lost = c->state == CONN_REGISTERED && c->answer_lost))
        conn_lose(c, "an answer could not be sent");
    else if ((lost = !conn_stands(c) && (c->state > CONN_CONNECTING || c->ended)))
        conn_lose(c, "connection closed");
    return got > 0 || c->stirred || lost;
}

/* True: what came may have been answered on a connection that was looked at before, or a lost one's credit was sent on it. */
bool
conns_hook(void *arg)
{
    struct worker *w = arg;
    bool more = false;

    for (size_t i = 0; i < w->n_conns; i++)
        more |= conn_receive(w->conns[i]);
    return more;
}

bool
worker_abandoned(const struct delivery *c)
{
    return !((const struct incoming *)(const void *)c)->conn;
}

long
conns_registered(const struct worker *w)
{
    long n = 0;

    for (size_t i = 0; i < w->n_conns; i++)
        n += w->conns[i]->state == CONN_REGISTERED;
    return n;
}

void
conns_share(struct worker *w)
{
    stat_set(&bus_stats, BUS_HUBS, (double)conns_registered(w));
    for (size_t i = 0; i < w->n_conns; i++) {
        struct conn *c = w->conns[i];

        if (c->state != CONN_REGISTERED)
            continue;
        for (size_t s = 0; s < w->cfg.n_services; s++) {
            struct head_credit h = { str_of(service_names[w->services[s].id]), worker_share(w, c, s) };

            conn_send(c, CMD_CREDIT, &h, NULL);
        }
    }
}

static struct conn *
conn_add(struct worker *w, const char *endpoint)
{
    struct conn *c;

    for (size_t i = 0; i < w->n_conns; i++)
        if (strcmp(w->conns[i]->endpoint, endpoint) == 0) {
            w->conns[i]->listed = true;
            return w->conns[i];
        }
    if (w->n_conns == CONN_MAX)
        return NULL;
    c = mem_new(sizeof *c);
    c->w = w;
    c->listed = true;
    random_bytes(c->life, sizeof c->life);
    snprintf(c->endpoint, sizeof c->endpoint, "%s", endpoint);
    w->conns[w->n_conns++] = c;
    conn_begin(c);
    return c;
}

/* Addresses that are no longer listed go when they are not registered. */
static void
conns_prune(struct worker *w)
{
    for (size_t i = 0; i < w->n_conns;) {
        struct conn *c = w->conns[i];

        if (c->listed || c->state == CONN_REGISTERED) {
            i++;
            continue;
        }
        conn_end(c, 0);
        w->conns[i] = w->conns[--w->n_conns];
        mem_free(&c);
    }
}

/* ---- names: looked up beside the loop, since a resolver may block for seconds */

struct endpoint {
    char host[96];
    char port[8];
    struct resolve *names;
};

struct resolver {
    struct endpoint endpoints[CONN_MAX]; /* as configured */
    size_t n_endpoints;
    bool running;             /* asked; the addresses are not taken yet */
    struct resolve_list list; /* of the name that is looked at */
};

static bool
endpoint_parse(const char *p, size_t n, struct endpoint *out)
{
    const char *colon;
    size_t host_n;

    if (n < 8 || strncmp(p, "tcp://", 6) != 0)
        return false;
    p += 6;
    n -= 6;
    colon = memrchr(p, ':', n);
    if (!colon || colon == p)
        return false;
    host_n = (size_t)(colon - p);
    if (host_n >= sizeof out->host || n - host_n - 1 >= sizeof out->port || n - host_n - 1 == 0)
        return false;
    memcpy(out->host, p, host_n);
    memcpy(out->port, colon + 1, n - host_n - 1);
    return strspn(out->port, "0123456789") == strlen(out->port);
}

/* Every look-up has ended: take what was found. A name that failed keeps its connections. */
static void
resolve_take(struct worker *w, const enum resolve_state *states)
{
    struct resolver *r = w->resolver;
    char endpoint[ENDPOINT_MAX];
    bool failed = false;

    for (size_t i = 0; i < r->n_endpoints; i++)
        failed |= states[i] != RESOLVE_GOOD;
    for (size_t i = 0; !failed && i < w->n_conns; i++)
        w->conns[i]->listed = false;
    for (size_t i = 0; i < r->n_endpoints; i++) {
        if (states[i] != RESOLVE_GOOD)
            continue;
        resolve_get(r->endpoints[i].names, 0, &r->list);
        for (size_t k = 0; k < r->list.n; k++) {
            snprintf(endpoint, sizeof endpoint, "tcp://%s:%s", r->list.v[k], r->endpoints[i].port);
            conn_add(w, endpoint);
        }
    }
    conns_prune(w);
}

void
resolve_tick(struct worker *w, int64_t now)
{
    struct resolver *r = w->resolver;
    enum resolve_state states[CONN_MAX];
    bool busy = false;

    if (!r->running && (now < w->resolve_ms || w->draining))
        return;
    for (size_t i = 0; i < r->n_endpoints; i++) {
        if (!r->running)
            resolve_ask(r->endpoints[i].names);
        states[i] = resolve_get(r->endpoints[i].names, 0, &r->list);
        busy |= states[i] == RESOLVE_RUNNING;
    }
    r->running = busy;
    if (busy)
        return;
    resolve_take(w, states);
    w->resolve_ms = now + (w->n_conns ? RESOLVE_MS : 500);
}

bool
conns_init(struct worker *w)
{
    struct resolver *r = mem_new(sizeof *r);
    const char *p = w->cfg.endpoints;

    random_bytes(w->instance, sizeof w->instance);
    hex_text(w->instance, sizeof w->instance, w->instance_hex);
    w->resolver = r;
    while (*p) {
        size_t n = strcspn(p, ", ");

        if (n && (r->n_endpoints == CONN_MAX || !endpoint_parse(p, n, &r->endpoints[r->n_endpoints++]))) {
            LOG(ERROR, NULL, M("HUB_ENDPOINTS must be a list of tcp://host:port"),
                KS("value", w->cfg.endpoints));
            return false;
        }
        if (n)
            r->endpoints[r->n_endpoints - 1].names = resolve_new(r->endpoints[r->n_endpoints - 1].host,
                                                                 AF_INET);
        p += n;
        p += strspn(p, ", ");
    }
    resolve_tick(w, clock_ms());
    return r->n_endpoints > 0;
}

void
conns_fini(struct worker *w)
{
    for (size_t i = 0; w->resolver && i < w->resolver->n_endpoints; i++)
        resolve_free(&w->resolver->endpoints[i].names); /* does not wait for a name server that is away */
    mem_free(&w->resolver);
    for (size_t i = 0; i < w->n_conns; i++) {
        conn_end(w->conns[i], 500); /* the last answers still go out */
        mem_free(&w->conns[i]);
    }
    w->n_conns = 0;
}
