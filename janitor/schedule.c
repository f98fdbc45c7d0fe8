/* When to clean up: the cron schedule in local time, and a missed run caught up at start. The wall clock is looked at
 * again at least every half minute, so that a machine that slept, or a clock that is set, changes nothing: set forward, a
 * run that was due begins; set back, the next time is found anew, since it may have come from a wrong clock. */
#include "common/clock.h"
#include "common/log.h"
#include "janitor/janitor.h"

#define LOOK_MS 30000
#define RETRY_MS 1000
#define SET_BACK_S 60

static void look(void *arg);

static void
wait_for_next(struct janitor *j)
{
    int64_t left_ms = j->next_s * 1000 - clock_wall_ms();

    if (j->next_s == 0 || left_ms > LOOK_MS)
        left_ms = LOOK_MS;
    j->looked_s = clock_wall_ms() / 1000;
    j->timer = loop_after(j->proc->loop, left_ms > 0 ? left_ms : 1, look, j);
}

void
schedule_next(struct janitor *j)
{
    j->next_s = cron_next(&j->cron, clock_wall_ms() / 1000);
    stat_set(&janitor_stats, JAN_NEXT, (double)j->next_s);
    wait_for_next(j);
}

static void
look(void *arg)
{
    struct janitor *j = arg;

    int64_t now_s = clock_wall_ms() / 1000;

    j->timer = 0;
    if (j->next_s && now_s >= j->next_s)
        run_start(j);
    else if (now_s < j->looked_s - SET_BACK_S)
        schedule_next(j);
    else
        wait_for_next(j);
}

static void ask_last_run(void *arg);

static void
on_last_run(void *arg, struct reply *r)
{
    struct janitor *j = arg;
    const struct cleanup_rep *rep = r->rep;
    int64_t due_s;

    if (r->err) {
        j->timer = loop_after(j->proc->loop, RETRY_MS, ask_last_run, j);
        return;
    }
    j->last_s = rep->last_run_ms / 1000;
    stat_set(&janitor_stats, JAN_LAST, (double)j->last_s);
    due_s = j->last_s ? cron_next(&j->cron, j->last_s) : 1;
    if (due_s && due_s <= clock_wall_ms() / 1000) {
        LOG(INFO, NULL, M(j->last_s ? "a clean-up was missed: catching up" : "first clean-up"));
        run_start(j);
    } else {
        schedule_next(j);
    }
}

static void
ask_last_run(void *arg)
{
    struct janitor *j = arg;
    struct cleanup_req q = { .job = str_of(cleanup_names[0]), .limit = 1, .dry_run = true };

    j->timer = 0;
    worker_call(j->worker, NULL, KIND_CLEANUP, &q, "", "janitor", 5000, on_last_run, j);
}

void
schedule_start(struct janitor *j)
{
    j->last_s = -1;
    ask_last_run(j);
}
