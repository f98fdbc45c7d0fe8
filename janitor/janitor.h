/* The janitor's own state: decides when and how much; the store deletes. */
#ifndef JANITOR_JANITOR_H
#define JANITOR_JANITOR_H

#include "common/process/opt.h"
#include "common/process/proc.h"
#include "common/process/stat.h"
#include "janitor/cron.h"
#include "proto/worker.h"

struct janitor_opt {
#define OPT OPT_FIELD
#include "janitor/opt.tbl"
#undef OPT
};

enum {
#define STAT_TBL "janitor/stat.tbl"
#include "common/process/stat_enum.h"
#undef STAT_TBL
};
extern struct stat_set janitor_stats;
void janitor_stats_init(void);
extern const char *const cleanup_names[]; /* NULL-terminated, in the order of cleanup.tbl */

enum run_phase { RUN_IDLE, RUN_COUNTING, RUN_DELETING, RUN_VACUUM, RUN_MARKING, RUN_PHASES };

struct janitor {
    struct proc *proc;
    const struct janitor_opt *opt;
    struct worker *worker;
    struct cron cron;
    uint64_t timer;   /* next look at the clock, next batch or next try */
    int64_t next_s;   /* when the next run is due, Unix seconds */
    int64_t looked_s; /* wall clock at the last look */
    int64_t last_s;   /* end of the last complete run; -1: not asked yet */
    enum run_phase phase;
    size_t job;          /* index into cleanup_names */
    int64_t deleted[16]; /* this run, by job */
    int64_t batch_us;    /* when the batch that is out was sent */
    int64_t run_us;      /* when the run began */
    int tries;           /* failures in a row of the same batch */
    int locked;          /* of the same batch: how often another janitor had it */
    bool counts_some;    /* counting all took too long: only up to a limit */
    void (*run_ended)(struct janitor *j, bool complete); /* main.c: what a run came to */
};

/* schedule.c */
void schedule_start(struct janitor *j); /* look at the last run, then keep to the schedule */
void schedule_next(struct janitor *j);  /* after a run: when is the next */
/* run.c: one clean-up run; ends with j->run_ended. */
void run_start(struct janitor *j);
void run_set(struct janitor *j, enum run_phase to);

#endif
