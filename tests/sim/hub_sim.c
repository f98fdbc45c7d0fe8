/* The hub's core in a world of trouble: seeded schedules of asks, workers, lost, late, doubled and reordered messages,
 * crashes before and after the effect, stalls, false expiries, drains, cancels, credit changes, hub restarts. After every
 * step the invariants are checked; a failing seed prints itself and its last steps, and replays with --seed N --trace.
 *
 *   hub_sim [--schedules N] [--seed FIRST] [--trace]
 *
 * Invariants: core_check() (credit + outstanding = capacity; a request is in one place; nothing can wait
 * past its deadline); one answer an ask, none after it gave up; parts and the end come from one attempt;
 * a kind that may not be repeated runs at most once; what is poison was at two workers; no more at a
 * worker than it offered; nothing new after a drain was acknowledged; the ttl is never longer than the
 * time left; what another worker has in hand cannot be answered; queues are bounded; every ask is
 * answered when its time is over. */
#include "tests/sim/hub_sim.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"

#define STEPS 90

/* ---- steps */

static void
to_core(struct wire *m)
{
    struct buf b = { 0 };
    struct blob *payload = NULL;

    if (m->ask >= 0) {
        buf_c(&b, (char)0x92); /* a msgpack list of two */
        buf_c(&b, (char)m->ask);
        if (m->cmd != CMD_FINAL || w.forging || rnd(8))
            buf_c(&b, (char)m->attempt); /* without it: garbled */
        payload = blob_of_buf(&b);
    }
    w.acting = m->hub;
    core_frame(w.core[m->hub], w.now, &(struct core_peer){ m->peer, ~0u, 0 }, m->cmd, buf_slice(&m->head),
               payload);
    blob_drop(&payload);
}

/* A slot is free again for the hub when the answer arrives for the first time. */
static void
note_return(struct wire *m)
{
    struct sim_link *l = &w.link[m->hub][m->worker];
    uint64_t key = m->peer << 16 | (uint64_t)m->ask << 8 | (uint64_t)m->attempt;
    size_t at = (size_t)(key * 0x9e3779b97f4a7c15u >> 56);

    if (!m->is_answer || l->peer != m->peer)
        return;
    if (w.returned[at] != key)
        l->delivered[kinds[w.ask[m->ask].kind].service]--;
    w.returned[at] = key;
}

static void
step_deliver(void)
{
    struct wire *m = &w.wire[rnd(WIRE)];
    bool twice = rnd(20) == 0;

    for (int i = 0; i < WIRE && !m->used; i++)
        m = &w.wire[(size_t)(m - w.wire + 1) % WIRE];
    if (!m->used)
        return;
    if (m->to_hub) {
        STEP("hub %d gets %s of worker %d, ask %d/%lld", m->hub, cmd_names[m->cmd], m->worker, m->ask,
             (long long)m->attempt);
        note_return(m);
        to_core(m);
        if (!twice)
            wire_free(m);
    } else if (!w.stalled[m->worker]) {
        STEP("worker %d gets %s of hub %d, ask %d/%lld", m->worker, cmd_names[m->cmd], m->hub, m->ask,
             (long long)m->attempt);
        if (w.link[m->hub][m->worker].peer == m->peer)
            sim_gets(m);
        if (m->used)
            wire_free(m);
    }
}

static void
step_ask(void)
{
    static const enum kind some[] = { KIND_EMBED, KIND_TURN_BEGIN, KIND_CLEANUP, KIND_CHAT };
    static const char *const tenants[] = { "a", "b" };
    struct buf b = { 0 };
    struct sim_ask *a;
    struct core_call q;

    if (w.n_asks == ASKS)
        return;
    a = &w.ask[w.n_asks];
    *a = (struct sim_ask){ .used = true, .hub = (int)rnd(HUBS), .kind = some[rnd(4)] };
    a->deadline_ms = w.now + (rnd(4) ? 2000 + rnd(8000) : rnd(300));
    buf_c(&b, (char)w.n_asks++);
    q = (struct core_call){ a->kind, tenants[rnd(2)], "t", a->deadline_ms, blob_of_buf(&b), a };
    STEP("ask %d of kind %s at hub %d, deadline %lld", w.n_asks - 1, kind_names[a->kind], a->hub,
         (long long)a->deadline_ms);
    w.acting = a->hub;
    a->handle = core_call(w.core[a->hub], w.now, &q);
}

static void
step_giveup(void)
{
    struct sim_ask *a = &w.ask[rnd(ASKS)];

    if (!a->used || a->gone || a->answers)
        return;
    STEP("ask %d gives up", (int)(a - w.ask));
    a->gone = true;
    w.acting = a->hub;
    core_giveup(w.core[a->hub], w.now, a->handle);
}

