/* hub_sim's world: what the core's actions do in it, and its workers. Steps and schedules are in hub_sim.c. */
#include "tests/sim/hub_sim.h"

#include <string.h>

struct world w;

/* ---- random numbers: xorshift, seeded by the schedule's number */

static uint64_t rng;

uint32_t
rnd(uint32_t n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)((rng >> 11) % n);
}

void
sim_seed(uint64_t seed)
{
    rng = seed * 0x9e3779b97f4a7c15u + 1;
}

/* ---- messages */

void
broke(const char *why)
{
    if (!w.broken)
        w.broken = why;
    if (w.verbose)
        printf("BROKEN: %s\n", why);
}

static struct sim_link *
link_of_peer(int hub, uint64_t peer, int *worker)
{
    for (int i = 0; i < WORKERS; i++)
        if (w.link[hub][i].peer == peer) {
            *worker = i;
            return &w.link[hub][i];
        }
    return NULL;
}

static struct wire *
wire_new(void)
{
    for (int i = 0; i < WIRE; i++)
        if (!w.wire[i].used) {
            w.wire[i] = (struct wire){ .used = true, .ask = -1 };
            return &w.wire[i];
        }
    return NULL; /* lost: the network is full */
}

void
wire_free(struct wire *m)
{
    buf_free(&m->head);
    m->used = false;
}

/* ---- the core's actions */

static int
ask_of_payload(const struct blob *b)
{
    return b && b->n == 1 ? (unsigned char)b->p[0] : -1;
}

static void
check_request(struct sim_link *l, const struct head_request *h, int ask)
{
    if (ask < 0 || ask >= w.n_asks)
        return;
    if (h->ttl_ms > w.ask[ask].deadline_ms - w.now)
        broke("a ttl is longer than the time left");
    if (w.ask[ask].gone || w.ask[ask].answers)
        broke("work was sent for an ask that is over");
    if (!l)
        return;
    if (l->drain_acked)
        broke("work was sent after a drain was acknowledged");
    enum service_id id = kinds[w.ask[ask].kind].service;

    if (++l->delivered[id] > l->most[id])
        broke("a worker got more than it offered");
}

static bool
on_send(void *arg, uint64_t peer, int cmd, const void *head, struct blob *payload)
{
    int hub = w.acting, worker = -1, ask = ask_of_payload(payload);
    struct sim_link *l = link_of_peer(hub, peer, &worker);
    struct wire *m;

    (void)arg;
    if (cmd == CMD_REQUEST)
        check_request(l, head, ask);
    if (cmd == CMD_DRAIN && l)
        l->drain_acked = true;
    if (cmd == CMD_REQUEST && l && ask >= 0 && ask < w.n_asks)
        w.ask[ask].lives |= 1ull << (LIVES * worker + (int)(w.life[worker] % LIVES));
    if (!l || !l->up || !(m = wire_new()))
        return l != NULL; /* a connection that is closed is known to be, or not yet */
    m->hub = hub;
    m->worker = worker;
    m->peer = peer;
    m->cmd = cmd;
    m->ask = ask;
    if (msg_encode(bus_head_desc(cmd), head, &m->head))
        broke("a header does not encode");
    if (cmd == CMD_REQUEST)
        m->attempt = ((const struct head_request *)head)->attempt;
    return true;
}

/* Payloads of replies are msgpack: [ask, attempt]. */
#define REPLY_ASK 1
#define REPLY_ATTEMPT 2

static void
on_part(void *arg, void *caller, struct blob *payload)
{
    struct sim_ask *a = caller;

    (void)arg;
    if (a->gone || a->answers)
        broke("a part came after the end");
    if (payload->p[REPLY_ATTEMPT] != a->part_attempt && a->part_attempt)
        broke("parts of two attempts were mixed");
    a->part_attempt = payload->p[REPLY_ATTEMPT];
}

static void
on_done(void *arg, void *caller, enum err e, struct blob *payload, struct str text, int64_t retry_after_ms)
{
    struct sim_ask *a = caller;

    (void)arg, (void)text, (void)retry_after_ms;
    if (a->gone)
        broke("an answer came for an ask that gave up");
    if (++a->answers > 1)
        broke("an ask was answered twice");
    if (e == ERR_POISON && (a->lives & (a->lives - 1)) == 0)
        broke("an ask is poison that was at one worker only");
    if (e == ERR_OK && w.forging)
        broke("an answer of a worker that was not asked was taken");
    if (e == ERR_OK && payload && payload->p[REPLY_ASK] != (char)(a - w.ask))
        broke("an ask got another one's answer");
    if (e == ERR_OK && payload && a->part_attempt && payload->p[REPLY_ATTEMPT] != a->part_attempt)
        broke("parts and the end come from different attempts");
}

