/* bus-bench: what the bus alone costs. HTTP threads ask through gateway/hub/hub.h, a worker in a child process answers through
 * proto/worker.h; 300 bytes there and 300 bytes back over TCP. bus-bare is the least that such a bus can cost.
 *
 *   usage: bus-bench      prints its port and the worker's pid; serves until SIGTERM (bus_bench.h) */
#include "common/clock.h"
#include "common/log.h"
#include "gateway/hub/hub.h"
#include "proto/worker.h"
#include "tests/bench/bus_bench.h"

#define DIMS (BENCH_BYTES / 4)
#define DEADLINE_MS 5000

static char address[64];
static struct hub *hub;
static char text[BENCH_BYTES + 1];

static void
on_embed(struct delivery *c)
{
    struct embed_rep r = { .model = STR("bench"), .dims = DIMS, .vectors = { text, BENCH_BYTES } };

    worker_reply(c, &r);
}

static void
work(void)
{
    struct worker_service s = { SERVICE_EMBED, BENCH_CAPACITY };
    struct worker_config cfg = { .endpoints = address, .services = &s, .n_services = 1, .drain_ms = 1000 };
    struct loop *l = loop_new();

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    log_init("bus-worker", "error", false);
    cfg.handlers[KIND_EMBED] = on_embed;
    cfg.ctx = l;
    if (worker_new(l, &cfg))
        loop_run(l);
    _exit(1);
}

static bool
ask(void)
{
    struct str s = { text, BENCH_BYTES };
    struct embed_req req = { .texts = { &s, 1 } };
    struct outcome a;
    struct call *q;
    enum err e = call_once(hub, KIND_EMBED, &req, "default", "0123456789abcdef", clock_ms() + DEADLINE_MS, &q,
                           &a);
    bool ok = e == ERR_OK && ((const struct embed_rep *)a.msg)->vectors.n == BENCH_BYTES;

    call_free(&q);
    return ok;
}

/* The worker connects when it finds the hub. */
static bool
served(void)
{
    struct hub_view v;

    for (int i = 0; i < 500; i++) {
        hub_look(hub, &v);
        if (v.service[SERVICE_EMBED].workers > 0)
            return true;
        bench_sleep_ms(10);
    }
    return false;
}

int
main(void)
{
    struct hub_config cfg = { .bind = address };
    sigset_t stop;
    pid_t child;
    int rc = 2;

    memset(text, 'x', BENCH_BYTES);
    snprintf(address, sizeof address, "tcp://127.0.0.1:%d", 20000 + (int)getpid() % 12000);
    if ((child = fork()) == 0)
        work();
    bench_signals(&stop);
    log_init("bus-bench", "error", false);
    if ((hub = hub_new(&cfg)) != NULL && served())
        rc = bench_serve(ask, child, &stop);
    else
        kill(child, SIGKILL);
    hub_free(&hub);
    return rc;
}
