/* The world of hub_storm: messages, hubs and workers; time and chance are storm_time.c's. A hub is the real core; a worker's
 * connections are modelled after proto/worker_conn.c, with its constants. */
#include "tests/sim/storm_time.h"

#include <string.h>

#define BACKOFF_MIN_MS 10
#define BACKOFF_MAX_MS 250
#define STOOD_MS 200
#define READY_MS 1000
#define TICK_US 50000
#define CALL_MS 10000

struct storm s;

static struct call *free_calls;
static struct task *free_tasks;

static uint64_t
peer_of(int worker, uint32_t turn)
{
    return (uint64_t)turn << 16 | (uint64_t)worker | UINT64_C(1) << 48;
}

static struct task *
task_new(int hub, int worker, uint32_t turn)
{
    struct task *t = free_tasks;

    if (t)
        free_tasks = t->next;
    else
        t = mem_new(sizeof *t);
    *t = (struct task){ .hub = hub, .worker = worker, .turn = turn };
    return t;
}

static void
task_free(struct task *t)
{
    t->next = free_tasks;
    free_tasks = t;
}

/* ---- a hub: its thread takes one message after the other */

static int64_t
hub_busy(struct hub *h, int64_t cost)
{
    if (h->free_us < s.now_us)
        h->free_us = s.now_us;
    return h->free_us += cost;
}

/* A send into a connection that is closed says so, and the core is told after what it is doing. */
static void
bury(int hub)
{
    struct hub *h = &s.hub[hub];

    while (h->n_unsent)
        core_unsent(h->core, s.now_us / 1000, h->unsent[--h->n_unsent]);
}

static bool
on_send(void *arg, uint64_t peer, int cmd, const void *head, struct blob *payload)
{
    int hub = (int)((struct hub *)arg - s.hub), worker = (int)(peer & 0xffff);
    struct link *l = &s.link[hub][worker];
    int64_t out = hub_busy(&s.hub[hub], s.cost.frame) + wire_us();
    struct event *e;

    (void)payload;
    if (!l->pipe || peer != peer_of(worker, l->turn)) {
        if (s.hub[hub].n_unsent < WORKERS_MOST)
            s.hub[hub].unsent[s.hub[hub].n_unsent++] = peer;
        return false;
    }
    if (cmd == CMD_HEARTBEAT && l->state == LINK_ASKED) {
        event_at(out, AT_READY_ANSWER, hub, worker)->turn = l->turn;
    } else if (cmd == CMD_REQUEST) {
        const struct head_request *h = head;

        e = event_at(out, AT_REQUEST, hub, worker);
        e->task = task_new(hub, worker, l->turn);
        e->task->req = h->req;
        e->task->attempt = h->attempt;
    } else if (cmd == CMD_DISCONNECT) {
        e = event_at(out, AT_FRAME, hub, worker); /* to the worker: number -1 */
        e->cmd = CMD_DISCONNECT;
        e->number = -1;
        e->turn = l->turn;
    }
    return true;
}

static void
on_part(void *arg, void *caller, struct blob *payload)
{
    (void)arg, (void)caller, (void)payload;
}

static void
on_done(void *arg, void *caller, enum err e, struct blob *payload, struct str text, int64_t retry_after_ms)
{
    struct call *c = caller;
    struct stage *st = &s.stage[c->stage];

    (void)payload, (void)text, (void)retry_after_ms;
    if (c->ended) {
        s.twice++;
        return;
    }
    c->ended = true;
    s.open--;
    if (!((struct hub *)arg)->up) {
        st->died++;
    } else if (e == ERR_OK) {
        st->good++;
        st->good_of_hub[c->hub]++;
        st->good_of_tenant[c->tenant]++;
    } else {
        st->failed++;
        st->poison += e == ERR_POISON;
    }
    c->next = free_calls;
    free_calls = c;
}

static void
hub_start(int hub)
{
    static const struct core_ops ops = { on_send, on_part, on_done };
    uint8_t epoch[16];

    for (int i = 0; i < 16; i++)
        epoch[i] = (uint8_t)rnd(256);
    s.hub[hub].core = core_new(&ops, &s.hub[hub], epoch, s.now_us / 1000);
    s.hub[hub].up = true;
    s.hub[hub].free_us = s.hub[hub].door_us = s.now_us;
}