const struct core_ops sim_ops = { on_send, on_part, on_done };

/* ---- workers */

void
sim_send(int hub, int worker, int cmd, const void *head, int ask, int64_t attempt)
{
    struct sim_link *l = &w.link[hub][worker];
    struct wire *m;

    if (!l->up || !(m = wire_new()))
        return;
    m->to_hub = true;
    m->hub = hub;
    m->worker = worker;
    m->peer = l->peer;
    m->cmd = cmd;
    m->ask = ask;
    m->attempt = attempt;
    m->is_answer = cmd == CMD_FINAL || cmd == CMD_NACK;
    if (msg_encode(bus_head_desc(cmd), head, &m->head))
        broke("a worker's header does not encode");
}

void
link_reset(int hub, int worker)
{
    struct sim_link *l = &w.link[hub][worker];

    for (int i = 0; i < WIRE; i++)
        if (w.wire[i].used && w.wire[i].hub == hub && w.wire[i].worker == worker && !w.wire[i].to_hub)
            wire_free(&w.wire[i]); /* what was still on its way to a closed socket */
    *l = (struct sim_link){ 0 };
}

void
sim_register(int hub, int worker)
{
    struct sim_link *l = &w.link[hub][worker];
    struct offer o[3];
    uint64_t instance[2] = { w.next_peer + 1, 0 };
    struct head_ready h = { .services = { o, 3 }, .instance = { (const char *)instance, sizeof instance } };
    uint8_t life[16] = { (uint8_t)(1 + worker), (uint8_t)w.life[worker], (uint8_t)hub };

    if (worker) /* the first one is of a build that tells no life: each connection is another one to the hub */
        h.life = (struct str){ (const char *)life, sizeof life };
    else
        w.life[worker]++;
    link_reset(hub, worker);
    l->peer = ++w.next_peer;
    l->up = true;
    l->capacity = 1 + (long)rnd(3);
    for (int i = 0; i < SERVICE_COUNT; i++)
        l->most[i] = l->capacity;
    o[0] = (struct offer){ STR("embed"), l->capacity };
    o[1] = (struct offer){ STR("store"), l->capacity };
    o[2] = (struct offer){ STR("chat"), l->capacity };
    sim_send(hub, worker, CMD_READY, &h, -1, 0);
    STEP("worker %d registers with hub %d as %llu", worker, hub, (unsigned long long)l->peer);
}

void
sim_answer(int hub, int worker, struct held *x)
{
    struct head_final f = { .req = x->req, .attempt = x->attempt };
    struct head_nack n = { x->req, x->attempt, STR("busy") };
    struct head_part p = { x->req, x->attempt, 0 };
    struct sim_ask *a = &w.ask[x->ask];
    uint32_t dice = rnd(10);

    if (!x->ran && dice == 0) {
        sim_send(hub, worker, CMD_NACK, &n, x->ask, x->attempt);
        x->used = false;
        return;
    }
    if (!x->ran) {
        x->ran = true;
        a->runs++;
        if (kinds[a->kind].attempts == 1 && a->runs > 1)
            broke("a kind that may not be repeated ran twice");
    }
    if ((dice == 1 || dice == 6) && kinds[a->kind].part()) {
        sim_send(hub, worker, CMD_PARTIAL, &p, x->ask, x->attempt);
        x->parted = true;
        return;
    }
    f.code = dice == 2 ? ERR_UPSTREAM : dice == 3 ? ERR_VALIDATION : ERR_OK;
    sim_send(hub, worker, CMD_FINAL, &f, x->ask, x->attempt);
    if (dice == 4) /* twice */
        sim_send(hub, worker, CMD_FINAL, &f, x->ask, x->attempt);
    x->used = false;
}

void
sim_gets(struct wire *m)
{
    struct sim_link *l = &w.link[m->hub][m->worker];
    struct arena *a;
    struct head_request h;

    if (m->cmd == CMD_DISCONNECT) {
        sim_register(m->hub, m->worker);
        return;
    }
    if (m->cmd != CMD_REQUEST)
        return;
    a = arena_new(8192);
    if (msg_decode(head_request_desc(), m->head.p, m->head.n, a, &h))
        broke("the hub sent a malformed request");
    for (int i = 0; i < 64; i++)
        if (!l->held[i].used) {
            l->held[i] = (struct held){ h.req, h.attempt, m->ask, false, false, true };
            break;
        }
    arena_free(&a);
}
