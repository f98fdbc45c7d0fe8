/* Ids of the store's statistics. */
#ifndef STORE_STATS_H
#define STORE_STATS_H

#include "common/process/stat.h"

enum {
#undef STAT_TBL
#define STAT_TBL "store/stat.tbl"
#include "common/process/stat_enum.h"
    STORE_STATS
};
extern struct stat_set store_stats;
extern const char *const tx_kinds[];    /* kinds, then "internal" */
extern const char *const sql_classes[];
void stats_init(void);

#endif
