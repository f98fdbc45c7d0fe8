/* Statistics of the hub (stat.tbl). */
#ifndef GATEWAY_HUB_STAT_H
#define GATEWAY_HUB_STAT_H

#include "common/process/stat.h"

enum drop_why { DROP_LATE, DROP_DUP, DROP_EPOCH, DROP_FOREIGN };
extern const char *const drop_names[];
extern const char *const door_names[]; /* door.c */
enum {
#define STAT_TBL "gateway/hub/stat.tbl"
#include "common/process/stat_enum.h"
#undef STAT_TBL
};
extern struct stat_set hub_stats;

#endif