static void
step_work(void)
{
    int hub = (int)rnd(HUBS), worker = (int)rnd(WORKERS);
    struct sim_link *l = &w.link[hub][worker];
    uint32_t from = rnd(64);

    if (w.stalled[worker] || !l->up)
        return;
    for (uint32_t i = 0; i < 64; i++) {
        struct held *x = &l->held[(from + i) % 64];

        if (x->used) {
            STEP("worker %d works on ask %d/%lld of hub %d", worker, x->ask, (long long)x->attempt, hub);
            sim_answer(hub, worker, x);
            return;
        }
    }
}

static void
tick_hubs(void)
{
    for (int h = 0; h < HUBS; h++) {
        w.acting = h;
        core_tick(w.core[h], w.now);
    }
    for (int i = 0; i < w.n_asks; i++)
        if (w.now >= w.ask[i].deadline_ms && !w.ask[i].gone && !w.ask[i].answers)
            broke("an ask is still open after its deadline");
}

static void
step_time(void)
{
    int64_t by = rnd(12) ? 1 + rnd(120) : 500 + rnd(3500);

    w.now += by;
    STEP("%lld ms pass", (long long)by);
    for (int h = 0; h < HUBS; h++)
        for (int i = 0; i < WORKERS; i++) {
            struct head_heartbeat beat = { 0 };

            if (w.link[h][i].up && !w.stalled[i] && rnd(3))
                sim_send(h, i, CMD_HEARTBEAT, &beat, -1, 0);
        }
    tick_hubs();
}

/* The worker dies, or only its connections break. The hub learns of it now, later (by silence), or when it sends. */
static void
step_crash(void)
{
    int worker = (int)rnd(WORKERS);
    bool known = rnd(2), dies = rnd(2);

    STEP("worker %d %s%s", worker, dies ? "dies" : "loses its connections",
         known ? " and the hubs see it" : "");
    w.life[worker] += dies;
    for (int h = 0; h < HUBS; h++) {
        struct sim_link old = w.link[h][worker];

        link_reset(h, worker);
        w.acting = h;
        if (known && old.peer) {
            core_unsent(w.core[h], w.now, old.peer);
        } else if (old.peer) { /* the old id stays at the hub for a while; nothing is delivered */
            w.link[h][worker] = old;
            w.link[h][worker].up = false;
            memset(w.link[h][worker].held, 0, sizeof old.held);
        }
    }
    w.stalled[worker] = false;
}

static void
step_join(void)
{
    int hub = (int)rnd(HUBS), worker = w.alone ? 1 : (int)rnd(WORKERS);

    if (!w.link[hub][worker].up)
        sim_register(hub, worker);
}

static void
step_drain(void)
{
    int hub = (int)rnd(HUBS), worker = (int)rnd(WORKERS);
    struct head_drain h = { STR_NONE };

    STEP("worker %d drains at hub %d", worker, hub);
    sim_send(hub, worker, CMD_DRAIN, &h, -1, 0);
}

static void
step_credit(void)
{
    int hub = (int)rnd(HUBS), worker = (int)rnd(WORKERS);
    struct sim_link *l = &w.link[hub][worker];
    struct head_credit h = { STR("embed"), 1 + (int64_t)rnd(3) };

    if (!l->up)
        return;
    if (h.capacity > l->most[SERVICE_EMBED])
        l->most[SERVICE_EMBED] = h.capacity;
    STEP("worker %d offers hub %d %lld", worker, hub, (long long)h.capacity);
    sim_send(hub, worker, CMD_CREDIT, &h, -1, 0);
}

static void hub_start(int hub);

static void
step_hub_restart(void)
{
    int hub = (int)rnd(HUBS);

    STEP("hub %d is killed and starts again", hub);
    for (int i = 0; i < w.n_asks; i++)
        if (w.ask[i].hub == hub && !w.ask[i].answers)
            w.ask[i].gone = true; /* its HTTP connections died with it */
    w.acting = hub;
    /* a killed process answers nobody: silence the actions while memory is released */
    for (int i = 0; i < WORKERS; i++)
        link_reset(hub, i);
    bool was = w.verbose;
    const char *broken = w.broken;

    w.verbose = false;
    core_free(&w.core[hub]);
    w.verbose = was;
    w.broken = broken;
    hub_start(hub);
}

static void
step_lose(void)
{
    struct wire *m = &w.wire[rnd(WIRE)];

    if (!m->used)
        return;
    STEP("%s %s %d is lost", cmd_names[m->cmd], m->to_hub ? "of worker" : "to worker", m->worker);
    wire_free(m);
}