static void
call_make(int hub)
{
    static const char *const tenants[TENANTS] = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j" };
    struct call *c = free_calls;
    struct hub *h = &s.hub[hub];
    struct core_call q;

    if (c)
        free_calls = c->next;
    else
        c = mem_new(sizeof *c);
    *c = (struct call){ .hub = hub, .stage = s.at, .begun_us = s.now_us };
    c->tenant = s.lopsided && rnd(10) ? 0 : (int)rnd(TENANTS);
    s.open++;
    s.stage[s.at].made++;
    s.stage[s.at].of_hub[hub]++;
    s.stage[s.at].of_tenant[c->tenant]++;
    q = (struct core_call){ KIND_EMBED, tenants[c->tenant], "t", s.now_us / 1000 + CALL_MS, NULL, c, NULL,
                            false };
    hub_busy(h, s.cost.frame);
    core_call(h->core, s.now_us / 1000, &q);
    bury(hub);
}

static void
to_core(const struct event *e)
{
    struct hub *h = &s.hub[e->hub];
    const struct link *l = &s.link[e->hub][e->worker];
    struct core_peer from = { peer_of(e->worker, e->turn), ~0u, 0 };
    struct buf b = { 0 };
    struct offer offer = { STR("embed"), (int64_t)e->number };
    uint64_t instance[2] = { from.id, 1 };
    struct head_ready ready = { .services = { &offer, 1 },
                                .instance = { (const char *)instance, 16 },
                                .life = { (const char *)l->life, 16 } };
    struct head_credit credit = { STR("embed"), (int64_t)e->number };
    struct head_heartbeat beat = { 0 };
    struct head_final final = { 0 };
    const void *head = e->cmd == CMD_READY    ? (const void *)&ready
                       : e->cmd == CMD_CREDIT ? (const void *)&credit
                                              : (const void *)&beat;

    if (e->cmd == CMD_FINAL) {
        final = (struct head_final){ .req = e->task->req, .attempt = e->task->attempt };
        head = &final;
    }
    if (msg_encode(bus_head_desc(e->cmd), head, &b))
        s.broken = "a worker's header does not encode";
    core_frame(h->core, s.now_us / 1000, &from, e->cmd, buf_slice(&b), NULL);
    buf_free(&b);
    bury(e->hub);
}

/* A message reaches its hub, and waits until the thread comes to it. */
static void
frame_arrives(struct event *e)
{
    struct hub *h = &s.hub[e->hub];
    int64_t begins = h->free_us > s.now_us ? h->free_us : s.now_us;

    if (e->number < 0) {
        return;
    }
    if (!h->up || !s.link[e->hub][e->worker].pipe || s.link[e->hub][e->worker].turn != e->turn)
        return; /* lost with its connection */
    hub_busy(h, s.cost.frame);
    if (begins > s.now_us) {
        struct event *later = event_at(begins, AT_FRAME, e->hub, e->worker);

        later->cmd = e->cmd | 1 << 8; /* it has had its turn */
        later->number = e->number;
        later->turn = e->turn;
        later->task = e->task;
        e->task = NULL;
        return;
    }
    to_core(e);
}

/* ---- a worker */

static void
worker_sends(int hub, int worker, int cmd, int64_t number, struct task *t)
{
    struct station *w = &s.station[worker];
    struct event *e;

    if (w->free_us < s.now_us)
        w->free_us = s.now_us;
    w->free_us += s.cost.frame / 2;
    e = event_at(w->free_us + wire_us(), AT_FRAME, hub, worker);
    e->cmd = cmd;
    e->number = number;
    e->turn = s.link[hub][worker].turn;
    e->task = t;
}

static long
share_of(int hub, int worker)
{
    long live = 0, index = 0, share;

    for (int g = 0; g < s.gateways; g++) {
        if (g == hub)
            index = live;
        live += g == hub || s.link[g][worker].state == LINK_REGISTERED;
    }
    share = s.capacity / live + (index < s.capacity % live);
    return share > 0 ? share : 1;
}

static void
shares_tell(int worker)
{
    for (int g = 0; g < s.gateways; g++)
        if (s.link[g][worker].state == LINK_REGISTERED)
            worker_sends(g, worker, CMD_CREDIT, share_of(g, worker), NULL);
}

static void
link_set(int hub, int worker, enum link_state to)
{
    struct link *l = &s.link[hub][worker];
    int was = l->state == LINK_REGISTERED, is = to == LINK_REGISTERED;

    l->state = to;
    l->since_us = s.now_us;
    s.registered += is - was;
    s.station[worker].registered += is - was;
}

static void
link_begin(int hub, int worker, int64_t ms)
{
    event_at(s.now_us + ms * 1000 + rnd(1000), AT_CONNECT, hub, worker)->turn = s.link[hub][worker].turn;
}

