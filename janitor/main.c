/* footnote-janitor: deletes what has expired, in bounded batches, through the store.
 *
 *   CLEANUP_SCHEDULE ─► run ─► count, delete in batches of CLEANUP_BATCH ─► record the run ─► wait for the next
 *
 * It holds no state: a killed run goes on with the next one. Two janitors never double the work, since the store takes
 * an advisory lock for each batch. SIGTERM: the batch that is out ends at the store, exit 0. */
#include <stdio.h>

#include "common/text/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "janitor/janitor.h"

#define HUB_MS 100   /* --once: how often it is looked for a hub */
#define HUB_TRIES 40 /* and how many times */

#define OPT_STRUCT struct janitor_opt
static const struct opt_def opts[] = {
#define OPT OPT_ROW
#include "janitor/opt.tbl"
#undef OPT
};

static void
check(const void *opt, struct buf *err)
{
    const struct janitor_opt *o = opt;
    struct cron c;
    const char *why;

    if (!cron_parse(o->schedule, &c, &why))
        buf_printf(err, "CLEANUP_SCHEDULE: \"%s\" is no cron expression (%s)\n", o->schedule, why);
    else if (cron_next(&c, clock_wall_ms() / 1000) == 0)
        buf_printf(err, "CLEANUP_SCHEDULE: \"%s\" never comes: no such day in those months\n", o->schedule);
    check_time_zone(err);
    worker_check(o->hub_endpoints, o->bus_curve, o->bus_secret_key, o->hub_public_key, err);
    if (o->dry_run && !o->once)
        buf_z(err, "--dry-run: only together with --once\n");
}

static int64_t
total(const struct janitor *j)
{
    int64_t sum = 0;

    for (size_t i = 0; cleanup_names[i]; i++)
        sum += j->deleted[i];
    return sum;
}

static void
run_ended(struct janitor *j, bool complete)
{
    run_set(j, RUN_IDLE);
    stat_set(&janitor_stats, JAN_RUNNING, 0);
    stat_inc(&janitor_stats, complete ? JAN_RUNS : JAN_FAILED);
    for (size_t i = 0; cleanup_names[i]; i++)
        if (j->deleted[i])
            LOG(INFO, NULL, M(j->opt->dry_run ? "would be deleted" : "deleted"), KS("job", cleanup_names[i]),
                KI("rows", j->deleted[i]));
    LOG(INFO, NULL, M(complete ? "cleaned up expired data" : "clean-up did not finish"), KI("rows", total(j)),
        KI("ms", (clock_us() - j->run_us) / 1000), KB("dry_run", j->opt->dry_run));
    if (complete && !j->opt->dry_run)
        stat_set(&janitor_stats, JAN_LAST, (double)(clock_wall_ms() / 1000));
    if (j->opt->once) {
        if (j->opt->dry_run && complete)
            for (size_t i = 0; cleanup_names[i]; i++)
                printf("%-14s %lld\n", cleanup_names[i], (long long)j->deleted[i]);
        proc_exit(j->proc, complete ? 0 : 1);
    } else if (!j->proc->draining) {
        schedule_next(j);
    }
}

/* --once: begin as soon as a hub is there. */
static void
once(void *arg)
{
    struct janitor *j = arg;

    j->timer = 0;
    if (worker_registered(j->worker)) {
        run_start(j);
    } else if (++j->tries > HUB_TRIES) {
        LOG(ERROR, NULL,
            M("no gateway answers, and the janitor reaches the database only through one: start a gateway and a"
              " store, or set HUB_ENDPOINTS to where the gateway's HUB_BIND listens (and BUS_CURVE as it has it)"),
            KS("endpoints", j->opt->hub_endpoints));
        proc_exit(j->proc, 1);
    } else {
        j->timer = loop_after(j->proc->loop, HUB_MS, once, j);
    }
}

static int
start(struct proc *p)
{
    struct janitor *j = mem_new(sizeof *j);
    static const struct worker_service services[] = { { SERVICE_JANITOR, 1 } };
    struct worker_config cfg = { .services = services, .n_services = 1, .ctx = j, .drain_ms = 1000 };
    const char *why;

    p->ctx = j;
    j->proc = p;
    j->opt = p->opt;
    j->run_ended = run_ended;
    janitor_stats_init();
    cron_parse(j->opt->schedule, &j->cron, &why);
    cfg.endpoints = j->opt->hub_endpoints;
    cfg.opts = &p->opts;
    if (!(j->worker = worker_new(p->loop, &cfg)))
        return -1;
    if (j->opt->once)
        once(j);
    else
        schedule_start(j);
    return 0;
}

static bool
ready(struct proc *p, struct buf *reasons)
{
    struct janitor *j = p->ctx;

    if (worker_registered(j->worker))
        return true;
    buf_z(reasons, "no hub");
    return false;
}

static void
drained(void *arg)
{
    proc_exit(((struct janitor *)arg)->proc, 0);
}

static void
drain(struct proc *p)
{
    struct janitor *j = p->ctx;

    loop_cancel(p->loop, &j->timer);
    worker_drain(j->worker, drained, j);
}

static void
stop(struct proc *p)
{
    struct janitor *j = p->ctx;

    if (!j)
        return;
    loop_cancel(p->loop, &j->timer);
    worker_free(&j->worker);
    mem_free(&j);
}

int
main(int argc, char **argv)
{
    static const struct service svc = {
        .name = "janitor",
        .summary = "deletes expired sessions, conversations and messages on a schedule",
        .manual =
            "Runs daily at 02:00 by default (CLEANUP_SCHEDULE, TZ), catches up after a missed night, and deletes in\n"
            "batches through the store. `--once` cleans up now and exits; with `--dry-run` it only counts.\n"
            "Needs a gateway (HUB_ENDPOINTS) and, through it, a store. SIGTERM: exit 0 at once, nothing is lost.",
        .opts = opts,
        .n_opts = sizeof opts / sizeof *opts,
        .opt_size = sizeof(struct janitor_opt),
        .check = check,
        .start = start,
        .ready = ready,
        .drain = drain,
        .stop = stop,
    };

    return proc_main(argc, argv, &svc);
}