static void
step_garbage(void)
{
    int hub = (int)rnd(HUBS), worker = (int)rnd(WORKERS);

    w.acting = hub;
    core_frame(w.core[hub], w.now, &(struct core_peer){ w.link[hub][worker].peer, ~0u, 0 }, 1 + (int)rnd(12),
               STR("\x81\xa3req\xc0"), NULL);
}

/* A worker answers what another one holds. */
static void
step_forge(void)
{
    int hub = (int)rnd(HUBS), worker = (int)rnd(WORKERS);
    const struct held *x = &w.link[hub][(worker + 1) % WORKERS].held[rnd(8)];
    struct head_final h = { .req = x->req, .attempt = x->attempt };
    struct wire m = {
        .hub = hub, .worker = worker, .peer = w.link[hub][worker].peer, .cmd = CMD_FINAL, .ask = x->ask
    };

    if (!x->used || !w.link[hub][worker].up)
        return;
    STEP("worker %d answers ask %d/%lld of worker %d", worker, x->ask, (long long)x->attempt,
         (worker + 1) % WORKERS);
    m.attempt = x->attempt;
    if (msg_encode(head_final_desc(), &h, &m.head))
        broke("a forged header does not encode");
    w.forging = true;
    to_core(&m);
    w.forging = false;
    buf_free(&m.head);
}

static void
step(void)
{
    uint32_t dice = rnd(100);

    if (dice < 34)
        step_deliver();
    else if (dice < 56)
        step_work();
    else if (dice < 70)
        step_ask();
    else if (dice < 82)
        step_time();
    else if (dice < 88)
        step_join();
    else if (dice < 90)
        step_giveup();
    else if (dice < 92)
        step_lose();
    else if (dice < 94)
        step_crash();
    else if (dice < 96)
        w.stalled[rnd(WORKERS)] = rnd(2);
    else if (dice < 97)
        step_drain();
    else if (dice < 98)
        step_credit();
    else if (dice < 99)
        rnd(2) ? step_garbage() : step_forge();
    else
        step_hub_restart();
}

static void
hub_start(int hub)
{
    uint8_t epoch[16];

    for (int i = 0; i < 16; i++)
        epoch[i] = (uint8_t)rnd(256);
    w.core[hub] = core_new(&sim_ops, NULL, epoch, w.now);
}

static const char *
check_all(void)
{
    for (int h = 0; h < HUBS && !w.broken; h++) {
        struct core_view v;

        w.broken = core_check(w.core[h]);
        for (int s = 0; s < SERVICE_COUNT; s++) {
            core_look(w.core[h], (enum service_id)s, &v);
            if (v.queued > 2 * 1024) /* two lines */
                broke("a queue is over its bound");
        }
    }
    return w.broken;
}

static const char *
schedule(uint64_t seed, bool verbose)
{
    memset(&w, 0, sizeof w);
    sim_seed(seed);
    w.verbose = verbose;
    w.now = 1000 + rnd(5000);
    for (int h = 0; h < HUBS; h++)
        hub_start(h);
    w.alone = rnd(5) == 0;
    for (int i = 0; i < WORKERS; i++)
        if (w.alone ? i == 1 : rnd(4))
            sim_register((int)rnd(HUBS), i);
    for (int i = 0; i < STEPS && !check_all(); i++)
        step();
    w.now += 20000; /* everybody's deadline */
    if (!w.broken) {
        tick_hubs();
        check_all();
    }
    const char *broken = w.broken;

    for (int i = 0; i < w.n_asks; i++)
        w.ask[i].gone = false;
    for (int h = 0; h < HUBS; h++) {
        w.acting = h;
        core_free(&w.core[h]);
    }
    for (int i = 0; i < WIRE; i++)
        if (w.wire[i].used)
            wire_free(&w.wire[i]);
    return broken;
}

int
main(int argc, char **argv)
{
    uint64_t first = 1, count = 10000;
    bool trace = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0)
            trace = true;
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            first = strtoull(argv[++i], NULL, 10), count = 1;
        else if (strcmp(argv[i], "--schedules") == 0 && i + 1 < argc)
            count = strtoull(argv[++i], NULL, 10);
    }
    log_init("sim", "error", false);
    for (uint64_t seed = first; seed < first + count; seed++) {
        const char *why = schedule(seed, trace);

        if (why) {
            printf("seed %llu: %s\n", (unsigned long long)seed, why);
            if (!trace)
                for (unsigned i = w.n_trace > 30 ? w.n_trace - 30 : 0; i < w.n_trace; i++)
                    printf("  %s\n", w.trace[i % TRACE]);
            printf("replay: hub_sim --seed %llu --trace\n", (unsigned long long)seed);
            return 1;
        }
    }
    printf("%llu schedules, 0 violations\n", (unsigned long long)count);
    return 0;
}
