/* Ids of the store's statistics. */
#ifndef STORE_STAT_H
#define STORE_STAT_H

#include "common/process/stat.h"

enum {
#undef STAT_TBL
#define STAT_TBL "store/stat.tbl"
#include "common/process/stat_enum.h"
    STORE_STATS
};
extern struct stat_set store_stats;
void stats_init(void);

#endif
