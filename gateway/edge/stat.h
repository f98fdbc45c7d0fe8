/* The gateway's statistics (stat.tbl), with the names of their labels. They stand in the lowest room: every room counts. */
#ifndef GATEWAY_EDGE_STAT_H
#define GATEWAY_EDGE_STAT_H

#include "common/process/stat.h"

enum {
#define STAT_TBL "gateway/edge/stat.tbl"
#include "common/process/stat_enum.h"
#undef STAT_TBL
    GW_STATS
};
extern struct stat_set gateway_stats;

/* Values of labels, in the order of their names in stat.c. */
enum cut {
    CUT_HEADER,
    CUT_BODY,
    CUT_IDLE,
    CUT_ADDRESS,
    CUT_DESCRIPTORS,
    CUT_SATURATED,
    CUT_READER,
    CUT_PUSHED
};
enum cache_outcome {
    CACHE_HIT,
    CACHE_MISS,
    CACHE_STALE,
    CACHE_COLLISION,
    CACHE_BAD,
    CACHE_BYPASS,
    CACHE_STORED,
    CACHE_FAILED
};
enum near_outcome {
    NEAR_HIT,
    NEAR_MISS,
    NEAR_LATE,
    NEAR_STORED,
    NEAR_REFUSED,
    NEAR_REPLACED,
    NEAR_EVICTED,
    NEAR_ERASED,
    NEAR_EXPIRED,
    NEAR_STALE,
    NEAR_DEAF
};
enum { ADVANCE_TAKEN, ADVANCE_SPENT, ADVANCE_RETURNED, ADVANCE_LOST };
enum { POLICY_SESSION, POLICY_KEY, POLICY_HOUR, POLICY_DAY, POLICY_ADDRESS, POLICY_AUTH, POLICY_CONCURRENCY };
enum { BUDGET_KEY, BUDGET_TENANT, BUDGET_UNPRICED };
enum turn_outcome { TURN_QUEUED, TURN_FULL, TURN_FAILED };
enum idem_outcome {
    IDEM_UNCLAIMED,
    IDEM_RUNNING,
    IDEM_STORED,
    IDEM_FREED,
    IDEM_REPLAYED,
    IDEM_BUSY,
    IDEM_MISMATCH,
    IDEM_FAILED
};
extern const char *const route_labels[]; /* by row of route.tbl, then "none", NULL */
extern const char *const cache_labels[]; /* an answer names its outcome, too */

void gateway_stats_register(void);

#endif
