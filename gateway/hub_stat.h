/* Statistics of the hub (hub_stat.tbl). */
#ifndef GATEWAY_HUB_STAT_H
#define GATEWAY_HUB_STAT_H

#include "common/stat.h"

enum drop_why { DROP_LATE, DROP_DUP, DROP_EPOCH, DROP_FOREIGN };
extern const char *const drop_names[];
extern const char *const door_names[]; /* hub_door.c */
enum {
#define STAT_TBL "gateway/hub_stat.tbl"
#include "common/stat_enum.h"
#undef STAT_TBL
};
extern struct stat_set hub_stats;

#endif
