/* One clean-up run: for each job count (and warn), then delete in batches, then record the run's end.
 *
 *   COUNTING ─► DELETING (batch, pause, batch …) ─► VACUUM (after many) ─► next job … ─► MARKING ─► run_ended
 *
 * Rows that are too many to be counted in the time of a call are counted up to a limit only. The pause
 * yields to traffic: as long as the batch took, and PAUSES_BUSY times as long while the store serves
 * people, so that few of their requests meet a batch. A batch that fails is asked again a few times, since
 * its WHERE clause makes that safe; then the run stops and the next one goes on. One that another janitor
 * has in hand is waited for. */
#include <assert.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "janitor/janitor.h"

#define CALL_MS 30000
#define PAUSE_MIN_MS 20
#define TRIES 20 /* of one batch, a second apart: a restart of the store is waited for */
#define TRY_MS 1000
#define COUNT_LIMIT \
    100000 /* when there is no time to count all; and all that a store of an earlier release counts */
#define LARGE_TABLE 10000
#define LOCKED_TRIES 1500 /* of one batch that another janitor has: five minutes */
#define LOCKED_MS 200
#define PAUSES_BUSY 3 /* with traffic, pauses of so many times the batch's time */

static void step(void *arg);

/* From each phase a run may also end. */
void
run_set(struct janitor *j, enum run_phase to)
{
    static const bool legal[RUN_PHASES][RUN_PHASES] = {
        [RUN_IDLE] = { [RUN_COUNTING] = true },
        [RUN_COUNTING] = { [RUN_IDLE] = true,
                           [RUN_COUNTING] = true,
                           [RUN_DELETING] = true,
                           [RUN_MARKING] = true },
        [RUN_DELETING] = { [RUN_IDLE] = true,
                           [RUN_VACUUM] = true,
                           [RUN_COUNTING] = true,
                           [RUN_MARKING] = true },
        [RUN_VACUUM] = { [RUN_IDLE] = true, [RUN_COUNTING] = true, [RUN_MARKING] = true },
        [RUN_MARKING] = { [RUN_IDLE] = true },
    };

    assert(legal[j->phase][to]);
    j->phase = to;
}

static void
ask(struct janitor *j, reply_fn fn, struct cleanup_req q)
{
    q.job = str_of(cleanup_names[j->job]);
    j->batch_us = clock_us();
    stat_inc(&janitor_stats, JAN_BATCHES);
    worker_call(j->worker, NULL, KIND_CLEANUP, &q, "", "janitor", CALL_MS, fn, j);
}

static void
again_or_stop(struct janitor *j, const struct reply *r)
{
    if (r->err == ERR_CONFLICT && ++j->locked < LOCKED_TRIES) {
        j->timer = loop_after(j->proc->loop, LOCKED_MS, step, j);
        return;
    }
    if (++j->tries < TRIES) {
        j->timer = loop_after(j->proc->loop, TRY_MS, step, j);
        return;
    }
    LOG(ERROR, NULL, M("clean-up stopped: the store does not answer"), KS("job", cleanup_names[j->job]),
        KS("why", r->err ? err_text(r->err) : ""));
    j->run_ended(j, false);
}

static bool
clock_differs(struct janitor *j, const struct cleanup_rep *rep)
{
    int64_t skew_s = (clock_wall_ms() - rep->clock_ms) / 1000;

    if (!rep->clock_ms || llabs(skew_s) <= j->opt->max_skew_s)
        return false;
    LOG(ERROR, NULL, M("clean-up stopped: this host's clock and the database's differ; set the clocks right"),
        KI("seconds", skew_s));
    j->run_ended(j, false);
    return true;
}

static void
next_job(struct janitor *j)
{
    j->tries = j->locked = 0;
    if (cleanup_names[j->job + 1]) {
        j->job++;
        run_set(j, RUN_COUNTING);
    } else {
        j->job = 0; /* where schedule.c looks for the last run */
        run_set(j, RUN_MARKING);
    }
    step(j);
}

static void
on_counted(void *arg, struct reply *r)
{
    struct janitor *j = arg;
    const struct cleanup_rep *rep = r->rep;

    if (r->err == ERR_DEADLINE && !j->counts_some) {
        j->counts_some = true;
        step(j);
        return;
    }
    if (r->err) {
        again_or_stop(j, r);
        return;
    }
    if (clock_differs(j, rep))
        return;
    j->tries = 0;
    if (j->counts_some && rep->deleted >= COUNT_LIMIT)
        LOG(INFO, NULL, M("too many expired rows to count them all in time"),
            KS("job", cleanup_names[j->job]), KI("at_least", rep->deleted));
    j->counts_some = false;
    if (rep->rows > LARGE_TABLE && rep->deleted > rep->rows / 2)
        LOG(WARN, NULL, M("this run deletes more than half of a table"), KS("job", cleanup_names[j->job]),
            KI("expired", rep->deleted), KI("rows", rep->rows));
    if (j->opt->dry_run) {
        j->deleted[j->job] = rep->deleted;
        next_job(j);
    } else if (rep->deleted == 0) {
        next_job(j);
    } else {
        run_set(j, RUN_DELETING);
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
    j->tries = j->locked = 0;
    stat_observe(&janitor_stats, JAN_BATCH, (double)took_us / 1e6);
    stat_add_at(&janitor_stats, JAN_DELETED, j->job, 0, (uint64_t)(rep->deleted > 0 ? rep->deleted : 0));
    j->deleted[j->job] += rep->deleted;
    if (clock_differs(j, rep))
        return;
    if (rep->deleted >= j->opt->batch || rep->more) {
        int64_t pause_ms = (rep->busy ? PAUSES_BUSY : 1) * took_us / 1000;

        j->timer = loop_after(j->proc->loop, pause_ms > PAUSE_MIN_MS ? pause_ms : PAUSE_MIN_MS, step, j);
    } else if (j->deleted[j->job] > LARGE_TABLE) {
        run_set(j, RUN_VACUUM);
        step(j);
    } else {
        next_job(j);
    }
}

/* The rows are gone already: a failure is no more than space that autovacuum will find. */
static void
on_vacuum(void *arg, struct reply *r)
{
    (void)r;
    next_job(arg);
}

static void
on_marked(void *arg, struct reply *r)
{
    struct janitor *j = arg;

    if (r->err) {
        again_or_stop(j, r);
        return;
    }
    j->run_ended(j, true);
}

static void
step(void *arg)
{
    struct janitor *j = arg;

    j->timer = 0;
    switch (j->phase) {
    case RUN_COUNTING:
        ask(j, on_counted,
            (struct cleanup_req){ .limit = COUNT_LIMIT, .dry_run = true, .all = !j->counts_some });
        break;
    case RUN_DELETING: ask(j, on_deleted, (struct cleanup_req){ .limit = j->opt->batch }); break;
    case RUN_VACUUM:
        ask(j, on_vacuum, (struct cleanup_req){ .limit = 1, .dry_run = true, .vacuum = true });
        break;
    case RUN_MARKING:
        if (j->opt->dry_run)
            j->run_ended(j, true);
        else
            ask(j, on_marked, (struct cleanup_req){ .limit = 1, .dry_run = true, .mark = true });
        break;
    case RUN_PHASES:
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
    j->tries = j->locked = 0;
    j->counts_some = false;
    j->run_us = clock_us();
    run_set(j, RUN_COUNTING);
    stat_set(&janitor_stats, JAN_RUNNING, 1);
    step(j);
}