/* conn_lose */
static void
link_lose(int hub, int worker)
{
    struct link *l = &s.link[hub][worker];
    bool was = l->state == LINK_REGISTERED;

    if (was && s.now_us - l->since_us >= STOOD_MS * 1000)
        l->backoff_ms = 0;
    l->backoff_ms = l->backoff_ms ? l->backoff_ms * 2 : BACKOFF_MIN_MS;
    if (l->backoff_ms > BACKOFF_MAX_MS)
        l->backoff_ms = BACKOFF_MAX_MS;
    link_set(hub, worker, LINK_DOWN);
    l->pipe = false;
    l->turn++;
    if (!s.station[worker].up)
        return;
    link_begin(hub, worker, l->backoff_ms + rnd((uint32_t)l->backoff_ms / 2 + 1));
    if (was)
        shares_tell(worker);
}

/* TCP and CURVE: three round trips, and the hub's I/O thread. */
static void
link_connect(int hub, int worker)
{
    struct link *l = &s.link[hub][worker];
    struct hub *h = &s.hub[hub];

    if (!s.station[worker].up || l->state != LINK_DOWN)
        return;
    if (!h->up) { /* refused; libzmq tries again */
        link_begin(hub, worker, BACKOFF_MIN_MS + rnd(BACKOFF_MAX_MS - BACKOFF_MIN_MS));
        return;
    }
    link_set(hub, worker, LINK_CONNECTING);
    if (h->door_us < s.now_us)
        h->door_us = s.now_us;
    h->door_us += s.cost.handshake;
    event_at(h->door_us + 6 * wire_us(), AT_HANDSHAKE, hub, worker)->turn = l->turn;
}

static void
link_ask(int hub, int worker)
{
    struct link *l = &s.link[hub][worker];

    if (!s.hub[hub].up) {
        link_lose(hub, worker);
        return;
    }
    l->pipe = true;
    link_set(hub, worker, LINK_ASKED);
    worker_sends(hub, worker, CMD_READY, share_of(hub, worker), NULL);
    event_at(s.now_us + READY_MS * 1000, AT_NO_ANSWER, hub, worker)->turn = l->turn;
}

static void
work_begin(struct task *t)
{
    struct station *w = &s.station[t->worker];

    w->running++;
    event_at(s.now_us + (int64_t)rnd_exp((double)s.cost.work), AT_DONE, t->hub, t->worker)->task = t;
}

static void
work_comes(struct task *t)
{
    struct station *w = &s.station[t->worker];

    if (!w->up || s.link[t->hub][t->worker].turn != t->turn) {
        task_free(t);
        return;
    }
    if (w->running < s.threads) {
        work_begin(t);
    } else {
        *(w->first ? &w->last->next : &w->first) = t;
        w->last = t;
        t->next = NULL;
        w->queued++;
    }
    if (w->queued + w->running > s.most_inside)
        s.most_inside = w->queued + w->running;
}

/* turn of the event: the life in which the work began. */
static void
work_ends(struct task *t)
{
    struct station *w = &s.station[t->worker];
    struct task *n;

    w->running--;
    w->done++;
    while ((n = w->first) && w->running < s.threads) {
        w->first = n->next;
        w->queued--;
        if (s.link[n->hub][n->worker].turn == n->turn)
            work_begin(n);
        else
            task_free(n);
    }
    if (s.link[t->hub][t->worker].turn == t->turn)
        worker_sends(t->hub, t->worker, CMD_FINAL, 0, t);
    else
        task_free(t);
}

/* ---- what happens when */

static void
beat(int hub, int worker)
{
    struct link *l = &s.link[hub][worker];

    worker_sends(hub, worker, CMD_HEARTBEAT, 0, NULL);
    event_at(s.now_us + 900000 + rnd(100000), AT_BEAT, hub, worker)->turn = l->turn;
}

static void
tick(int hub)
{
    struct hub *h = &s.hub[hub];

    event_at(s.now_us + TICK_US, AT_TICK, hub, 0);
    if (!h->up)
        return;
    core_tick(h->core, s.now_us / 1000);
    bury(hub);
}

static void
next_call(int hub)
{
    struct hub *h = &s.hub[hub];

    if (h->rate > 0)
        event_at(s.now_us + (int64_t)rnd_exp(1e6 / h->rate), AT_CALL, hub, 0)->turn = h->pace;
}

void
rate_set(int hub, double rate)
{
    s.hub[hub].rate = rate;
    s.hub[hub].pace++;
    next_call(hub);
}

