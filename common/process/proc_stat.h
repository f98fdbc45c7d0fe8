/* Statistics of the process itself, which every service has. */
#ifndef COMMON_PROCESS_PROC_STAT_H
#define COMMON_PROCESS_PROC_STAT_H

#include "common/process/stat.h"

enum {
#define STAT_TBL "common/process/stat.tbl"
#include "common/process/stat_enum.h"
#undef STAT_TBL
};

extern struct stat_set proc_stats;
void proc_stats_init(void);   /* register; once, at start */
void proc_stats_sample(void); /* read what the kernel counts; before a scrape */

#endif
