/* The janitor's statistics, from stat.tbl, and the names of its jobs, which label them. */
#include "janitor/janitor.h"

const char *const cleanup_names[] = {
#define CLEANUP_JOB(name) name,
#include "proto/cleanup.tbl"
#undef CLEANUP_JOB
    NULL
};

struct stat_set janitor_stats;
static const struct stat_def stat_rows[] = {
#define STAT_TBL "janitor/stat.tbl"
#include "common/process/stat_rows.h"
#undef STAT_TBL
};

void
janitor_stats_init(void)
{
    stat_register(&janitor_stats, stat_rows, sizeof stat_rows / sizeof *stat_rows);
}