static void
on_link_event(struct event *e)
{
    struct link *l = &s.link[e->hub][e->worker];

    if (l->turn != e->turn)
        return;
    switch (e->what) {
    case AT_CONNECT: link_connect(e->hub, e->worker); break;
    case AT_HANDSHAKE: link_ask(e->hub, e->worker); break;
    case AT_READY_ANSWER:
        if (l->state != LINK_ASKED)
            break;
        link_set(e->hub, e->worker, LINK_REGISTERED);
        shares_tell(e->worker);
        beat(e->hub, e->worker);
        break;
    case AT_NO_ANSWER:
        if (l->state == LINK_ASKED) {
            s.refused_ready++;
            link_lose(e->hub, e->worker);
        }
        break;
    default: beat(e->hub, e->worker); break;
    }
}

static void
on_frame_event(struct event *e)
{
    const struct link *l = &s.link[e->hub][e->worker];

    if (e->number < 0 && l->turn == e->turn)
        link_lose(e->hub, e->worker); /* told to go */
    else if (!(e->cmd >> 8))
        frame_arrives(e);
    else if (s.hub[e->hub].up && l->pipe && l->turn == e->turn) {
        e->cmd &= 0xff;
        to_core(e);
    }
    if (e->task)
        task_free(e->task);
}

static void
worker_up(int worker)
{
    struct station *w = &s.station[worker];

    w->up = true;
    w->life++;
    for (int g = 0; g < s.gateways; g++) {
        struct link *l = &s.link[g][worker];

        for (int i = 0; i < 16; i++)
            l->life[i] = (uint8_t)rnd(256);
        l->backoff_ms = 0;
        link_begin(g, worker, rnd(5));
    }
}

static void
happen(struct event *e)
{
    switch (e->what) {
    case AT_CALL:
        if (e->turn != s.hub[e->hub].pace)
            break;
        next_call(e->hub);
        if (s.hub[e->hub].up)
            call_make(e->hub);
        break;
    case AT_TICK: tick(e->hub); break;
    case AT_FRAME: on_frame_event(e); break;
    case AT_REQUEST: work_comes(e->task); break;
    case AT_DONE: work_ends(e->task); break;
    case AT_WORKER: worker_up(e->worker); break;
    case AT_HUB: hub_start(e->hub); break;
    default: on_link_event(e); break;
    }
    event_free(e);
}

void
world_run(int64_t us)
{
    int64_t until = s.now_us + us;
    struct event *e;

    while (!s.broken && (e = event_until(until))) {
        s.now_us = e->at.key;
        happen(e);
    }
    s.now_us = until;
    for (int g = 0; g < s.gateways && !s.broken; g++)
        if (s.hub[g].up)
            s.broken = core_check(s.hub[g].core);
}

void
world_start(void)
{
    s.now_us = 1000000;
    for (int g = 0; g < s.gateways; g++) {
        hub_start(g);
        event_at(s.now_us + rnd(TICK_US), AT_TICK, g, 0);
    }
    for (int w = 0; w < s.workers; w++)
        worker_up(w);
}

void
world_stop(void)
{
    for (int g = 0; g < s.gateways; g++)
        core_free(&s.hub[g].core);
    events_end();
}

/* ---- storms */

void
cut_links(void)
{
    for (int w = 0; w < s.workers; w++)
        for (int g = 0; g < s.gateways; g++)
            s.link[g][w].pipe = false;
    for (int w = 0; w < s.workers; w++)
        for (int g = 0; g < s.gateways; g++)
            if (s.link[g][w].state != LINK_DOWN)
                link_lose(g, w);
}

void
kill_workers(int every)
{
    for (int w = 0; w < s.workers; w += every) {
        struct station *x = &s.station[w];

        x->up = false;
        for (int g = 0; g < s.gateways; g++)
            link_lose(g, w);
        for (struct task *t; (t = x->first);) {
            x->first = t->next;
            task_free(t);
        }
        x->queued = 0;
        event_at(s.now_us + 500000 + rnd(500000), AT_WORKER, 0, w);
    }
}

void
kill_hubs(int every)
{
    for (int g = 0; g < s.gateways; g += every) {
        s.hub[g].up = false;
        core_free(&s.hub[g].core);
        s.hub[g].n_unsent = 0;
        for (int w = 0; w < s.workers; w++)
            if (s.link[g][w].state != LINK_DOWN)
                link_lose(g, w);
        event_at(s.now_us + 1000000, AT_HUB, g, 0);
    }
}
