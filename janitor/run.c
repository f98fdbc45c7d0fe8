/* One clean-up run: for each job count (and warn), then delete in batches, then record the run's end.
 *
 *   COUNTING ─► DELETING (batch, pause as long as the batch took, batch …) ─► next job … ─► MARKING ─► run_ended
 *
 * The pause yields to traffic: the store is never busy for the janitor more than half of the time. A batch that fails is
 * asked again a few times, since its WHERE clause makes that safe; then the run stops and the next one goes on. */
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "janitor/janitor.h"

#define CALL_MS 30000
#define PAUSE_MIN_MS 20
#define TRIES 20          /* of one batch, a second apart: a restart of the store is waited for */
#define TRY_MS 1000
#define COUNT_LIMIT 100000
#define LARGE_TABLE 10000

static void step(void *arg);

static void
ask(struct janitor *j, reply_fn fn, int64_t limit, bool dry, bool mark)
{
    struct cleanup_req q = { .job = str_of(cleanup_names[j->job]), .limit = limit, .dry_run = dry, .mark = mark };

    j->batch_us = clock_us();
    stat_inc(&janitor_stats, JAN_BATCHES);
    worker_call(j->worker, NULL, KIND_CLEANUP, &q, "", "janitor", CALL_MS, fn, j);
}

static void
again_or_stop(struct janitor *j, const struct reply *r)
{
    if (++j->tries < TRIES) {
        j->timer = loop_after(j->proc->loop, TRY_MS, step, j);
        return;
    }
    LOG(ERROR, NULL, M("clean-up stopped: the store does not answer"), KS("job", cleanup_names[j->job]),
        KS("why", r->err ? err_text(r->err) : ""));
    run_ended(j, false);
}

static bool
clock_differs(struct janitor *j, const struct cleanup_rep *rep)
{
    int64_t skew_s = (clock_wall_ms() - rep->clock_ms) / 1000;

    if (!rep->clock_ms || llabs(skew_s) <= j->opt->max_skew_s)
        return false;
    LOG(ERROR, NULL, M("clean-up stopped: this host's clock and the database's differ; set the clocks right"),
        KI("seconds", skew_s));
    run_ended(j, false);
    return true;
}

static void
next_job(struct janitor *j)
{
    j->tries = 0;
    if (cleanup_names[j->job + 1]) {
        j->job++;
        j->phase = RUN_COUNTING;
    } else {
        j->phase = RUN_MARKING;
    }
    step(j);
}

static void
on_counted(void *arg, struct reply *r)
{
    struct janitor *j = arg;
    const struct cleanup_rep *rep = r->rep;

    if (r->err) {
        again_or_stop(j, r);
        return;
    }
    if (clock_differs(j, rep))
        return;
    j->tries = 0;
    if (rep->rows > LARGE_TABLE && rep->deleted > rep->rows / 2)
        LOG(WARN, NULL, M("this run deletes more than half of a table"), KS("job", cleanup_names[j->job]),
            KI("expired", rep->deleted), KI("rows", rep->rows));
    if (j->opt->dry_run) {
        j->deleted[j->job] = rep->deleted;
        next_job(j);
    } else if (rep->deleted == 0) {
        next_job(j);
    } else {
        j->phase = RUN_DELETING;
        step(j);
    }
}

static void
on_deleted(void *arg, struct reply *r)
{
    struct janitor *j = arg;
    const struct cleanup_rep *rep = r->rep;
    int64_t took_us = clock_us() - j->batch_us;

    if (r->err) {
        again_or_stop(j, r);
        return;
    }
    j->tries = 0;
    stat_observe(&janitor_stats, JAN_BATCH, (double)took_us / 1e6);
    stat_add_at(&janitor_stats, JAN_DELETED, j->job, 0, (uint64_t)(rep->deleted > 0 ? rep->deleted : 0));
    j->deleted[j->job] += rep->deleted;
    if (clock_differs(j, rep))
        return;
    if (rep->deleted < j->opt->batch && !rep->more)
        next_job(j);
    else
        j->timer = loop_after(j->proc->loop, took_us / 1000 > PAUSE_MIN_MS ? took_us / 1000 : PAUSE_MIN_MS, step, j);
}

static void
on_marked(void *arg, struct reply *r)
{
    struct janitor *j = arg;

    if (r->err) {
        again_or_stop(j, r);
        return;
    }
    run_ended(j, true);
}

static void
step(void *arg)
{
    struct janitor *j = arg;

    j->timer = 0;
    switch (j->phase) {
    case RUN_COUNTING: ask(j, on_counted, COUNT_LIMIT, true, false); break;
    case RUN_DELETING: ask(j, on_deleted, j->opt->batch, false, false); break;
    case RUN_MARKING:
        if (j->opt->dry_run)
            run_ended(j, true);
        else
            ask(j, on_marked, 1, true, true);
        break;
    case RUN_IDLE: break;
    }
}

void
run_start(struct janitor *j)
{
    if (j->phase != RUN_IDLE)
        return;
    for (size_t i = 0; cleanup_names[i]; i++)
        j->deleted[i] = 0;
    j->job = 0;
    j->tries = 0;
    j->run_us = clock_us();
    j->phase = RUN_COUNTING;
    stat_set(&janitor_stats, JAN_RUNNING, 1);
    step(j);
}
